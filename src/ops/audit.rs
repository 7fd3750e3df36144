//! `GET /audit`: asks every domain to recompute its figures, on a thread that may take its time.

use super::last_audit::LastAudit;
use crate::exec::{Queue, Worker, spawn};
use crate::http::{Method, Responder, Response, Router};
use crate::limits::{AUDIT_JOBS_MAX, AUDIT_NICENESS};
use crate::store::{Audit, Check, StoreError};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

/// The right to answer one audit each; they wait for the worker.
pub type Audits = Queue<Responder>;

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Whether every check is well.
    pub ok: bool,
    /// Of all domains.
    pub checks: Vec<Check>,
}

/// Starts the thread. It only reads, so nobody has to wait for its end.
pub fn start(domains: Vec<Box<dyn Audit>>, last: &Arc<LastAudit>) -> io::Result<Audits> {
    let worker = AuditWorker { domains, last: Arc::clone(last), stands_back: false };
    let (audits, _threads) = spawn("audit", vec![worker], AUDIT_JOBS_MAX, AUDIT_JOBS_MAX)?;
    Ok(audits)
}

/// `GET /audit`.
pub fn route(router: Router, audits: &Audits) -> Router {
    let audits = audits.clone();
    router.route(Method::Get, "/audit", move |_, deferral| {
        deferral.later(|responder| {
            if let Err(responder) = audits.submit(responder) {
                responder.send(Response::unavailable("audits cannot be taken now"));
            }
        })
    })
}

/// One audit answers all who asked before it began. Who asks meanwhile gets the next one, so that
/// an answer always covers what was acknowledged before the question.
struct AuditWorker {
    domains: Vec<Box<dyn Audit>>,
    /// For the figures of the operator.
    last: Arc<LastAudit>,
    /// Set on the worker's own thread.
    stands_back: bool,
}

impl AuditWorker {
    /// On Linux niceness belongs to a thread.
    fn stand_back(&mut self) {
        if !std::mem::replace(&mut self.stands_back, true)
            && let Err(error) = rustix::process::nice(AUDIT_NICENESS)
        {
            tracing::warn!(%error, "audits compete with the loops for the cores");
        }
    }

    fn report(&mut self) -> Result<Report, StoreError> {
        let mut checks = Vec::new();
        for domain in &mut self.domains {
            checks.extend(domain.audit()?);
        }
        Ok(Report::new(checks))
    }
}

impl Report {
    /// All is well when each check is.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.ok), checks }
    }

    fn log(&self) {
        for Check { name, left, right, first_bad, .. } in self.checks.iter().filter(|c| !c.ok) {
            tracing::error!(name, left, right, ?first_bad, "AN AUDIT FAILED");
        }
    }
}

impl Worker<Responder> for AuditWorker {
    fn run(&mut self, batch: &mut Vec<Responder>) {
        self.stand_back();
        let response = match self.report() {
            Ok(report) => {
                report.log();
                self.last.note(&report.checks);
                let body = serde_json::to_string(&report).expect("plain values become JSON");
                Response::json(body)
            }
            Err(error) => Response::unavailable(&format!("the audit failed to read: {error}")),
        };
        for responder in batch.drain(..) {
            responder.send(response.clone());
        }
    }
}
