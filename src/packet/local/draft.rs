//! What a batch would do, decided before any of it is written: dropped when the commit fails.

use super::journal::{Line, PacketLine, VersionLine};
use super::look_up;
use super::shared::{OnStage, Tally};
use super::{SNATCH, Scope};
use crate::limits::RAIN_DRAWS_RESERVED;
use crate::packet::{Author, Rain, Refusal, Request, Snatch, Snatched, State};
use crate::store::{Remembered, RequestKey};
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;

/// What the next batch goes on from; as the journal has it.
#[derive(Clone, Default)]
pub(super) struct Book {
    /// The newest rain.
    pub(super) rain: Option<Rain>,
    /// What is handed out of it.
    pub(super) tally: Arc<Tally>,
    pub(super) last_envelope: i64,
    pub(super) last_opening: i64,
    /// Id of the newest version of all rains.
    pub(super) last_version: i64,
    pub(super) last_time_us: i64,
    /// Rains that are over, whose packets may still be opened, and when their end was noted.
    pub(super) unreturned: Vec<(i64, i64)>,
}

/// What the journal and memory hold before the batch.
pub(super) struct Before<'a> {
    pub(super) journal: &'a Connection,
    pub(super) remembered: &'a Remembered<Scope>,
    pub(super) stage: Option<&'a OnStage>,
    pub(super) now_us: i64,
}

/// The draw numbers of a batch that took them away from the loops.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) next: i64,
    pub(super) until: i64,
}

/// What new terms were asked for with, to be remembered where there is a key.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub(super) key: Option<&'a RequestKey>,
    /// The decoded request, for comparison with a retry.
    pub(super) text: &'a str,
}

/// What a key of this batch did.
#[derive(Clone)]
pub(super) enum Made {
    Packet { envelope_id: i64, draw: i64 },
    Opening { id: i64, envelope_id: i64, value_fen: i64 },
    Terms { id: i64, asked: String },
}

/// The lines to write, and the book when they are written.
pub(super) struct Draft {
    pub(super) book: Book,
    pub(super) lines: Vec<Line>,
    /// The id of the first packet of the batch.
    pub(super) first_envelope: i64,
    /// Counts that differ from the tally's.
    users: HashMap<i64, i64>,
    /// Packets that this batch opens, and what was in them.
    pub(super) opened: HashMap<i64, i64>,
    pub(super) keys: HashMap<(Scope, RequestKey), Made>,
    /// Set once the loops have no draws any more.
    pub(super) own: Option<Own>,
    /// First number behind a block that is to be reserved while the loops go on.
    pub(super) more_draws: Option<i64>,
}

impl Draft {
    pub(super) fn new(book: Book) -> Self {
        Self {
            first_envelope: book.last_envelope + 1,
            book,
            lines: Vec::new(),
            users: HashMap::new(),
            opened: HashMap::new(),
            keys: HashMap::new(),
            own: None,
            more_draws: None,
        }
    }

    /// Unix seconds of the batch.
    pub(super) fn now_s(before: &Before<'_>) -> i64 {
        before.now_us.div_euclid(1_000_000)
    }

    /// `drawn` is a draw that won on a loop, with the rain that it was drawn for.
    pub(super) fn snatch(
        &mut self,
        before: &Before<'_>,
        snatch: &Snatch,
        drawn: Option<(i64, i64)>,
    ) -> rusqlite::Result<Snatched> {
        let uid = snatch.uid;
        if let Some(key) = &snatch.key
            && let Some(earlier) = self.replayed(before, uid, key)?
        {
            return Ok(earlier);
        }
        let refused = |refusal| Ok(Snatched::Refused(refusal));
        let Some(rain) = &self.book.rain else { return refused(Refusal::NotStarted) };
        match rain.state(Self::now_s(before)) {
            State::Scheduled => return refused(Refusal::NotStarted),
            State::Ended => return refused(Refusal::Ended),
            State::Paused => return refused(Refusal::Paused),
            State::Running => {}
        }
        let (id, max_count) = (rain.id(), rain.terms().max_per_user);
        let cur_count = self.count(uid);
        if cur_count >= max_count {
            return refused(Refusal::NoSnatches);
        }
        if rain.left().count == 0 {
            return refused(Refusal::NoPackets);
        }
        let draw = match drawn {
            Some((of, draw)) if of == id => draw,
            _ => {
                let draw = self.draw(before);
                if !self.book.rain.as_ref().is_some_and(|rain| rain.wins(draw)) {
                    return Ok(Snatched::Unlucky { draw });
                }
                draw
            }
        };
        Ok(self.hand_out(before, snatch, draw))
    }

    /// The outcome of an earlier snatch with this key.
    fn replayed(
        &self,
        before: &Before<'_>,
        uid: i64,
        key: &RequestKey,
    ) -> rusqlite::Result<Option<Snatched>> {
        let scope = (SNATCH, uid);
        let made = self.keys.get(&(scope, key.clone()));
        if let (Some(Made::Packet { envelope_id, draw }), Some(rain)) = (made, &self.book.rain) {
            let (envelope_id, draw, cur_count) = (*envelope_id, *draw, self.count(uid));
            let max_count = rain.terms().max_per_user;
            let replayed = true;
            return Ok(Some(Snatched::Got { envelope_id, draw, max_count, cur_count, replayed }));
        }
        for envelope_id in before.remembered.find(scope, key) {
            let Some(packet) = look_up::packet(before.journal, envelope_id)? else { continue };
            if packet.uid != uid || packet.request_id.as_deref() != Some(key.as_str()) {
                continue;
            }
            // Figures that move are those of now.
            let (max_count, cur_count) = match &self.book.rain {
                Some(rain) if rain.id() == packet.rain => {
                    (rain.terms().max_per_user, self.count(uid))
                }
                _ => look_up::counts(before.journal, packet.rain, uid)?,
            };
            let (draw, replayed) = (packet.draw, true);
            return Ok(Some(Snatched::Got { envelope_id, draw, max_count, cur_count, replayed }));
        }
        Ok(None)
    }

    /// Gives the next packet to the user whose draw won.
    fn hand_out(&mut self, before: &Before<'_>, snatch: &Snatch, draw: i64) -> Snatched {
        let cur_count = self.count(snatch.uid) + 1;
        let rain = self.book.rain.as_mut().expect("looked at before the draw");
        let (grant, opened) = rain.grant().expect("some are left");
        let (id, max_count) = (rain.id(), rain.terms().max_per_user);
        self.lines.extend(opened.map(|chunk| Line::Chunk { rain: id, chunk }));
        self.book.last_envelope += 1;
        let envelope_id = self.book.last_envelope;
        self.users.insert(snatch.uid, cur_count);
        if let Some(key) = &snatch.key {
            let made = Made::Packet { envelope_id, draw };
            self.keys.insert(((SNATCH, snatch.uid), key.clone()), made);
        }
        self.lines.push(Line::Packet(PacketLine {
            envelope_id,
            rain: id,
            draw,
            uid: snatch.uid,
            chunk: grant.chunk,
            place: grant.place,
            value_fen: grant.value_fen,
            time_us: before.now_us,
            request_id: snatch.key.as_ref().map(|key| key.as_str().to_owned()),
        }));
        Snatched::Got { envelope_id, draw, max_count, cur_count, replayed: false }
    }

    /// Packets that a user has got of the newest rain.
    fn count(&self, uid: i64) -> i64 {
        self.users.get(&uid).copied().unwrap_or_else(|| self.book.tally.of_user(uid))
    }

    /// A draw number for the bookkeeper: from the loops' block while there is one.
    fn draw(&mut self, before: &Before<'_>) -> i64 {
        if self.own.is_none()
            && let Some(draw) = before.stage.and_then(|stage| stage.draws.take())
        {
            return draw;
        }
        self.boundary(before);
        let own = self.own.as_mut().expect("made by `boundary`");
        if own.next == own.until {
            own.until += RAIN_DRAWS_RESERVED;
        }
        own.next += 1;
        own.next - 1
    }

    /// Takes the draws away from the loops; returns the first that nobody has got.
    fn boundary(&mut self, before: &Before<'_>) -> i64 {
        let own = self.own.get_or_insert_with(|| {
            let draws = &before.stage.expect("there is a rain to draw for").draws;
            Own { next: draws.close(), until: draws.until() }
        });
        own.next
    }

    /// The request for new terms: it begins with the first draw that nobody has got.
    pub(super) fn request<'r>(
        &mut self,
        before: &Before<'_>,
        by: Author,
        reason: &'r str,
    ) -> Request<'r> {
        let first_draw = self.boundary(before);
        Request { by, reason, now_s: Self::now_s(before), first_draw }
    }

    /// Notes the newest version of the rain, and who asked for it under which key.
    pub(super) fn note_version(&mut self, asked: Asked<'_>) {
        let rain = self.book.rain.as_ref().expect("a version is of a rain");
        self.book.last_version += 1;
        let line = VersionLine {
            id: self.book.last_version,
            rain: rain.id(),
            version: rain.version().clone(),
            hash: rain.hash(),
            request_id: asked.key.map(|key| key.as_str().to_owned()),
            asked: asked.key.map(|_| asked.text.to_owned()),
        };
        self.lines.push(Line::Version(Box::new(line)));
    }

    /// Begins a rain: nothing of the one before counts for it.
    pub(super) fn begin(&mut self, rain: Rain) {
        self.users.clear();
        self.own = Some(Own { next: 1, until: 1 + RAIN_DRAWS_RESERVED });
        self.book.tally = Arc::default();
        self.lines.push(Line::Rain {
            rain: Box::new(rain.clone()),
            first_envelope: self.book.last_envelope + 1,
            draws_reserved: 1 + RAIN_DRAWS_RESERVED,
        });
        self.book.rain = Some(rain);
    }

    /// Reserves draws before the loops run out of them, or as many as the batch used up itself.
    pub(super) fn reserve(&mut self, before: &Before<'_>) {
        let Some(rain) = &self.book.rain else { return };
        let id = rain.id();
        let low = |next: i64, until: i64| until - next < RAIN_DRAWS_RESERVED / 2;
        match (&mut self.own, before.stage) {
            (Some(own), _) => {
                let stage = before.stage.filter(|stage| stage.id == id);
                let durable = stage.map_or(0, |stage| stage.draws.until());
                if low(own.next, own.until) {
                    own.until += RAIN_DRAWS_RESERVED;
                }
                if own.until != durable {
                    self.lines.push(Line::Draws { rain: id, reserved: own.until });
                }
            }
            (None, Some(stage)) if stage.id == id && !stage.has_ended => {
                let until = stage.draws.until();
                if low(stage.draws.next(), until) {
                    let reserved = until + RAIN_DRAWS_RESERVED;
                    self.more_draws = Some(reserved);
                    self.lines.push(Line::Draws { rain: id, reserved });
                }
            }
            _ => {}
        }
    }
}
