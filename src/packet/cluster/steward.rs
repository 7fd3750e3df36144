//! What happens to a rain as a whole: it is made, its terms change, it ends. Each is one change of
//! its head, on the condition that the head still is what the change was made of.

use super::hands::{Hands, Stage, TRIES, plus};
use super::lines::{Asked, Head, Place, SEAL, granted};
use super::record::{Record, Trouble, VersionLine};
use super::view::{Amended, Gates, Pool, Seen, View};
use crate::packet::{
    Author, Change, Impossible, Managed, Rain, Request, Seed, Source, State, Sum, Terms,
};

/// A rain to be made.
#[derive(Clone, Debug)]
pub struct Create {
    /// How operators name it.
    pub id: i64,
    /// Its first terms; a moment in the past means now.
    pub terms: Terms,
    /// Where its draws come from.
    pub seed: Seed,
    /// Who makes it.
    pub by: Author,
    /// Why.
    pub reason: String,
}

/// New terms.
#[derive(Clone, Debug)]
pub enum New<'a> {
    /// What an operator asks.
    Change(&'a Change),
    /// Another hit rate of a paced rain, in place of version so-and-so.
    Rate {
        /// Winning draws of a million.
        hit_ppm: i64,
        /// What it was computed for.
        version: i64,
    },
}

/// One attempt.
enum Tried {
    Done,
    Impossible(Impossible),
    /// Others went on meanwhile.
    Again,
}

impl<R: Record, V: View> Hands<'_, R, V> {
    /// Makes the next rain.
    pub async fn create(&self, create: &Create, asked: Option<&Asked>) -> Result<Managed, Trouble> {
        for _ in 0..TRIES {
            let last = self.record.head().await?;
            if let Some(managed) = self.replayed(last.as_ref(), asked).await? {
                return Ok(managed);
            }
            if self.record.has_rain(create.id).await? {
                return Ok(Managed::TakenId);
            }
            let now_s = self.now_s();
            if let Some(last) = last.as_ref().filter(|last| last.state(now_s) != State::Ended) {
                return Ok(Managed::NotEnded { id: last.id });
            }
            let Create { id, terms, seed, by, reason } = create;
            // A moment in the past means now.
            let moments = Change {
                starts_at: Some(terms.starts_at),
                ends_at: Some(terms.ends_at),
                ..Change::default()
            };
            let terms = terms.with(&moments, now_s);
            let request = Request { by: *by, reason, now_s, first_draw: 1 };
            let rain = match Rain::new(*id, *seed, &terms, request) {
                Ok(rain) => rain,
                Err(reason) => return Ok(Managed::Impossible(reason)),
            };
            // Only now: what is refused changes nothing, not even when the last one ended.
            let (mut number, mut first_envelope) = (1, 1);
            if let Some(last) = last {
                let Some(sealed) = self.finish(&last).await? else { continue };
                let next = self.close(&sealed, SEAL).await?.next_envelope;
                (number, first_envelope) = (last.number + 1, next);
            }
            let head = Head::of(&rain, number, first_envelope, asked.cloned());
            if self.record.insert_head(head).await? {
                self.show().await;
                return Ok(Managed::Done { replayed: false });
            }
        }
        Err(Trouble::Overtaken)
    }

    /// Changes the terms of the newest rain.
    pub async fn change(
        &self,
        new: &New<'_>,
        (by, reason): (Author, &str),
        asked: Option<&Asked>,
    ) -> Result<Managed, Trouble> {
        for _ in 0..TRIES {
            let head = self.record.head().await?;
            if let Some(managed) = self.replayed(head.as_ref(), asked).await? {
                return Ok(managed);
            }
            let Some(head) = head else { return Ok(Managed::NoRain) };
            let by_rate =
                matches!(new, New::Rate { version, .. } if *version != head.version.version);
            if by_rate || head.ended_us.is_some() {
                return Ok(Managed::Impossible(Impossible::Ended));
            }
            let request =
                |head: &Head| Request { by, reason, now_s: self.now_s(), first_draw: head.draws };
            let handed_out = self.handed_out(&head).await?;
            let rain = match changed(&head, handed_out, new, request(&head)) {
                Ok(rain) => rain,
                Err(reason) => return Ok(Managed::Impossible(reason)),
            };
            self.record.note_version(VersionLine::of(&head)).await?;
            let tried = if rain.terms().same_amounts(head.terms()) {
                self.commit(&head, head.following(&rain, asked.cloned())).await?
            } else {
                self.change_amounts(&head, asked, |head, exact| {
                    changed(head, exact, new, request(head))
                })
                .await?
            };
            match tried {
                Tried::Done => {
                    self.show().await;
                    return Ok(Managed::Done { replayed: false });
                }
                Tried::Impossible(reason) => return Ok(Managed::Impossible(reason)),
                Tried::Again => {}
            }
        }
        Err(Trouble::Overtaken)
    }

    /// Notes the end of a rain that is over by the clock, and closes what it left open. The head then;
    /// `None` when others went on meanwhile.
    pub async fn finish(&self, head: &Head) -> Result<Option<Head>, Trouble> {
        let mut head = head.clone();
        if head.ended_us.is_none() {
            let ended = Head { ended_us: Some((self.now_us)()), ..head.fenced() };
            if !self.record.swap_head(head, ended.clone()).await? {
                return Ok(None);
            }
            head = ended;
        }
        if !head.is_sealed {
            self.close(&head, SEAL).await?;
            let sealed = Head { is_sealed: true, ..head.fenced() };
            if !self.record.swap_head(head, sealed.clone()).await? {
                return Ok(None);
            }
            head = sealed;
        }
        Ok(Some(head))
    }

    /// Notes that what nobody opened went back to the budget; false when others went on meanwhile.
    pub async fn give_back(&self, head: &Head) -> Result<bool, Trouble> {
        let returned = Head { returned_us: Some((self.now_us)()), ..head.fenced() };
        self.record.swap_head(head.clone(), returned).await
    }

    /// What is handed out, as of some moment of this call.
    pub async fn handed_out(&self, head: &Head) -> Result<Sum, Trouble> {
        let end = self.record.log_end(head.number).await?;
        let Some(line) = end.line else { return Ok(Sum::default()) };
        Ok(plus(line.before, granted(&self.record.places(head.number, line).await?)))
    }

    /// New amounts: what the pool holds is void, and how much is handed out must be known to the fen.
    async fn change_amounts(
        &self,
        head: &Head,
        asked: Option<&Asked>,
        change: impl Fn(&Head, Sum) -> Result<Rain, Impossible>,
    ) -> Result<Tried, Trouble> {
        self.drain(head).await?;
        let fenced = head.fenced();
        if !self.record.swap_head(head.clone(), fenced.clone()).await? {
            return Ok(Tried::Again);
        }
        let closed = match self.close(&fenced, fenced.rev).await {
            Err(Trouble::Overtaken) => return Ok(Tried::Again),
            closed => closed?,
        };
        let rain = match change(&fenced, closed.handed_out) {
            Ok(rain) => rain,
            Err(reason) => {
                // What was voided is to be handed out after all.
                self.record.swap_head(fenced.clone(), fenced.fenced()).await?;
                self.thaw().await?;
                return Ok(Tried::Impossible(reason));
            }
        };
        let new = Head { closed: closed.number, ..fenced.following(&rain, asked.cloned()) };
        self.commit(&fenced, new).await
    }

    async fn commit(&self, old: &Head, new: Head) -> Result<Tried, Trouble> {
        if !self.record.swap_head(old.clone(), new.clone()).await? {
            return Ok(Tried::Again);
        }
        let same_amounts = new.terms().same_amounts(old.terms());
        // It is in effect; who asks for the pool will see to the rest, if this does not come to it.
        let _ = self.record.note_version(VersionLine::of(&new)).await;
        if same_amounts && let Ok(Some((pool, _, _))) = self.view.look().await {
            self.amend(&new, &pool).await;
        } else {
            let _ = self.thaw().await;
        }
        Ok(Tried::Done)
    }

    /// The same packets under new terms.
    async fn amend(&self, head: &Head, pool: &Pool) {
        let follows = pool.rain == head.number && pool.version + 1 == head.version.version;
        if follows && !pool.is_frozen {
            let generation = (self.fresh)();
            let (version, terms) = (head.version.version, Gates::of(head.terms()));
            let amended = Amended { generation, version, terms };
            let _ = self.view.amend(pool.generation, amended).await;
        }
    }

    /// Freezes the pool, and writes down what it handed out: else those would get another packet.
    async fn drain(&self, head: &Head) -> Result<(), Trouble> {
        let Ok(Some((pool, _, _))) = self.view.look().await else { return Ok(()) };
        let frozen = self.view.freeze(pool.generation).await;
        let Ok(Seen::Here(())) = frozen else { return Ok(()) };
        let Ok(Some((now, _, outbox))) = self.view.look().await else { return Ok(()) };
        let line = now.line;
        let is_same = (now.generation, pool.rain) == (pool.generation, head.number);
        if !is_same || !head.covers(&line) || outbox.is_empty() {
            return Ok(());
        }
        let packets = line.chunk.packets(&Source::new(&head.seed), head.id, head.terms());
        let lines = outbox.iter().filter_map(|one| one.line(head.number, line, &packets));
        self.record.decide(lines.map(Place::Granted).collect()).await.map(|_| ())
    }

    /// Makes the pool anew, whoever froze it.
    async fn thaw(&self) -> Result<Stage, Trouble> {
        let there = self.view.look().await?;
        self.ensure(there.map(|(pool, _, _)| pool.generation)).await
    }

    /// Has the view follow the record; what does not come to it, others do later.
    async fn show(&self) {
        let _ = self.ensure(None).await;
    }

    /// What an earlier request under this key came to.
    async fn replayed(
        &self,
        head: Option<&Head>,
        asked: Option<&Asked>,
    ) -> Result<Option<Managed>, Trouble> {
        let Some(asked) = asked else { return Ok(None) };
        let newest = head.and_then(|head| head.asked.as_ref()).filter(|old| old.key == asked.key);
        let earlier = match newest {
            Some(newest) => Some(newest.text.clone()),
            None => self.record.asked(asked.key.clone()).await?,
        };
        Ok(earlier.map(|text| {
            if text == asked.text { Managed::Done { replayed: true } } else { Managed::KeyConflict }
        }))
    }
}

fn changed(
    head: &Head,
    handed_out: Sum,
    new: &New<'_>,
    request: Request<'_>,
) -> Result<Rain, Impossible> {
    let mut rain = head.rain(handed_out);
    match new {
        New::Change(change) => rain.change(change, request)?,
        New::Rate { hit_ppm, .. } => rain.pace(*hit_ppm, request),
    }
    Ok(rain)
}
