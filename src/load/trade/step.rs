//! One step of the load: so many clients for so long, on one thread that measures them all.
//!
//! Each client is a customer at a terminal: at random intervals it looks at its holdings or its
//! history, buys, or sells what it bought. Beside them, a feeder for each customer trades at the
//! wanted frequency, and every trade is pushed to all connections of its customer. The time of a push
//! is from the moment its trade was asked for until a client has it, commit included: one clock sees
//! both ends.

use super::peer::Peer;
use super::schedule::Schedule;
use crate::client::room::{Message, Request, Side, Stock};
use crate::load::latencies::Latencies;
use mio::{Events, Poll};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Customers that a server has from the start; more clients share them.
const CUSTOMERS: usize = 100;

/// Stocks of an exchange; each connection trades its own.
const STOCKS: usize = 1_000;

/// Shares of a trade: a whole number of lots, whatever lots are in use.
const QUANTITY: i64 = 100;

/// Answers that are still due at the end are waited for so long.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// All clients must be logged in after so long.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the bar moves at least.
const TICK: Duration = Duration::from_millis(100);

/// Events taken from the kernel at once.
const EVENTS: usize = 1_024;

/// What is done.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) clients: u32,
    /// Trades of a feeder per second; each is pushed to all clients of its customer.
    pub(super) push_rate: f64,
    /// Between two deeds of a client.
    pub(super) interval: RangeInclusive<Duration>,
    pub(super) duration: Duration,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Of requests of clients; those of feeders do not count.
    pub(super) answers: Latencies,
    /// Of pushes to clients.
    pub(super) pushes: Latencies,
    /// Pushes that did not follow the one before.
    pub(super) gaps: u64,
    pub(super) refused: u64,
    pub(super) lost: u64,
    pub(super) unanswered: u64,
}

/// A connection and what it is there for.
struct Player {
    peer: Peer,
    is_feeder: bool,
    stock: Stock,
    /// The next trade sells what the last one bought.
    holds: bool,
    /// Of the newest push.
    seq: Option<i64>,
}

/// Runs a step; `tick` is called once a second.
pub(super) fn run(address: SocketAddr, plan: &Plan, tick: impl FnMut()) -> io::Result<Figures> {
    let poll = Poll::new()?;
    let clients = plan.clients as usize;
    let customers = clients.min(CUSTOMERS);
    let feeders = if plan.push_rate > 0.0 { customers } else { 0 };
    let mut players = Vec::with_capacity(clients + feeders);
    let now = Instant::now();
    for number in 0..clients + feeders {
        let customer_id = format!("{:012}", number % clients % customers + 1);
        let mut peer = Peer::connect(address, number, poll.registry())?;
        peer.ask(&Request::Login { customer_id, last_seq: None }, now)?;
        let stock = Stock::of_code(&format!("{:06}", 600_000 + number % STOCKS));
        let is_feeder = number >= clients;
        players.push(Some(Player { peer, is_feeder, stock, holds: false, seq: None }));
    }
    let mut step = Step {
        poll,
        plan,
        players,
        schedule: Schedule::default(),
        figures: Figures::default(),
        trades: Trades::default(),
        buffer: vec![0; 64 << 10],
        waiting: clients + feeders,
        requests: 0,
        prefix: format!("{:016x}", fastrand::u64(..)),
    };
    step.log_in()?;
    step.play(tick)?;
    Ok(step.figures)
}

/// Pushes and the trades behind them, which may be heard of in either order.
#[derive(Default)]
struct Trades {
    asked: HashMap<i64, Instant>,
    early: HashMap<i64, Vec<Instant>>,
}

impl Trades {
    /// A trade was answered.
    fn answered(&mut self, trade_id: i64, asked: Instant, pushes: &mut Latencies) {
        self.asked.insert(trade_id, asked);
        for heard in self.early.remove(&trade_id).unwrap_or_default() {
            pushes.record(heard.saturating_duration_since(asked));
        }
    }

    /// A client heard of a trade.
    fn pushed(&mut self, trade_id: i64, heard: Instant, pushes: &mut Latencies) {
        match self.asked.get(&trade_id) {
            Some(asked) => pushes.record(heard.saturating_duration_since(*asked)),
            // Its answer is on the way, or it is another program's.
            None => self.early.entry(trade_id).or_default().push(heard),
        }
    }
}

struct Step<'a> {
    poll: Poll,
    plan: &'a Plan,
    /// `None`: the connection was lost.
    players: Vec<Option<Player>>,
    schedule: Schedule,
    figures: Figures,
    trades: Trades,
    buffer: Vec<u8>,
    /// Not logged in yet.
    waiting: usize,
    requests: u64,
    prefix: String,
}

impl Step<'_> {
    fn log_in(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + LOGIN_TIMEOUT;
        let mut events = Events::with_capacity(EVENTS);
        while self.waiting > 0 {
            if Instant::now() >= deadline {
                let why = format!("{} logins have no answer", self.waiting);
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            self.turn(&mut events, TICK)?;
            if self.figures.refused + self.figures.lost > 0 {
                return Err(io::Error::other("a login was refused, or its connection closed"));
            }
        }
        // Logins all at once are not what is measured.
        self.figures = Figures::default();
        Ok(())
    }

    fn play(&mut self, mut tick: impl FnMut()) -> io::Result<()> {
        let start = Instant::now();
        let end = start + self.plan.duration;
        for (number, player) in self.players.iter().enumerate() {
            let Some(player) = player else { continue };
            // Spread over the first interval, so that they do not march in step.
            let longest = self.pause(player.is_feeder).1;
            self.schedule.add(start + longest.mul_f64(fastrand::f64()), number);
        }
        let mut events = Events::with_capacity(EVENTS);
        let mut next_tick = start + Duration::from_secs(1);
        loop {
            let now = Instant::now();
            if now >= next_tick {
                tick();
                next_tick += Duration::from_secs(1);
            }
            if now >= end {
                break;
            }
            while let Some((at, number)) = self.schedule.due(now) {
                self.act(number, at);
            }
            let wait = self.schedule.wait(Instant::now(), TICK);
            self.turn(&mut events, wait)?;
        }
        let last = Instant::now() + LAST_ANSWERS;
        while self.unanswered() > 0 && Instant::now() < last {
            self.turn(&mut events, TICK)?;
        }
        self.figures.unanswered = self.unanswered();
        Ok(())
    }

    fn unanswered(&self) -> u64 {
        self.players.iter().flatten().map(|player| player.peer.unanswered() as u64).sum()
    }

    /// The shortest and the longest pause between two deeds.
    fn pause(&self, is_feeder: bool) -> (Duration, Duration) {
        if is_feeder {
            let pause = Duration::from_secs_f64(1.0 / self.plan.push_rate);
            (pause, pause)
        } else {
            (*self.plan.interval.start(), *self.plan.interval.end())
        }
    }

    /// Lets a player do its next deed, which was due `at`.
    fn act(&mut self, number: usize, at: Instant) {
        let Some(player) = &self.players[number] else { return };
        let (shortest, longest) = self.pause(player.is_feeder);
        let pause = shortest + longest.saturating_sub(shortest).mul_f64(fastrand::f64());
        self.schedule.add(at + pause, number);
        let request = self.request(number);
        let Some(player) = &mut self.players[number] else { return };
        // Since it was due: a generator that is late must not make the server look fast.
        if player.peer.ask(&request, at).is_err() {
            self.lose(number);
        }
    }

    fn request(&mut self, number: usize) -> Request {
        self.requests += 1;
        let request_id = format!("{}-{}", self.prefix, self.requests);
        let Some(player) = &mut self.players[number] else {
            return Request::Holdings { page: 0 };
        };
        if !player.is_feeder {
            match fastrand::u8(..4) {
                0 => return Request::Holdings { page: 0 },
                1 => return Request::History { before: None, limit: 20 },
                _ => {}
            }
        }
        player.holds = !player.holds;
        let side = if player.holds { Side::Buy } else { Side::Sell };
        Request::Trade { side, stock: player.stock.clone(), quantity: QUANTITY, request_id }
    }

    fn lose(&mut self, number: usize) {
        if let Some(player) = self.players[number].take() {
            self.figures.lost += 1;
            self.figures.unanswered += player.peer.unanswered() as u64;
        }
    }

    fn turn(&mut self, events: &mut Events, wait: Duration) -> io::Result<()> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in events.iter() {
            let number = event.token().0;
            let Some(mut player) = self.players[number].take() else { continue };
            let is_fine = self.hear(&mut player);
            self.players[number] = Some(player);
            if !is_fine {
                self.lose(number);
            }
        }
        Ok(())
    }

    /// False when the connection is of no more use.
    fn hear(&mut self, player: &mut Player) -> bool {
        let Player { peer, is_feeder, seq, .. } = player;
        let Self { figures, trades, buffer, waiting, .. } = self;
        let read = peer.read(buffer, |message, asked| {
            let now = Instant::now();
            if let (Some(asked), false) = (asked, *is_feeder) {
                figures.answers.record(now.saturating_duration_since(asked));
            }
            if let Some(seen) = message.seq() {
                figures.gaps += u64::from(seq.is_some_and(|last| seen != last + 1));
                *seq = Some(seen);
            }
            match message {
                Message::LoggedIn(login) => {
                    *waiting -= 1;
                    *seq = Some(login.seq);
                }
                Message::Filled(fill) => {
                    if let Some(asked) = asked {
                        trades.answered(fill.trade_id, asked, &mut figures.pushes);
                    }
                }
                Message::Trade(push) if !*is_feeder => {
                    trades.pushed(push.trade_id, now, &mut figures.pushes);
                }
                Message::Refused(_) => figures.refused += 1,
                _ => {}
            }
        });
        read.is_ok() && peer.send_rest().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_timed_whichever_is_heard_first() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let (mut trades, mut pushes) = (Trades::default(), Latencies::default());
        trades.pushed(1, after(10), &mut pushes);
        trades.pushed(1, after(12), &mut pushes);
        assert_eq!(pushes.count(), 0);
        trades.answered(1, after(2), &mut pushes);
        assert_eq!(pushes.count(), 2);
        trades.pushed(1, after(22), &mut pushes);
        assert_eq!(pushes.count(), 3);
        assert!((19.0..21.0).contains(&pushes.max_ms()), "{}", pushes.max_ms());
    }
}
