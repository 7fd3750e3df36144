//! A simulated Redis: runs scripts, forgets its last writes, and has a planted flaw if wanted.

use crate::cluster_sim_domain::{Domain, Row, Subject};
use fanfare::cluster::{
    Apply, Generation, PureView, RedisAnswer, RedisRequest, ScriptAnswer, Switch,
};
use std::collections::VecDeque;

/// States that it can fall back to.
const HISTORY: usize = 60;

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// The fence skips what is old, and steps over gaps.
    SkipsOldOnly,
    /// The fences are kept elsewhere, and survive what the data does not.
    FenceApart,
    /// Scripts are applied to the keys of whatever generation they name; there is one fence.
    NoGenerationCheck,
    /// A new generation takes over the fences of scripts that ran on the old one meanwhile.
    RebuildLetsScriptsRun,
    /// A process is declared gone while inserts of it may still land.
    GoneTooEarly,
    /// Some processes trust looks at the members that are older than others wait for.
    TrustsOldLooks,
    /// Everybody believes to hold the lease. That is none: it must do no harm.
    LeaseForAll,
}

pub(crate) struct SimRedis<D: Domain> {
    pub(crate) view: PureView<D::Boards>,
    /// Changes whenever all connections break.
    pub(crate) incarnation: u64,
    pub(crate) is_up: bool,
    history: VecDeque<PureView<D::Boards>>,
    /// Its clock, which names what it makes: that does not go back.
    clock: u64,
    flaw: Flaw,
    total_max: i64,
}

impl<D: Domain> SimRedis<D> {
    pub(crate) fn new(flaw: Flaw, total_max: i64) -> Self {
        let (view, history) = (PureView::default(), VecDeque::new());
        Self { view, incarnation: 0, is_up: true, history, clock: 0, flaw, total_max }
    }

    pub(crate) fn run(
        &mut self,
        request: &RedisRequest<D::Draft>,
        now_s: i64,
    ) -> RedisAnswer<D::Draft> {
        self.view.expire(now_s);
        if *request != RedisRequest::Fences {
            self.history.push_back(self.view.clone());
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        match request {
            RedisRequest::Apply(scripts) => {
                RedisAnswer::Scripts(scripts.iter().map(|apply| self.apply(apply)).collect())
            }
            RedisRequest::Load(load) => RedisAnswer::Scripts(vec![self.view.load(load)]),
            RedisRequest::Switch(switch) => RedisAnswer::Scripts(vec![self.switch(switch)]),
            RedisRequest::Fences => {
                self.clock += 1;
                let (generation, keys) = self.view.fences(self.clock);
                let (is_hollow, fences) = (keys.is_hollow, keys.fences.clone());
                RedisAnswer::Fences { generation, is_hollow, fences }
            }
        }
    }

    fn apply(&mut self, apply: &Apply<Row<D>>) -> ScriptAnswer<Subject<D>> {
        let mut apply = apply.clone();
        if self.flaw == Flaw::SkipsOldOnly {
            let fence = self.fence(&apply);
            apply.from = fence;
        }
        let current = self.view.current.filter(|_| self.flaw == Flaw::NoGenerationCheck);
        if let Some(current) = current.filter(|&current| current != apply.generation) {
            return self.apply_to_named_keys(&apply, current);
        }
        self.view.apply(&apply, self.total_max)
    }

    /// The one fence moves, the data goes to keys that nobody reads.
    fn apply_to_named_keys(
        &mut self,
        apply: &Apply<Row<D>>,
        current: Generation,
    ) -> ScriptAnswer<Subject<D>> {
        let fence = self.fence(apply);
        let named = self.view.generations.entry(apply.generation).or_default();
        named.fences.insert(apply.stream, fence);
        let answer = named.apply(apply, self.total_max);
        let moved = named.fence(apply.stream);
        let shown = self.view.generations.get_mut(&current).expect("it is current");
        shown.fences.insert(apply.stream, moved);
        answer
    }

    fn fence(&self, apply: &Apply<Row<D>>) -> u64 {
        self.view.keys().map_or(0, |keys| keys.fence(apply.stream))
    }

    fn switch(&mut self, switch: &Switch) -> ScriptAnswer<Subject<D>> {
        let old = self.view.keys().map(|keys| keys.fences.clone()).unwrap_or_default();
        let before: Option<Generation> = self.view.current;
        let answer = self.view.switch(switch);
        if self.flaw == Flaw::RebuildLetsScriptsRun && self.view.current != before {
            let keys = self.view.generations.get_mut(&switch.to).expect("it is current");
            for (stream, fence) in old {
                let new = keys.fences.entry(stream).or_insert(0);
                *new = fence.max(*new);
            }
        }
        answer
    }

    /// All connections break; the last `writes` are forgotten.
    pub(crate) fn fall_back(&mut self, writes: usize) {
        self.incarnation += 1;
        if self.history.is_empty() {
            return;
        }
        let at = self.history.len() - writes.clamp(1, self.history.len());
        let newer = std::mem::replace(&mut self.view, self.history[at].clone());
        self.history.truncate(at);
        if self.flaw == Flaw::FenceApart {
            for (generation, keys) in &mut self.view.generations {
                if let Some(newer) = newer.generations.get(generation) {
                    keys.fences = newer.fences.clone();
                }
            }
        }
    }

    /// FLUSHALL: no connection breaks.
    pub(crate) fn flush(&mut self) {
        self.view = PureView::default();
    }
}
