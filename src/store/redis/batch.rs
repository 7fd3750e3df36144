//! The way of one command through a batch: where it goes next, or what became of it.

use super::command::{Answer, Away, Command};
use redis::{ServerError, Value};

/// One command of a batch, on its way.
#[derive(Debug)]
pub(super) struct Step {
    /// Which command.
    pub(super) index: usize,
    /// Another node than the owner of its slot, for this once: the slot is on its way there.
    pub(super) ask: Option<String>,
    /// Whether its script goes along.
    load: bool,
}

/// What an answer means for a step.
#[derive(Debug)]
pub(super) enum Next {
    /// The end of its way.
    Over(Answer),
    /// The same, and the connection is of no use any more.
    OverAndDrop(Answer),
    /// Once more, with its script.
    Again(Step),
    /// Its slot has moved, says this redirection.
    Moved(Step, String),
    /// This once it goes where this redirection says.
    Ask(Step, String),
}

impl Step {
    pub(super) fn first(index: usize) -> Self {
        Self { index, ask: None, load: false }
    }

    /// Appends what is to be sent.
    pub(super) fn pack_into(&self, command: &Command, bytes: &mut Vec<u8>) {
        if let Some(source) = self.script(command) {
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(source);
            bytes.extend_from_slice(&load.get_packed_command());
        }
        if self.ask.is_some() {
            bytes.extend_from_slice(&redis::cmd("ASKING").get_packed_command());
        }
        command.pack_into(bytes);
    }

    /// Answers that come before that of the command itself.
    pub(super) fn answers_before(&self, command: &Command) -> usize {
        usize::from(self.script(command).is_some()) + usize::from(self.ask.is_some())
    }

    fn script<'a>(&self, command: &'a Command) -> Option<&'a str> {
        command.script_code().filter(|_| self.load)
    }

    /// What `value` means. A server says none of these errors after it has begun to run a command,
    /// so that what they answer is known not to have run.
    pub(super) fn next(mut self, value: Value) -> Next {
        let error = match value {
            Value::ServerError(error) => error,
            value => return Next::Over(Answer::Done(value)),
        };
        let not_run = Answer::Away(Away::NotRun);
        let details = error.details().unwrap_or_default().to_owned();
        match error.code() {
            "NOSCRIPT" if !self.load => {
                self.load = true;
                Next::Again(self)
            }
            "MOVED" => {
                self.ask = None;
                Next::Moved(self, details)
            }
            "ASK" => Next::Ask(self, details),
            // Full, its disk broken, between two primaries, busy with a script, just started.
            "NOSCRIPT" | "OOM" | "MISCONF" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN"
            | "LOADING" | "BUSY" | "NOREPLICAS" => Next::Over(not_run),
            // Another server, or another password, may be behind the address by now.
            "READONLY" | "NOAUTH" => Next::OverAndDrop(not_run),
            _ => Next::Over(Answer::Refused(words(&error))),
        }
    }
}

fn words(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::parse_redis_value;

    fn next(reply: &str) -> Next {
        let value = parse_redis_value(format!("{reply}\r\n").as_bytes()).expect("a reply");
        Step::first(0).next(value)
    }

    #[test]
    fn what_a_server_cannot_do_at_present_is_away_and_has_not_run() {
        let passing = [
            "-LOADING Redis is loading the dataset in memory",
            "-MISCONF Redis is configured to save RDB snapshots, but it cannot",
            "-CLUSTERDOWN The cluster is down",
            "-TRYAGAIN Multiple keys request during rehashing of slot",
            "-BUSY Redis is busy running a script",
            "-OOM command not allowed when used memory > 'maxmemory'.",
        ];
        for reply in passing {
            let next = next(reply);
            let away = matches!(next, Next::Over(Answer::Away(Away::NotRun)));
            assert!(away, "{reply}: {next:?}");
        }
        let replica = next("-READONLY You can't write against a read only replica.");
        assert!(matches!(replica, Next::OverAndDrop(Answer::Away(Away::NotRun))));
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_server() {
        let Next::Over(answer) = next("-ERR value is not an integer") else { panic!("over") };
        assert_eq!(answer, Answer::Refused("ERR value is not an integer".to_owned()));
    }

    #[test]
    fn a_script_is_loaded_once_and_not_for_ever() {
        let Next::Again(step) = next("-NOSCRIPT No matching script.") else { panic!("again") };
        assert!(step.load);
        let value = parse_redis_value(b"-NOSCRIPT No matching script.\r\n").expect("a reply");
        assert!(matches!(step.next(value), Next::Over(Answer::Away(Away::NotRun))));
    }
}
