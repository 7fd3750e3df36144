//! What a domain tells the protocol about the documents of its journal.

use std::fmt::Debug;

/// What a request wants in the journal, before a writer takes it. Gifts have one of these, counters
/// another; the protocol looks into neither.
pub trait JournalDraft: Clone + Debug + PartialEq + Eq + Send + 'static {
    /// What a script adds to the view: a place, a total, a time. Rows of different writers must
    /// commute, since nothing orders those.
    type Row: Clone + Debug + PartialEq + Eq + Send + 'static;
    /// Whoever can be full, so that scripts need not refuse what the journal holds.
    type Subject: Clone + Debug + Ord + Send + 'static;
    /// What documents and rows have to do with each other, such as a calendar.
    type Rules: Debug + Send + 'static;
    /// Sums of documents, on the way to rows.
    type Sums: Clone + Debug + Default + Send + 'static;

    /// The document's `_id`; retries of one request agree on it.
    fn name(&self) -> &str;

    /// In which part of the view it counts, below `slots`.
    fn slot(&self, slots: u16) -> u16;

    /// Tells two requests of one name apart: true for the very same draft.
    fn is_same(&self, other: &Self) -> bool;

    /// Whether a document that is there already answers this request.
    fn is_answered_by(&self, existing: &Self) -> bool;

    /// Whose total it lets grow; `None` when it lessens one.
    fn grows(&self) -> Option<Self::Subject>;

    /// Adds it to sums, at the second `now_s` by the wall.
    fn add_to(&self, sums: &mut Self::Sums, rules: &Self::Rules, now_s: i64);

    /// What to send. No two rows speak of the same thing.
    fn rows(sums: &Self::Sums) -> Vec<Self::Row>;
}
