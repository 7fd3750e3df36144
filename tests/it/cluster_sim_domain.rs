//! What a domain brings to a simulated cluster.

use crate::cluster_sim_world::World;
use fanfare::cluster::{JournalDraft, PureBoards, Record};

/// Gifts, counters.
pub(crate) trait Domain: Sized + 'static {
    type Draft: JournalDraft;
    type Boards: PureBoards<Row = Row<Self>, Subject = Subject<Self>>;

    /// Of every process.
    fn rules() -> <Self::Draft as JournalDraft>::Rules;

    /// What a client asks next; perhaps something that was asked before.
    fn next_draft(world: &mut World<Self>) -> Self::Draft;

    /// Compares boards with the documents that they should hold.
    fn check_boards(boards: &Self::Boards, of: &[&Record<Self::Draft>]) -> Result<(), String>;

    /// Compares everything with the whole journal, when all is over.
    fn check_end(world: &World<Self>) -> Result<(), String>;
}

pub(crate) type Row<D> = <<D as Domain>::Draft as JournalDraft>::Row;
pub(crate) type Subject<D> = <<D as Domain>::Draft as JournalDraft>::Subject;
