//! Topics: who follows hears of changes, the latest state wins.

use crate::net_harness::{Client, Server, Settings, wait_until};
use fanfare::session::{Event, Signal, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SIGNAL: Signal = Signal(3);

/// A number that tests raise; padded, so that slow readers have something to be slow with.
#[derive(Default)]
struct Number {
    version: AtomicU64,
    padding: usize,
    looks: AtomicUsize,
}

impl Topic for Number {
    fn signal(&self) -> Signal {
        SIGNAL
    }

    fn event(&self) -> Event {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let version = self.version.load(Ordering::SeqCst);
        let line = format!("{version}{}\n", " ".repeat(self.padding));
        Event { version, bytes: line.into_bytes().into() }
    }
}

fn start(padding: usize) -> (Server, Arc<Number>) {
    let number = Arc::new(Number { padding, ..Number::default() });
    let topic: Arc<dyn Topic> = Arc::clone(&number) as _;
    (Server::start(Settings { topic: Some(topic), ..Settings::default() }), number)
}

fn raise(server: &Server, number: &Number, version: u64) {
    number.version.store(version, Ordering::SeqCst);
    server.notifier.announce(SIGNAL);
}

/// Reads events until `version` comes; none may go back, none may come twice.
fn read_until(client: &mut Client, version: u64) -> usize {
    let (mut last, mut count) = (0, 0);
    while last < version {
        let next: u64 = client.line().trim().parse().expect("a number");
        assert!(next > last, "{next} after {last}");
        (last, count) = (next, count + 1);
    }
    assert_eq!(last, version);
    count
}

#[test]
fn the_latest_state_reaches_every_follower() {
    let (server, number) = start(0);
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("follow\nfollow\n"), "following");
        assert_eq!(client.line(), "following");
    }
    for version in 1..=5_000 {
        raise(&server, &number, version);
    }
    for client in &mut clients {
        read_until(client, 5_000);
    }
    // All in between was conflated: the loop did not look 5,000 times.
    assert!(number.looks.load(Ordering::Relaxed) < 2_500);
}

#[test]
fn a_change_that_nobody_announced_is_found_by_the_clock() {
    let (server, number) = start(0);
    let mut client = server.connect();
    assert_eq!(client.ask("follow\n"), "following");
    number.version.store(7, Ordering::SeqCst);
    read_until(&mut client, 7);
}

#[test]
fn a_reader_that_does_not_read_gets_the_latest_state_later_and_delays_nobody() {
    let (server, number) = start(4 << 20);
    let mut slow = server.connect();
    assert_eq!(slow.ask("follow\n"), "following");
    let mut quick = server.connect();
    assert_eq!(quick.ask("follow\n"), "following");
    for version in 1..=6 {
        raise(&server, &number, version);
        read_until_one(&mut quick, version);
    }
    // What was under way, and then the newest: not all six.
    assert!(read_until(&mut slow, 6) < 6);
}

fn read_until_one(client: &mut Client, version: u64) {
    assert_eq!(client.line().trim().parse(), Ok(version));
}

#[test]
fn a_topic_without_followers_is_dropped() {
    let (server, number) = start(0);
    for round in 1..=3 {
        let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.ask("follow\n"), "following");
        }
        assert!(Arc::strong_count(&number) > 2);
        raise(&server, &number, round);
        read_until(&mut clients[99], round);
        clients.truncate(1);
        wait_until("one is left", || server.stats.open.get() == 1);
        raise(&server, &number, round * 10);
        read_until(&mut clients[0], round * 10);
        number.version.store(0, Ordering::SeqCst);
        drop(clients);
        wait_until("all are gone", || server.stats.open.get() == 0);
    }
    drop(server);
    assert_eq!(Arc::strong_count(&number), 1);
}

#[test]
fn thousands_of_followers_hear_of_it_while_others_are_served() {
    let (server, number) = start(0);
    let mut clients: Vec<_> = (0..2_000).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("follow\n"), "following");
    }
    let mut visitor = server.connect();
    for version in 1..=20 {
        raise(&server, &number, version);
        assert_eq!(visitor.ask("echo served\n"), "served");
    }
    for client in &mut clients {
        read_until(client, 20);
    }
}
