//! Worker threads that take everything waiting, up to a bound, and do it as one batch.

use crate::meter::{BATCH_BOUNDS, Histogram, Tally};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Does batches of jobs; owns its blocking client, so no lock is needed.
pub trait Worker<J>: Send + 'static {
    /// Drains `batch`. One transaction, one round trip, then the replies.
    fn run(&mut self, batch: &mut Vec<J>);

    /// The queue is closed and empty: flush and stop.
    fn close(&mut self) {}
}

/// The loop's end of a worker queue. Workers stop when every clone is dropped.
pub struct Queue<J> {
    jobs: Sender<J>,
    /// Jobs in each batch; one for each worker.
    batches: Arc<[Histogram]>,
}

impl<J> Queue<J> {
    /// Hands the job to a worker, or hands it back when the queue is full. Never blocks.
    pub fn submit(&self, job: J) -> Result<(), J> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Jobs that wait; for metrics.
    pub fn depth(&self) -> usize {
        self.jobs.len()
    }

    /// Jobs that may wait; for metrics.
    pub fn depth_max(&self) -> usize {
        self.jobs.capacity().unwrap_or(usize::MAX)
    }

    /// How large the batches of all workers were; for metrics.
    pub fn batches(&self) -> Tally {
        let mut all = Tally::empty(BATCH_BOUNDS);
        for worker in &*self.batches {
            all.add(&worker.tally());
        }
        all
    }
}

/// An executor as it is now; for metrics.
#[derive(Clone, Debug)]
pub struct Executor {
    /// Its threads' name.
    pub name: &'static str,
    /// Jobs that wait.
    pub depth: usize,
    /// Jobs that may wait.
    pub depth_max: usize,
    /// How large its batches were.
    pub batches: Tally,
}

impl Executor {
    /// What `queue` shows.
    pub fn of<J>(name: &'static str, queue: &Queue<J>) -> Self {
        let (depth, depth_max) = (queue.depth(), queue.depth_max());
        Self { name, depth, depth_max, batches: queue.batches() }
    }
}

impl<J> Clone for Queue<J> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), batches: Arc::clone(&self.batches) }
    }
}

/// Starts one thread per worker, all draining the same queue of at most `queue_jobs_max`, each
/// taking at most `batch_jobs_max` at once.
pub fn spawn<J, W>(
    name: &str,
    workers: Vec<W>,
    queue_jobs_max: usize,
    batch_jobs_max: usize,
) -> io::Result<(Queue<J>, Vec<JoinHandle<()>>)>
where
    J: Send + 'static,
    W: Worker<J>,
{
    assert!(!workers.is_empty(), "a queue without workers never answers");
    assert!(batch_jobs_max > 0, "an empty batch makes no progress");
    let (sender, receiver) = bounded(queue_jobs_max);
    let batches: Arc<[_]> = workers.iter().map(|_| Histogram::new(BATCH_BOUNDS)).collect();
    let mut threads = Vec::with_capacity(workers.len());
    for (index, worker) in workers.into_iter().enumerate() {
        let jobs = receiver.clone();
        let thread = Builder::new().name(format!("{name}-{index}"));
        let batches = Arc::clone(&batches);
        let sizes = move |jobs: usize| batches[index].record(jobs as u64);
        threads.push(thread.spawn(move || work(&jobs, batch_jobs_max, worker, sizes))?);
    }
    Ok((Queue { jobs: sender, batches }, threads))
}

fn work<J, W: Worker<J>>(
    jobs: &Receiver<J>,
    batch_jobs_max: usize,
    mut worker: W,
    sizes: impl Fn(usize),
) {
    let mut batch = Vec::with_capacity(batch_jobs_max);
    // `recv` sleeps when idle; under load `try_iter` finds a batch already waiting, so the batch
    // grows with the load and an idle server adds no delay.
    while let Ok(first) = jobs.recv() {
        batch.push(first);
        batch.extend(jobs.try_iter().take(batch_jobs_max - 1));
        sizes(batch.len());
        worker.run(&mut batch);
        assert!(batch.is_empty(), "every job of a batch must be answered");
    }
    worker.close();
}
