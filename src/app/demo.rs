//! `--demo`: an audience for a machine without an event. It gifts, likes and snatches over loopback, as
//! people would, and has a rain fall again and again, so that the live page has something to show.

use crate::client::http::{HttpConnection, request};
use crate::client::room::Request;
use crate::client::room_link::RoomLink;
use crate::log::Log;
use crate::rng::SplitMix;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longer than any answer takes; a server that ends must not hold its own audience for longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Threads of the audience do little: a request at a time.
const STACK_BYTES: usize = 256 * 1024;

/// Who gets gifts, who gives and who snatches.
const ANCHORS: std::ops::RangeInclusive<i64> = 1..=24;
const VIEWERS: std::ops::RangeInclusive<i64> = 1_000..=2_999;

/// For how many rounds of gifts one anchor is everybody's favourite: about eight seconds.
const FAVOUR_ROUNDS: u64 = 80;

/// What is liked, viewed and followed.
const RESOURCES: [&str; 8] = [
    "main-stage",
    "dance-battle",
    "guitar-solo",
    "backstage",
    "second-stage",
    "fireworks",
    "fan-corner",
    "encore",
];

/// Places of that list.
const PLACES: std::ops::RangeInclusive<i64> = 0..=7;

/// A rain starts so long after it was announced, and falls for so long.
const RAIN_NOTICE_S: u64 = 60;
const RAIN_LENGTH_S: u64 = 240;

/// Customers who watch the trading room.
const TRADERS: i64 = 12;

/// How long one of them listens before it looks whether the demo has ended.
const LISTEN: Duration = Duration::from_millis(500);

/// People who are not there. They leave when this is dropped.
pub(super) struct Audience {
    /// Tells the threads to end by being gone.
    stop: Option<Sender<Infallible>>,
    threads: Vec<JoinHandle<()>>,
}

/// With `--demo`: lets the audience in, and says where there is something to see. The addresses are
/// those of the public listener, the trading room and the operator's listener, which asks for `token`
/// if that is not empty.
pub(super) fn begin(
    is_wanted: bool,
    log: &Log,
    (public, room, operator): (SocketAddr, SocketAddr, SocketAddr),
    token: &str,
) -> io::Result<Option<Audience>> {
    if !is_wanted {
        return Ok(None);
    }
    log.invite(public);
    Audience::gather(public, room, operator, token).map(Some)
}

impl Audience {
    fn gather(
        public: SocketAddr,
        room: SocketAddr,
        operator: SocketAddr,
        token: &str,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let mut audience = Self { stop: Some(stop), threads: Vec::new() };
        let visitor = |seed| Visitor::new(public, "", seed);
        let (mut giver, mut counter, mut snatcher) = (visitor(1), visitor(2), visitor(3));
        let mut host = (visitor(4), Visitor::new(operator, token, 5));
        let ms = Duration::from_millis;
        audience.repeat("demo-gifts", &stopped, ms(100), move |round| giver.give(round))?;
        audience.repeat("demo-counts", &stopped, ms(100), move |round| counter.count(round))?;
        audience.repeat("demo-snatches", &stopped, ms(50), move |_| snatcher.snatch())?;
        audience.repeat("demo-rain", &stopped, ms(1_000), move |_| {
            announce_rain(&mut host.0, &mut host.1)
        })?;
        for number in 1..=TRADERS {
            let mut trader = Trader { room, number, link: None };
            audience.repeat("demo-trader", &stopped, ms(250), move |_| trader.listen())?;
        }
        Ok(audience)
    }

    /// Has a thread do `act` until the end, `pause` after the last time. An error is a server that is
    /// busy or gone; the next round shows which.
    fn repeat(
        &mut self,
        name: &str,
        stopped: &Receiver<Infallible>,
        pause: Duration,
        mut act: impl FnMut(u64) -> Result<(), io::Error> + Send + 'static,
    ) -> io::Result<()> {
        let stopped = stopped.clone();
        let run = move || {
            let mut round = 0;
            while matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                if let Err(error) = act(round) {
                    tracing::debug!(%error, "the demo's audience was not served");
                }
                round += 1;
            }
        };
        let thread = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// A client with a connection of its own.
struct Visitor {
    address: SocketAddr,
    /// `None` before the first request, and after one that failed.
    connection: Option<HttpConnection>,
    authorization: String,
    dice: SplitMix,
}

impl Visitor {
    fn new(address: SocketAddr, token: &str, seed: u64) -> Self {
        let authorization = format!("Bearer {token}");
        Self { address, connection: None, authorization, dice: SplitMix::new(seed ^ now_s()) }
    }

    fn post(&mut self, path: &str, body: &Value) -> io::Result<Value> {
        let authorization = [("Authorization", self.authorization.as_str())];
        let request = request("POST", path, &authorization, &body.to_string());
        self.exchange(&request)
    }

    fn get(&mut self, path: &str) -> io::Result<Value> {
        self.exchange(&request("GET", path, &[], ""))
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Value> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => HttpConnection::open(self.address, ANSWER_TIMEOUT)?,
        };
        let answer = connection.exchange(request)?;
        let value = serde_json::from_slice(answer.body).unwrap_or_default();
        self.connection = Some(connection);
        Ok(value)
    }

    /// Most gifts are small; half of them go to the favourite of the moment.
    fn give(&mut self, round: u64) -> Result<(), io::Error> {
        let favourite = SplitMix::new(round / FAVOUR_ROUNDS).within(ANCHORS);
        for _ in 0..self.crowd(round, 5) {
            let worth = match self.dice.within(0..=99) {
                0..=59 => self.dice.within(1..=10),
                60..=84 => 52,
                85..=96 => 99,
                97..=98 => 520,
                _ => 1_314,
            };
            let is_favourite = self.dice.within(0..=1) == 0;
            let anchor = if is_favourite { favourite } else { self.dice.within(ANCHORS) };
            let viewer = self.dice.within(VIEWERS);
            let gift = json!({ "audience_id": viewer, "anchor_id": anchor, "worth": worth });
            self.post("/gift/send", &gift)?;
        }
        Ok(())
    }

    /// The first resources are liked more than the last.
    fn count(&mut self, round: u64) -> Result<(), io::Error> {
        for _ in 0..self.crowd(round + 170, 12) {
            let place = self.dice.within(PLACES).min(self.dice.within(PLACES));
            let counter_type = match self.dice.within(0..=99) {
                0..=69 => "like",
                70..=91 => "view",
                _ => "follow",
            };
            let resource = RESOURCES[usize::try_from(place).unwrap_or(0)];
            let body = json!({ "resource_id": resource, "counter_type": counter_type });
            self.post("/api/v1/counter/increment", &body)?;
        }
        Ok(())
    }

    /// Takes a packet if there is one, and opens it.
    fn snatch(&mut self) -> Result<(), io::Error> {
        let viewer = self.dice.within(VIEWERS);
        for _ in 0..2 {
            let got = self.post("/snatch", &json!({ "uid": viewer }))?;
            if got["code"] == 0 {
                let envelope = &got["data"]["envelope_id"];
                self.post("/open", &json!({ "uid": viewer, "envelope_id": envelope }))?;
            }
        }
        Ok(())
    }

    /// How many act at once: never nobody, and more and fewer in turns of half a minute.
    fn crowd(&mut self, round: u64, most: i64) -> i64 {
        let turn = i64::try_from(round % 300).unwrap_or(0);
        let tide = (turn - 150).abs() * most / 150;
        self.dice.within(1..=most.max(2) / 2 + tide.max(1))
    }
}

/// A customer who looks on while the simulator trades for it.
struct Trader {
    room: SocketAddr,
    number: i64,
    /// `None` before the first login, and after the room was lost.
    link: Option<RoomLink>,
}

impl Trader {
    /// Logs in if need be, then reads what the room pushes for a while.
    fn listen(&mut self) -> io::Result<()> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.log_in()?,
        };
        let until = Instant::now() + LISTEN;
        loop {
            match link.receive(Some(until)) {
                Ok(_) => {}
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.link = Some(link);
        Ok(())
    }

    fn log_in(&self) -> io::Result<RoomLink> {
        let mut link = RoomLink::open(self.room)?;
        let customer_id = format!("{:012}", self.number);
        link.ask(&Request::Login { customer_id, last_seq: None }, ANSWER_TIMEOUT)?;
        link.forget_pushes();
        Ok(link)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Announces the next rain when there was none, or the last has ended.
fn announce_rain(visitor: &mut Visitor, host: &mut Visitor) -> Result<(), io::Error> {
    let rain = visitor.get("/rain")?;
    if !matches!(rain["data"]["state"].as_str(), Some("none" | "ended")) {
        return Ok(());
    }
    let starts_at = now_s() + RAIN_NOTICE_S;
    let rain = json!({
        "id": starts_at,
        "total_amount_fen": 888_800,
        "total_count": 3_000,
        "min_fen": 1,
        "max_fen": 2_000,
        "win_ppm": 400_000,
        "max_per_user": 5,
        "starts_at": starts_at,
        "ends_at": starts_at + RAIN_LENGTH_S,
        "paused": false,
        "pacing": true,
        "reason": "demo",
    });
    host.post("/rain", &rain).map(drop)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
