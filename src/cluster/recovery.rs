//! What every process does each second: look, see that the view is complete, clear up after those
//! who are gone, and have a lost view rebuilt.

use super::context::{Context, Purpose};
use super::domain::JournalDraft;
use super::lease::Lease;
use super::message::{Command, Event, LeaseDoc, Member, Newest, RedisRequest};
use super::rebuild::{Rebuild, RebuildStep};
use super::record::{Record, Stream};
use super::replay::{Replay, Step};
use super::script::{Apply, ScriptAnswer};
use super::silence::Silence;
use std::collections::BTreeMap;
use std::time::Duration;

/// The recovery of one process.
#[derive(Debug)]
pub(super) struct Recovery<T: JournalDraft> {
    /// Names generations.
    random: u64,
    next_look: Duration,
    /// As they were when the newest answered look began.
    members: Vec<Member>,
    looked: Option<Duration>,
    silence: Silence,
    lease: Lease,
    lease_try: Duration,
    /// What the view must hold before it counts as complete, and when that was known.
    wanted: Option<(Duration, BTreeMap<Stream, u64>)>,
    /// Streams of the dead that the view lacks.
    replays: BTreeMap<Stream, Replay<T>>,
    /// Fences as they were told last, of this connection and generation.
    fences: Option<BTreeMap<Stream, u64>>,
    rebuild: Option<Rebuild<T>>,
    rebuild_asked: bool,
    rebuilt: usize,
}

impl<T: JournalDraft> Recovery<T> {
    pub(super) fn new(random: u64) -> Self {
        Self {
            random,
            next_look: Duration::ZERO,
            members: Vec::new(),
            looked: None,
            silence: Silence::default(),
            lease: Lease::default(),
            lease_try: Duration::ZERO,
            wanted: None,
            replays: BTreeMap::new(),
            fences: None,
            rebuild: None,
            rebuild_asked: false,
            rebuilt: 0,
        }
    }

    /// How many batches a rebuild under way has read, and has to read.
    pub(super) fn rebuilding(&self) -> Option<(u64, u64)> {
        self.rebuild.as_ref().map(Rebuild::progress)
    }

    /// Rebuilds that were finished since this was last asked.
    pub(super) fn take_rebuilt(&mut self) -> usize {
        std::mem::take(&mut self.rebuilt)
    }

    /// An operator wants it.
    pub(super) fn ask_rebuild(&mut self) {
        self.rebuild_asked = true;
    }

    /// Connection or generation changed.
    pub(super) fn relinked(&mut self) {
        (self.wanted, self.fences, self.rebuild) = (None, None, None);
        self.replays.clear();
    }

    /// An answer of `MongoDB` that concerns the recovery alone.
    pub(super) fn answered(
        &mut self,
        context: &mut Context<'_, T>,
        event: Event<T>,
        purpose: &Purpose<T>,
    ) {
        match (event, purpose) {
            (Event::Looked { members, lease, .. }, Purpose::Look { sent }) => {
                self.looked(context, *sent, members, lease);
            }
            (Event::NewestRead { newest, .. }, purpose) => self.newest(context, purpose, &newest),
            (Event::LeaseAnswered { term, .. }, Purpose::TakeLease { sent }) => {
                self.lease_taken(context, *sent, term);
            }
            (
                Event::JournalRead { through, records, .. },
                Purpose::JournalForRebuild { generation },
            ) => {
                self.rebuild_read(context, *generation, Some((through, &records)));
            }
            (Event::Failed { .. }, Purpose::JournalForRebuild { generation }) => {
                self.rebuild_read(context, *generation, None);
            }
            (Event::Done { .. }, Purpose::Finish) => self.next_look = Duration::ZERO,
            _ => {}
        }
    }

    fn looked(
        &mut self,
        context: &mut Context<'_, T>,
        sent: Duration,
        members: Vec<Member>,
        lease: LeaseDoc,
    ) {
        let now = context.now.mono;
        let beats = members.iter().map(|member| (member.beat.process, member.beat.number));
        self.silence.looked(beats, now, context.tuning.silence_gap_max);
        self.lease.looked(lease, now);
        let nobody_behind = members.iter().all(|member| !member.beat.behind);
        context.freshness.looked(sent, nobody_behind);
        self.members = members;
        self.looked = Some(sent);
    }

    /// All fences at one moment after `sent`.
    pub(super) fn fenced(
        &mut self,
        context: &mut Context<'_, T>,
        sent: Duration,
        fences: BTreeMap<Stream, u64>,
    ) {
        let fence = |stream: &Stream| fences.get(stream).copied().unwrap_or(0);
        let wanted = self.wanted.as_ref().filter(|(known, _)| *known <= sent);
        let is_complete = wanted
            .is_some_and(|(_, wanted)| wanted.iter().all(|(stream, &seq)| fence(stream) >= seq));
        if let (true, Some(conn), Some(generation)) =
            (is_complete, context.link.conn, context.link.generation)
        {
            context.freshness.set_clean(conn, generation);
            self.wanted = None;
        }
        for &(stream, last) in
            self.members.iter().filter_map(|member| member.finals.as_ref()).flatten()
        {
            if fence(&stream) >= last {
                self.replays.remove(&stream);
            } else {
                let replay = self.replays.entry(stream).or_insert_with(|| Replay::new(stream));
                replay.raise(last);
                replay.at(fence(&stream));
            }
        }
        self.fences = Some(fences);
    }

    /// To one of the three reasons to ask for the newest documents.
    fn newest(
        &mut self,
        context: &mut Context<'_, T>,
        purpose: &Purpose<T>,
        newest: &BTreeMap<Stream, Newest>,
    ) {
        let finals = self.members.iter().filter_map(|member| member.finals.as_ref()).flatten();
        match *purpose {
            Purpose::NewestForPass => {
                let open = newest.iter().map(|(&stream, newest)| (stream, newest.seq));
                let wanted = largest(finals.copied().chain(open));
                self.wanted = Some((context.now.mono, wanted));
                context.link.wants_fences = true;
            }
            Purpose::NewestForRebuild => {
                let Some(replaces) = context.link.generation.or(context.link.hollow) else {
                    return;
                };
                let open = newest.iter().map(|(&stream, newest)| (stream, newest.first - 1));
                let bounds = largest(finals.copied().chain(open)).into_iter();
                let bounds = bounds.filter(|bound| bound.1 > 0).collect();
                self.random = mix(self.random);
                self.rebuild = Some(Rebuild::new(self.random, replaces, bounds));
            }
            Purpose::NewestOfDead { process, number } => {
                let last = |stream| newest.get(&stream).map_or(0, |newest| newest.seq);
                let dead = self.members.iter().find(|member| member.beat.process == process);
                let streams = dead.iter().flat_map(|dead| &dead.beat.streams);
                let finals = streams.map(|&stream| (stream, last(stream))).collect();
                let op = context.ops.open(Purpose::Finish);
                context.out.push(Command::Finish { op, process, number, finals });
            }
            _ => {}
        }
    }

    fn lease_taken(&mut self, context: &Context<'_, T>, sent: Duration, term: Option<u64>) {
        if let Some(term) = term {
            self.lease.taken(term, context.process, sent, context.tuning.lease);
        }
    }

    pub(super) fn journal_read(
        &mut self,
        stream: Stream,
        read: Option<(u64, u64, Vec<Record<T>>)>,
    ) {
        match (self.replays.get_mut(&stream), read) {
            (Some(replay), Some((after, through, records))) => replay.read(after, through, records),
            (Some(replay), None) => replay.failed(),
            (None, _) => {}
        }
    }

    fn rebuild_read(
        &mut self,
        context: &Context<'_, T>,
        generation: u64,
        read: Option<(u64, &[Record<T>])>,
    ) {
        let rebuild = self.rebuild.as_mut().filter(|rebuild| rebuild.generation() == generation);
        match (rebuild, read) {
            (Some(rebuild), Some((through, records))) => {
                rebuild.read(through, records, context.rules, context.now.wall_s);
            }
            (Some(rebuild), None) => rebuild.failed(),
            (None, _) => {}
        }
    }

    pub(super) fn rebuild_answered(&mut self, answer: &ScriptAnswer<T::Subject>) {
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.answered(answer);
        }
    }

    /// How far Redis holds a stream of the dead.
    pub(super) fn applied(
        &mut self,
        stream: Stream,
        scripts: &[Apply<T::Row>],
        answers: &[ScriptAnswer<T::Subject>],
    ) -> Option<u64> {
        self.replays.get_mut(&stream)?.answered(scripts, answers)
    }

    /// Does what is due.
    pub(super) fn step(&mut self, context: &mut Context<'_, T>) {
        self.look(context);
        self.see_completeness(context);
        if !self.has_work(context) {
            return;
        }
        self.keep_lease(context);
        if self.lease.is_held(context.now.mono) {
            self.finish_dead(context);
            self.replay_dead(context);
            self.settle(context);
            self.rebuild(context);
        }
    }

    fn look(&mut self, context: &mut Context<'_, T>) {
        let now = context.now.mono;
        if now < self.next_look
            || context.ops.any(|purpose| matches!(purpose, Purpose::Look { .. }))
        {
            return;
        }
        self.next_look = now + context.tuning.pass_every;
        context.link.wants_fences = true;
        let op = context.ops.open(Purpose::Look { sent: now });
        context.out.push(Command::Look { op });
    }

    /// Once per connection and generation: all that the journal holds now, in the view.
    fn see_completeness(&mut self, context: &mut Context<'_, T>) {
        let known = context.link.generation.is_some() && context.link.conn.is_some();
        if !known || context.freshness.is_clean() || self.wanted.is_some() {
            return;
        }
        if self.looked.is_none_or(|looked| looked < context.link.since) {
            self.next_look = self.next_look.min(context.now.mono + context.tuning.pass_every / 4);
        } else if !context.ops.any(|purpose| matches!(purpose, Purpose::NewestForPass)) {
            let op = context.ops.open(Purpose::NewestForPass);
            context.out.push(Command::ReadNewest { op, streams: self.open_streams() });
        }
    }

    /// Of all processes that may still write.
    fn open_streams(&self) -> Vec<Stream> {
        let open = self.members.iter().filter(|member| member.finals.is_none());
        open.flat_map(|member| member.beat.streams.iter().copied()).collect()
    }

    /// Processes that are gone and not declared so, with the heartbeat that did not change.
    fn dead(&self, context: &Context<'_, T>) -> impl Iterator<Item = &Member> {
        let (me, silence_max) = (context.process, context.tuning.silence_max);
        self.members.iter().filter(move |member| {
            member.finals.is_none()
                && member.beat.process != me
                && self.silence.of(member.beat.process) >= silence_max
        })
    }

    /// A finished process that is still flagged although the view holds all of it.
    fn settled(&self) -> Option<u64> {
        let fences = self.fences.as_ref()?;
        let holds = |&(stream, last): &(Stream, u64)| {
            fences.get(&stream).is_some_and(|&f| f >= last) || last == 0
        };
        let settled = self.members.iter().find(|member| {
            let is_held = member.finals.as_ref().is_some_and(|finals| finals.iter().all(holds));
            member.beat.behind && is_held
        });
        settled.map(|member| member.beat.process)
    }

    fn wants_rebuild(&self, context: &Context<'_, T>) -> bool {
        let link = &context.link;
        link.conn.is_some()
            && (link.hollow.is_some() || self.rebuild_asked && link.generation.is_some())
    }

    fn has_work(&self, context: &Context<'_, T>) -> bool {
        self.dead(context).next().is_some()
            || !self.replays.is_empty()
            || self.settled().is_some()
            || self.wants_rebuild(context)
    }

    fn keep_lease(&mut self, context: &mut Context<'_, T>) {
        let (now, tuning) = (context.now.mono, context.tuning);
        if now < self.lease_try {
            return;
        }
        if let Some(term) = self.lease.to_take(context.process, now, tuning.lease) {
            self.lease_try = now + tuning.pass_every;
            let op = context.ops.open(Purpose::TakeLease { sent: now });
            context.out.push(Command::TakeLease { op, term });
        }
    }

    /// Its last batches are those which the journal holds now: the silence was longer than any
    /// insert of it can take to land.
    fn finish_dead(&mut self, context: &mut Context<'_, T>) {
        let busy = |purpose: &Purpose<T>| {
            matches!(purpose, Purpose::NewestOfDead { .. } | Purpose::Finish)
        };
        let Some(dead) = self.dead(context).next().filter(|_| !context.ops.any(busy)) else {
            return;
        };
        let (process, number) = (dead.beat.process, dead.beat.number);
        let streams = dead.beat.streams.clone();
        let op = context.ops.open(Purpose::NewestOfDead { process, number });
        context.out.push(Command::ReadNewest { op, streams });
    }

    fn replay_dead(&mut self, context: &mut Context<'_, T>) {
        let (Some(generation), Some(_)) = (context.link.generation, context.link.conn) else {
            return;
        };
        for replay in self.replays.values_mut() {
            run_replay(replay, generation, false, context);
        }
    }

    fn settle(&mut self, context: &mut Context<'_, T>) {
        let busy = context.ops.any(|purpose| matches!(purpose, Purpose::Finish));
        if let Some(process) = self.settled().filter(|_| !busy) {
            let op = context.ops.open(Purpose::Finish);
            context.out.push(Command::Settle { op, process });
        }
    }

    fn rebuild(&mut self, context: &mut Context<'_, T>) {
        if !self.wants_rebuild(context) {
            return;
        }
        let Some(rebuild) = &mut self.rebuild else {
            if !context.ops.any(|purpose| matches!(purpose, Purpose::NewestForRebuild)) {
                let streams = self.open_streams();
                let op = context.ops.open(Purpose::NewestForRebuild);
                context.out.push(Command::ReadNewest { op, streams });
            }
            return;
        };
        match rebuild.step(context.tuning) {
            RebuildStep::Nothing => {}
            RebuildStep::Read { stream, after, through } => {
                let op = context
                    .ops
                    .open(Purpose::JournalForRebuild { generation: rebuild.generation() });
                let limit = context.tuning.page_records_max;
                context.out.push(Command::ReadJournal { op, stream, after, through, limit });
            }
            RebuildStep::Load(load) => context.redis(Purpose::Rebuild, RedisRequest::Load(load)),
            RebuildStep::Switch(switch) => {
                context.redis(Purpose::Rebuild, RedisRequest::Switch(switch));
            }
            RebuildStep::Over => {
                self.rebuild_asked = false;
                self.rebuilt += 1;
                self.relinked();
                context.relink(context.link.conn, None);
            }
        }
    }
}

/// Takes a stream one step further into the view.
pub(super) fn run_replay<T: JournalDraft>(
    replay: &mut Replay<T>,
    generation: u64,
    own: bool,
    context: &mut Context<'_, T>,
) {
    let stream = replay.stream();
    match replay.step(generation, context.rules, context.tuning, context.now.wall_s) {
        Step::Nothing => {}
        Step::Read { after, through } => {
            let op = context.ops.open(Purpose::Journal { stream, after, own });
            let limit = context.tuning.page_records_max;
            context.out.push(Command::ReadJournal { op, stream, after, through, limit });
        }
        Step::Run(scripts) => {
            let purpose = Purpose::Apply { stream, own, scripts: scripts.clone() };
            context.redis(purpose, RedisRequest::Apply(scripts));
        }
    }
}

/// A process that was declared gone while the question was under way comes from both sides, and
/// must not be counted twice.
fn largest(bounds: impl Iterator<Item = (Stream, u64)>) -> BTreeMap<Stream, u64> {
    let mut largest = BTreeMap::new();
    for (stream, seq) in bounds {
        let found = largest.entry(stream).or_insert(seq);
        *found = seq.max(*found);
    }
    largest
}

/// One step of splitmix64: distinct inputs, distinct outputs.
fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
