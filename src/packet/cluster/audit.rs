//! Holds packets, chunks and draws of the record against each other, and the pool against them.

use super::documents::Collections;
use super::lines::Head;
use super::look_up;
use super::record::Trouble;
use super::worker::{Ways, unavailable};
use crate::packet::Sum;
use crate::store::mongo::{Mongo, MongoError};
use crate::store::{Audit, BadId, Check, StoreError};
use mongodb::bson::doc;
use std::collections::HashSet;

/// On a thread of its own.
pub(super) struct Auditor {
    ways: Ways,
    /// Rains that were over when their packets were found to be the seed's: they never change.
    proven: HashSet<i64>,
}

/// What one rain comes to.
struct Audited {
    /// Packets line by line.
    packets: Sum,
    /// By the log of chunks.
    by_chunks: Sum,
    opened: Sum,
    /// Packets that are the seed's; `None` when the proof does not hold.
    proven: Option<i64>,
}

impl Auditor {
    pub(super) fn new(ways: Ways) -> Self {
        Self { ways, proven: HashSet::new() }
    }

    fn run(&mut self) -> Result<Vec<Check>, Trouble> {
        let heads = self.ways.record.ask(look_up::rains)?;
        let mut budgets = Tally::new("packet: handed out + left = budget");
        let mut openings = Tally::new("packet: opened + unopened = packets");
        let mut draws = Tally::new("packet: packets = draws of the seed");
        for head in heads {
            let (id, number, terms) = (head.id, head.number, *head.terms());
            let is_known = self.proven.contains(&number);
            let is_sealed = head.is_sealed;
            let audited =
                self.ways.record.ask(move |mongo, names| rain(mongo, names, &head, is_known))?;
            let Audited { packets, by_chunks, opened, proven } = audited;
            // Packets come in while a running rain is read; chunks are read first.
            let moved = packets.fen - by_chunks.fen;
            let is_still = packets == by_chunks || !is_sealed && moved > 0;
            let left = terms.left(packets);
            let is_within = left.count >= 0 && left.fen >= 0 && is_still;
            budgets.add(packets.fen + left.fen, terms.total_amount_fen, is_within, id);
            let unopened = packets.count - opened.count;
            openings.add(opened.count + unopened, packets.count, unopened >= 0, id);
            let proven_count = proven.unwrap_or(0);
            let is_proven = proven_count == packets.count || !is_sealed && proven.is_some();
            draws.add(proven_count.max(packets.count), packets.count, is_proven, id);
            if is_sealed && is_proven {
                self.proven.insert(number);
            }
        }
        Ok(vec![budgets.check(), openings.check(), draws.check()])
    }
}

fn rain(
    mongo: &Mongo,
    names: &Collections,
    head: &Head,
    is_known: bool,
) -> Result<Audited, MongoError> {
    let of_rain = || doc! { "rain": head.number };
    let opened = doc! { "rain": head.number, "opened_us": { "$exists": true } };
    let opened = look_up::sum(mongo, names, opened)?;
    let by_chunks = look_up::handed_out(mongo, names, head)?;
    let mut proven = None;
    if !is_known {
        match look_up::proof(mongo, names, head)?.verify() {
            Ok(shown) => proven = Some(shown.handed_out.count),
            Err(flaw) => tracing::error!(rain = head.id, %flaw, "a rain is not what its seed says"),
        }
    }
    let packets = look_up::sum(mongo, names, of_rain())?;
    let proven = if is_known { Some(packets.count) } else { proven };
    Ok(Audited { packets, by_chunks, opened, proven })
}

/// One check, rain by rain.
struct Tally {
    name: &'static str,
    left: i128,
    right: i128,
    bad: Option<i64>,
}

impl Tally {
    fn new(name: &'static str) -> Self {
        Self { name, left: 0, right: 0, bad: None }
    }

    fn add(&mut self, left: i64, right: i64, ok: bool, id: i64) {
        self.left += i128::from(left);
        self.right += i128::from(right);
        if !ok {
            self.bad.get_or_insert(id);
        }
    }

    fn check(self) -> Check {
        let Self { name, left, right, bad } = self;
        let ok = left == right && bad.is_none();
        Check { name: name.to_owned(), left, right, ok, first_bad: bad.map(BadId::Number) }
    }
}

impl Audit for Auditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        self.run().map_err(|trouble| unavailable(&trouble))
    }
}
