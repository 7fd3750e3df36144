//! One process of a cluster: its writers, its mode, and its share of the recovery.

mod state;

use super::behind::{Behind, Mode};
use super::context::{Context, Link, Ops, Purpose};
use super::domain::JournalDraft;
use super::freshness::Freshness;
use super::message::{
    Beat, BeatAnswer, Command, Event, Now, Outcome, RedisAnswer, RedisRequest, Ticket,
};
use super::record::{Fate, Record, Stream};
use super::recovery::{Recovery, run_replay};
use super::replay::Replay;
use super::script::{Apply, Generation, ScriptAnswer};
use super::tuning::Tuning;
use super::writer::Writer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// In the journal; to be acknowledged when the view holds it.
#[derive(Clone, Debug)]
struct Waiting<T> {
    ticket: Ticket,
    record: Record<T>,
    replayed: bool,
    since: Duration,
}

/// Events in, commands out; see [`super::Command`] for who answers what.
#[derive(Debug)]
pub struct Node<T: JournalDraft> {
    process: u64,
    tuning: Tuning,
    rules: T::Rules,
    ops: Ops<T>,
    link: Link,
    writers: Vec<Writer<T>>,
    /// The way of our own streams into the view.
    replays: BTreeMap<Stream, Replay<T>>,
    queue: VecDeque<(Ticket, T)>,
    waiting: Vec<Waiting<T>>,
    /// Who takes no more.
    full: BTreeSet<T::Subject>,
    beats: u64,
    /// What the newest heartbeat said.
    flag_sent: bool,
    next_beat: Duration,
    /// When the newest heartbeat that the record took was sent.
    alive: Option<Duration>,
    behind: Behind,
    freshness: Freshness,
    recovery: Recovery<T>,
    retired: bool,
}

impl<T: JournalDraft> Node<T> {
    /// A process with a name and writers that nobody had before. `random` names the generations
    /// that it builds.
    pub fn new(
        process: u64,
        writers: &[u64],
        random: u64,
        tuning: Tuning,
        rules: T::Rules,
    ) -> Self {
        let slots = tuning.slots;
        let streams =
            writers.iter().flat_map(|&writer| (0..slots).map(move |slot| Stream { writer, slot }));
        Self {
            process,
            rules,
            ops: Ops::new(),
            link: Link::default(),
            writers: writers.iter().map(|&id| Writer::new(id, slots)).collect(),
            replays: streams.map(|stream| (stream, Replay::new(stream))).collect(),
            queue: VecDeque::new(),
            waiting: Vec::new(),
            full: BTreeSet::new(),
            beats: 0,
            flag_sent: false,
            next_beat: Duration::ZERO,
            alive: None,
            behind: Behind::default(),
            freshness: Freshness::default(),
            recovery: Recovery::new(random),
            retired: false,
            tuning,
        }
    }

    /// Takes what happened, and appends what is to be done.
    pub fn handle(&mut self, now: Now, event: Event<T>, out: &mut Vec<Command<T>>) {
        if self.retired {
            return;
        }
        match event {
            Event::Asked { ticket, draft } => self.asked(ticket, draft, out),
            Event::RebuildAsked => self.recovery.ask_rebuild(),
            Event::Connected { conn } => self.relink(now, Some(conn), None, out),
            Event::Disconnected { conn } if self.link.conn == Some(conn) => {
                self.relink(now, None, None, out);
            }
            Event::Outdated { conn } if self.link.conn == Some(conn) => {
                self.relink(now, Some(conn), None, out);
            }
            Event::Tick | Event::Disconnected { .. } | Event::Outdated { .. } => {}
            Event::RedisAnswered { op, answer } => self.redis_answered(now, op, answer, out),
            event => self.record_answered(now, event, out),
        }
        if !self.retired {
            self.step(now, out);
        }
    }

    /// Takes what clients want in the journal, all at once.
    pub fn ask(
        &mut self,
        now: Now,
        asks: impl Iterator<Item = (Ticket, T)>,
        out: &mut Vec<Command<T>>,
    ) {
        for (ticket, draft) in asks {
            if self.retired {
                out.push(Command::Answer { ticket, outcome: Outcome::Unavailable });
            } else {
                self.asked(ticket, draft, out);
            }
        }
        self.handle(now, Event::Tick, out);
    }

    fn asked(&mut self, ticket: Ticket, draft: T, out: &mut Vec<Command<T>>) {
        let is_full = draft.grows().is_some_and(|subject| self.full.contains(&subject));
        if is_full {
            out.push(Command::Answer { ticket, outcome: Outcome::Overflow });
        } else if self.queue.len() >= self.tuning.queue_asks_max {
            out.push(Command::Answer { ticket, outcome: Outcome::Unavailable });
        } else {
            self.queue.push_back((ticket, draft));
        }
    }

    /// An answer of `MongoDB`.
    fn record_answered(&mut self, now: Now, event: Event<T>, out: &mut Vec<Command<T>>) {
        let (Event::Inserted { op, .. }
        | Event::BeatAnswered { op, .. }
        | Event::Looked { op, .. }
        | Event::NewestRead { op, .. }
        | Event::JournalRead { op, .. }
        | Event::LeaseAnswered { op, .. }
        | Event::Done { op }
        | Event::Failed { op }) = event
        else {
            return;
        };
        let Some(purpose) = self.ops.close(op) else { return };
        match (event, purpose) {
            (Event::Inserted { fates, .. }, Purpose::Insert { writer }) => {
                self.inserted(now, writer, fates, out);
            }
            (Event::BeatAnswered { answer, .. }, Purpose::Beat { flag, sent }) => match answer {
                BeatAnswer::Taken => {
                    self.alive = Some(sent);
                    self.behind.confirmed(flag, now.mono);
                }
                BeatAnswer::Finished => self.retire(out),
            },
            (
                Event::JournalRead { through, records, .. },
                Purpose::Journal { stream, after, own },
            ) => match self.replays.get_mut(&stream).filter(|_| own) {
                Some(replay) => replay.read(after, through, records),
                None => self.recovery.journal_read(stream, Some((after, through, records))),
            },
            (Event::Failed { .. }, Purpose::Insert { writer }) => {
                self.writers[writer].failed(now.mono + self.tuning.pass_every / 4);
            }
            (Event::Failed { .. }, Purpose::Beat { .. }) => {
                self.next_beat = now.mono + self.tuning.pass_every / 4;
            }
            (Event::Failed { .. }, Purpose::Journal { stream, own, .. }) => {
                match self.replays.get_mut(&stream).filter(|_| own) {
                    Some(replay) => replay.failed(),
                    None => self.recovery.journal_read(stream, None),
                }
            }
            (event, purpose) => {
                let (recovery, mut context) = self.parts(now, out);
                recovery.answered(&mut context, event, &purpose);
            }
        }
    }

    fn inserted(
        &mut self,
        now: Now,
        writer: usize,
        fates: Vec<Fate<T>>,
        out: &mut Vec<Command<T>>,
    ) {
        let resolved = self.writers[writer].resolve(fates);
        let id = self.writers[writer].id();
        for slot in 0..self.tuning.slots {
            let stream = Stream { writer: id, slot };
            let through = self.writers[writer].resolved(slot);
            let replay = self.replays.get_mut(&stream).expect("each of our streams has one");
            if through > replay.bound() {
                let of_stream = resolved.landed.iter().map(|(_, record)| record);
                let records = of_stream.filter(|record| record.stream == stream).cloned();
                replay.resolved(through, records.collect());
            }
        }
        for ticket in resolved.conflicts {
            out.push(Command::Answer { ticket, outcome: Outcome::Conflict });
        }
        let since = now.mono;
        let landed = resolved.landed.into_iter().map(|(ticket, record)| (ticket, record, false));
        let replayed = resolved.replayed.into_iter().map(|(ticket, record)| (ticket, record, true));
        for (ticket, record, replayed) in landed.chain(replayed) {
            self.waiting.push(Waiting { ticket, record, replayed, since });
        }
    }

    fn redis_answered(
        &mut self,
        now: Now,
        op: u64,
        answer: RedisAnswer<T>,
        out: &mut Vec<Command<T>>,
    ) {
        match (self.ops.close(op), answer) {
            (
                Some(Purpose::Fences { sent }),
                RedisAnswer::Fences { generation, is_hollow, fences },
            ) => {
                let shown = (!is_hollow).then_some(generation);
                if shown != self.link.generation {
                    self.relink(now, self.link.conn, shown, out);
                }
                self.link.hollow = is_hollow.then_some(generation);
                self.link.wants_fences = false;
                if !is_hollow {
                    self.fenced(now, sent, fences, out);
                }
            }
            (Some(Purpose::Apply { stream, own, scripts }), RedisAnswer::Scripts(answers)) => {
                self.applied(now, (stream, own), &scripts, &answers, out);
            }
            (Some(Purpose::Rebuild), RedisAnswer::Scripts(answers)) => {
                if let Some(answer) = answers.first() {
                    self.recovery.rebuild_answered(answer);
                }
            }
            _ => {}
        }
    }

    fn fenced(
        &mut self,
        now: Now,
        sent: Duration,
        fences: BTreeMap<Stream, u64>,
        out: &mut Vec<Command<T>>,
    ) {
        for (stream, replay) in &mut self.replays {
            replay.at(fences.get(stream).copied().unwrap_or(0));
        }
        for (&stream, &fence) in &fences {
            self.cover(stream, fence, out);
        }
        let (recovery, mut context) = self.parts(now, out);
        recovery.fenced(&mut context, sent, fences);
    }

    fn applied(
        &mut self,
        now: Now,
        (stream, own): (Stream, bool),
        scripts: &[Apply<T::Row>],
        answers: &[ScriptAnswer<T::Subject>],
        out: &mut Vec<Command<T>>,
    ) {
        let fence = match self.replays.get_mut(&stream).filter(|_| own) {
            Some(replay) => replay.answered(scripts, answers),
            None => self.recovery.applied(stream, scripts, answers),
        };
        for answer in answers {
            match answer {
                ScriptAnswer::Done { full } => self.full.extend(full.iter().cloned()),
                ScriptAnswer::OtherGeneration(_) => {
                    return self.relink(now, self.link.conn, None, out);
                }
                ScriptAnswer::Missing(_) | ScriptAnswer::Refused => {}
            }
        }
        if let Some(fence) = fence {
            self.cover(stream, fence, out);
        }
    }

    /// The view holds that much of a stream: who waits for it is answered.
    fn cover(&mut self, stream: Stream, fence: u64, out: &mut Vec<Command<T>>) {
        self.behind.covered(stream, fence);
        let is_covered = |waiting: &mut Waiting<T>| {
            waiting.record.stream == stream && waiting.record.seq <= fence
        };
        for waiting in self.waiting.extract_if(.., is_covered) {
            out.push(waiting.answer(false));
        }
    }

    fn relink(
        &mut self,
        now: Now,
        conn: Option<u64>,
        generation: Option<Generation>,
        out: &mut Vec<Command<T>>,
    ) {
        let (recovery, mut context) = self.parts(now, out);
        context.relink(conn, generation);
        recovery.relinked();
        self.replays.values_mut().for_each(Replay::forget);
    }

    fn retire(&mut self, out: &mut Vec<Command<T>>) {
        self.retired = true;
        let queued = self.queue.drain(..).map(|(ticket, _)| ticket);
        let under_way = self.writers.iter().flat_map(Writer::tickets);
        let waiting = self.waiting.drain(..).map(|waiting| waiting.ticket);
        for ticket in queued.chain(under_way).chain(waiting) {
            out.push(Command::Answer { ticket, outcome: Outcome::Unavailable });
        }
        out.push(Command::Retire);
    }

    fn parts<'a>(
        &'a mut self,
        now: Now,
        out: &'a mut Vec<Command<T>>,
    ) -> (&'a mut Recovery<T>, Context<'a, T>) {
        let context = Context {
            now,
            process: self.process,
            tuning: &self.tuning,
            rules: &self.rules,
            ops: &mut self.ops,
            out,
            link: &mut self.link,
            freshness: &mut self.freshness,
        };
        (&mut self.recovery, context)
    }

    /// The one place that moves on.
    fn step(&mut self, now: Now, out: &mut Vec<Command<T>>) {
        let before = (self.link.conn, self.link.generation);
        let (recovery, mut context) = self.parts(now, out);
        recovery.step(&mut context);
        if before != (self.link.conn, self.link.generation) {
            self.replays.values_mut().for_each(Replay::forget);
        }
        self.run_replays(now, out);
        self.change_mode(now, out);
        self.beat(now, out);
        self.write(now, out);
        self.ask_fences(now, out);
    }

    fn run_replays(&mut self, now: Now, out: &mut Vec<Command<T>>) {
        let Some((_, generation)) = self.view() else { return };
        let mut replays = std::mem::take(&mut self.replays);
        let (_, mut context) = self.parts(now, out);
        for replay in replays.values_mut() {
            run_replay(replay, generation, true, &mut context);
        }
        self.replays = replays;
    }

    fn change_mode(&mut self, now: Now, out: &mut Vec<Command<T>>) {
        let late = |waiting: &Waiting<T>| now.mono >= waiting.since + self.tuning.patience;
        if self.waiting.iter().any(late) {
            self.behind.late();
        }
        // A round per writer may be on its way; more is a backlog.
        let on_its_way =
            self.tuning.round_documents_max.div_ceil(self.tuning.script_documents_max) as u64;
        if self.view().is_some() && self.replays.values().all(|replay| replay.gap() <= on_its_way) {
            let replayed = self.waiting.iter().any(|waiting| waiting.replayed);
            if !replayed {
                self.behind.level();
            }
        }
        self.behind.tick(now.mono, self.tuning.look_age_max);
        if self.behind.mode() == Mode::Behind {
            for waiting in std::mem::take(&mut self.waiting) {
                self.behind.owe(waiting.record.stream, waiting.record.seq);
                out.push(waiting.answer(true));
            }
        }
    }

    fn beat(&mut self, now: Now, out: &mut Vec<Command<T>>) {
        let flag = self.behind.flag();
        let is_due = now.mono >= self.next_beat || flag != self.flag_sent;
        if !is_due || self.ops.any(|purpose| matches!(purpose, Purpose::Beat { .. })) {
            return;
        }
        self.beats += 1;
        self.next_beat = now.mono + self.tuning.pass_every;
        self.flag_sent = flag;
        let op = self.ops.open(Purpose::Beat { flag, sent: now.mono });
        let streams = self.replays.keys().copied().collect();
        let beat = Beat { process: self.process, number: self.beats, behind: flag, streams };
        out.push(Command::SendBeat { op, beat });
    }

    /// Gives waiting requests to writers that are free.
    fn write(&mut self, now: Now, out: &mut Vec<Command<T>>) {
        let Some(send_by) = self.alive.map(|alive| alive + self.tuning.lapse) else { return };
        if now.mono >= send_by {
            // Others may take us for gone soon, and then no document of ours may land any more.
            return;
        }
        for (index, writer) in self.writers.iter_mut().enumerate() {
            let mut records = writer.retry(now.mono);
            let id = writer.id();
            let is_waited_for = || {
                let mut records = self.waiting.iter().map(|waiting| &waiting.record);
                records.any(|record| record.stream.writer == id)
            };
            if writer.is_free() && !self.queue.is_empty() && !is_waited_for() {
                let count = self.queue.len().min(self.tuning.round_documents_max);
                let asks = self.queue.drain(..count).collect();
                records = Some(writer.begin(asks, &self.tuning));
            }
            if let Some(records) = records {
                let op = self.ops.open(Purpose::Insert { writer: index });
                out.push(Command::Insert { op, records, send_by });
            }
        }
    }

    fn ask_fences(&mut self, now: Now, out: &mut Vec<Command<T>>) {
        let replayed = self.waiting.iter().any(|waiting| waiting.replayed);
        let asking = self.ops.any(|purpose| matches!(purpose, Purpose::Fences { .. }));
        if self.link.conn.is_none() || asking || !(self.link.wants_fences || replayed) {
            return;
        }
        self.link.wants_fences = false;
        let (_, mut context) = self.parts(now, out);
        context.redis(Purpose::Fences { sent: now.mono }, RedisRequest::Fences);
    }
}

impl<T: JournalDraft> Waiting<T> {
    fn answer(self, degraded: bool) -> Command<T> {
        let (ticket, draft) = (self.ticket, self.record.draft);
        let outcome = Outcome::Written { draft, replayed: self.replayed, degraded };
        Command::Answer { ticket, outcome }
    }
}
