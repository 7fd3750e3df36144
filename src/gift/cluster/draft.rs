//! What a gift, or its revoke, becomes in the journal.

use super::rules::{Delta, Rules, Sums};
use crate::cluster::JournalDraft;
use crate::gift::Entry;
use crate::store::RequestKey;

/// What a request wants in the journal, before a writer takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The document's `_id`; retries of one request agree on it.
    pub name: String,
    /// Id and time are set by whoever makes the draft, once: a retry never changes them.
    pub entry: Entry,
    /// Whose periods it counts in: its own time, or that of the gift which it revokes.
    pub gift_time_us: i64,
    /// Of a revoke.
    pub reason: Option<String>,
    /// Of a revoke under a request key: no other revoke may have it.
    pub key: Option<String>,
}

impl Draft {
    /// A gift; its own id names it when the client did not.
    pub fn gift(entry: Entry, key: Option<&RequestKey>) -> Self {
        let name = match key {
            Some(key) => format!("gift/send/key/{}", key.as_str()),
            None => format!("gift/send/id/{}", entry.id),
        };
        Self { name, gift_time_us: entry.time_us, entry, reason: None, key: None }
    }

    /// Takes a gift back. The name is that of the gift: a second revoke meets the first.
    pub fn revoke(entry: Entry, gift_time_us: i64, reason: String) -> Self {
        let gift = entry.revokes.expect("a revoke names its gift");
        let (name, reason) = (format!("gift/revoke/{gift}"), Some(reason));
        Self { name, entry, gift_time_us, reason, key: None }
    }

    /// The same revoke, under a request key.
    #[must_use]
    pub fn under(mut self, key: Option<&RequestKey>) -> Self {
        self.key = key.map(Self::revoke_key);
        self
    }

    /// What the key of a revoke is called in the journal.
    pub fn revoke_key(key: &RequestKey) -> String {
        format!("gift/revoke/key/{}", key.as_str())
    }
}

impl JournalDraft for Draft {
    type Row = Delta;
    /// An anchor.
    type Subject = i64;
    type Rules = Rules;
    type Sums = Sums;

    fn name(&self) -> &str {
        &self.name
    }

    fn slot(&self, slots: u16) -> u16 {
        let slot = self.entry.anchor_id.cast_unsigned() % u64::from(slots);
        u16::try_from(slot).expect("less than the number of slots")
    }

    fn is_same(&self, other: &Self) -> bool {
        self.entry.id == other.entry.id
    }

    /// The same gift, or any revoke of it; under the same key only the same revoke.
    fn is_answered_by(&self, existing: &Self) -> bool {
        let (mine, theirs) = (&self.entry, &existing.entry);
        if self.key.is_some() && self.key == existing.key && self.reason != existing.reason {
            return false;
        }
        mine.revokes == theirs.revokes
            && (mine.revokes.is_some()
                || (mine.audience_id, mine.anchor_id, mine.worth)
                    == (theirs.audience_id, theirs.anchor_id, theirs.worth))
    }

    fn grows(&self) -> Option<i64> {
        (self.entry.worth > 0).then_some(self.entry.anchor_id)
    }

    fn add_to(&self, sums: &mut Sums, rules: &Rules, now_s: i64) {
        rules.add(sums, self, now_s);
    }

    fn rows(sums: &Sums) -> Vec<Delta> {
        sums.deltas()
    }
}
