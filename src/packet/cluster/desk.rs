//! One worker at its desk: takes snatches, has the view decide them, writes the packets down.

use super::hands::{Hands, OpenChunk, Stage};
use super::lines::{ChunkLine, GrantLine, Head, Place};
use super::record::{Fate, Record, Trouble};
use super::snatching::{Drawn, Snatching, Turned};
use super::view::{Generation, Left, Pending, Pool, Seen, Serve, Tried, Try, View};
use crate::packet::{Refusal, Source, luck};
use std::sync::Arc;

/// Draws of the record that are this worker's, under one version of the terms.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    rain: i64,
    version: i64,
    next: i64,
    until: i64,
}

/// What a worker keeps between turns.
#[derive(Default)]
pub struct Desk {
    stage: Stage,
    block: Block,
    /// Amounts of the chunk that was last taken from.
    drawn: Option<(i64, ChunkLine, Arc<[i64]>)>,
    /// Packets that are in the record and may leave the outbox, and their rain and chunk.
    done: Vec<((i64, i64), Pending)>,
    /// Where the chunk stood when it was last heard of.
    left: Option<(ChunkLine, Left)>,
    /// The pool must be looked for.
    is_lost: bool,
    /// This generation handed out what was somebody's already.
    broken: Option<Generation>,
}

impl Desk {
    /// The rain as this worker last saw it.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Where the chunk stood when it was last heard of.
    pub fn left(&self) -> Option<(ChunkLine, Left)> {
        self.left
    }

    /// Looks for the pool anew in the next turn.
    pub fn forget(&mut self) {
        self.is_lost = true;
    }

    /// Whether the pool was found to hand out what was somebody's already.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some() && !self.is_frozen()
    }

    /// Whether somebody is changing the amounts.
    pub fn is_frozen(&self) -> bool {
        self.stage.pool.as_ref().is_some_and(|pool| pool.is_frozen)
    }

    /// Makes the pool anew in the next turn, as whoever froze it seems to be gone.
    pub fn thaw(&mut self) {
        if self.is_frozen() {
            self.broken = self.stage.pool.as_ref().map(|pool| pool.generation);
        }
    }

    /// Takes every snatch one step further; as many results. After an error none of them was
    /// answered, and all may be tried again.
    pub async fn turn<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
        snatches: &mut [Snatching],
        draws: i64,
    ) -> Result<Vec<Turned>, Trouble> {
        let mut turned = vec![Turned::Again; snatches.len()];
        let pool = self.pool(hands).await?;
        self.look_up(hands, snatches, &mut turned).await?;
        let now_us = (hands.now_us)();
        // What the terms say is for the view: this worker may have heard of others long ago.
        let closed = match &self.stage.head {
            None => Some(Refusal::NotStarted),
            Some(_) => pool.is_none().then_some(Refusal::Ended),
        };
        if let Some(refusal) = closed {
            refuse(&mut turned, refusal);
            return Ok(turned);
        }
        let Some(generation) = pool else { return Ok(turned) };
        if self.is_frozen() {
            return Ok(turned);
        }
        if !self.draw(hands, snatches, &turned, draws).await? {
            return Ok(turned);
        }
        let asked: Vec<usize> =
            (0..turned.len()).filter(|&at| turned[at] == Turned::Again).collect();
        let tries = asked.iter().filter_map(|&at| {
            let Snatching { uid, key, drawn, .. } = &snatches[at];
            let Drawn { draw, wins, rain, .. } = (*drawn)?;
            let known = snatches[at].known_of(rain);
            Some(Try { uid: *uid, draw, wins, key: key.clone(), known })
        });
        let tries: Vec<Try> = tries.collect();
        if tries.is_empty() {
            return Ok(turned);
        }
        let serve = Serve { generation, now_us, tries: tries.clone() };
        let Seen::Here(served) = hands.view.serve(serve).await? else {
            self.is_lost = true;
            return Ok(turned);
        };
        self.left = Some((served.line, served.left));
        let (mut popped, mut uncounted) = (Vec::new(), Vec::new());
        for ((&at, one), tried) in asked.iter().zip(tries).zip(served.tried) {
            match tried {
                Tried::Popped { place, nth } => {
                    let Try { uid, draw, key, .. } = one;
                    let time_us = now_us;
                    popped.push((at, Pending { place, uid, nth, draw, time_us, key }));
                }
                Tried::Unlucky => turned[at] = Turned::Unlucky { draw: one.draw },
                Tried::Refused(refusal) => turned[at] = Turned::Refused(refusal),
                Tried::Wait => {}
                Tried::Ask => snatches[at].known = None,
            }
            if tried == Tried::Ask && snatches[at].key.is_none() {
                uncounted.push(at);
            }
        }
        if !popped.is_empty() {
            self.write_down(hands, served.line, popped, snatches, &mut turned).await;
        }
        if !uncounted.is_empty() {
            self.count(hands, snatches, &uncounted).await;
        }
        Ok(turned)
    }

    /// Tells the view what is in the record; whoever so takes the last packet of a chunk out of the
    /// outbox opens the next chunk. To be called after a turn's answers went out.
    /// Tells whether anybody who waits may go on.
    pub async fn tidy<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
    ) -> Result<bool, Trouble> {
        if self.done.is_empty() {
            // Others see the same empty chunk: did all of them open the next, all but one were in vain.
            return Ok(false);
        }
        let opened = self.settle_and_refill(hands).await?;
        // While the chunk is empty, whose packet was pending waits for the next chunk too.
        Ok(opened || !self.is_dry())
    }

    /// Whether the chunk had no packet left when it was last heard of.
    pub fn is_dry(&self) -> bool {
        self.left.is_some_and(|(_, left)| left.places == 0)
    }

    /// Tells the view what is in the record, and opens the next chunk if none of this one is left;
    /// whether it did.
    async fn settle_and_refill<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
    ) -> Result<bool, Trouble> {
        self.settle_done(hands).await?;
        let is_used_up = self.left.is_some_and(|(_, left)| left.is_used_up());
        if is_used_up {
            self.refill(hands).await?;
        }
        Ok(is_used_up)
    }

    async fn settle_done<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
    ) -> Result<(), Trouble> {
        let done = std::mem::take(&mut self.done);
        let Some(&(chunk, _)) = done.last() else { return Ok(()) };
        // Those of a chunk before this one are out of the outbox, or it would not be open.
        let of_chunk = done.into_iter().filter(|(of, _)| *of == chunk);
        let left = hands.view.settle(chunk, of_chunk.map(|(_, one)| one).collect()).await?;
        let of_this = self.left.filter(|(line, _)| line.number() == chunk.1);
        self.left = of_this.and_then(|(line, _)| Some((line, left?)));
        Ok(())
    }

    /// Does what some worker left undone: writes down what has been in the outbox since before, which
    /// `is_old` tells, and opens the next chunk where nobody does. Returns what it found there.
    pub async fn help<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
        is_old: impl Fn(&Pending) -> bool,
    ) -> Result<Vec<Pending>, Trouble> {
        let (Some(head), Some((pool, places, outbox))) =
            (self.stage.head.clone(), hands.view.look().await?)
        else {
            return Ok(Vec::new());
        };
        if pool.rain != head.number {
            return Ok(outbox);
        }
        let line = pool.line;
        let pending = i64::try_from(outbox.len()).expect("a chunk is small");
        self.left = Some((line, Left { places, pending, is_last: pool.is_last }));
        if !head.covers(&line) {
            // Under new amounts it is closed: what is still in the outbox is of others.
            return Ok(outbox);
        }
        let old: Vec<Pending> = outbox.iter().filter(|pending| is_old(pending)).cloned().collect();
        if !old.is_empty() {
            let lines = self.lines(&head, line, &old);
            let (settled, foreign) = settle(hands, lines).await?;
            let landed = old.into_iter().zip(settled).filter(|(_, landed)| *landed == Some(true));
            let place = (head.number, line.number());
            self.done.extend(landed.map(|(pending, _)| (place, pending)));
            if foreign {
                self.broken = Some(pool.generation);
                self.is_lost = true;
                self.pool(hands).await?;
            }
        }
        self.settle_and_refill(hands).await?;
        Ok(outbox)
    }

    /// The pool to take from; `None` while there is none.
    async fn pool<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
    ) -> Result<Option<Generation>, Trouble> {
        let is_there = self.stage.pool.as_ref().is_some_and(|pool| !pool.is_frozen);
        if self.is_lost || !is_there {
            self.stage = hands.ensure(self.broken).await?;
            self.is_lost = false;
            self.broken = None;
            self.left = None;
        }
        let pool = self.stage.pool.as_ref();
        Ok(pool.map(|pool| pool.generation))
    }

    /// Looks for packets that keys got before.
    async fn look_up<R: Record, V: View>(
        &self,
        hands: &Hands<'_, R, V>,
        snatches: &mut [Snatching],
        turned: &mut [Turned],
    ) -> Result<(), Trouble> {
        let rain = self.stage.head.as_ref().map_or(0, |head| head.number);
        let asking = |snatch: &Snatching| snatch.key.is_some() && snatch.known_of(rain).is_none();
        let at: Vec<usize> = (0..snatches.len()).filter(|&at| asking(&snatches[at])).collect();
        if at.is_empty() {
            return Ok(());
        }
        let users = at.iter().map(|&at| (snatches[at].uid, snatches[at].key.clone()));
        let known = hands.record.known(rain, users.collect()).await?;
        for (at, known) in at.into_iter().zip(known) {
            snatches[at].known = Some((rain, known.count));
            if let Some(line) = known.under_key {
                turned[at] = Turned::Got { line, replayed: true };
            }
        }
        Ok(())
    }

    /// Has the record count the packets of users; who is not counted now is in the next turn.
    async fn count<R: Record, V: View>(
        &self,
        hands: &Hands<'_, R, V>,
        snatches: &mut [Snatching],
        uncounted: &[usize],
    ) {
        let rain = self.stage.head.as_ref().map_or(0, |head| head.number);
        let users = uncounted.iter().map(|&at| (snatches[at].uid, None)).collect();
        let Ok(known) = hands.record.known(rain, users).await else { return };
        for (&at, known) in uncounted.iter().zip(known) {
            snatches[at].known = Some((rain, known.count));
        }
    }

    /// Gives a draw to everybody who has none of the terms of the pool; false when the record has
    /// others.
    async fn draw<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
        snatches: &mut [Snatching],
        turned: &[Turned],
        count: i64,
    ) -> Result<bool, Trouble> {
        let Stage { head: Some(head), pool: Some(pool) } = &self.stage else { return Ok(false) };
        let (rain, version) = (head.number, pool.version);
        if head.version.version != version {
            // Whoever changed the terms is about to make another pool.
            self.is_lost = true;
            return Ok(false);
        }
        let source = Source::new(&head.seed);
        for at in (0..snatches.len()).filter(|&at| turned[at] == Turned::Again) {
            let snatch = &mut snatches[at];
            let is_current = |drawn: &Drawn| (drawn.rain, drawn.version) == (rain, version);
            if snatch.drawn.as_ref().is_some_and(is_current) {
                continue;
            }
            let block = &mut self.block;
            if (block.rain, block.version) != (rain, version) || block.next == block.until {
                let taken = hands.record.take_draws(rain, count).await?;
                let Some((next, of)) = taken else {
                    self.is_lost = true;
                    return Ok(false);
                };
                *block = Block { rain, version: of, next, until: next + count };
                if of != version {
                    self.is_lost = true;
                    return Ok(false);
                }
            }
            let draw = block.next;
            block.next += 1;
            let wins = luck::wins(&source, head.id, draw, head.version.hit_ppm);
            snatch.drawn = Some(Drawn { rain, version, draw, wins });
        }
        Ok(true)
    }

    /// Puts packets into the record; then they are their users'.
    async fn write_down<R: Record, V: View>(
        &mut self,
        hands: &Hands<'_, R, V>,
        line: ChunkLine,
        popped: Vec<(usize, Pending)>,
        snatches: &mut [Snatching],
        turned: &mut [Turned],
    ) {
        let Some(head) = self.stage.head.clone() else { return };
        let (at, pending): (Vec<usize>, Vec<Pending>) = popped.into_iter().unzip();
        if !head.covers(&line) {
            // They are in the outbox, for somebody who knows the terms.
            for at in at {
                turned[at] = Turned::Unknown;
            }
            self.is_lost = true;
            return;
        }
        let lines = self.lines(&head, line, &pending);
        let (settled, foreign) = match settle(hands, lines.clone()).await {
            Ok(settled) => settled,
            Err(_) => (vec![None; lines.len()], false),
        };
        if foreign {
            self.broken = self.stage.pool.as_ref().map(|pool| pool.generation);
            self.is_lost = true;
        }
        for (((at, pending), grant), landed) in at.into_iter().zip(pending).zip(lines).zip(settled)
        {
            match landed {
                Some(true) => {
                    self.done.push(((head.number, line.number()), pending));
                    turned[at] = Turned::Got { line: grant, replayed: false };
                }
                // Begin again with another draw: this one may be somewhere already.
                Some(false) => {
                    let Snatching { uid, key, .. } = snatches[at].clone();
                    snatches[at] = Snatching::new(uid, key);
                }
                None => turned[at] = Turned::Unknown,
            }
        }
    }

    /// Opens the next chunk.
    async fn refill<R: Record, V: View>(&mut self, hands: &Hands<'_, R, V>) -> Result<(), Trouble> {
        let Stage { head: Some(head), pool: Some(pool) } = self.stage.clone() else {
            return Ok(());
        };
        let Some((used_up, _)) = self.left.take() else { return Ok(()) };
        // The usual case: the view saw every packet of the chunk go into the record.
        if head.covers(&used_up)
            && let Some((next, is_last)) = hands.open_next(&head, &used_up).await?
        {
            let seen = hands.view.refill(pool.generation, next, is_last).await?;
            self.is_lost |= seen == Seen::Other;
            return Ok(());
        }
        let opened = match hands.open_chunk(&head).await {
            Err(Trouble::Overtaken) => {
                self.is_lost = true;
                return Ok(());
            }
            opened => opened?,
        };
        let OpenChunk { line, places, is_last, .. } = opened;
        if i64::try_from(places.len()).is_ok_and(|places| places == line.chunk.count()) {
            let seen = hands.view.refill(pool.generation, line, is_last).await?;
            self.is_lost |= seen == Seen::Other;
            return Ok(());
        }
        // Another worker was faster, and has handed some of it out. Unless the view still stands where
        // it stood: then what it knew is lost.
        let there = hands.view.look().await?.map(|(pool, _, _)| pool);
        let stands = |now: Pool| now.generation == pool.generation && now.line == used_up;
        if there.is_none_or(stands) {
            self.broken = Some(pool.generation);
            self.is_lost = true;
        }
        Ok(())
    }

    /// What the record is to have of `pending`.
    fn lines(&mut self, head: &Head, line: ChunkLine, pending: &[Pending]) -> Vec<GrantLine> {
        let kept = self.drawn.take().filter(|(rain, of, _)| (*rain, *of) == (head.number, line));
        let (_, _, packets) = kept.unwrap_or_else(|| {
            let source = Source::new(&head.seed);
            // Amounts are those of the chunk's version: others would have closed it.
            let packets = line.chunk.packets(&source, head.id, head.terms());
            (head.number, line, packets.into())
        });
        let granted = pending.iter().filter_map(|one| one.line(head.number, line, &packets));
        let granted = granted.collect();
        self.drawn = Some((head.number, line, packets));
        granted
    }
}

/// Writes packets down: for each whether the record has exactly this one, `None` when it does not
/// say; and whether one of their names is another's.
async fn settle<R: Record, V: View>(
    hands: &Hands<'_, R, V>,
    lines: Vec<GrantLine>,
) -> Result<(Vec<Option<bool>>, bool), Trouble> {
    let places: Vec<Place> = lines.iter().cloned().map(Place::Granted).collect();
    let fates = hands.record.decide(places.clone()).await?;
    let taken = places.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Taken);
    let taken: Vec<i64> = taken.map(|(place, _)| place.envelope_id()).collect();
    let holders = if taken.is_empty() { Vec::new() } else { hands.record.holders(taken).await? };
    let mut foreign = false;
    let settled = places.iter().zip(fates).map(|(place, fate)| match fate {
        Fate::Done => Some(true),
        Fate::Taken => {
            let is_ours = holders.contains(place);
            foreign |= !is_ours;
            Some(is_ours)
        }
        Fate::Unknown => None,
    });
    let settled = settled.collect();
    Ok((settled, foreign))
}

fn refuse(turned: &mut [Turned], refusal: Refusal) {
    for one in turned.iter_mut().filter(|one| **one == Turned::Again) {
        *one = Turned::Refused(refusal);
    }
}
