//! What users were told against their wallets, the rain's own count, and the operator's audit.

use super::ANSWER_TIMEOUT;
use super::visitor::{Grant, Tally, wallet};
use super::words::{self, Envelope, Rain};
use crate::cli::RainLoad;
use crate::client::http::HttpConnection;
use crate::load::verdict::Check;
use crate::progress;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Wallets read at the same time.
const READERS: usize = 16;

/// A first audit reads the whole journal.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(600);

/// What was opened is worth so much; all packets.
type Wallet = (i64, Vec<Envelope>);

/// By user.
type Wallets = BTreeMap<i64, Wallet>;

/// All checks; an error says that one could not be made at all.
pub(super) fn checks(
    options: &RainLoad,
    before: &Rain,
    tally: &Tally,
) -> Result<Vec<Check>, Box<dyn Error>> {
    let mut connection = HttpConnection::open(options.addr, ANSWER_TIMEOUT)?;
    let after = words::rain(&mut connection)?;
    let users = tally.grants.iter().map(|grant| grant.uid).chain(tally.unknown.iter().copied());
    let users: BTreeSet<i64> = users.collect();
    let wallets = read_wallets(options.addr, &users.into_iter().collect::<Vec<_>>())?;
    let mut checks = wallet_checks(tally, &wallets);
    checks.extend(rain_checks(options.shared, before, &after, tally));
    checks.extend(per_user_check(after.max_per_user, &wallets));
    checks.push(audit_check(options));
    Ok(checks)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What users were told is what their wallets say.
fn wallet_checks(tally: &Tally, wallets: &Wallets) -> Vec<Check> {
    let lacking = tally.grants.iter().filter(|grant| !shows(wallets, grant)).count();
    let opened: i64 = tally.grants.iter().filter_map(|grant| grant.value_fen).sum();
    let amounts: i64 = wallets.values().map(|(amount, _)| *amount).sum();
    let packets: usize = wallets.values().map(|(_, packets)| packets.len()).sum();
    let sums_differ = wallets.values().filter(|(amount, packets)| {
        *amount != packets.iter().filter_map(|packet| packet.value).sum::<i64>()
    });
    let unknown = number(tally.unknown.len());
    let told = number(tally.grants.len());
    let found = number(packets);
    let mut checks = vec![
        Check::equal("packets that their wallets lack or show otherwise", number(lacking), 0),
        Check::equal(
            "wallets whose amount is not their packets' sum",
            number(sums_differ.count()),
            0,
        ),
        Check::new(
            "packets told = in the wallets",
            told.to_string(),
            found.to_string(),
            (told..=told + unknown).contains(&found),
        ),
        Check::equal("wrong answers seen at once", number(tally.complaints.len()), 0),
    ];
    // An opening without an answer may have paid; then only the wallets know.
    checks.push(if tally.unknown_opens == 0 {
        Check::equal("opened, as told = as in the wallets (fen)", opened, amounts)
    } else {
        Check::at_most("opened, as told <= as in the wallets (fen)", opened, amounts)
    });
    for complaint in tally.complaints.iter().take(1) {
        checks.push(Check::new("first wrong answer", complaint.clone(), String::new(), false));
    }
    checks
}

/// Does the wallet show the packet as its owner was told?
fn shows(wallets: &Wallets, grant: &Grant) -> bool {
    let Some((_, packets)) = wallets.get(&grant.uid) else { return false };
    let packet = packets.iter().find(|packet| packet.id == grant.envelope_id);
    packet.is_some_and(|packet| {
        let as_told = grant.value_fen.is_none() || packet.value == grant.value_fen;
        as_told && packet.opened == packet.value.is_some()
    })
}

/// What the rain handed out is what our users got, unless others snatch too.
fn rain_checks(shared: bool, before: &Rain, after: &Rain, tally: &Tally) -> Vec<Check> {
    if after.id != before.id {
        return vec![Check::equal("the rain is the same", before.id, after.id)];
    }
    let told = number(tally.grants.len());
    // A budget that is adjusted meanwhile moves the total too.
    let handed_out = |rain: &Rain| rain.total_count - rain.left_count;
    let granted = handed_out(after) - handed_out(before);
    let most = if shared { i64::MAX } else { told + number(tally.unknown.len()) };
    let right = (told..=most).contains(&granted);
    let (told, granted) = (told.to_string(), granted.to_string());
    vec![Check::new("packets told = handed out by the rain", told, granted, right)]
}

fn per_user_check(max_per_user: i64, wallets: &Wallets) -> Vec<Check> {
    let most = wallets.values().map(|(_, packets)| packets.len()).max().unwrap_or(0);
    vec![Check::at_most("most packets of one user <= allowed", number(most), max_per_user)]
}

fn read_wallets(address: SocketAddr, users: &[i64]) -> Result<Wallets, Box<dyn Error>> {
    let bar = progress::items("reading wallets", users.len() as u64);
    let next = AtomicUsize::new(0);
    let read = || -> io::Result<Vec<(i64, Wallet)>> {
        let mut connection = HttpConnection::open(address, ANSWER_TIMEOUT)?;
        let mut wallets = Vec::new();
        while let Some(uid) = users.get(next.fetch_add(1, Ordering::Relaxed)) {
            wallets.push((*uid, wallet(&mut connection, *uid)?));
            bar.inc(1);
        }
        Ok(wallets)
    };
    let wallets = thread::scope(|scope| {
        let threads: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        let mut all = Wallets::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a reader of wallets panicked")??);
        }
        Ok::<_, Box<dyn Error>>(all)
    });
    bar.finish_and_clear();
    wallets
}

/// The operator's own audit, where it can be had.
fn audit_check(options: &RainLoad) -> Check {
    const NAME: &str = "the operator's audit";
    let loopback = options.addr.ip().is_loopback();
    let address = match options.admin {
        Some(address) => address,
        None if loopback => SocketAddr::from(([127, 0, 0, 1], 9464)),
        None => return Check::skipped(NAME, "no --admin was given".to_owned()),
    };
    match audit(address) {
        Ok(report) => {
            let failed = report["checks"].as_array().into_iter().flatten();
            let failed: Vec<&str> = failed
                .filter(|check| check["ok"] != true)
                .filter_map(|check| check["name"].as_str())
                .collect();
            let seen = if failed.is_empty() { "ok".to_owned() } else { failed.join(", ") };
            Check::new(NAME, address.to_string(), seen, report["ok"] == true)
        }
        // Asked for by name, it has to be there.
        Err(error) if options.admin.is_some() => {
            Check::new(NAME, address.to_string(), error.to_string(), false)
        }
        Err(error) => Check::skipped(NAME, format!("{address}: {error}")),
    }
}

fn audit(address: SocketAddr) -> io::Result<Value> {
    let mut connection = HttpConnection::open(address, AUDIT_TIMEOUT)?;
    let answer = connection.get("/audit")?;
    if answer.status != 200 {
        return Err(io::Error::other(format!("GET /audit answered {}", answer.status)));
    }
    serde_json::from_slice(answer.body).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(uid: i64, envelope_id: i64, value_fen: Option<i64>) -> Grant {
        Grant { uid, envelope_id, value_fen }
    }

    fn envelope(id: i64, value: Option<i64>) -> Envelope {
        Envelope { id, value, opened: value.is_some() }
    }

    fn failed(tally: &Tally, wallets: &Wallets) -> usize {
        wallet_checks(tally, wallets).iter().filter(|check| !check.passed()).count()
    }

    #[test]
    fn what_was_told_must_be_in_the_wallets() {
        let grants = vec![grant(1, 10, Some(50)), grant(1, 11, None), grant(2, 12, Some(7))];
        let mut tally = Tally { grants, ..Tally::default() };
        let right: Wallets = [
            (1, (50, vec![envelope(11, None), envelope(10, Some(50))])),
            (2, (7, vec![envelope(12, Some(7))])),
        ]
        .into();
        assert_eq!(failed(&tally, &right), 0);
        let mut lost = right.clone();
        lost.insert(2, (0, vec![]));
        assert_eq!(failed(&tally, &lost), 3, "the packet, the count and the sum");
        let mut other_value = right.clone();
        other_value.insert(2, (8, vec![envelope(12, Some(8))]));
        assert_eq!(failed(&tally, &other_value), 2, "the packet and the sum");
        let mut doubled = right.clone();
        doubled.insert(2, (14, vec![envelope(12, Some(7)), envelope(13, Some(7))]));
        assert_eq!(failed(&tally, &doubled), 2, "the count and the sum");
        tally.unknown.push(2);
        tally.unknown_opens = 1;
        assert_eq!(failed(&tally, &doubled), 0, "the answer that was lost may be the second");
    }

    #[test]
    fn the_rain_must_have_handed_out_what_users_got() {
        let rain = |left_count| Rain { id: 3, total_count: 100, left_count, ..Rain::default() };
        let grants = vec![grant(1, 10, None), grant(2, 11, None)];
        let tally = Tally { grants, ..Tally::default() };
        let check = |shared, left| {
            rain_checks(shared, &rain(90), &rain(left), &tally).iter().all(Check::passed)
        };
        assert!(check(false, 88));
        assert!(!check(false, 87), "one was burnt");
        assert!(!check(false, 89), "one was never counted");
        assert!(check(true, 80), "others snatch too");
        assert!(!check(true, 89));
    }
}
