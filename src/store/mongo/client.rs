//! What a thread of the lane can ask of MongoDB; each call blocks until the driver gives up.

use super::fate::{Inserted, MongoError, of_insert};
use super::options::MongoOptions;
use crate::store::lane::{Breaker, LaneError};
use mongodb::IndexModel;
use mongodb::bson::{Document, doc, to_vec};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{IndexOptions, ReturnDocument};
use mongodb::sync::{Client, Collection, Database};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The oldest version that the driver and our queries are made for.
const VERSION_MIN: (i64, i64) = (4, 4);

/// Documents of one insert command; the server takes 100,000.
const INSERT_DOCUMENTS_MAX: usize = 1_000;

/// Bytes of documents that the driver surely makes one command of; the server takes 48 MB.
const INSERT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Documents that one answer brings.
const READ_BATCH: u32 = 1_000;

/// A thread's own hold of the one client.
#[derive(Clone)]
pub struct Mongo {
    database: Database,
    operation_timeout: Duration,
    breaker: Arc<Breaker>,
}

/// Which documents to read, and in what order.
#[derive(Clone, Debug, Default)]
pub struct Find {
    /// The condition; an index should serve it.
    pub filter: Document,
    /// By what to sort; empty for none.
    pub sort: Document,
    /// Which fields; empty for all.
    pub fields: Document,
    /// How many at most.
    pub limit: i64,
}

/// An index to have.
#[derive(Clone, Debug)]
pub struct Index {
    /// The fields with 1 or -1.
    pub keys: Document,
    /// Whether no two documents may have the same.
    pub unique: bool,
    /// Whether documents without the fields are left out.
    pub sparse: bool,
}

impl Mongo {
    /// Makes the client of the process; speaks to nobody yet.
    pub(super) fn new(options: &MongoOptions, breaker: Arc<Breaker>) -> Result<Self, LaneError> {
        let client = Client::with_options(options.client()?)
            .map_err(|error| LaneError::Options { lane: "MongoDB", reason: describe(&error) })?;
        let database = client.database(&options.database);
        Ok(Self { database, operation_timeout: options.operation_timeout, breaker })
    }

    /// Refuses a server that is too old or does not answer.
    pub fn check_version(&self) -> Result<(), LaneError> {
        let info = self.database.run_command(doc! { "buildInfo": 1 }).run();
        let info = info.map_err(|error| refusal(&error))?;
        let version = info.get_str("version").unwrap_or("unknown");
        let mut numbers = version.split('.').map_while(|part| part.parse::<i64>().ok());
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < VERSION_MIN {
            return Err(too_old(&format!("it is version {version}")));
        }
        Ok(())
    }

    /// Asks for a sign of life.
    pub fn ping(&self) -> Result<(), MongoError> {
        self.note(self.database.run_command(doc! { "ping": 1 }).run()).map(|_| ())
    }

    /// Inserts all, each on its own: one that fails does not hinder the others. As many fates as
    /// documents.
    pub fn insert_many(&self, collection: &str, documents: &[Document]) -> Vec<Inserted> {
        let collection = self.collection(collection);
        let mut fates = Vec::with_capacity(documents.len());
        for part in documents.chunks(INSERT_DOCUMENTS_MAX) {
            let result = collection.insert_many(part).ordered(false).run();
            let mut part_fates = of_insert(part.len(), &result);
            if part_fates[0] == Inserted::NotSent && !is_one_command(part) {
                // The driver made several commands of it, and the first may have gone.
                part_fates.fill(Inserted::Unknown);
            }
            let away =
                part_fates.iter().any(|fate| matches!(fate, Inserted::NotSent | Inserted::Unknown));
            self.tell_breaker(away);
            fates.extend(part_fates);
        }
        fates
    }

    /// Reads; the server stops when its time is over.
    pub fn find(&self, collection: &str, find: &Find) -> Result<Vec<Document>, MongoError> {
        let collection = self.collection(collection);
        let mut action = collection
            .find(find.filter.clone())
            .limit(find.limit)
            .batch_size(READ_BATCH)
            .max_time(self.operation_timeout);
        if !find.sort.is_empty() {
            action = action.sort(find.sort.clone());
        }
        if !find.fields.is_empty() {
            action = action.projection(find.fields.clone());
        }
        self.note(action.run().and_then(Iterator::collect))
    }

    /// Runs an aggregation, such as `$match`, `$group`, `$sort` and `$limit`.
    pub fn aggregate(
        &self,
        collection: &str,
        pipeline: Vec<Document>,
    ) -> Result<Vec<Document>, MongoError> {
        let collection = self.collection(collection);
        let action = collection.aggregate(pipeline).max_time(self.operation_timeout);
        self.note(action.run().and_then(Iterator::collect))
    }

    /// Changes the one document that matches, or makes it; true when it was made.
    pub fn upsert(
        &self,
        collection: &str,
        filter: Document,
        update: Document,
    ) -> Result<bool, MongoError> {
        let collection = self.collection(collection);
        let result = self.note(collection.update_one(filter, update).upsert(true).run())?;
        Ok(result.upserted_id.is_some())
    }

    /// Changes the one document that matches, if any, and returns it as it was before. With `upsert`
    /// it is made where there was none, and `None` is returned. Not as it is then: a server need not
    /// copy that before another change comes, and two who count up would be told the same.
    pub fn find_one_and_update(
        &self,
        collection: &str,
        filter: Document,
        update: Document,
        upsert: bool,
    ) -> Result<Option<Document>, MongoError> {
        let collection = self.collection(collection);
        let action = collection
            .find_one_and_update(filter, update)
            .upsert(upsert)
            .return_document(ReturnDocument::Before)
            .max_time(self.operation_timeout);
        self.note(action.run())
    }

    /// Changes all that match; how many those were.
    pub fn update_many(
        &self,
        collection: &str,
        filter: Document,
        update: Document,
    ) -> Result<u64, MongoError> {
        let collection = self.collection(collection);
        let result = self.note(collection.update_many(filter, update).run())?;
        Ok(result.matched_count)
    }

    /// Removes all that match; how many those were.
    pub fn delete_many(&self, collection: &str, filter: Document) -> Result<u64, MongoError> {
        let collection = self.collection(collection);
        self.note(collection.delete_many(filter).run()).map(|result| result.deleted_count)
    }

    /// Makes the index unless it is there. On a collection that is large this may take long.
    pub fn create_index(&self, collection: &str, index: &Index) -> Result<(), MongoError> {
        let options = IndexOptions::builder().unique(index.unique).sparse(index.sparse).build();
        let model = IndexModel::builder().keys(index.keys.clone()).options(options).build();
        self.note(self.collection(collection).create_index(model).run()).map(|_| ())
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// Tells the breaker how it went, and the caller what can be done.
    fn note<T>(&self, result: Result<T, Error>) -> Result<T, MongoError> {
        let result = result.map_err(|error| {
            let sorted = MongoError::from(&error);
            tracing::debug!(error = describe(&error), ?sorted, "a MongoDB operation failed");
            sorted
        });
        self.tell_breaker(result.as_ref().is_err_and(MongoError::is_away));
        result
    }

    fn tell_breaker(&self, away: bool) {
        if away {
            self.breaker.failed(Instant::now());
        } else {
            self.breaker.succeeded();
        }
    }
}

fn is_one_command(documents: &[Document]) -> bool {
    let bytes = |document: &Document| to_vec(document).map_or(usize::MAX, |bytes| bytes.len());
    documents.iter().map(bytes).fold(0, usize::saturating_add) <= INSERT_BYTES_MAX
}

fn refusal(error: &Error) -> LaneError {
    let reason = describe(error);
    match &*error.kind {
        ErrorKind::Authentication { .. } => LaneError::Unfit {
            lane: "MongoDB",
            reason: format!("{reason}; check the user and the password in the address"),
        },
        // The driver finds that out before us, while it looks for a server to speak to.
        _ if reason.contains("wire version") => too_old(&reason),
        _ => LaneError::Away { lane: "MongoDB", reason },
    }
}

fn too_old(found: &str) -> LaneError {
    let (major, minor) = VERSION_MIN;
    LaneError::Unfit {
        lane: "MongoDB",
        reason: format!("{found}, but {major}.{minor} or newer is needed: upgrade it"),
    }
}

/// The driver's words; they name hosts, but never the address with its password.
fn describe(error: &Error) -> String {
    error.kind.to_string()
}
