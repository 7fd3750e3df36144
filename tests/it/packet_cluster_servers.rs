//! The two servers of the rain's cluster as plain data: what a call does when it arrives, once or
//! again, in whatever order. Flaws can be planted.

use fanfare::packet::cluster::{
    Amended, ChunkLine, Fate, Generation, Head, Known, Left, LogEnd, Pending, Place, Pool, Seen,
    Serve, Served, Tried, Try, VersionLine,
};
use fanfare::packet::{Refusal, Sum};
use fanfare::store::RequestKey;
use std::collections::{BTreeMap, VecDeque};

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// A place can be two users'.
    PlaceTwice,
    /// A user can have two packets of a number.
    NumberTwice,
    /// A draw can win two packets.
    DrawTwice,
    /// A key can get two packets.
    KeyTwice,
    /// A head is replaced whatever it is.
    NoRevision,
    /// Draws come from the view, which forgets.
    DrawsForgotten,
    /// Voids keep nobody from a place.
    NoVoids,
}

/// `MongoDB`.
#[derive(Default)]
pub(crate) struct Mongo {
    pub(crate) heads: BTreeMap<i64, Head>,
    pub(crate) versions: BTreeMap<(i64, i64), VersionLine>,
    pub(crate) log: BTreeMap<(i64, i64), Entry>,
    pub(crate) places: BTreeMap<i64, Place>,
    /// Beside `places`: only a planted flaw brings any in.
    pub(crate) doubles: Vec<Place>,
}

/// One number of the log of chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Entry {
    Chunk(ChunkLine),
    Claim(i64),
}

impl Mongo {
    pub(crate) fn newest(&self) -> Option<&Head> {
        self.heads.values().next_back()
    }

    pub(crate) fn insert_head(&mut self, head: Head) -> bool {
        let is_taken = self.heads.contains_key(&head.number)
            || self.heads.values().any(|other| other.id == head.id);
        if !is_taken {
            self.heads.insert(head.number, head);
        }
        !is_taken
    }

    pub(crate) fn swap_head(&mut self, old: &Head, new: &Head, flaw: Flaw) -> bool {
        let Some(there) = self.heads.get_mut(&old.number) else { return false };
        let fits = (there.rev, there.draws) == (old.rev, old.draws) || flaw == Flaw::NoRevision;
        if fits {
            *there = new.clone();
        }
        fits
    }

    pub(crate) fn take_draws(&mut self, number: i64, count: i64, flaw: Flaw) -> Option<(i64, i64)> {
        let head = self.heads.get_mut(&number).filter(|head| head.ended_us.is_none())?;
        let first = head.draws;
        if flaw != Flaw::DrawsForgotten {
            head.draws += count;
        }
        Some((first, head.version.version))
    }

    pub(crate) fn note_version(&mut self, line: &VersionLine) {
        self.versions.entry((line.rain, line.version.version)).or_insert_with(|| line.clone());
    }

    pub(crate) fn asked(&self, key: &str) -> Option<String> {
        let of_heads = self.heads.values().filter_map(|head| head.asked.as_ref());
        let of_versions = self.versions.values().filter_map(|line| line.asked.as_ref());
        let mut all = of_heads.chain(of_versions);
        all.find(|asked| asked.key == key).map(|asked| asked.text.clone())
    }

    pub(crate) fn log_end(&self, rain: i64) -> LogEnd {
        let mut end = LogEnd::default();
        for (&(_, number), entry) in self.log.range((rain, 0)..=(rain, i64::MAX)) {
            match entry {
                Entry::Chunk(line) => (end.line, end.claim) = (Some(*line), None),
                Entry::Claim(rev) => end.claim = Some((number, *rev)),
            }
        }
        end
    }

    pub(crate) fn open_chunk(&mut self, rain: i64, line: ChunkLine) -> bool {
        let is_taken = self.log.contains_key(&(rain, line.number()));
        if !is_taken {
            self.log.insert((rain, line.number()), Entry::Chunk(line));
        }
        !is_taken
    }

    pub(crate) fn claim(&mut self, rain: i64, number: i64, rev: i64) -> bool {
        let is_taken = self.log.contains_key(&(rain, number));
        if !is_taken {
            self.log.insert((rain, number), Entry::Claim(rev));
        }
        !is_taken
    }

    pub(crate) fn raise_claim(&mut self, rain: i64, number: i64, rev: i64) {
        if let Some(Entry::Claim(old)) = self.log.get_mut(&(rain, number)) {
            *old = rev.max(*old);
        }
    }

    pub(crate) fn fill_claim(&mut self, rain: i64, rev: i64, line: ChunkLine) -> bool {
        let fits = self.log.get(&(rain, line.number())) == Some(&Entry::Claim(rev));
        if fits {
            self.log.insert((rain, line.number()), Entry::Chunk(line));
        }
        fits
    }

    pub(crate) fn places(&self, line: ChunkLine) -> Vec<Place> {
        self.places.range(line.envelopes()).map(|(_, place)| place.clone()).collect()
    }

    pub(crate) fn decide(&mut self, place: &Place, flaw: Flaw) -> Fate {
        let holder = self.places.get(&place.envelope_id());
        let gives_way = flaw == Flaw::NoVoids
            && matches!(holder, Some(Place::Void { .. }))
            && matches!(place, Place::Granted(_));
        let is_double = holder.is_some() && !gives_way;
        if is_double && flaw != Flaw::PlaceTwice {
            return Fate::Taken;
        }
        if let Place::Granted(line) = place {
            let clashes = |place: &Place| match place {
                Place::Granted(other) => {
                    let same_user = (line.rain, line.uid) == (other.rain, other.uid);
                    line.rain == other.rain && line.draw == other.draw && flaw != Flaw::DrawTwice
                        || same_user && line.nth == other.nth && flaw != Flaw::NumberTwice
                        || line.uid == other.uid
                            && line.key.is_some()
                            && line.key == other.key
                            && flaw != Flaw::KeyTwice
                }
                Place::Void { .. } => false,
            };
            if self.places.values().any(clashes) {
                return Fate::Taken;
            }
        }
        if is_double {
            self.doubles.push(place.clone());
        } else {
            self.places.insert(place.envelope_id(), place.clone());
        }
        Fate::Done
    }

    pub(crate) fn raise_voids(&mut self, line: ChunkLine, to: i64) {
        for place in self.places.range_mut(line.envelopes()).map(|(_, place)| place) {
            if let Place::Void { rev, .. } = place {
                *rev = to.max(*rev);
            }
        }
    }

    pub(crate) fn drop_voids(&mut self, line: ChunkLine, below: i64) {
        let envelopes = line.envelopes();
        self.places.retain(|envelope, place| match place {
            Place::Void { rev, .. } => !envelopes.contains(envelope) || *rev >= below,
            Place::Granted(_) => true,
        });
    }

    pub(crate) fn holders(&self, envelopes: &[i64]) -> Vec<Place> {
        envelopes.iter().filter_map(|envelope| self.places.get(envelope).cloned()).collect()
    }

    pub(crate) fn known(&self, rain: i64, uid: i64, key: Option<&RequestKey>) -> Known {
        let mut known = Known::default();
        for place in self.places.values() {
            let Place::Granted(line) = place else { continue };
            if line.uid != uid {
                continue;
            }
            known.count += i64::from(line.rain == rain);
            if key.is_some() && line.key.as_ref() == key {
                known.under_key = Some(line.clone());
            }
        }
        known
    }

    /// What is handed out of a rain.
    pub(crate) fn handed_out(&self, rain: i64) -> Sum {
        let mut sum = Sum::default();
        for place in self.places.values().chain(&self.doubles) {
            if let Place::Granted(line) = place
                && line.rain == rain
            {
                sum.count += 1;
                sum.fen += line.value_fen;
            }
        }
        sum
    }
}

/// Redis: what the scripts do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Redis(pub(crate) Option<PoolState>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PoolState {
    pub(crate) pool: Pool,
    pub(crate) places: VecDeque<i64>,
    /// Packets of a user, and whether the last of them is in the outbox.
    pub(crate) users: BTreeMap<i64, (i64, bool)>,
    pub(crate) outbox: BTreeMap<i64, Pending>,
}

impl PoolState {
    fn left(&self) -> Left {
        let count = |number: usize| i64::try_from(number).expect("a chunk is small");
        Left {
            places: count(self.places.len()),
            pending: count(self.outbox.len()),
            is_last: self.pool.is_last,
        }
    }

    fn decide(&mut self, one: &Try, now_us: i64) -> Tried {
        if self.pool.is_frozen {
            return Tried::Wait;
        }
        if let Some(refusal) = self.pool.terms.refusal(now_us.div_euclid(1_000_000)) {
            return Tried::Refused(refusal);
        }
        let (count, is_pending) = match (self.users.get(&one.uid), one.known) {
            (Some(&user), _) => user,
            (None, _) if self.pool.knows_all => (0, false),
            (None, Some(known)) => {
                self.users.insert(one.uid, (known, false));
                (known, false)
            }
            (None, None) => return Tried::Ask,
        };
        if one.key.is_some() && one.known != Some(count) {
            return Tried::Ask;
        }
        if count >= self.pool.terms.max_per_user {
            return Tried::Refused(Refusal::NoSnatches);
        }
        if self.places.is_empty() && self.pool.is_last {
            return Tried::Refused(Refusal::NoPackets);
        }
        if !one.wins {
            return Tried::Unlucky;
        }
        if is_pending {
            return Tried::Wait;
        }
        let Some(place) = self.places.pop_front() else { return Tried::Wait };
        let nth = count + 1;
        self.users.insert(one.uid, (nth, true));
        let Try { uid, draw, key, .. } = one.clone();
        self.outbox.insert(place, Pending { place, uid, nth, draw, time_us: now_us, key });
        Tried::Popped { place, nth }
    }
}

impl Redis {
    fn of(&mut self, generation: Generation) -> Option<&mut PoolState> {
        self.0.as_mut().filter(|state| state.pool.generation == generation)
    }

    pub(crate) fn look(&self) -> Option<(Pool, i64, Vec<Pending>)> {
        let state = self.0.as_ref()?;
        let outbox = state.outbox.values().cloned().collect();
        Some((state.pool.clone(), state.left().places, outbox))
    }

    pub(crate) fn serve(&mut self, serve: &Serve) -> Seen<Served> {
        let Some(state) = self.of(serve.generation) else { return Seen::Other };
        let tried = serve.tries.iter().map(|one| state.decide(one, serve.now_us)).collect();
        Seen::Here(Served { tried, line: state.pool.line, left: state.left() })
    }

    pub(crate) fn settle(&mut self, of: (i64, i64), done: &[Pending]) -> Option<Left> {
        let is_here = |state: &&mut PoolState| (state.pool.rain, state.pool.line.number()) == of;
        let state = self.0.as_mut().filter(is_here)?;
        for one in done {
            if state.outbox.get(&one.place) == Some(one) {
                state.outbox.remove(&one.place);
                if let Some(user) = state.users.get_mut(&one.uid).filter(|user| user.0 == one.nth) {
                    user.1 = false;
                }
            }
        }
        Some(state.left())
    }

    pub(crate) fn refill(
        &mut self,
        generation: Generation,
        line: ChunkLine,
        is_last: bool,
    ) -> Seen<bool> {
        let Some(state) = self.of(generation) else { return Seen::Other };
        let follows = state.pool.line.number() + 1 == line.number();
        if !follows || !state.left().is_used_up() {
            return Seen::Here(false);
        }
        (state.pool.line, state.pool.is_last) = (line, is_last);
        state.places = (0..line.chunk.count()).collect();
        Seen::Here(true)
    }

    pub(crate) fn freeze(&mut self, generation: Generation) -> Seen<()> {
        let Some(state) = self.of(generation) else { return Seen::Other };
        state.pool.is_frozen = true;
        Seen::Here(())
    }

    pub(crate) fn install(
        &mut self,
        from: Option<Generation>,
        pool: &Pool,
        places: &[i64],
    ) -> bool {
        let there = self.0.as_ref().map(|state| state.pool.generation);
        if there != from {
            return false;
        }
        let places = places.iter().copied().collect();
        let (users, outbox) = (BTreeMap::new(), BTreeMap::new());
        self.0 = Some(PoolState { pool: pool.clone(), places, users, outbox });
        true
    }

    pub(crate) fn amend(&mut self, from: Generation, to: Amended) -> bool {
        let Some(state) = self.of(from).filter(|state| !state.pool.is_frozen) else { return false };
        let Amended { generation, version, terms } = to;
        (state.pool.generation, state.pool.version, state.pool.terms) =
            (generation, version, terms);
        true
    }
}
