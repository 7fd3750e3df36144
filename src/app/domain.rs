//! What a domain brings to the process, whatever it is about.

use crate::config::Config;
use crate::exec::{Notifier, Threads};
use crate::http::Router;
use crate::ops::{Metrics, Part};
use crate::store::{Audit, DataFolder};
use std::sync::Arc;

/// What a domain needs to open its store.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) folder: &'a Arc<DataFolder>,
    /// Tells the loops what changed.
    pub(super) notifier: &'a Arc<Notifier>,
}

/// A domain that is open. A file of this folder makes it: `gift`.
pub(super) struct Domain {
    pub(super) served: Arc<dyn Served>,
    /// For `/readyz`.
    pub(super) part: Part,
    /// For `/audit`.
    pub(super) auditor: Box<dyn Audit>,
    /// They end when the last handle to the domain is dropped.
    pub(super) threads: Threads,
}

/// All that a backend serves.
pub(super) struct Backing {
    pub(super) domains: Vec<Domain>,
    /// What it stands on, for `/readyz`.
    pub(super) parts: Vec<Part>,
    /// Ends what the domains stood on, after their threads.
    pub(super) end: Box<dyn FnOnce()>,
}

/// What the loops and the operator see of a domain; shared by all of them.
pub(super) trait Served: Send + Sync {
    /// Adds its calls on the public listener. Called on each loop's thread.
    fn public_routes(&self, router: Router) -> Router;

    /// Adds its calls on the operator's listener.
    fn operator_routes(&self, router: Router) -> Router;

    /// Adds its figures to `/metrics`.
    fn show(&self, metrics: &mut Metrics);
}
