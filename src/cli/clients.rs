//! What the commands are told that talk to a server from outside.

use clap::{Args as ClapArgs, Subcommand};
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A visit to a server.
#[derive(Clone, Debug)]
pub enum Client {
    /// `fanfare trade`.
    Trade(TradeOptions),
    /// `fanfare load`.
    Load(Load),
    /// `fanfare torture`.
    Torture(TortureOptions),
}

/// Which load.
#[derive(Clone, Debug, Subcommand)]
pub enum Load {
    /// Red packets: random users snatch, open and list; at the end everything has to add up.
    Rain(RainLoad),
    /// Trading room: response and push times by the number of clients; or the scenarios.
    Trade(TradeLoad),
}

/// The trading room at a terminal.
#[derive(Clone, Debug, ClapArgs)]
pub struct TradeOptions {
    /// Where the trading room listens (tlv.listen).
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8999", value_parser = address)]
    pub addr: SocketAddr,
    /// Log in as this customer: twelve digits.
    #[arg(long, default_value = "000000000001", value_parser = customer_id)]
    pub customer: String,
}

/// A load on the red packets.
#[derive(Clone, Debug, ClapArgs)]
pub struct RainLoad {
    /// Where the server listens for HTTP (http.listen).
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    pub addr: SocketAddr,
    /// The operator's listener, for its audit at the end [default: 127.0.0.1:9464 where it answers,
    /// if the server is on this machine].
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub admin: Option<SocketAddr>,
    /// Users that are drawn at random.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub users: u32,
    /// Connections, each with one call under way.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub connections: u32,
    /// How long.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = time)]
    pub duration: Duration,
    /// The lowest user id [default: one by the clock, so that every run has users of its own].
    #[arg(long, value_name = "UID", value_parser = clap::value_parser!(i64).range(1..=1 << 53))]
    pub first_user: Option<i64>,
    /// Others snatch at the same time: the rain may hand out more than this run got.
    #[arg(long)]
    pub shared: bool,
}

/// A load on the trading room.
#[derive(Clone, Debug, ClapArgs)]
pub struct TradeLoad {
    /// Where the trading room listens (tlv.listen).
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8999", value_parser = address)]
    pub addr: SocketAddr,
    /// Instead of a load, ten clients go through the five scenarios and check every push.
    #[arg(long)]
    pub scenario: bool,
    /// Numbers of clients, one step each.
    #[arg(
        long, value_delimiter = ',', default_values_t = [1, 10, 50, 100, 1_000],
        value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "scenario"
    )]
    pub clients: Vec<u32>,
    /// Between two deeds of a client: a random time within this range.
    #[arg(
        long, value_name = "TIME..TIME", default_value = "1s..2s", value_parser = times,
        conflicts_with = "scenario"
    )]
    pub interval: RangeInclusive<Duration>,
    /// Trades pushed to each client per second, 0 to 1000. The first of several goes with all
    /// numbers of clients, then each of them with --push-clients.
    #[arg(
        long = "push-rate", value_name = "RATE", value_delimiter = ',', default_value = "1",
        value_parser = rate, conflicts_with = "scenario"
    )]
    pub push_rates: Vec<f64>,
    /// Clients of the steps by push rate.
    #[arg(
        long, value_name = "CLIENTS", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "scenario"
    )]
    pub push_clients: u32,
    /// How long each step takes.
    #[arg(
        long = "for", value_name = "TIME", default_value = "60s", value_parser = time,
        conflicts_with = "scenario"
    )]
    pub duration: Duration,
    /// Write trade-clients.svg and trade-pushes.svg into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "scenario")]
    pub charts: Option<PathBuf>,
}

/// What becomes of writes when everything goes wrong.
#[derive(Clone, Debug, ClapArgs)]
pub struct TortureOptions {
    /// How long; the round that is under way is finished.
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = time)]
    pub duration: Duration,
    /// Work in this folder, which must not exist [default: a temporary one]. It is kept when
    /// something broke.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Torture three processes of its own on the servers of the cluster that this file describes,
    /// instead of a server of its own. Needs --write-to-the-cluster.
    #[arg(long, value_name = "FILE", requires = "write_to_the_cluster", conflicts_with = "dir")]
    pub config: Option<PathBuf>,
    /// Gifts and counts may be written to the cluster's database, where they stay: anchors beyond 2^62,
    /// and counters whose names begin with torture. What the cluster keeps in Redis may be taken away,
    /// and Redis stopped for some seconds.
    #[arg(long, requires = "config")]
    pub write_to_the_cluster: bool,
    /// Choose accounts, amounts, pauses and torn sectors as a run that printed this seed did.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// A time above 0, such as `30s`.
fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("expected a time above 0".to_owned()) } else { Ok(time) }
}

/// Two times, such as `1s..2s`.
fn times(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let (from, to) = text.split_once("..").ok_or("expected two times, such as 1s..2s")?;
    let (from, to) = (time(from)?, time(to)?);
    if from <= to { Ok(from..=to) } else { Err("expected the shorter time first".to_owned()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.0..=1_000.0).contains(rate));
    rate.ok_or_else(|| "expected a number from 0 to 1000".to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

/// A customer number of the trading room.
pub fn customer_id(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("a customer is twelve digits".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_time_and_rates_are_read() {
        let second = Duration::from_secs(1);
        assert_eq!(times("1s..2s"), Ok(second..=second * 2));
        assert_eq!(times("500ms..500ms"), Ok(second / 2..=second / 2));
        for wrong in ["1s", "2s..1s", "0s..1s", "..", "a..b"] {
            assert!(times(wrong).is_err(), "{wrong}");
        }
        assert_eq!(rate("0.5"), Ok(0.5));
        for wrong in ["-1", "1001", "NaN", "inf", "x"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
