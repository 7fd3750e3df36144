//! The driver's side towards Redis: what counts as one connection, and what is asked over it.
//!
//! All that a node asks goes through one thread of the lane, in order. A node's connection ends
//! whenever *any* connection of the lane came or went: reads use the others, and their answers count
//! only as long as none did.

use super::Input;
use crate::cluster::document::JournalDocument;
use crate::cluster::figures::Figures;
use crate::cluster::message::{Event, Op, RedisAnswer, RedisRequest};
use crate::cluster::reply::{Fences, Unread};
use crate::cluster::scripts::ViewScripts;
use crate::store::redis::{Answer, RedisJob, RedisLane};
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Between two tries to reach Redis with all threads.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// The thread of the lane that takes what nodes ask.
const PIN: u64 = 0;

/// What a thread of the lane sends back.
pub(super) enum Spoken<T: JournalDocument> {
    /// All threads have tried; whether all got an answer.
    Probed(bool),
    /// To a node's request.
    Answered { life: u64, conn: u64, op: Op, sent: Instant, answer: Result<RedisAnswer<T>, Unread> },
}

pub(super) struct RedisSide<T: JournalDocument> {
    lane: RedisLane,
    scripts: Arc<dyn ViewScripts<T>>,
    /// The connection, and what [`RedisLane::changes`] said when it began.
    conn: Option<(u64, u64)>,
    conns: u64,
    probing: bool,
    probe_at: Option<Instant>,
}

impl<T: JournalDocument> RedisSide<T> {
    pub(super) fn new(lane: RedisLane, scripts: Arc<dyn ViewScripts<T>>) -> Self {
        Self { lane, scripts, conn: None, conns: 0, probing: false, probe_at: None }
    }

    /// What the lane's changes were when that connection began; `None` for any but the current one.
    pub(super) fn changes_of(&self, conn: u64) -> Option<u64> {
        self.conn.filter(|current| current.0 == conn).map(|current| current.1)
    }

    /// Gives the connection up; the next look makes another.
    pub(super) fn disconnect(&mut self) -> Option<Event<T>> {
        let (conn, _) = self.conn.take()?;
        Some(Event::Disconnected { conn })
    }

    /// Ends a connection that has changed, and tries to make one where there is none.
    pub(super) fn look(&mut self, now: Instant, inbox: &Sender<Input<T>>) -> Option<Event<T>> {
        let changed = self.conn.is_some_and(|(_, changes)| changes != self.lane.changes());
        let event = if changed { self.disconnect() } else { None };
        let due = self.probe_at.is_none_or(|at| now >= at);
        if self.conn.is_none() && !self.probing && due {
            self.probing = true;
            self.probe_at = Some(now + PROBE_PAUSE);
            self.probe(inbox);
        }
        event
    }

    /// Has every thread ask something, so that each finds out whether its connection still works.
    fn probe(&self, inbox: &Sender<Input<T>>) {
        let threads = self.lane.threads();
        let left = Arc::new(AtomicUsize::new(threads));
        let all_well = Arc::new(AtomicBool::new(true));
        for pin in 0..threads as u64 {
            let (left, all_well, inbox) = (Arc::clone(&left), Arc::clone(&all_well), inbox.clone());
            let job = RedisJob::new(self.scripts.ping(), move |answer| {
                if !matches!(answer, Answer::Done(_)) {
                    all_well.store(false, Ordering::Release);
                }
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    let well = all_well.load(Ordering::Acquire);
                    let _ = inbox.send(Input::View(Spoken::Probed(well)));
                }
            });
            if let Err(shed) = self.lane.submit_pinned(pin, job) {
                shed.job.give_up();
            }
        }
    }

    /// What a node hears of it.
    pub(super) fn heard(
        &mut self,
        spoken: Spoken<T>,
        current_life: u64,
        figures: &Figures,
    ) -> Option<Event<T>> {
        match spoken {
            Spoken::Probed(well) => {
                self.probing = false;
                if !well || self.conn.is_some() {
                    return None;
                }
                self.conns += 1;
                self.conn = Some((self.conns, self.lane.changes()));
                Some(Event::Connected { conn: self.conns })
            }
            Spoken::Answered { life, conn, op, sent, answer } => {
                figures.redis.record_duration(sent.elapsed());
                let current = self.conn.is_some_and(|current| current.0 == conn);
                if life != current_life || !current {
                    return None;
                }
                match answer {
                    Ok(answer) => Some(Event::RedisAnswered { op, answer }),
                    Err(unread) => {
                        tracing::warn!(%unread, "what Redis was asked has no answer; asking anew");
                        self.disconnect()
                    }
                }
            }
        }
    }

    /// A read found another generation than the node knows.
    pub(super) fn outdated(&self) -> Option<Event<T>> {
        self.conn.map(|(conn, _)| Event::Outdated { conn })
    }

    /// Sends a node's request, if its connection still is the current one; else the node hears of
    /// that anyhow.
    pub(super) fn ask(
        &self,
        (life, op): (u64, Op),
        conn: u64,
        request: &RedisRequest<T>,
        inbox: &Sender<Input<T>>,
    ) {
        if self.changes_of(conn) != Some(self.lane.changes()) {
            return;
        }
        let commands = match request {
            RedisRequest::Apply(scripts) => {
                scripts.iter().map(|apply| self.scripts.apply(apply)).collect()
            }
            RedisRequest::Load(load) => vec![self.scripts.load(load)],
            RedisRequest::Switch(switch) => vec![self.scripts.switch(switch)],
            RedisRequest::Fences => vec![self.scripts.fences()],
        };
        let is_fences = matches!(request, RedisRequest::Fences);
        let (scripts, inbox, sent) = (Arc::clone(&self.scripts), inbox.clone(), Instant::now());
        let job = RedisJob::all(commands, move |answers| {
            let answer = read(&*scripts, answers, is_fences);
            let answered = Spoken::Answered { life, conn, op, sent, answer };
            let _ = inbox.send(Input::View(answered));
        });
        if let Err(shed) = self.lane.submit_pinned(PIN, job) {
            shed.job.give_up();
        }
    }
}

/// A pipeline of which a part was not answered counts as not answered: fences tell what ran.
fn read<T: JournalDocument>(
    scripts: &dyn ViewScripts<T>,
    answers: Vec<Answer>,
    is_fences: bool,
) -> Result<RedisAnswer<T>, Unread> {
    let mut answers = answers.into_iter();
    if is_fences {
        let answer = answers.next().expect("one answer for one command");
        let Fences { generation, is_hollow, fences } = scripts.read_fences(answer)?;
        return Ok(RedisAnswer::Fences { generation, is_hollow, fences });
    }
    let read = answers.map(|answer| scripts.read_script(answer));
    Ok(RedisAnswer::Scripts(read.collect::<Result<_, _>>()?))
}
