//! What a batch would do, decided before any of it is written: dropped when the commit fails.

use super::journal::{self, Change, Line};
use super::{REVOKE, SEND};
use crate::gift::local::state::Boards;
use crate::gift::{Entry, Gift, Write, Written};
use crate::store::{Remembered, RequestKey};
use rusqlite::Connection;
use std::collections::HashMap;

/// What the journal and memory hold before the batch.
pub(super) struct Before<'a> {
    pub(super) journal: &'a Connection,
    pub(super) boards: &'a Boards,
    pub(super) remembered: &'a Remembered<u8>,
    pub(super) last_id: i64,
    pub(super) last_time_us: i64,
    pub(super) now_us: i64,
}

/// The lines to write, with what they change.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) lines: Vec<Line>,
    pub(super) changes: Vec<Change>,
    /// Totals of all time that differ from the boards'.
    totals: HashMap<i64, i64>,
    /// Positions in `lines`, by scope and key, and by revoked gift.
    keys: HashMap<(u8, RequestKey), usize>,
    revokes: HashMap<i64, usize>,
}

impl Draft {
    /// Adds what one command would do, and tells its outcome should the commit succeed.
    pub(super) fn decide(
        &mut self,
        before: &Before<'_>,
        write: Write,
    ) -> rusqlite::Result<Written> {
        match write {
            Write::Send { gift, key } => self.send(before, gift, key),
            Write::Revoke { id, reason, key } => self.revoke(before, id, reason, key),
        }
    }

    fn send(
        &mut self,
        before: &Before<'_>,
        gift: Gift,
        key: Option<RequestKey>,
    ) -> rusqlite::Result<Written> {
        let same = |line: &Line| {
            let Entry { audience_id, anchor_id, worth, .. } = line.entry;
            gift == Gift { audience_id, anchor_id, worth }
        };
        if let Some(written) = self.replay(before, SEND, key.as_ref(), same)? {
            return Ok(written);
        }
        let Some(total) = self.total(before, gift.anchor_id).checked_add(gift.worth) else {
            return Ok(Written::Overflow);
        };
        self.totals.insert(gift.anchor_id, total);
        Ok(self.add(before, gift, key, None))
    }

    fn revoke(
        &mut self,
        before: &Before<'_>,
        id: i64,
        reason: String,
        key: Option<RequestKey>,
    ) -> rusqlite::Result<Written> {
        let same = |line: &Line| {
            line.entry.revokes == Some(id) && line.reason.as_deref() == Some(&*reason)
        };
        if let Some(written) = self.replay(before, REVOKE, key.as_ref(), same)? {
            return Ok(written);
        }
        let Some(target) = self.line(before, id)? else { return Ok(Written::UnknownGift) };
        if target.entry.revokes.is_some() {
            return Ok(Written::NotAGift);
        }
        let earlier = match self.revokes.get(&id) {
            Some(&at) => Some(self.lines[at].clone()),
            None => journal::revoke_of(before.journal, id)?,
        };
        if let Some(Line { entry, .. }) = earlier {
            return Ok(Written::Done { entry, replayed: true });
        }
        let Entry { audience_id, anchor_id, worth, time_us, .. } = target.entry;
        let total = self.total(before, anchor_id) - worth;
        self.totals.insert(anchor_id, total);
        self.revokes.insert(id, self.lines.len());
        let taken = Gift { audience_id, anchor_id, worth: -worth };
        Ok(self.add(before, taken, key, Some((id, reason, time_us))))
    }

    /// The outcome of an earlier request with this key, if there was one.
    fn replay(
        &self,
        before: &Before<'_>,
        scope: u8,
        key: Option<&RequestKey>,
        same: impl Fn(&Line) -> bool,
    ) -> rusqlite::Result<Option<Written>> {
        let Some(key) = key else { return Ok(None) };
        let line = match self.keys.get(&(scope, key.clone())) {
            Some(&at) => Some(self.lines[at].clone()),
            None => remembered_line(before, scope, key)?,
        };
        Ok(line.map(|line| {
            if same(&line) {
                Written::Done { entry: line.entry, replayed: true }
            } else {
                Written::KeyConflict
            }
        }))
    }

    fn total(&self, before: &Before<'_>, anchor_id: i64) -> i64 {
        let drafted = self.totals.get(&anchor_id).copied();
        drafted.or_else(|| before.boards.all.board.total(anchor_id)).unwrap_or(0)
    }

    fn line(&self, before: &Before<'_>, id: i64) -> rusqlite::Result<Option<Line>> {
        match usize::try_from(id.saturating_sub(before.last_id + 1)) {
            Ok(at) => Ok(self.lines.get(at).cloned()),
            Err(_) => journal::by_id(before.journal, id),
        }
    }

    fn add(
        &mut self,
        before: &Before<'_>,
        gift: Gift,
        key: Option<RequestKey>,
        revoked: Option<(i64, String, i64)>,
    ) -> Written {
        let last = self.lines.last().map(|line| (line.entry.id, line.entry.time_us));
        let (last_id, last_time_us) = last.unwrap_or((before.last_id, before.last_time_us));
        let entry = Entry {
            id: last_id + 1,
            audience_id: gift.audience_id,
            anchor_id: gift.anchor_id,
            worth: gift.worth,
            // Strictly growing, so that "reached it first" has one answer.
            time_us: before.now_us.max(last_time_us + 1),
            revokes: revoked.as_ref().map(|&(id, ..)| id),
        };
        self.changes.push(Change {
            id: entry.id,
            audience_id: entry.audience_id,
            anchor_id: entry.anchor_id,
            delta: entry.worth,
            time_us: entry.time_us,
            gift_time_us: revoked.as_ref().map_or(entry.time_us, |&(_, _, time_us)| time_us),
        });
        let request_id = key.as_ref().map(|key| key.as_str().to_owned());
        if let Some(key) = key {
            let scope = if revoked.is_some() { REVOKE } else { SEND };
            self.keys.insert((scope, key), self.lines.len());
        }
        let reason = revoked.map(|(_, reason, _)| reason);
        self.lines.push(Line { entry: entry.clone(), request_id, reason });
        Written::Done { entry, replayed: false }
    }
}

/// The line that a remembered key made. The hash finds candidates, the line itself decides.
fn remembered_line(
    before: &Before<'_>,
    scope: u8,
    key: &RequestKey,
) -> rusqlite::Result<Option<Line>> {
    for id in before.remembered.find(scope, key) {
        let Some(line) = journal::by_id(before.journal, id)? else { continue };
        let line_scope = if line.entry.revokes.is_some() { REVOKE } else { SEND };
        if line_scope == scope && line.request_id.as_deref() == Some(key.as_str()) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}
