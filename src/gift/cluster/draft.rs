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
}

impl Draft {
    /// A gift; `unique` names it when the client did not: (process, count), never used again.
    pub fn gift(entry: Entry, key: Option<&RequestKey>, unique: (u64, u64)) -> Self {
        let name = match key {
            Some(key) => format!("gift/send/key/{}", key.as_str()),
            None => format!("gift/send/own/{:016x}/{}", unique.0, unique.1),
        };
        Self { name, gift_time_us: entry.time_us, entry, reason: None }
    }

    /// Takes a gift back. The name is that of the gift: a second revoke meets the first.
    pub fn revoke(entry: Entry, gift_time_us: i64, reason: String) -> Self {
        let gift = entry.revokes.expect("a revoke names its gift");
        Self { name: format!("gift/revoke/{gift}"), entry, gift_time_us, reason: Some(reason) }
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

    /// The same gift, or any revoke of it.
    fn is_answered_by(&self, existing: &Self) -> bool {
        let (mine, theirs) = (&self.entry, &existing.entry);
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
