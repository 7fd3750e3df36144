//! A rain over three real processes, snatched by many users while anything happens; then every
//! promise is looked up, past the processes.

use crate::client::{Client, Reply};
use crate::cluster_rig::Processes;
use crate::redis_server::{wait_for, wait_for_more, wait_to_reach};
use fanfare::packet::proof::Proof;
use mongodb::bson::Document;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Threads that stand for the users.
const CLIENTS: i64 = 6;

/// Packets for one user.
const MAX_PER_USER: i64 = 3;

const FAR: i64 = 4_000_000_000;

/// One rain.
pub(crate) struct Rainfall<'a> {
    pub(crate) processes: &'a Processes,
    pub(crate) id: i64,
    pub(crate) users: i64,
    pub(crate) packets: i64,
    pub(crate) win_ppm: i64,
}

/// What users were promised.
#[derive(Default)]
pub(crate) struct Promised {
    /// User and key of each packet.
    got: Mutex<BTreeMap<i64, (i64, String)>>,
    /// What was in those that were opened.
    opened: Mutex<BTreeMap<i64, i64>>,
    count: AtomicUsize,
    busy: AtomicUsize,
    is_empty: AtomicBool,
}

/// The connection that a client has to any of the processes.
struct Anywhere<'a> {
    processes: &'a Processes,
    next: usize,
    open: Option<Client>,
}

impl Promised {
    /// Until so many more packets were got, or none are left; in vain when nobody gets any for long.
    pub(crate) fn wait_more(&self, packets: usize) {
        wait_for_more("more packets to be got", packets, || {
            let is_empty = self.is_empty.load(Ordering::Relaxed);
            if is_empty { usize::MAX } else { self.count.load(Ordering::Relaxed) }
        });
    }

    fn got(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, (i64, String)>> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, i64>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Anywhere<'a> {
    fn of(processes: &'a Processes, client: i64) -> Self {
        Self { processes, next: usize::try_from(client).expect("few"), open: None }
    }

    /// Whatever any process answers that lives.
    fn post(&mut self, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        loop {
            if self.open.is_none() {
                let addresses = self.processes.addresses();
                self.next += 1;
                let address = addresses[self.next % addresses.len()].0;
                self.open = Client::try_connect(address).ok();
            }
            let reply =
                self.open.as_mut().map(|client| client.try_request("POST", target, headers, body));
            match reply {
                Some(Ok(reply)) => {
                    // Another one next time.
                    if self.next.is_multiple_of(3) {
                        self.open = None;
                    }
                    return reply;
                }
                _ => self.open = None,
            }
        }
    }
}

impl Rainfall<'_> {
    /// Lets it rain with `fault` in its midst, to the last packet; then checks everything.
    #[track_caller]
    pub(crate) fn fall(&self, what: &str, fault: impl FnOnce(&Promised)) {
        let promised = Promised::default();
        self.begin();
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let promised = &promised;
                scope.spawn(move || self.snatch_and_open(client, promised));
            }
            promised.wait_more(usize::try_from(self.packets / 5).expect("few"));
            fault(&promised);
        });
        self.processes.wait_ready();
        // What a lost answer left in the outbox is finished by whichever process sees it.
        let packets = usize::try_from(self.packets).expect("few");
        wait_to_reach("every packet to be written down", packets, || self.packets().len());
        self.open_all(&promised);
        self.check(what, &promised);
        self.end_and_prove(what);
        let (got, busy) = (promised.got().len(), promised.busy.load(Ordering::Relaxed));
        eprintln!("{what}: {got} answered with a packet, {busy} told to try again");
    }

    fn begin(&self) {
        let amount = self.packets * 100;
        let terms = json!({
            "id": self.id, "total_amount_fen": amount, "total_count": self.packets, "min_fen": 1,
            "max_fen": 1_000, "win_ppm": self.win_ppm, "max_per_user": MAX_PER_USER, "starts_at": 0,
            "ends_at": FAR, "reason": "a test"
        });
        let key = format!("begin-{}", self.id);
        self.operate("POST", "/rain", &key, &terms);
    }

    /// What an operator does until it is done.
    fn operate(&self, method: &str, target: &str, key: &str, body: &Value) {
        wait_for("an operator's call to be done", || {
            let admin = self.processes.addresses()[0].1;
            let headers = [("Idempotency-Key", key)];
            let reply = Client::connect(admin).request(method, target, &headers, &body.to_string());
            assert!([200, 503].contains(&reply.status), "{reply:?}");
            reply.status == 200
        });
    }

    /// A part of the users, one snatch after the other, each until its outcome is known.
    fn snatch_and_open(&self, client: i64, promised: &Promised) {
        let mut anywhere = Anywhere::of(self.processes, client);
        let mut round = 0;
        while !promised.is_empty.load(Ordering::Relaxed) {
            round += 1;
            let own = (1..=self.users).filter(|uid| uid % CLIENTS == client);
            for uid in own {
                let key = format!("{}-{round}", self.id);
                match Self::snatch(&mut anywhere, uid, &key, promised) {
                    6 => return promised.is_empty.store(true, Ordering::Relaxed),
                    0 if uid % 2 == 0 => Self::open_newest(&mut anywhere, uid, promised),
                    _ => {}
                }
            }
        }
    }

    fn snatch(anywhere: &mut Anywhere<'_>, uid: i64, key: &str, promised: &Promised) -> i64 {
        loop {
            let headers = [("Idempotency-Key", key)];
            let reply = anywhere.post("/snatch", &headers, &format!("uid={uid}"));
            let answer = reply.json();
            let code = answer["code"].as_i64().expect("a code");
            match (reply.status, code) {
                (503, _) | (200, 2) => {
                    assert!(reply.header("Retry-After").is_some(), "{reply:?}");
                    promised.busy.fetch_add(1, Ordering::Relaxed);
                    // In more of a hurry than it was told to be.
                    thread::sleep(Duration::from_millis(20));
                    anywhere.open = None;
                }
                (200, 0) => {
                    let envelope = answer["data"]["envelope_id"].as_i64().expect("an id");
                    let count = answer["data"]["cur_count"].as_i64().expect("a count");
                    assert!((1..=MAX_PER_USER).contains(&count), "{answer}");
                    let before = promised.got().insert(envelope, (uid, key.to_owned()));
                    assert_eq!(before, None, "envelope {envelope} was promised twice");
                    promised.count.fetch_add(1, Ordering::Relaxed);
                    return 0;
                }
                (200, 3 | 4 | 6) => return code,
                _ => panic!("{reply:?}"),
            }
        }
    }

    fn open_newest(anywhere: &mut Anywhere<'_>, uid: i64, promised: &Promised) {
        let newest = promised
            .got()
            .iter()
            .rev()
            .find(|(_, (owner, _))| *owner == uid)
            .map(|(envelope, _)| *envelope);
        if let Some(envelope) = newest {
            Self::open(anywhere, uid, envelope, promised);
        }
    }

    /// Until it is opened; whoever opens it again is told the same.
    fn open(anywhere: &mut Anywhere<'_>, uid: i64, envelope: i64, promised: &Promised) {
        let body = json!({ "uid": uid, "envelope_id": envelope }).to_string();
        loop {
            let reply = anywhere.post("/open", &[], &body);
            if reply.status == 503 {
                anywhere.open = None;
                continue;
            }
            let answer = reply.json();
            assert_eq!((reply.status, &answer["code"]), (200, &json!(0)), "{envelope}: {answer}");
            let value = answer["data"]["value"].as_i64().expect("a value");
            let before = promised.opened().insert(envelope, value);
            assert!(before.is_none_or(|before| before == value), "{envelope}: {before:?} {value}");
            return;
        }
    }

    /// Everything that wallets show, also what a lost answer kept from its user.
    fn open_all(&self, promised: &Promised) {
        let owners = self.owners();
        let open_some = |client: i64| {
            let mut anywhere = Anywhere::of(self.processes, client);
            for &uid in owners.iter().filter(|uid| *uid % CLIENTS == client) {
                for (envelope, _) in wallet(&mut anywhere, uid).1 {
                    Self::open(&mut anywhere, uid, envelope, promised);
                }
            }
        };
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let open_some = &open_some;
                scope.spawn(move || open_some(client));
            }
        });
    }

    #[track_caller]
    fn check(&self, what: &str, promised: &Promised) {
        let packets = self.packets();
        let fen: i64 = packets.iter().map(|found| number(found, "value_fen")).sum();
        assert_eq!(packets.len(), usize::try_from(self.packets).expect("few"), "{what}: packets");
        assert_eq!(fen, self.packets * 100, "{what}: the budget");
        let draws: BTreeSet<i64> = packets.iter().map(|found| number(found, "draw")).collect();
        assert_eq!(draws.len(), packets.len(), "{what}: a draw won twice");
        let mut users: BTreeMap<i64, i64> = BTreeMap::new();
        let mut by_envelope = BTreeMap::new();
        for found in &packets {
            *users.entry(number(found, "uid")).or_default() += 1;
            by_envelope.insert(number(found, "_id"), number(found, "uid"));
            assert!(found.contains_key("opened_us"), "{what}: {found} was not opened");
        }
        for (envelope, (uid, key)) in promised.got().iter() {
            let owner = by_envelope.get(envelope);
            assert_eq!(owner, Some(uid), "{what}: {envelope} of {key} is not as promised");
        }
        let most = users.values().max();
        assert!(most <= Some(&MAX_PER_USER), "{what}: {most:?} packets of one user");
        self.check_wallets(what);
    }

    /// The documents of this rain's packets, past the processes.
    fn packets(&self) -> Vec<Document> {
        let heads = self.processes.documents("rains");
        let head = heads.iter().find(|head| number(head, "id") == self.id).expect("the rain");
        let rain = number(head, "_id");
        let all = self.processes.documents("rains.packets").into_iter();
        all.filter(|found| found.get_i64("rain") == Ok(rain)).collect()
    }

    /// Who has a packet of this rain.
    fn owners(&self) -> BTreeSet<i64> {
        self.packets().iter().map(|found| number(found, "uid")).collect()
    }

    /// Every process shows users all that was ever opened, and others nothing.
    fn check_wallets(&self, what: &str) {
        let documents = self.processes.documents("rains.packets");
        let mut amounts: BTreeMap<i64, i64> = BTreeMap::new();
        for found in documents.iter().filter(|found| found.contains_key("opened_us")) {
            *amounts.entry(number(found, "uid")).or_default() += number(found, "value_fen");
        }
        // A few hundred of all, of however many, beside every seventh of the owners.
        let step = usize::try_from(self.users / 300).expect("few").max(7);
        let some = (1..=self.users).step_by(step);
        let asked: BTreeSet<i64> = self.owners().into_iter().step_by(7).chain(some).collect();
        for (http, admin) in self.processes.addresses() {
            let mut client = Client::connect(http);
            for &uid in &asked {
                let shown = client.post("/get_wallet_list", &format!("uid={uid}")).json();
                let amount = amounts.get(&uid).copied().unwrap_or(0);
                assert_eq!(shown["data"]["amount"], json!(amount), "{what}: the wallet of {uid}");
            }
            let audit = Client::connect(admin).get("/audit").json();
            let ours = audit["checks"].as_array().expect("checks").iter();
            let ours = ours.filter(|check| {
                check["name"].as_str().is_some_and(|name| name.starts_with("packet"))
            });
            assert!(
                ours.clone().count() >= 3 && ours.clone().all(|check| check["ok"] == true),
                "{audit}"
            );
        }
    }

    /// Its seed shows that it was fair, whoever is asked.
    fn end_and_prove(&self, what: &str) {
        let early = Client::connect(self.processes.addresses()[1].0).get("/rain/proof");
        assert_eq!(early.status, 403, "{what}: the seed is secret");
        let key = format!("end-{}", self.id);
        self.operate("PATCH", "/rain/config", &key, &json!({ "ends_at": 0, "reason": "over" }));
        for (http, _) in self.processes.addresses() {
            let mut answer = Value::Null;
            wait_for("the proof", || {
                let reply = Client::connect(http).get("/rain/proof");
                answer = reply.json();
                reply.status == 200
            });
            let proof: Proof = serde_json::from_value(answer["data"].take()).expect("a proof");
            let shown = proof.verify().unwrap_or_else(|flaw| panic!("{what}: {flaw}"));
            assert_eq!(shown.handed_out.count, self.packets, "{what}: {shown:?}");
        }
    }
}

/// What a user has opened, and the packets: what was in them.
fn wallet(anywhere: &mut Anywhere<'_>, uid: i64) -> (i64, Vec<(i64, Option<i64>)>) {
    loop {
        let reply = anywhere.post("/get_wallet_list", &[], &format!("uid={uid}"));
        if reply.status == 503 {
            anywhere.open = None;
            continue;
        }
        let data = reply.json()["data"].clone();
        let list = data["envelope_list"].as_array().expect("a list").iter();
        let list =
            list.map(|one| (one["envelope_id"].as_i64().expect("an id"), one["value"].as_i64()));
        return (data["amount"].as_i64().expect("an amount"), list.collect());
    }
}

pub(crate) fn snatch_once(http: SocketAddr, uid: i64) -> Reply {
    Client::connect(http).post("/snatch", &format!("uid={uid}"))
}

fn number(found: &Document, field: &str) -> i64 {
    found.get_i64(field).unwrap_or_else(|_| panic!("{field} of {found}"))
}
