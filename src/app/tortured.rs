//! What `fanfare torture` does to the Redis of a cluster: takes away what the cluster keeps there, or
//! has it answer nobody for a while. Both by scripts that go where the keys are, on a Redis Cluster too.

use super::cluster::redis_options;
use crate::config::{Backend, Config, Flags, Sources};
use crate::store::lane::LaneThreads;
use crate::store::redis::{Answer, Command, RedisJob, RedisLane, RedisOptions, Script};
use crate::torture::View;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// How long it stands still: Redis kills no script that is younger than 5 s.
const STOPPED: Duration = Duration::from_secs(3);

/// Takes away every key that begins with the first one: all have its hash tag, so all are here.
const EMPTY: &str = "local keys = redis.call('KEYS', KEYS[1] .. '*')
for _, key in ipairs(keys) do redis.call('UNLINK', key) end
return #keys";

/// Nobody else is served while a script runs.
const STOP: &str = "local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end
local over = now() + tonumber(ARGV[1])
while now() < over do end
return KEYS[1]";

/// The Redis of one cluster.
struct Redis {
    lane: RedisLane,
    _threads: LaneThreads,
    /// One for each domain.
    tags: Vec<String>,
}

/// The Redis of the cluster that a file describes.
pub(super) fn view(file: &Path) -> Result<Box<dyn View>, Box<dyn Error>> {
    let environment = std::env::vars_os().collect();
    let flags = Flags::default();
    let config = Config::load(&Sources { file: Some(file.to_owned()), environment, flags })?;
    if config.backend != Backend::Cluster {
        let why = "backend is not \"cluster\"; without --config a server of its own is tortured";
        return Err(format!("{}: {why}", file.display()).into());
    }
    let timeout = STOPPED + Duration::from_secs(10);
    let options = RedisOptions { threads: 1, timeout, ..redis_options(&config) };
    let (lane, threads) = RedisLane::open(&options)?;
    let tag = |domain| format!("{{{}:{domain}}}", config.cluster.prefix);
    let tags = ["gift", "counter", "rain"].map(tag).into();
    Ok(Box::new(Redis { lane, _threads: threads, tags }))
}

impl View for Redis {
    fn empty(&self) -> io::Result<()> {
        let script = Script::new(EMPTY);
        self.tags.iter().try_for_each(|tag| self.ask(Command::script(&script, &[tag.as_bytes()])))
    }

    /// The node of the gifts.
    fn stop(&self) -> io::Result<()> {
        let script = Script::new(STOP);
        let stop = Command::script(&script, &[self.tags[0].as_bytes()]);
        self.ask(stop.arg(STOPPED.as_millis().to_string()))
    }
}

impl Redis {
    fn ask(&self, command: Command) -> io::Result<()> {
        let (told, answer) = sync_channel(1);
        let job = RedisJob::new(command, move |answer| {
            // The other end waits below.
            let _ = told.send(answer);
        });
        if let Err(shed) = self.lane.submit(job) {
            shed.job.give_up();
        }
        match answer.recv() {
            Ok(Answer::Done(_)) => Ok(()),
            Ok(other) => Err(io::Error::other(format!("Redis cannot be tortured: {other:?}"))),
            Err(_) => Err(io::Error::other("Redis cannot be tortured: its thread ended")),
        }
    }
}
