//! What a domain's store does with `MongoDB` before it starts its driver.

use super::document::JournalDocument;
use super::ids::Ids;
use super::lanes::Lanes;
use super::mongo_record::MongoRecord;
use super::settings::{self, Agreed};
use crate::store::mongo::{Mongo, MongoError};
use mongodb::bson::Document;
use std::ops::Range;
use std::time::Duration;

/// What indexes and a block of numbers may take at a start.
const PREPARE_PATIENCE: Duration = Duration::from_secs(60);

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// `MongoDB` did not do what a start needs.
    #[error("MongoDB cannot be prepared: {0}; check that the user may create indexes and write")]
    Mongo(#[from] MongoError),
    /// It did not in time.
    #[error("MongoDB did not answer in time; check that it runs")]
    Late,
    /// Processes that live have other settings.
    #[error(
        "the other processes of this cluster run with {theirs}: give this one the same time_zone, \
         gift.keep and cluster.takeover, or stop them first"
    )]
    Settings {
        /// What they have.
        theirs: String,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// A record that is ready.
pub struct Opened {
    /// A first block of numbers, and the newest time that was noted.
    pub first: (Range<i64>, i64),
    /// The settings are others than those by which the view was made.
    pub settings_changed: bool,
}

/// Makes the indexes of `journal`, compares `common` settings with the others', and takes a first
/// block of numbers. Waits for `MongoDB`, longest for others to be found gone (`takeover`).
pub fn open_record<T: JournalDocument>(
    lanes: &Lanes,
    journal: &str,
    common: Document,
    takeover: Duration,
) -> Result<Opened, ClusterError> {
    let record: MongoRecord<T> = MongoRecord::new(journal);
    let prepare = move |mongo: &Mongo| {
        record.prepare(mongo)?;
        let agreed = settings::agree(mongo, record.state(), &common, takeover)?;
        Ok::<_, MongoError>((agreed, Ids::take_block(mongo, record.state())?))
    };
    let patience = PREPARE_PATIENCE + takeover;
    let (agreed, first) = lanes.ask_mongo(patience, prepare).ok_or(ClusterError::Late)??;
    match agreed {
        Agreed::Others(theirs) => Err(ClusterError::Settings { theirs }),
        Agreed::Changed => Ok(Opened { first, settings_changed: true }),
        Agreed::Same => Ok(Opened { first, settings_changed: false }),
    }
}
