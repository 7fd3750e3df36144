//! What a domain tells the driver about its keys in Redis.

use super::domain::JournalDraft;
use super::reply::{Fences, Unread};
use super::script::{Apply, Load, ScriptAnswer, Switch};
use crate::store::redis::{Answer, Command};

/// Makes the commands of a view and reads their answers. All keys share one hash tag.
pub trait ViewScripts<T: JournalDraft>: Send + Sync + 'static {
    /// Applies batches of one stream, if its fence stands where they begin.
    fn apply(&self, apply: &Apply<T::Row>) -> Command;
    /// A step of a rebuild, into a generation that is not the current one.
    fn load(&self, load: &Load<T::Row>) -> Command;
    /// The end of a rebuild.
    fn switch(&self, switch: &Switch) -> Command;
    /// The current generation with its fences.
    fn fences(&self) -> Command;
    /// Something cheap that the server with these keys must answer.
    fn ping(&self) -> Command;
    /// What an apply, a load or a switch answered.
    fn read_script(&self, answer: Answer) -> Result<ScriptAnswer<T::Subject>, Unread>;
    /// What the question for the fences was answered.
    fn read_fences(&self, answer: Answer) -> Result<Fences, Unread>;
}
