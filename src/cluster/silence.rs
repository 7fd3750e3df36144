//! Who is gone: judged by heartbeats that do not change, by the observer's own clock.

use std::collections::HashMap;
use std::time::Duration;

/// How long each process has been silent. Time counts only while the record answers: in a record
/// that stood still, inserts may stand still as well, and land when it goes on.
#[derive(Clone, Debug, Default)]
pub struct Silence {
    looked_at: Option<Duration>,
    processes: HashMap<u64, (u64, Duration)>,
}

impl Silence {
    /// A look was answered: the number of each process's newest heartbeat.
    pub fn looked(
        &mut self,
        beats: impl Iterator<Item = (u64, u64)>,
        now: Duration,
        gap_max: Duration,
    ) {
        let before = self.looked_at.replace(now);
        let gap = before.map_or(Duration::ZERO, |before| now.saturating_sub(before).min(gap_max));
        let mut processes = HashMap::new();
        for (process, number) in beats {
            let silent = match self.processes.get(&process) {
                Some(&(seen, silent)) if seen == number => silent + gap,
                _ => Duration::ZERO,
            };
            processes.insert(process, (number, silent));
        }
        self.processes = processes;
    }

    /// For how long its heartbeat has not changed.
    pub fn of(&self, process: u64) -> Duration {
        self.processes.get(&process).map_or(Duration::ZERO, |&(_, silent)| silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_grows_only_while_the_record_answers() {
        let second = Duration::from_secs;
        let mut silence = Silence::default();
        let mut look = |number, now| {
            silence.looked([(7, number)].into_iter(), second(now), second(2));
            silence.of(7)
        };
        assert_eq!(look(1, 10), second(0));
        assert_eq!(look(1, 11), second(1));
        assert_eq!(look(1, 60), second(3), "the record stood still for 49 seconds");
        assert_eq!(look(2, 61), second(0));
        assert_eq!(silence.of(8), second(0));
    }
}
