//! Holds what customers have against the sum of their trades, on a thread of its own, while both go
//! on changing: some customers at a time are copied under one short hold of the lock, with the newest
//! line that they contain, and the journal is summed up to exactly that line.

use super::shared::Shared;
use super::{LocalOptions, journal};
use crate::limits::TRADE_AUDIT_HOLD_POSITIONS;
use crate::store::sqlite::{self, Trouble};
use crate::store::{Audit, BadId, Check, DataFolder, OpenError, StoreError};
use crate::trade::{Customer, Stock};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A read-only connection.
pub(super) struct Auditor {
    shared: Arc<Shared>,
    journal: Connection,
}

/// Some customers as they were at a line of the journal.
struct Slice {
    position: i64,
    customers: Vec<Customer>,
    held: BTreeMap<(Customer, Stock), i128>,
}

/// Audits a folder that nobody serves; one without a room has nothing to audit. Changes nothing.
pub fn audit_files(
    folder: &Arc<DataFolder>,
    options: &LocalOptions,
) -> Result<Vec<Check>, OpenError> {
    let path = folder.file(journal::FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let refused = |error| sqlite::refused(&path, error);
    let record = sqlite::open_record(&path, &journal::FORMAT)?;
    let shared = Arc::new(Shared::new(folder, options));
    shared.replace(journal::book(&record).map_err(refused)?);
    let auditor = Auditor { shared, journal: record };
    auditor.run().map_err(refused)
}

impl Auditor {
    pub(super) fn open(shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let journal = sqlite::open_reader(&shared.folder.file(journal::FILE))?;
        Ok(Self { shared: Arc::clone(shared), journal })
    }

    fn copy(&self, after: Option<Customer>) -> Slice {
        let book = self.shared.book();
        let position = book.position;
        let mut slice = Slice { position, customers: Vec::new(), held: BTreeMap::new() };
        for (customer, folio) in book.behind(after) {
            if slice.held.len() >= TRADE_AUDIT_HOLD_POSITIONS
                || slice.customers.len() >= TRADE_AUDIT_HOLD_POSITIONS
            {
                break;
            }
            slice.customers.push(customer);
            let positions = folio.positions().iter();
            slice
                .held
                .extend(positions.map(|&(stock, held)| ((customer, stock), i128::from(held))));
        }
        slice
    }

    fn run(&self) -> rusqlite::Result<Vec<Check>> {
        let (mut traded, mut held, mut bad) = (0, 0, None);
        let mut after = None;
        loop {
            let slice = self.copy(after);
            let (Some(&first), Some(&last)) = (slice.customers.first(), slice.customers.last())
            else {
                break;
            };
            let sums = journal::sums(&self.journal, first, last, slice.position)?;
            traded += sums.values().sum::<i128>();
            held += slice.held.values().sum::<i128>();
            let differs = |key: &&(Customer, Stock)| sums.get(key) != slice.held.get(key);
            let found = sums.keys().chain(slice.held.keys()).filter(differs).min();
            bad = bad.or(found.map(|(customer, _)| BadId::Text(customer.to_string())));
            after = Some(last);
        }
        let position = self.shared.book().position;
        let lines = journal::count(&self.journal, position)?;
        let (left, right) = (i128::from(position), i128::from(lines));
        let journal = Check {
            name: "trade: newest id = lines".into(),
            left,
            right,
            ok: left == right,
            first_bad: None,
        };
        let name = "trade: trades not rolled back = holdings".into();
        let ok = bad.is_none() && traded == held;
        Ok(vec![journal, Check { name, left: traded, right: held, ok, first_bad: bad }])
    }
}

impl Audit for Auditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        self.run().map_err(|error| {
            tracing::error!(%error, "trades cannot be audited");
            match sqlite::trouble(&error) {
                Trouble::Passing => StoreError::Unavailable,
                Trouble::Fatal => StoreError::Broken,
            }
        })
    }
}
