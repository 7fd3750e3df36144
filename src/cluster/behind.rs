//! Acknowledging without the view: only after every other process can know of it.

use super::record::Stream;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a process acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// When the view holds it.
    Together,
    /// Likewise, while its word that it will do otherwise reaches the others.
    Flagging,
    /// When the journal holds it; the answers say so.
    Behind,
    /// When the view holds it, while what was acknowledged before gets there.
    Returning,
}

/// The mode of a process, with what it owes to the view.
///
/// Another process answers unmarked only when a look at the members, begun at most `look_age_max`
/// before the question, showed nobody behind. So who wants to acknowledge without the view writes
/// that down, by majority, and waits longer than that: from then on everybody marks.
#[derive(Clone, Debug)]
pub struct Behind {
    mode: Mode,
    /// When the record confirmed the flag.
    flagged_at: Option<Duration>,
    /// Acknowledged, and not known to be in the view.
    owed: BTreeMap<Stream, u64>,
}

impl Default for Behind {
    fn default() -> Self {
        Self { mode: Mode::Together, flagged_at: None, owed: BTreeMap::new() }
    }
}

impl Behind {
    /// The present mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What the next heartbeat says.
    pub fn flag(&self) -> bool {
        match self.mode {
            Mode::Together => false,
            Mode::Flagging | Mode::Behind => true,
            Mode::Returning => !self.owed.is_empty(),
        }
    }

    /// An acknowledgement has waited too long for the view.
    pub fn late(&mut self) {
        if matches!(self.mode, Mode::Together | Mode::Returning) {
            (self.mode, self.flagged_at) = (Mode::Flagging, None);
        }
    }

    /// The view holds all that this process has resolved, or nearly.
    pub fn level(&mut self) {
        if matches!(self.mode, Mode::Flagging | Mode::Behind) {
            self.mode = Mode::Returning;
        }
    }

    /// The record took a heartbeat that says so.
    pub fn confirmed(&mut self, flag: bool, now: Duration) {
        match self.mode {
            Mode::Flagging if flag => {
                self.flagged_at.get_or_insert(now);
            }
            // Only now, and not when the view held it all: a process that dies in between leaves
            // the flag to whoever clears up after it.
            Mode::Returning if !flag => self.mode = Mode::Together,
            _ => {}
        }
    }

    /// Time passed. The quarter more is for clocks that do not run alike.
    pub fn tick(&mut self, now: Duration, look_age_max: Duration) {
        let known = self.flagged_at.is_some_and(|at| now > at + look_age_max + look_age_max / 4);
        if self.mode == Mode::Flagging && known {
            self.mode = Mode::Behind;
        }
    }

    /// An acknowledgement goes out before the view holds it.
    ///
    /// # Panics
    /// In any mode but [`Mode::Behind`].
    pub fn owe(&mut self, stream: Stream, seq: u64) {
        assert!(self.mode == Mode::Behind, "nobody expects it");
        let owed = self.owed.entry(stream).or_insert(seq);
        *owed = seq.max(*owed);
    }

    /// The view holds that much of a stream.
    pub fn covered(&mut self, stream: Stream, fence: u64) {
        if self.owed.get(&stream).is_some_and(|&seq| seq <= fence) {
            self.owed.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const STREAM: Stream = Stream { writer: 1, slot: 0 };

    #[test]
    fn acknowledges_alone_only_when_everybody_can_know_of_it() {
        let mut behind = Behind::default();
        assert!(!behind.flag());
        behind.late();
        assert_eq!((behind.mode(), behind.flag()), (Mode::Flagging, true));
        behind.tick(99 * SECOND, 2 * SECOND);
        assert_eq!(behind.mode(), Mode::Flagging, "nobody knows yet");
        behind.confirmed(false, 99 * SECOND);
        behind.tick(199 * SECOND, 2 * SECOND);
        assert_eq!(behind.mode(), Mode::Flagging, "an older heartbeat does not say it");
        behind.confirmed(true, 200 * SECOND);
        behind.tick(202 * SECOND, 2 * SECOND);
        assert_eq!(behind.mode(), Mode::Flagging, "a look may be older than the flag");
        behind.tick(203 * SECOND, 2 * SECOND);
        assert_eq!(behind.mode(), Mode::Behind);
    }

    #[test]
    fn takes_the_flag_down_when_the_view_holds_what_was_acknowledged() {
        let mut behind = Behind { mode: Mode::Behind, ..Behind::default() };
        behind.owe(STREAM, 3);
        behind.owe(STREAM, 2);
        behind.level();
        behind.covered(STREAM, 2);
        assert_eq!((behind.mode(), behind.flag()), (Mode::Returning, true));
        behind.covered(STREAM, 3);
        assert_eq!((behind.mode(), behind.flag()), (Mode::Returning, false));
        behind.confirmed(false, SECOND);
        assert_eq!(behind.mode(), Mode::Together);
    }
}
