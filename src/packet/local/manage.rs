//! The rest of what a batch decides: openings, operators' changes, and what time brings.

use super::draft::{Asked, Before, Draft, Made};
use super::journal::{Line, OpeningLine};
use super::look_up;
use super::{CHANGE, CREATE, MANAGE, OPEN};
use crate::packet::{
    Author, Change, Manage, Managed, Open, Opened, Rain, Request, Seed, State, Terms, hit_ppm,
    planned,
};
use serde_json::json;

/// Where a rain's draws stood at the last look: how fast they come is told by the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) rain: i64,
    pub(super) draw: i64,
    pub(super) time_us: i64,
}

impl Draft {
    pub(super) fn open(&mut self, before: &Before<'_>, open: Open) -> rusqlite::Result<Opened> {
        let Open { uid, envelope_id, key } = open;
        let scope = (OPEN, uid);
        if let Some(key) = &key {
            let earlier = match self.keys.get(&(scope, key.clone())) {
                Some(Made::Opening { envelope_id, value_fen, .. }) => {
                    Some((*envelope_id, *value_fen))
                }
                _ => look_up::opening_of_key(before, scope, key)?,
            };
            match earlier {
                Some((opened, value_fen)) if opened == envelope_id => {
                    return Ok(Opened::Paid { value_fen, replayed: true });
                }
                Some(_) => return Ok(Opened::KeyConflict),
                None => {}
            }
        }
        let Some(packet) = self.packet(before, envelope_id)? else {
            return Ok(Opened::NoSuchPacket);
        };
        let is_opened = packet.is_opened || self.opened.contains_key(&envelope_id);
        if !is_opened && (packet.is_returned || self.returns(packet.rain)) {
            return Ok(Opened::NoSuchPacket);
        }
        if packet.uid != uid {
            return Ok(Opened::NotYours);
        }
        let value_fen = packet.value_fen;
        if is_opened {
            return Ok(Opened::Paid { value_fen, replayed: true });
        }
        self.opened.insert(envelope_id, value_fen);
        self.book.last_opening += 1;
        let line = OpeningLine {
            id: self.book.last_opening,
            envelope_id,
            rain: packet.rain,
            uid,
            value_fen,
            time_us: before.now_us,
            request_id: key.as_ref().map(|key| key.as_str().to_owned()),
        };
        self.lines.push(Line::Opening(line));
        if let Some(key) = key {
            let id = self.book.last_opening;
            self.keys.insert((scope, key), Made::Opening { id, envelope_id, value_fen });
        }
        Ok(Opened::Paid { value_fen, replayed: false })
    }

    /// A packet of the journal, or of this batch.
    fn packet(
        &self,
        before: &Before<'_>,
        envelope_id: i64,
    ) -> rusqlite::Result<Option<look_up::Found>> {
        if envelope_id < self.first_envelope {
            return look_up::found(before.journal, envelope_id);
        }
        // Nobody was told of it yet; who guessed it is answered all the same.
        Ok(self.lines.iter().find_map(|line| match line {
            Line::Packet(packet) if packet.envelope_id == envelope_id => {
                Some(look_up::Found::fresh(packet))
            }
            _ => None,
        }))
    }

    /// Whether this batch returns what is unopened of a rain.
    fn returns(&self, id: i64) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| matches!(line, Line::Returned { rain, .. } if *rain == id))
    }

    pub(super) fn manage(
        &mut self,
        before: &Before<'_>,
        manage: Manage,
    ) -> rusqlite::Result<Managed> {
        let (scope, key, text) = match &manage {
            Manage::Create { id, terms, reason, key, .. } => {
                let text = json!({ "id": id, "terms": terms, "reason": reason });
                ((MANAGE, CREATE), key.clone(), text.to_string())
            }
            Manage::Change { change, reason, key } => {
                let text = json!({ "change": change, "reason": reason });
                ((MANAGE, CHANGE), key.clone(), text.to_string())
            }
        };
        if let Some(key) = &key {
            let earlier = match self.keys.get(&(scope, key.clone())) {
                Some(Made::Terms { asked, .. }) => Some(asked.clone()),
                _ => look_up::asked_under_key(before, scope, key)?,
            };
            match earlier {
                Some(earlier) if earlier == text => return Ok(Managed::Done { replayed: true }),
                Some(_) => return Ok(Managed::KeyConflict),
                None => {}
            }
        }
        let asked = Asked { key: key.as_ref(), text: &text };
        let managed = match manage {
            Manage::Create { id, terms, by, reason, .. } => {
                let now_s = Self::now_s(before);
                let request = Request { by, reason: &reason, now_s, first_draw: 1 };
                self.create(before, id, &terms, request, asked)?
            }
            Manage::Change { change, reason, .. } => self.change(before, &change, &reason, asked),
        };
        if let (Some(key), Managed::Done { .. }) = (key, managed) {
            let id = self.book.last_version;
            self.keys.insert((scope, key), Made::Terms { id, asked: text });
        }
        Ok(managed)
    }

    fn create(
        &mut self,
        before: &Before<'_>,
        id: i64,
        terms: &Terms,
        request: Request<'_>,
        asked: Asked<'_>,
    ) -> rusqlite::Result<Managed> {
        let now_s = request.now_s;
        let is_newest = self.book.rain.as_ref().is_some_and(|rain| rain.id() == id);
        if is_newest || look_up::has_rain(before.journal, id)? {
            return Ok(Managed::TakenId);
        }
        if let Some(rain) = &self.book.rain
            && rain.state(now_s) != State::Ended
        {
            return Ok(Managed::NotEnded { id: rain.id() });
        }
        // A moment in the past means now.
        let (starts_at, ends_at) = (Some(terms.starts_at), Some(terms.ends_at));
        let terms = terms.with(&Change { starts_at, ends_at, ..Change::default() }, now_s);
        let seed = Seed::random().map_err(|error| {
            tracing::error!(%error, "the system gives no random seed");
            rusqlite::Error::ToSqlConversionFailure(error.into())
        })?;
        let rain = match Rain::new(id, seed, &terms, request) {
            Ok(rain) => rain,
            Err(reason) => return Ok(Managed::Impossible(reason)),
        };
        self.note_end(before);
        self.begin(rain);
        self.note_version(asked);
        Ok(Managed::Done { replayed: false })
    }

    fn change(
        &mut self,
        before: &Before<'_>,
        change: &Change,
        reason: &str,
        asked: Asked<'_>,
    ) -> Managed {
        if self.book.rain.is_none() {
            return Managed::NoRain;
        }
        let request = self.request(before, Author::Operator, reason);
        let rain = self.book.rain.as_mut().expect("looked at above");
        if let Err(reason) = rain.change(change, request) {
            return Managed::Impossible(reason);
        }
        self.note_version(asked);
        Managed::Done { replayed: false }
    }

    /// Does what time brings: the end of the rain, the next hit rate, packets that nobody opened.
    pub(super) fn tick(&mut self, before: &Before<'_>, pace: &mut Pace, expire_us: Option<i64>) {
        self.note_end(before);
        self.follow_curve(before, pace);
        let Some(expire_us) = expire_us else { return };
        let due = |ended_us: i64| ended_us.saturating_add(expire_us) <= before.now_us;
        let returned = self.book.unreturned.extract_if(.., |(_, ended_us)| due(*ended_us));
        let at_us = before.now_us;
        let lines = returned.map(|(rain, _)| Line::Returned { rain, at_us });
        self.lines.extend(lines);
    }

    /// Notes the end of the rain: from here on nothing changes it, whatever the clock says.
    fn note_end(&mut self, before: &Before<'_>) {
        let now_s = Self::now_s(before);
        let Some(rain) = &mut self.book.rain else { return };
        if rain.has_ended() || rain.state(now_s) != State::Ended {
            return;
        }
        rain.end();
        let (id, at_us) = (rain.id(), before.now_us);
        self.book.unreturned.push((id, at_us));
        self.lines.push(Line::Ended { rain: id, at_us });
    }

    fn follow_curve(&mut self, before: &Before<'_>, pace: &mut Pace) {
        let now_s = Self::now_s(before);
        let Some(rain) = &self.book.rain else { return };
        let (terms, version) = (*rain.terms(), rain.version());
        let id = rain.id();
        let draw = match (&self.own, before.stage) {
            (Some(own), _) => own.next,
            (None, Some(stage)) => stage.draws.next(),
            (None, None) => return,
        };
        let (last, passed_us) = (*pace, before.now_us - pace.time_us);
        if last.rain == id && passed_us < 1_000_000 {
            return;
        }
        *pace = Pace { rain: id, draw, time_us: before.now_us };
        // At most once a second, whoever made the last version; and the first look only measures.
        let may_change = last.rain == id && version.at < now_s;
        if !terms.pacing || rain.state(now_s) != State::Running || !may_change {
            return;
        }
        let drawn = i128::from((draw - last.draw).max(0));
        let draws_per_s = drawn * 1_000_000 / i128::from(passed_us);
        let draws_per_s = i64::try_from(draws_per_s).unwrap_or(i64::MAX);
        let granted = rain.handed_out().count;
        let Some(rate) = hit_ppm(&terms, now_s, granted, draws_per_s, version.hit_ppm) else {
            return;
        };
        let wanted = planned(&terms, now_s);
        let reason = format!("planned {wanted}, granted {granted}, {draws_per_s} draws a second");
        let request = self.request(before, Author::Pacing, &reason);
        if let Some(rain) = &mut self.book.rain {
            rain.pace(rate, request);
            self.note_version(Asked::default());
        }
    }
}
