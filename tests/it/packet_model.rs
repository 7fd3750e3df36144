//! Rains as plainly as they can be told: lists, searched from the start each time.

use crate::packet_suite::check_expected;
use fanfare::packet::proof::Proof;
use fanfare::packet::{Change, Managed, Opened, Refusal, Snatched, State, Terms};
use std::collections::{BTreeMap, BTreeSet};

/// What a snatch may be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Refused(Refusal),
    Unlucky,
    /// A packet, the user's so-and-so-manieth.
    Got(i64),
    /// A packet, or bad luck.
    Either(i64),
}

/// A packet that somebody got.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) envelope_id: i64,
    pub(crate) uid: i64,
    rain: i64,
    draw: i64,
    key: Option<u8>,
    value_fen: Option<i64>,
    /// What nobody opened in time.
    is_returned: bool,
}

#[derive(Debug)]
struct Rain {
    id: i64,
    terms: Terms,
    /// When its end was noted.
    noted_s: Option<i64>,
    is_returned: bool,
}

/// All that ever happened.
#[derive(Debug, Default)]
pub(crate) struct Model {
    rains: Vec<Rain>,
    pub(crate) packets: Vec<Packet>,
    /// Every draw that anybody was told of: its rain, and its number.
    draws: BTreeSet<(i64, i64)>,
    /// Of openings: user and key, and the packet.
    opened_keys: BTreeMap<(i64, u8), i64>,
}

impl Rain {
    fn state(&self, now_s: i64) -> State {
        if self.noted_s.is_some() || now_s >= self.terms.ends_at {
            State::Ended
        } else if now_s < self.terms.starts_at {
            State::Scheduled
        } else if self.terms.paused {
            State::Paused
        } else {
            State::Running
        }
    }
}

impl Model {
    fn handed(&self, rain: i64) -> i64 {
        count(self.packets.iter().filter(|packet| packet.rain == rain))
    }

    fn of_user(&self, rain: i64, uid: i64) -> i64 {
        let is_one = |packet: &&Packet| packet.rain == rain && packet.uid == uid;
        count(self.packets.iter().filter(is_one))
    }

    fn expect_snatch(&self, uid: i64, now_s: i64) -> Expected {
        let Some(rain) = self.rains.last() else { return Expected::Refused(Refusal::NotStarted) };
        let terms = &rain.terms;
        let got = self.of_user(rain.id, uid);
        match rain.state(now_s) {
            State::Scheduled => Expected::Refused(Refusal::NotStarted),
            State::Ended => Expected::Refused(Refusal::Ended),
            State::Paused => Expected::Refused(Refusal::Paused),
            State::Running if got >= terms.max_per_user => Expected::Refused(Refusal::NoSnatches),
            State::Running if self.handed(rain.id) >= terms.total_count => {
                Expected::Refused(Refusal::NoPackets)
            }
            State::Running if terms.win_ppm == 0 => Expected::Unlucky,
            State::Running if terms.win_ppm == 1_000_000 => Expected::Got(got + 1),
            State::Running => Expected::Either(got + 1),
        }
    }

    #[track_caller]
    pub(crate) fn check_snatch(
        &mut self,
        uid: i64,
        key: Option<u8>,
        now_s: i64,
        snatched: Snatched,
    ) {
        let earlier = key.and_then(|key| {
            self.packets.iter().find(|packet| packet.uid == uid && packet.key == Some(key))
        });
        if let Some(packet) = earlier {
            let rain = self.rains.iter().find(|rain| rain.id == packet.rain).expect("its rain");
            let again = Snatched::Got {
                envelope_id: packet.envelope_id,
                draw: packet.draw,
                max_count: rain.terms.max_per_user,
                cur_count: self.of_user(packet.rain, uid),
                replayed: true,
            };
            assert_eq!(snatched, again);
            return;
        }
        check_expected(self.expect_snatch(uid, now_s), snatched);
        let rain = self.rains.last();
        match snatched {
            Snatched::Refused(_) => {}
            Snatched::Unlucky { draw } => self.note_draw(draw),
            Snatched::Got { envelope_id, draw, max_count, .. } => {
                let rain = rain.expect("somebody got a packet of it");
                assert_eq!(max_count, rain.terms.max_per_user);
                let newest = self.packets.last().map_or(0, |packet| packet.envelope_id);
                assert!(newest < envelope_id && envelope_id < 1 << 53, "{newest} {envelope_id}");
                let rain = rain.id;
                self.note_draw(draw);
                let (value_fen, is_returned) = (None, false);
                let packet = Packet { envelope_id, uid, rain, draw, key, value_fen, is_returned };
                self.packets.push(packet);
            }
        }
    }

    /// No draw comes twice, won or lost.
    fn note_draw(&mut self, draw: i64) {
        let rain = self.rains.last().expect("a draw is of a rain").id;
        assert!(draw > 0 && self.draws.insert((rain, draw)), "draw {draw} came twice");
    }

    #[track_caller]
    pub(crate) fn check_open(
        &mut self,
        uid: i64,
        envelope_id: i64,
        key: Option<u8>,
        opened: Opened,
    ) {
        let earlier = key.and_then(|key| self.opened_keys.get(&(uid, key))).copied();
        let at = self.packets.iter().position(|packet| packet.envelope_id == envelope_id);
        if earlier.is_some_and(|earlier| earlier != envelope_id) {
            assert_eq!(opened, Opened::KeyConflict);
            return;
        }
        let Some(at) = at else { return assert_eq!(opened, Opened::NoSuchPacket) };
        let packet = &mut self.packets[at];
        // What went back to the budget is nobody's.
        if packet.is_returned {
            return assert_eq!(opened, Opened::NoSuchPacket);
        }
        if packet.uid != uid {
            return assert_eq!(opened, Opened::NotYours);
        }
        if let Some(value_fen) = packet.value_fen {
            return assert_eq!(opened, Opened::Paid { value_fen, replayed: true });
        }
        let Opened::Paid { value_fen, replayed: false } = opened else {
            panic!("{opened:?} for a packet that is closed");
        };
        assert!((1..=20).contains(&value_fen), "{value_fen} fen");
        packet.value_fen = Some(value_fen);
        if let Some(key) = key {
            self.opened_keys.insert((uid, key), envelope_id);
        }
    }

    #[track_caller]
    pub(crate) fn check_create(&mut self, id: i64, terms: &Terms, now_s: i64, managed: Managed) {
        if self.rains.iter().any(|rain| rain.id == id) {
            return assert_eq!(managed, Managed::TakenId);
        }
        if let Some(rain) = self.rains.last()
            && rain.state(now_s) != State::Ended
        {
            return assert_eq!(managed, Managed::NotEnded { id: rain.id });
        }
        let starts_at = terms.starts_at.max(now_s);
        let ends_at = terms.ends_at.max(now_s);
        if ends_at <= starts_at {
            return assert!(matches!(managed, Managed::Impossible(_)), "{managed:?}");
        }
        assert_eq!(managed, Managed::Done { replayed: false });
        self.note_end(now_s);
        let terms = Terms { starts_at, ends_at, ..*terms };
        self.rains.push(Rain { id, terms, noted_s: None, is_returned: false });
    }

    #[track_caller]
    pub(crate) fn check_change(
        &mut self,
        change: &Change,
        now_s: i64,
        handed_fen: i64,
        managed: Managed,
    ) {
        let Some(rain) = self.rains.last() else { return assert_eq!(managed, Managed::NoRain) };
        let old = rain.terms;
        let new = Terms {
            total_amount_fen: change.total_amount_fen.unwrap_or(old.total_amount_fen),
            total_count: change.total_count.unwrap_or(old.total_count),
            min_fen: change.min_fen.unwrap_or(old.min_fen),
            max_fen: change.max_fen.unwrap_or(old.max_fen),
            win_ppm: change.win_ppm.unwrap_or(old.win_ppm),
            max_per_user: change.max_per_user.unwrap_or(old.max_per_user),
            starts_at: match change.starts_at {
                Some(at) if at != old.starts_at => at.max(now_s),
                _ => old.starts_at,
            },
            ends_at: change.ends_at.map_or(old.ends_at, |at| at.max(now_s)),
            paused: change.paused.unwrap_or(old.paused),
            pacing: false,
        };
        let state = rain.state(now_s);
        let has_moved = new.starts_at != old.starts_at
            || change.starts_at.is_some_and(|at| at != old.starts_at);
        let (count, fen) =
            (new.total_count - self.handed(rain.id), new.total_amount_fen - handed_fen);
        let fits = count >= 0
            && fen >= 0
            && new.min_fen <= new.max_fen
            && new.min_fen * count <= fen
            && fen <= new.max_fen * count;
        let is_possible = state != State::Ended
            && (state == State::Scheduled || !has_moved)
            && new.starts_at <= new.ends_at
            && fits;
        if !is_possible {
            return assert!(matches!(managed, Managed::Impossible(_)), "{managed:?} for {new:?}");
        }
        assert_eq!(managed, Managed::Done { replayed: false }, "for {new:?}");
        self.rains.last_mut().expect("looked at above").terms = new;
    }

    fn note_end(&mut self, now_s: i64) {
        let Some(rain) = self.rains.last_mut() else { return };
        if rain.noted_s.is_none() && rain.state(now_s) == State::Ended {
            rain.noted_s = Some(now_s);
        }
    }

    pub(crate) fn tick(&mut self, now_s: i64, expire_s: i64) {
        self.note_end(now_s);
        for rain in &mut self.rains {
            let is_due = rain.noted_s.is_some_and(|noted_s| noted_s + expire_s <= now_s);
            if !is_due || rain.is_returned {
                continue;
            }
            rain.is_returned = true;
            for packet in self.packets.iter_mut().filter(|packet| packet.rain == rain.id) {
                packet.is_returned = packet.value_fen.is_none();
            }
        }
    }

    /// What a user opened in all, and all that the wallet shows, newest first.
    pub(crate) fn wallet(&self, uid: i64) -> (i64, Vec<(i64, Option<i64>)>) {
        let own = self.packets.iter().filter(|packet| packet.uid == uid && !packet.is_returned);
        let shown: Vec<_> =
            own.rev().map(|packet| (packet.envelope_id, packet.value_fen)).collect();
        (shown.iter().filter_map(|(_, value_fen)| *value_fen).sum(), shown)
    }

    /// Id, state, terms and what is left of the newest rain.
    pub(crate) fn view(&self, now_s: i64) -> Option<(i64, State, Terms, i64)> {
        let rain = self.rains.last()?;
        let left = rain.terms.total_count - self.handed(rain.id);
        Some((rain.id, rain.state(now_s), rain.terms, left))
    }

    /// Packets by rain.
    pub(crate) fn handed_out(&self) -> Vec<(i64, i64)> {
        self.rains.iter().map(|rain| (rain.id, self.handed(rain.id))).collect()
    }

    /// The proof tells of exactly the draws and amounts that users were told of.
    pub(crate) fn check_draws(&self, proof: &Proof) {
        let revealed: BTreeMap<i64, i64> = proof
            .chunks
            .iter()
            .flat_map(|used| used.draws.iter().copied().zip(used.amounts.iter().copied()))
            .collect();
        let own = self.packets.iter().filter(|packet| packet.rain == proof.id);
        assert_eq!(revealed.len(), own.clone().count());
        for packet in own {
            let amount = revealed.get(&packet.draw);
            assert!(amount.is_some(), "{packet:?}");
            assert!(packet.value_fen.is_none_or(|value| Some(&value) == amount), "{packet:?}");
        }
        for (_, draw) in self.draws.iter().filter(|(rain, _)| *rain == proof.id) {
            let got = self.packets.iter().any(|p| p.rain == proof.id && p.draw == *draw);
            assert_eq!(revealed.contains_key(draw), got, "draw {draw}");
        }
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> i64 {
    i64::try_from(items.count()).expect("a short history")
}
