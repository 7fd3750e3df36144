//! Clients that write until the blow, and come back with everything they asked.

use super::deed::{Addresses, Deed, Domain, Hand, RECOVERY_MAX, RETRY_PAUSE, Reply};
use super::power::Dice;
use crate::client::http::HttpConnection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Clients of each domain.
const CLIENTS: u32 = 6;

/// A write, and what the server said to it.
struct Attempt {
    deed: Deed,
    is_acknowledged: bool,
    /// The name that the server gave it.
    id: Option<i64>,
}

impl Attempt {
    fn acknowledged(deed: Deed, id: Option<i64>) -> Self {
        Self { deed, is_acknowledged: true, id }
    }

    fn open(deed: Deed) -> Self {
        Self { deed, is_acknowledged: false, id: None }
    }
}

/// What became of one domain's writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    /// Without an answer, or refused: sent again, they count once.
    pub(super) open: u64,
    /// Acknowledged, and not known any more.
    pub(super) lost: u64,
    /// By how much balances are above the sum of all writes.
    pub(super) doubled: i64,
    /// By how much balances are below it.
    pub(super) drift: i64,
}

/// One domain's writers.
struct Team {
    domain: Box<dyn Domain>,
    /// All that was ever asked, by account.
    asked: BTreeMap<u32, i64>,
    /// Of the round that is under way.
    attempts: Vec<Attempt>,
    tally: Tally,
}

/// See the module documentation.
pub(super) struct Crew {
    teams: Vec<Team>,
    seed: u64,
    rounds: u64,
    /// Checks of the server's own audit that failed.
    pub(super) audit_failures: Vec<String>,
}

impl Crew {
    pub(super) fn new(domains: Vec<Box<dyn Domain>>, seed: u64) -> Self {
        let team = |domain| Team {
            domain,
            asked: BTreeMap::new(),
            attempts: Vec::new(),
            tally: Tally::default(),
        };
        let teams = domains.into_iter().map(team).collect();
        Self { teams, seed, rounds: 0, audit_failures: Vec::new() }
    }

    /// Each domain's name and figures.
    pub(super) fn tallies(&self) -> impl Iterator<Item = (&'static str, Tally)> {
        self.teams.iter().map(|team| (team.domain.name(), team.tally))
    }

    /// Of all domains.
    pub(super) fn acknowledged(&self) -> u64 {
        self.teams.iter().map(|team| team.tally.acknowledged).sum()
    }

    /// Writes to the servers, a client to each in turn, for the time `calm`, then through the blow;
    /// afterwards nobody writes.
    pub(super) fn write(
        &mut self,
        servers: &[Addresses],
        calm: Duration,
        blow: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.rounds += 1;
        let (round, seed) = (self.rounds, self.seed);
        let stop = &AtomicBool::new(false);
        let teams = &self.teams;
        let written = thread::scope(|scope| {
            let mut writers = Vec::new();
            for (number, team) in teams.iter().enumerate() {
                for (client, server) in (0..CLIENTS).zip(servers.iter().cycle()) {
                    let domain = &*team.domain;
                    let name = format!("{seed}-{round}-{number}-{client}");
                    let dice =
                        Dice::new(seed ^ round << 16 ^ (number as u64) << 8 ^ u64::from(client));
                    let writer = scope.spawn(move || write(domain, server, &name, dice, stop));
                    writers.push((number, writer));
                }
            }
            thread::sleep(calm);
            let struck = blow();
            stop.store(true, Ordering::Relaxed);
            struck?;
            let join =
                |(number, writer): (usize, ScopedJoinHandle<'_, io::Result<Vec<Attempt>>>)| {
                    let attempts =
                        writer.join().map_err(|_| io::Error::other("a writer panicked"))?;
                    attempts.map(|attempts| (number, attempts))
                };
            writers.into_iter().map(join).collect::<io::Result<Vec<_>>>()
        })?;
        for (number, attempts) in written {
            self.teams[number].attempts.extend(attempts);
        }
        Ok(())
    }

    /// Sends all writes of the round again, and compares the balances that each server shows.
    pub(super) fn verify(&mut self, servers: &[Addresses]) -> io::Result<()> {
        thread::scope(|scope| {
            let teams: Vec<_> =
                self.teams.iter_mut().map(|team| scope.spawn(|| team.verify(servers))).collect();
            for team in teams {
                team.join().map_err(|_| io::Error::other("a check panicked"))??;
            }
            Ok::<_, io::Error>(())
        })?;
        for server in servers {
            self.audit_failures.extend(audit(server)?);
        }
        Ok(())
    }
}

/// Until the connection breaks, or it is told to stop.
fn write(
    domain: &dyn Domain,
    server: &Addresses,
    name: &str,
    mut dice: Dice,
    stop: &AtomicBool,
) -> io::Result<Vec<Attempt>> {
    let mut attempts = Vec::new();
    let Ok(mut hand) = domain.connect(server) else { return Ok(attempts) };
    while !stop.load(Ordering::Relaxed) {
        let deed = Deed {
            account: 1 + u32::try_from(dice.below(u64::from(domain.accounts()))).unwrap_or(0),
            amount: 1 + i64::try_from(dice.below(domain.amount_max().unsigned_abs())).unwrap_or(0),
            key: format!("{name}-{}", attempts.len()),
        };
        match hand.act(&deed) {
            Ok(Reply::Done { id, replayed: false }) => {
                attempts.push(Attempt::acknowledged(deed, id));
            }
            Ok(Reply::Done { replayed: true, .. }) => {
                return Err(io::Error::other(format!("a new key was known: {}", deed.key)));
            }
            Ok(Reply::Refused) => {
                attempts.push(Attempt::open(deed));
                thread::sleep(RETRY_PAUSE);
            }
            Err(error) if error.kind() == io::ErrorKind::Other => return Err(error),
            Err(_) => {
                attempts.push(Attempt::open(deed));
                break;
            }
        }
    }
    Ok(attempts)
}

impl Team {
    fn verify(&mut self, servers: &[Addresses]) -> io::Result<()> {
        let attempts = std::mem::take(&mut self.attempts);
        for attempt in &attempts {
            *self.asked.entry(attempt.deed.account).or_default() += attempt.deed.amount;
            self.tally.acknowledged += u64::from(attempt.is_acknowledged);
            self.tally.open += u64::from(!attempt.is_acknowledged);
        }
        let domain = &*self.domain;
        let share = attempts.len().div_ceil(CLIENTS as usize).max(1);
        let lost = thread::scope(|scope| {
            // Not to the server that they were first sent to, if there is another.
            let parts = attempts.chunks(share).zip(servers.iter().cycle().skip(1));
            let parts: Vec<_> = parts
                .map(|(part, server)| scope.spawn(move || repeat(domain, server, part)))
                .collect();
            let mut lost = 0;
            for part in parts {
                lost += part.join().map_err(|_| io::Error::other("a repetition panicked"))??;
            }
            Ok::<_, io::Error>(lost)
        })?;
        self.tally.lost += lost;
        // From the last round's differences nothing is carried over: these are those of now.
        (self.tally.doubled, self.tally.drift) = (0, 0);
        for server in servers {
            let mut hand = domain.connect(server)?;
            let (mut doubled, mut drift) = (0, 0);
            for (account, asked) in &self.asked {
                let balance = hand.balance(*account)?;
                doubled += (balance - asked).max(0);
                drift += (asked - balance).max(0);
            }
            // Servers of a cluster show the same board: the worst counts, not the sum.
            self.tally.doubled = self.tally.doubled.max(doubled);
            self.tally.drift = self.tally.drift.max(drift);
        }
        Ok(())
    }
}

/// Sends writes again until each is answered; returns how many had been acknowledged and are not
/// known any more.
fn repeat(domain: &dyn Domain, server: &Addresses, attempts: &[Attempt]) -> io::Result<u64> {
    let mut hand = domain.connect(server)?;
    let mut lost = 0;
    for Attempt { deed, is_acknowledged, id } in attempts {
        let (again, replayed) = insist(&mut *hand, deed)?;
        lost += u64::from(*is_acknowledged && (!replayed || again != *id));
    }
    Ok(lost)
}

fn insist(hand: &mut dyn Hand, deed: &Deed) -> io::Result<(Option<i64>, bool)> {
    let start = Instant::now();
    while start.elapsed() < RECOVERY_MAX {
        match hand.act(deed)? {
            Reply::Done { id, replayed } => return Ok((id, replayed)),
            Reply::Refused => thread::sleep(RETRY_PAUSE),
        }
    }
    let seconds = RECOVERY_MAX.as_secs();
    Err(io::Error::other(format!("writes are still refused {seconds} s after the blow")))
}

/// The names of the audit's checks that fail, once the server can audit.
fn audit(server: &Addresses) -> io::Result<Vec<String>> {
    let mut operator = HttpConnection::open(server.admin, super::deed::ANSWER_TIMEOUT)?;
    let start = Instant::now();
    while operator.get("/audit")?.status == 503 && start.elapsed() < RECOVERY_MAX {
        thread::sleep(RETRY_PAUSE);
    }
    let answer = operator.get("/audit")?;
    let report: Value = serde_json::from_slice(answer.body)
        .map_err(|_| super::deed::wrong("GET /audit", &answer))?;
    let checks = report["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let failed = checks.iter().filter(|check| check["ok"] != true);
    Ok(failed.map(|check| check["name"].to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A server with a flaw: what it does with the numbers of the keys that it is sent.
    struct Flawed {
        known: Mutex<BTreeMap<String, i64>>,
        balance: Mutex<i64>,
        forgets: bool,
        doubles: bool,
    }

    impl Flawed {
        fn new(forgets: bool, doubles: bool) -> &'static Self {
            let (known, balance) = (Mutex::default(), Mutex::default());
            Box::leak(Box::new(Self { known, balance, forgets, doubles }))
        }
    }

    impl Domain for &'static Flawed {
        fn name(&self) -> &'static str {
            "flawed"
        }

        fn prepare(&self, _: &Addresses) -> io::Result<bool> {
            Ok(true)
        }

        fn connect(&self, _: &Addresses) -> io::Result<Box<dyn Hand>> {
            Ok(Box::new(*self))
        }

        fn accounts(&self) -> u32 {
            1
        }

        fn amount_max(&self) -> i64 {
            9
        }
    }

    impl Hand for &'static Flawed {
        fn act(&mut self, deed: &Deed) -> io::Result<Reply> {
            let mut known = self.known.lock().expect("no panic");
            let mut balance = self.balance.lock().expect("no panic");
            if let Some(id) = known.get(&deed.key) {
                *balance += if self.doubles { deed.amount } else { 0 };
                return Ok(Reply::Done { id: Some(*id), replayed: true });
            }
            *balance += deed.amount;
            let id = i64::try_from(known.len()).expect("few");
            if !self.forgets {
                known.insert(deed.key.clone(), id);
            }
            Ok(Reply::Done { id: Some(id), replayed: false })
        }

        fn balance(&mut self, _: u32) -> io::Result<i64> {
            Ok(*self.balance.lock().expect("no panic"))
        }
    }

    /// One acknowledged write of 5, one without an answer of 2; then everything again.
    fn tally(server: &'static Flawed) -> Tally {
        let deed = |key: &str, amount| Deed { account: 1, amount, key: key.to_owned() };
        let (first, second) = (deed("first", 5), deed("second", 2));
        let mut hand = server;
        let Ok(Reply::Done { id, .. }) = hand.act(&first) else { panic!("it takes everything") };
        let attempts = vec![Attempt::acknowledged(first, id), Attempt::open(second)];
        let domain = Box::new(server);
        let (asked, tally) = (BTreeMap::new(), Tally::default());
        let mut team = Team { domain, asked, attempts, tally };
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let nowhere = Addresses { http: nowhere, tlv: nowhere, admin: nowhere };
        team.verify(&[nowhere]).expect("it answers");
        team.tally
    }

    #[test]
    fn a_server_that_keeps_its_word_has_a_clean_tally() {
        let expected = Tally { acknowledged: 1, open: 1, ..Tally::default() };
        assert_eq!(tally(Flawed::new(false, false)), expected);
    }

    #[test]
    fn what_is_forgotten_is_lost_and_counts_twice() {
        let expected = Tally { acknowledged: 1, open: 1, lost: 1, doubled: 5, drift: 0 };
        assert_eq!(tally(Flawed::new(true, false)), expected);
    }

    #[test]
    fn a_repetition_that_counts_again_is_seen() {
        let expected = Tally { acknowledged: 1, open: 1, doubled: 5, ..Tally::default() };
        assert_eq!(tally(Flawed::new(false, true)), expected);
    }
}
