//! Where MongoDB is, and how long its lane waits for what.

use crate::store::lane::LaneError;
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use std::fmt;
use std::time::Duration;

/// Threads, and so connections that carry work, of one process at most.
const THREADS_MAX: usize = 10;

/// How often the driver's monitors look at each server: what a server that went silent costs
/// before its connections are given up. The driver allows no less than half a second.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a lane is opened with.
#[derive(Clone)]
pub struct MongoOptions {
    /// `mongodb://` or `mongodb+srv://`; its time-outs, concerns and pool sizes are overridden.
    pub uri: String,
    /// The database of all collections.
    pub database: String,
    /// Threads, 1 to 10; as many connections carry work.
    pub threads: usize,
    /// To connect, to find a server that may take writes, and for a monitor to hear from one.
    pub connect_timeout: Duration,
    /// What the server may spend on one operation, waiting for its majority included.
    pub operation_timeout: Duration,
    /// Jobs that may wait for a thread.
    pub queue_jobs_max: usize,
    /// Jobs that a thread takes at once.
    pub batch_jobs_max: usize,
}

/// Without the address, which holds a password.
impl fmt::Debug for MongoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoOptions")
            .field("database", &self.database)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl MongoOptions {
    /// What the driver is to be given.
    pub(super) fn client(&self) -> Result<ClientOptions, LaneError> {
        if !(1..=THREADS_MAX).contains(&self.threads) {
            return Err(refused(&format!("threads must be 1 to {THREADS_MAX}")));
        }
        if self.queue_jobs_max == 0 || self.batch_jobs_max == 0 || self.database.is_empty() {
            return Err(refused("a queue, a batch or a database name is empty"));
        }
        // The driver's complaint may quote the address, and with it the password.
        let mut options = ClientOptions::parse(&self.uri).run().map_err(|_| {
            refused("the address is not of the form mongodb://user:password@host:port,host:port/")
        })?;
        let threads = u32::try_from(self.threads).expect("at most ten");
        options.app_name.get_or_insert_with(|| "fanfare".to_owned());
        options.max_pool_size = Some(threads);
        options.min_pool_size = None;
        options.max_connecting = Some(threads);
        options.connect_timeout = Some(self.connect_timeout);
        options.server_selection_timeout = Some(self.connect_timeout);
        options.heartbeat_freq = Some(HEARTBEAT);
        // Our own retries know what they repeat; the driver's would only take their time.
        options.retry_writes = Some(false);
        options.retry_reads = Some(false);
        options.max_adaptive_retries = Some(0);
        options.read_concern = Some(ReadConcern::majority());
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        // `j` by name: a server on its own would else acknowledge from memory.
        options.write_concern = Some(
            WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .w_timeout(self.operation_timeout)
                .build(),
        );
        Ok(options)
    }
}

fn refused(reason: &str) -> LaneError {
    LaneError::Options { lane: "MongoDB", reason: reason.to_owned() }
}
