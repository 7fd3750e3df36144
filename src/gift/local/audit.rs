//! Holds boards and fans against the journal, on a thread of its own, while both go on changing.
//!
//! A slice of a board is copied under one short hold of the lock, together with the position of the
//! boards; then the sums of the journal are brought to exactly that position, and the two compared.
//! So no loop and no writer waits for more than a copy of [`GIFT_AUDIT_HOLD_PLACES`] places.

use super::proofreader::Proofreader;
use super::reader::Reader;
use super::shared::Shared;
use super::state::Rules;
use super::{checkpoint, fan_audit, journal, load};
use crate::gift::Period;
use crate::gift::board::Board;
use crate::gift::ledger::{BoardKey, Ledger};
use crate::limits::{GIFT_AUDIT_FANS_TOUCHED, GIFT_AUDIT_HOLD_LOOK_UPS, GIFT_AUDIT_HOLD_PLACES};
use crate::store::sqlite;
use crate::store::{Audit, Check, DataFolder, OpenError, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Keeps what it has read of the journal between two audits, so that an audit reads what is new.
pub(super) struct Auditor {
    shared: Arc<Shared>,
    rules: Rules,
    proofreader: Proofreader,
    /// Between two slices, for others.
    pause: Duration,
    /// `None` in a folder without a checkpoint: then there is nothing to hold against the journal.
    reader: Option<Reader>,
    ledger: Ledger,
    /// The record's time, by which boards are kept; the machine's clock may be anywhere.
    now_us: i64,
    touched: BTreeSet<i64>,
    /// The anchor whose fans were compared last in turn.
    fans_turn: i64,
}

/// What the files of a folder say.
#[derive(Clone, Debug)]
pub struct FilesAudit {
    /// The same as a server's.
    pub checks: Vec<Check>,
    /// The newest entry of the checkpoint. What is behind it comes from the journal on both sides.
    pub folded: i64,
}

/// Audits a folder that nobody serves: reads the journal anew, and holds checkpoint and tail
/// against it. Changes nothing.
pub fn audit_files(
    folder: &Arc<DataFolder>,
    options: &super::LocalOptions,
) -> Result<FilesAudit, OpenError> {
    let path = folder.file(journal::FILE);
    let journal = sqlite::open_record(&path, &journal::FORMAT)?;
    let shared = Arc::new(super::shared_of(folder, options));
    shared.replace(load::boards(&shared, &journal)?);
    let mut auditor = Auditor::open(&shared, Duration::ZERO)?;
    let checks = auditor.run().map_err(|error| sqlite::refused(&path, error))?;
    Ok(FilesAudit { checks, folded: shared.folded_id.load(Ordering::Relaxed) })
}

impl Auditor {
    pub(super) fn open(shared: &Arc<Shared>, pause: Duration) -> Result<Self, OpenError> {
        let journal = sqlite::open_reader(&shared.folder.file(journal::FILE))?;
        let has_checkpoint = shared.folder.file(checkpoint::FILE).exists();
        let reader = has_checkpoint.then(|| Reader::open(shared)).transpose()?;
        Ok(Self {
            rules: shared.rules.apart(),
            shared: Arc::clone(shared),
            proofreader: Proofreader::new(journal, pause),
            pause,
            reader,
            ledger: Ledger::default(),
            now_us: i64::MIN,
            touched: BTreeSet::new(),
            fans_turn: 0,
        })
    }

    fn run(&mut self) -> rusqlite::Result<Vec<Check>> {
        if !self.proofreader.reread()? {
            // Sums of lines that are no longer there are worth nothing.
            self.ledger = Ledger::default();
        }
        let (position, shown) = {
            let boards = self.shared.boards();
            self.now_us = boards.last_time_us;
            (boards.position, boards.spans.keys().copied().collect::<Vec<_>>())
        };
        self.advance(position)?;
        let (rules, now_us) = (&self.rules, self.now_us);
        self.ledger.retain(|key| is_kept(rules, key, now_us));
        let shown = shown.into_iter().filter(|&key| is_kept(rules, key, now_us));
        for key in self.ledger.due(shown.chain([(Period::All, 0)])) {
            self.compare(key)?;
        }
        let mut checks = vec![self.proofreader.check()];
        checks.extend(self.ledger.checks());
        checks.extend(self.fans()?);
        Ok(checks)
    }

    /// Brings the sums to an entry that the boards contain.
    fn advance(&mut self, until: i64) -> rusqlite::Result<()> {
        let Self { ledger, rules, touched, now_us, .. } = self;
        self.proofreader.advance(until, |row| {
            let spans = rules.kept(row.gift_time_us(), *now_us);
            let spans = spans.map(|(period, span)| (period, span.from_s));
            ledger.add(spans.chain([(Period::All, 0)]), &row.entry);
            if touched.len() < GIFT_AUDIT_FANS_TOUCHED {
                touched.insert(row.entry.anchor_id);
            }
        })
    }

    /// Copies something of a board, and stands where the board stood at that moment.
    fn look<T>(&mut self, key: BoardKey, copy: impl FnOnce(&Board) -> T) -> rusqlite::Result<T> {
        let (position, now_us, copied) = {
            let boards = self.shared.boards();
            let copied = match boards.board(key.0, key.1) {
                Some(board) => copy(board),
                None => copy(&Board::default()),
            };
            (boards.position, boards.last_time_us, copied)
        };
        self.now_us = now_us;
        self.advance(position)?;
        Ok(copied)
    }

    fn compare(&mut self, key: BoardKey) -> rusqlite::Result<()> {
        let mut comparison = self.ledger.begin(key);
        let mut offset = 0;
        loop {
            let places = self.look(key, |board| board.top(offset, GIFT_AUDIT_HOLD_PLACES))?;
            self.ledger.walk(&mut comparison, &places);
            if places.len() < GIFT_AUDIT_HOLD_PLACES {
                break;
            }
            // One place twice, so that each pair of neighbours is seen under one hold.
            offset += GIFT_AUDIT_HOLD_PLACES - 1;
            thread::sleep(self.pause);
        }
        let mut after = i64::MIN;
        loop {
            let missed = self.ledger.missed(&comparison, after, GIFT_AUDIT_HOLD_LOOK_UPS);
            let Some(&last) = missed.last() else { break };
            let found = self.look(key, |board| {
                let look_up = |&anchor: &i64| (anchor, board.total(anchor), board.rank(anchor));
                missed.iter().map(look_up).collect::<Vec<_>>()
            })?;
            for (anchor, total, place) in found {
                self.ledger.look_up(&mut comparison, anchor, total, place);
            }
            after = last;
            thread::sleep(self.pause);
        }
        let listed = self.look(key, Board::len)?;
        if is_kept(&self.rules, key, self.now_us) {
            self.ledger.finish(&comparison, listed);
        } else {
            // It was forgotten in the middle; what was found says nothing.
            self.ledger.retain(|other| other != key);
        }
        Ok(())
    }

    /// Fans of anchors that had gifts since the last audit, and of a few others in turn.
    fn fans(&mut self) -> rusqlite::Result<Option<Check>> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let touched = std::mem::take(&mut self.touched);
        let ledger = &self.ledger;
        let turn = std::iter::successors(ledger.anchor_after(self.fans_turn), |&anchor| {
            ledger.anchor_after(anchor)
        });
        let (check, last) =
            fan_audit::compare(reader, &self.proofreader.journal, touched, turn, self.pause)?;
        self.fans_turn = last.unwrap_or(self.fans_turn);
        Ok(Some(check))
    }
}

impl Audit for Auditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        self.run().map_err(|error| {
            tracing::error!(%error, "gifts cannot be audited");
            sqlite::read_failed(&error)
        })
    }
}

fn is_kept(rules: &Rules, (period, from_s): BoardKey, now_us: i64) -> bool {
    period == Period::All || rules.knows(period, from_s, now_us)
}
