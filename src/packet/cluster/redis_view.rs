//! The view in Redis: its keys and scripts. All keys share one hash tag, so that a script sees them
//! all on a Redis Cluster too, and they are lost together:
//!
//! ```text
//! {rain}:pool     hash: which generation, rain, version and chunk; what snatches are decided by
//! {rain}:places   list: places of the chunk that nobody has
//! {rain}:users    hash: user -> packets, with a star while the last of them is in the outbox
//! {rain}:outbox   hash: place -> user, user's number, draw, time, key; until the record has it
//! ```

use super::lines::ChunkLine;
use super::record::Trouble;
use super::view::{
    Amended, Gates, Generation, Left, Pending, Pool, Seen, Serve, Served, Tried, View,
};
use crate::cluster::Lanes;
use crate::cluster::reply::{Unread, array, read, text};
use crate::packet::{Chunk, Refusal, Sum};
use crate::store::RequestKey;
use crate::store::redis::{Answer, Command, Script, Value};
use std::collections::HashMap;

/// For threads that may wait.
#[derive(Clone)]
pub struct RedisView {
    lanes: Lanes,
    keys: [String; 4],
    serve: Script,
    settle: Script,
    refill: Script,
    install: Script,
    set: Script,
    look: Script,
}

impl RedisView {
    /// Keys under the hash tag `tag`.
    pub fn new(lanes: Lanes, tag: &str) -> Self {
        let key = |name: &str| format!("{{{tag}}}:{name}");
        Self {
            lanes,
            keys: [key("pool"), key("places"), key("users"), key("outbox")],
            serve: Script::new(include_str!("redis_view/serve.lua")),
            settle: Script::new(include_str!("redis_view/settle.lua")),
            refill: Script::new(include_str!("redis_view/refill.lua")),
            install: Script::new(include_str!("redis_view/install.lua")),
            set: Script::new(include_str!("redis_view/set.lua")),
            look: Script::new(include_str!("redis_view/look.lua")),
        }
    }

    /// Tries that the pool has seen, whatever became of them; `None` without a pool.
    pub(super) fn tries(&self) -> Result<Option<i64>, Trouble> {
        let command = Command::new("HGET", &self.keys[0]).arg("tries");
        match self.lanes.ask_redis(command) {
            Answer::Done(value) => Ok(text(&value).and_then(|tries| tries.parse().ok())),
            Answer::Refused(words) => Err(Trouble::Broken(words)),
            Answer::Away(_) => Err(Trouble::Away),
        }
    }

    fn run<T>(
        &self,
        script: &Script,
        args: impl IntoIterator<Item = String>,
        by: impl FnOnce(&str, &[Value]) -> Option<T>,
    ) -> Result<T, Trouble> {
        let keys = self.keys.each_ref().map(String::as_bytes);
        let command = Command::script(script, &keys);
        let command = args.into_iter().fold(command, Command::arg);
        understand(self.lanes.ask_redis(command), by)
    }
}

fn understand<T>(
    answer: Answer,
    by: impl FnOnce(&str, &[Value]) -> Option<T>,
) -> Result<T, Trouble> {
    read(answer, by).map_err(|unread| match unread {
        Unread::Away(_) => Trouble::Away,
        Unread::Strange(words) => {
            tracing::error!(words, "Redis answers what this version does not expect");
            Trouble::Broken(words)
        }
    })
}

impl View for RedisView {
    async fn look(&self) -> Result<Option<(Pool, i64, Vec<Pending>)>, Trouble> {
        self.run(&self.look, [], |word, rest| match (word, rest) {
            ("none", []) => Some(None),
            ("pool", [fields, places, outbox]) => {
                let (pool, places) = (pool(fields)?, number(places)?);
                let outbox = array(outbox)?
                    .chunks_exact(2)
                    .map(|pair| pending(text(&pair[0])?.parse().ok()?, text(&pair[1])?));
                Some(Some((pool, places, outbox.collect::<Option<_>>()?)))
            }
            _ => None,
        })
    }

    async fn serve(&self, serve: Serve) -> Result<Seen<Served>, Trouble> {
        let Serve { generation, now_us, tries } = serve;
        let mut args =
            vec![hex(generation), now_us.div_euclid(1_000_000).to_string(), now_us.to_string()];
        for one in &tries {
            args.extend([
                one.uid.to_string(),
                one.draw.to_string(),
                flag(one.wins),
                one.key.as_ref().map(|key| key.as_str().to_owned()).unwrap_or_default(),
                one.known.map(|known| known.to_string()).unwrap_or_default(),
            ]);
        }
        self.run(&self.serve, args, |word, rest| match (word, rest) {
            ("other", []) => Some(Seen::Other),
            ("here", [results, fields, places, outbox, is_last]) => {
                let results = array(results)?.iter().map(|one| tried(text(one)?));
                let tried = results.collect::<Option<Vec<_>>>()?;
                let fields = array(fields)?.iter().map(|field| text(field)?.parse().ok());
                let line = line(&fields.collect::<Option<Vec<i64>>>()?)?;
                let left = left(places, outbox, is_last)?;
                Some(Seen::Here(Served { tried, line, left }))
            }
            _ => None,
        })
    }

    async fn settle(&self, of: (i64, i64), done: Vec<Pending>) -> Result<Option<Left>, Trouble> {
        let mut args = vec![of.0.to_string(), of.1.to_string()];
        for one in &done {
            let (place, entry) = (one.place.to_string(), entry(one));
            args.extend([place, entry, one.uid.to_string(), one.nth.to_string()]);
        }
        self.run(&self.settle, args, |word, rest| match (word, rest) {
            ("none", []) => Some(None),
            ("left", [places, outbox, is_last]) => Some(Some(left(places, outbox, is_last)?)),
            _ => None,
        })
    }

    async fn refill(
        &self,
        generation: Generation,
        line: ChunkLine,
        is_last: bool,
    ) -> Result<Seen<bool>, Trouble> {
        let args = [hex(generation), line.chunk.count().to_string(), flag(is_last)];
        self.run(&self.refill, args.into_iter().chain(line_fields(&line)), done)
    }

    async fn freeze(&self, generation: Generation) -> Result<Seen<()>, Trouble> {
        let args = [hex(generation), "is_frozen".to_owned(), flag(true)];
        let seen = self.run(&self.set, args, done)?;
        Ok(match seen {
            Seen::Here(_) => Seen::Here(()),
            Seen::Other => Seen::Other,
        })
    }

    async fn install(
        &self,
        from: Option<Generation>,
        pool: Pool,
        places: Vec<i64>,
    ) -> Result<bool, Trouble> {
        let fields = pool_fields(&pool);
        let mut args = vec![from.map(hex).unwrap_or_default(), (fields.len() / 2).to_string()];
        args.extend(fields);
        args.extend(places.iter().map(ToString::to_string));
        Ok(self.run(&self.install, args, done)? == Seen::Here(true))
    }

    async fn amend(&self, from: Generation, amended: Amended) -> Result<bool, Trouble> {
        let Amended { generation, version, terms } = amended;
        let mut args = vec![hex(from), "generation".to_owned(), hex(generation)];
        args.extend(["version".to_owned(), version.to_string()]);
        args.extend(gate_fields(&terms));
        Ok(self.run(&self.set, args, done)? == Seen::Here(true))
    }
}

fn done(word: &str, rest: &[Value]) -> Option<Seen<bool>> {
    match (word, rest) {
        ("done", []) => Some(Seen::Here(true)),
        ("kept", []) => Some(Seen::Here(false)),
        ("other", []) => Some(Seen::Other),
        _ => None,
    }
}

fn hex(generation: Generation) -> String {
    format!("{generation:016x}")
}

fn flag(is_set: bool) -> String {
    i64::from(is_set).to_string()
}

fn named<const N: usize>(fields: [(&str, String); N]) -> impl Iterator<Item = String> {
    fields.map(|(name, value)| [name.to_owned(), value]).into_iter().flatten()
}

fn gate_fields(gates: &Gates) -> impl Iterator<Item = String> + use<> {
    named([
        ("starts_at", gates.starts_at.to_string()),
        ("ends_at", gates.ends_at.to_string()),
        ("paused", flag(gates.paused)),
        ("max_per_user", gates.max_per_user.to_string()),
    ])
}

/// The number first, where a script looks for it.
fn line_fields(line: &ChunkLine) -> impl Iterator<Item = String> + use<> {
    let ChunkLine { chunk, before, first_envelope, at_s } = *line;
    named(
        [
            ("number", chunk.number),
            ("version_of", chunk.version),
            ("left_count", chunk.left_count),
            ("left_fen", chunk.left_fen),
            ("before_count", before.count),
            ("before_fen", before.fen),
            ("first_envelope", first_envelope),
            ("at", at_s),
        ]
        .map(|(name, value)| (name, value.to_string())),
    )
}

fn pool_fields(pool: &Pool) -> Vec<String> {
    let own = named([
        ("generation", hex(pool.generation)),
        ("rain", pool.rain.to_string()),
        ("version", pool.version.to_string()),
        ("is_last", flag(pool.is_last)),
        ("knows_all", flag(pool.knows_all)),
        ("is_frozen", flag(pool.is_frozen)),
    ]);
    own.chain(gate_fields(&pool.terms)).chain(line_fields(&pool.line)).collect()
}

fn pool(fields: &Value) -> Option<Pool> {
    let pairs = array(fields)?.chunks_exact(2);
    let pairs = pairs.map(|pair| Some((text(&pair[0])?, text(&pair[1])?)));
    let fields: HashMap<&str, &str> = pairs.collect::<Option<_>>()?;
    let number = |name: &str| fields.get(name)?.parse::<i64>().ok();
    let is_set = |name: &str| Some(number(name)? == 1);
    let of_line = [
        "number",
        "version_of",
        "left_count",
        "left_fen",
        "before_count",
        "before_fen",
        "first_envelope",
        "at",
    ];
    Some(Pool {
        generation: Generation::from_str_radix(fields.get("generation")?, 16).ok()?,
        rain: number("rain")?,
        version: number("version")?,
        terms: Gates {
            starts_at: number("starts_at")?,
            ends_at: number("ends_at")?,
            paused: is_set("paused")?,
            max_per_user: number("max_per_user")?,
        },
        line: line(&of_line.map(number).into_iter().collect::<Option<Vec<_>>>()?)?,
        is_last: is_set("is_last")?,
        knows_all: is_set("knows_all")?,
        is_frozen: is_set("is_frozen")?,
    })
}

fn line(fields: &[i64]) -> Option<ChunkLine> {
    let &[number, version, left_count, left_fen, count, fen, first_envelope, at_s] = fields else {
        return None;
    };
    let chunk = Chunk { number, version, left_count, left_fen };
    Some(ChunkLine { chunk, before: Sum { count, fen }, first_envelope, at_s })
}

fn left(places: &Value, outbox: &Value, is_last: &Value) -> Option<Left> {
    let (places, pending) = (number(places)?, number(outbox)?);
    Some(Left { places, pending, is_last: text(is_last)? == "1" })
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn tried(word: &str) -> Option<Tried> {
    Some(match word {
        "u" => Tried::Unlucky,
        "w" => Tried::Wait,
        "a" => Tried::Ask,
        "n" => Tried::Refused(Refusal::NoSnatches),
        "x" => Tried::Refused(Refusal::NoPackets),
        "e" => Tried::Refused(Refusal::Ended),
        "s" => Tried::Refused(Refusal::NotStarted),
        "h" => Tried::Refused(Refusal::Paused),
        popped => {
            let (place, nth) = popped.strip_prefix('p')?.split_once(' ')?;
            Tried::Popped { place: place.parse().ok()?, nth: nth.parse().ok()? }
        }
    })
}

/// As the script writes it.
fn entry(pending: &Pending) -> String {
    let Pending { uid, nth, draw, time_us, key, .. } = pending;
    let key = key.as_ref().map_or("", RequestKey::as_str);
    format!("{uid} {nth} {draw} {time_us} {key}")
}

fn pending(place: i64, entry: &str) -> Option<Pending> {
    let mut words = entry.splitn(5, ' ');
    let mut next = || words.next()?.parse().ok();
    let (uid, nth, draw, time_us) = (next()?, next()?, next()?, next()?);
    let key = RequestKey::new(words.next()?);
    Some(Pending { place, uid, nth, draw, time_us, key })
}
