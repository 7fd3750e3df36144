//! What a domain brings to the process, whatever it is about.

use super::trade::Trades;
use crate::config::Config;
use crate::exec::{Notifier, Threads};
use crate::http::{FieldError, Router};
use crate::ops::{Metrics, Part};
use crate::session::Topic;
use crate::store::{Audit, DataFolder};
use std::sync::Arc;

/// What a domain needs to open its store.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) folder: &'a Arc<DataFolder>,
    /// Tells the loops what changed.
    pub(super) notifier: &'a Arc<Notifier>,
}

/// A domain that is open. A file of this folder makes it: `gift`, `counter`.
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
    /// The trading room, which TLV serves; in a cluster some processes have none.
    pub(super) trades: Option<Arc<Trades>>,
    /// What it stands on, for `/readyz`.
    pub(super) parts: Vec<Part>,
    /// Ends what the domains stood on, after their threads.
    pub(super) end: Box<dyn FnOnce()>,
}

/// What the loops and the operator see of a domain; shared by all of them.
pub(super) trait Served: Send + Sync {
    /// Adds its calls on the public listener. Called on each loop's thread.
    fn public_routes(&self, router: Router) -> Router;

    /// Paths of public calls that ask with POST and change nothing: a token that reads is enough.
    fn reading_posts(&self) -> &'static [&'static str] {
        &[]
    }

    /// Adds its calls on the operator's listener.
    fn operator_routes(&self, router: Router) -> Router;

    /// What the live page follows of it, for a query in the words of its own stream; nothing, unless
    /// it says so.
    fn topic(&self, _query: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        Ok(None)
    }

    /// Adds its figures to `/metrics`.
    fn show(&self, metrics: &mut Metrics);
}
