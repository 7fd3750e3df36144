//! What a batch would do, decided before any of it is written: dropped when the commit fails.

use super::journal::{self, Line};
use crate::store::{Remembered, RequestKey};
use crate::trade::book::{Book, Overlay, Refusal};
use crate::trade::{Customer, Entry, Order, Rollback, Write, Written};
use rusqlite::Connection;
use std::collections::HashMap;

/// Whose a request key is: a customer's, or the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Trades(Customer),
    Rollbacks,
}

impl Scope {
    pub(super) fn of(entry: &Entry) -> Self {
        match entry.rollback {
            Some(_) => Scope::Rollbacks,
            None => Scope::Trades(entry.order.customer),
        }
    }
}

/// What the journal and memory hold before the batch.
pub(super) struct Before<'a> {
    pub(super) journal: &'a Connection,
    pub(super) book: &'a Book,
    pub(super) remembered: &'a Remembered<Scope>,
    pub(super) last_id: i64,
    pub(super) last_time_us: i64,
    pub(super) now_us: i64,
}

/// The lines to write, and the book as it would be.
pub(super) struct Draft {
    pub(super) lines: Vec<Line>,
    pub(super) overlay: Overlay,
    /// Positions in `lines`, by scope and key, and by the trade that is taken back.
    keys: HashMap<(Scope, RequestKey), usize>,
    rollbacks: HashMap<i64, usize>,
}

impl Draft {
    pub(super) fn new(book: &Book) -> Self {
        let (keys, rollbacks) = (HashMap::new(), HashMap::new());
        Self { lines: Vec::new(), overlay: Overlay::new(book), keys, rollbacks }
    }

    /// True when there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.overlay.moved.is_empty()
    }

    /// Adds what one command would do, and tells its outcome should the commit succeed.
    pub(super) fn decide(
        &mut self,
        before: &Before<'_>,
        write: Write,
    ) -> rusqlite::Result<Written> {
        match write {
            Write::Trade { order, key } => self.trade(before, order, key),
            Write::Rollback { trade_id, reason, key } => {
                self.roll_back(before, Rollback { trade_id, reason }, key)
            }
            Write::Quote { stock, price_fen } => {
                let quoted = self.overlay.quote(before.book, stock, price_fen);
                Ok(quoted.map_or_else(refused, |()| Written::Quoted))
            }
        }
    }

    fn trade(
        &mut self,
        before: &Before<'_>,
        order: Order,
        key: Option<RequestKey>,
    ) -> rusqlite::Result<Written> {
        let scope = Scope::Trades(order.customer);
        if let Some(line) = self.earlier(before, scope, key.as_ref())? {
            let same = line.entry.order == order;
            return Ok(self.replayed(before, line, same));
        }
        Ok(match self.overlay.fill(before.book, &order) {
            Ok(filled) => self.add(before, order, filled, None, key),
            Err(refusal) => refused(refusal),
        })
    }

    fn roll_back(
        &mut self,
        before: &Before<'_>,
        rollback: Rollback,
        key: Option<RequestKey>,
    ) -> rusqlite::Result<Written> {
        if let Some(line) = self.earlier(before, Scope::Rollbacks, key.as_ref())? {
            let same = line.entry.rollback.as_ref() == Some(&rollback);
            return Ok(self.replayed(before, line, same));
        }
        let trade_id = rollback.trade_id;
        let Some(target) = self.line(before, trade_id)? else { return Ok(Written::UnknownTrade) };
        if target.entry.is_opening() || target.entry.rollback.is_some() {
            return Ok(Written::NotATrade);
        }
        let earlier = match self.rollbacks.get(&trade_id) {
            Some(&at) => Some(self.lines[at].clone()),
            None => journal::rollback_of(before.journal, trade_id)?,
        };
        if let Some(line) = earlier {
            return Ok(self.replayed(before, line, true));
        }
        let order = target.entry.order;
        let order = Order { side: order.side.opposite(), ..order };
        Ok(match self.overlay.fill(before.book, &order) {
            Ok(filled) => {
                self.rollbacks.insert(trade_id, self.lines.len());
                self.add(before, order, filled, Some(rollback), key)
            }
            Err(Refusal::Overflow) => Written::Overflow,
            Err(Refusal::NotHeld | Refusal::NotEnough) => Written::Impossible,
        })
    }

    /// The line that an earlier request with this key made, if there was one.
    fn earlier(
        &self,
        before: &Before<'_>,
        scope: Scope,
        key: Option<&RequestKey>,
    ) -> rusqlite::Result<Option<Line>> {
        let Some(key) = key else { return Ok(None) };
        if let Some(&at) = self.keys.get(&(scope, key.clone())) {
            return Ok(Some(self.lines[at].clone()));
        }
        // The hash finds candidates, the line itself decides.
        for id in before.remembered.find(scope, key) {
            let line = journal::by_id(before.journal, id)?;
            let is_it = |line: &Line| {
                Scope::of(&line.entry) == scope && line.request_id.as_deref() == Some(key.as_str())
            };
            if let Some(line) = line.filter(is_it) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    fn replayed(&self, before: &Before<'_>, line: Line, same: bool) -> Written {
        if !same {
            return Written::KeyConflict;
        }
        let Order { customer, stock, .. } = line.entry.order;
        let holding = self.overlay.holding(before.book, customer, stock);
        Written::Done { entry: line.entry, holding, replayed: true }
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
        order: Order,
        (held, seq): (i64, i64),
        rollback: Option<Rollback>,
        key: Option<RequestKey>,
    ) -> Written {
        let last = self.lines.last().map(|line| (line.entry.id, line.entry.time_us));
        let (last_id, last_time_us) = last.unwrap_or((before.last_id, before.last_time_us));
        let entry = Entry {
            id: last_id + 1,
            order,
            price_fen: self.overlay.prices().of(order.stock),
            time_us: before.now_us.max(last_time_us + 1),
            seq,
            held,
            rollback,
        };
        let request_id = key.as_ref().map(|key| key.as_str().to_owned());
        if let Some(key) = key {
            self.keys.insert((Scope::of(&entry), key), self.lines.len());
        }
        let holding = entry.holding();
        self.lines.push(Line { entry: entry.clone(), request_id });
        Written::Done { entry, holding, replayed: false }
    }
}

fn refused(refusal: Refusal) -> Written {
    match refusal {
        Refusal::NotHeld => Written::NotHeld,
        Refusal::NotEnough => Written::NotEnough,
        Refusal::Overflow => Written::Overflow,
    }
}
