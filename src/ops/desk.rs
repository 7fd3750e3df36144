//! A thread for the operator's calls that take longer than a loop may: a scrape reads files of the
//! kernel and adds up the figures of all loops.

use crate::exec::{self, Executor, Queue, Worker};
use crate::http::{Answer, Deferral, Responder, Response};
use crate::limits::OPERATOR_CALLS_MAX;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

/// Where to hand in such calls; its thread ends with the last clone.
#[derive(Clone)]
pub struct Desk {
    errands: Queue<Errand>,
}

struct Errand {
    work: Box<dyn FnOnce() -> Response + Send>,
    responder: Responder,
}

struct Clerk;

impl Desk {
    /// Starts the thread.
    pub fn open() -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (errands, threads) = exec::spawn("operator", vec![Clerk], OPERATOR_CALLS_MAX, 1)?;
        Ok((Self { errands }, threads))
    }

    /// How its thread stands.
    pub fn executor(&self) -> Executor {
        Executor::of("operator", &self.errands)
    }

    /// Answers with what `work` returns.
    pub fn answer(
        &self,
        deferral: Deferral<'_>,
        work: impl FnOnce() -> Response + Send + 'static,
    ) -> Answer {
        deferral.later(|responder| {
            let errand = Errand { work: Box::new(work), responder };
            if let Err(errand) = self.errands.submit(errand) {
                errand.responder.send(Response::unavailable("too many operator calls at once"));
            }
        })
    }
}

impl Worker<Errand> for Clerk {
    fn run(&mut self, batch: &mut Vec<Errand>) {
        for Errand { work, responder } in batch.drain(..) {
            // Unwind safety: the errand owns or shares read-only what it uses.
            if let Ok(response) = catch_unwind(AssertUnwindSafe(work)) {
                responder.send(response);
            }
        }
    }
}
