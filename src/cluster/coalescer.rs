//! At most one identical question under way: who asks meanwhile gets the answer to the next one.
//!
//! Never that to the one under way: it may have been decided before what this reader was promised
//! to see.

use crate::exec::ring_once;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Receives an answer once; `None` when it did not come in time, or never will.
type Reader<V> = Box<dyn FnOnce(Option<V>) + Send>;

/// Sends a question on its way, and finishes what it is given when the answer is there. It must not
/// block, and not finish at once: what cannot be sent it hands back.
type Begin<K, V> = dyn Fn(Begun<K, V>) -> Result<(), Begun<K, V>> + Send + Sync;

/// Questions of one kind, asked from any thread. Its lock is held for a push.
pub struct Coalescer<K: Eq + Hash + Clone, V: Clone> {
    state: Mutex<State<K, V>>,
    begin: Box<Begin<K, V>>,
    running_max: usize,
}

struct State<K, V> {
    flights: HashMap<K, Flight<V>>,
    /// Not begun yet, since enough are under way.
    queue: VecDeque<K>,
    running: usize,
}

struct Flight<V> {
    is_running: bool,
    /// Who gets the answer to the question under way, or to the first one.
    asked: Vec<(Instant, Reader<V>)>,
    /// Who came since it began.
    next: Vec<(Instant, Reader<V>)>,
}

/// A question under way. Dropped unfinished, it has no answer.
pub struct Begun<K: Eq + Hash + Clone, V: Clone> {
    owner: Arc<Coalescer<K, V>>,
    key: K,
    is_finished: bool,
}

impl<K: Eq + Hash + Clone, V: Clone> Coalescer<K, V> {
    /// At most `running_max` questions are under way at once; further ones wait.
    pub fn new(
        running_max: usize,
        begin: impl Fn(Begun<K, V>) -> Result<(), Begun<K, V>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        assert!(running_max > 0, "no question would ever be asked");
        let (flights, queue) = (HashMap::new(), VecDeque::new());
        let state = Mutex::new(State { flights, queue, running: 0 });
        Arc::new(Self { state, begin: Box::new(begin), running_max })
    }

    /// Asks. `reader` is called once, on the thread that has the answer, and must not block.
    pub fn ask(self: &Arc<Self>, key: K, reader: impl FnOnce(Option<V>) + Send + 'static) {
        let reader: (Instant, Reader<V>) = (Instant::now(), Box::new(reader));
        let mut state = self.lock();
        if let Some(flight) = state.flights.get_mut(&key) {
            let list = if flight.is_running { &mut flight.next } else { &mut flight.asked };
            return list.push(reader);
        }
        let is_running = state.running < self.running_max;
        let flight = Flight { is_running, asked: vec![reader], next: Vec::new() };
        state.flights.insert(key.clone(), flight);
        if !is_running {
            return state.queue.push_back(key);
        }
        state.running += 1;
        drop(state);
        self.begin(Some(key));
    }

    /// Tells everybody who has waited for `patience` that there is no answer. What is under way goes
    /// on, for who came later.
    pub fn expire(&self, now: Instant, patience: Duration) {
        let mut late = Vec::new();
        for flight in self.lock().flights.values_mut() {
            for list in [&mut flight.asked, &mut flight.next] {
                let count = list.iter().take_while(|(at, _)| now >= *at + patience).count();
                late.extend(list.drain(..count));
            }
        }
        for (_, reader) in late {
            reader(None);
        }
    }

    /// Questions that are under way, and those that wait for a place; for metrics.
    pub fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.queue.len())
    }

    /// Begins a question, or, should it not get on its way, the one that gets its place.
    fn begin(self: &Arc<Self>, mut key: Option<K>) {
        while let Some(begun) = key {
            let begun = Begun { owner: Arc::clone(self), key: begun, is_finished: false };
            let Err(mut refused) = (self.begin)(begun) else { return };
            refused.is_finished = true;
            let (readers, next) = self.land(&refused.key);
            for (_, reader) in readers {
                reader(None);
            }
            key = next;
        }
    }

    /// Ends a flight: its readers, and the question that takes its place.
    fn land(&self, key: &K) -> (Vec<(Instant, Reader<V>)>, Option<K>) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(flight) = state.flights.get_mut(key) else { return (Vec::new(), None) };
        let readers = std::mem::take(&mut flight.asked);
        if flight.next.is_empty() {
            state.flights.remove(key);
        } else {
            flight.asked = std::mem::take(&mut flight.next);
            flight.is_running = false;
            state.queue.push_back(key.clone());
        }
        let next = state.queue.pop_front();
        match next.as_ref().and_then(|next| state.flights.get_mut(next)) {
            Some(flight) => flight.is_running = true,
            None => state.running -= 1,
        }
        (readers, next)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K, V>> {
        // Nothing of others runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Begun<K, V> {
    /// What is asked.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Answers everybody who asked before it began, after the next question is on its way.
    pub fn finish(mut self, value: &V) {
        self.end(Some(value));
    }

    fn end(&mut self, value: Option<&V>) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        let (readers, next) = self.owner.land(&self.key);
        self.owner.begin(next);
        ring_once(|| {
            for (_, reader) in readers {
                reader(value.cloned());
            }
        });
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Drop for Begun<K, V> {
    fn drop(&mut self) {
        self.end(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

    type Heard = (&'static str, Option<u32>);

    struct Rig {
        questions: Arc<Coalescer<u8, u32>>,
        begun: Receiver<Begun<u8, u32>>,
        heard: (Sender<Heard>, Receiver<Heard>),
    }

    impl Rig {
        fn new(running_max: usize) -> Self {
            let (sender, begun) = unbounded();
            let send = move |question| sender.send(question).map_err(SendError::into_inner);
            Self { questions: Coalescer::new(running_max, send), begun, heard: unbounded() }
        }

        fn ask(&self, key: u8, name: &'static str) {
            let heard = self.heard.0.clone();
            self.questions.ask(key, move |value| heard.send((name, value)).expect("a test"));
        }

        fn heard(&self) -> Vec<Heard> {
            self.heard.1.try_iter().collect()
        }
    }

    #[test]
    fn who_asks_while_a_question_is_under_way_gets_the_next_answer() {
        let rig = Rig::new(8);
        rig.ask(1, "first");
        let first = rig.begun.try_recv().expect("it begins at once");
        rig.ask(1, "second");
        rig.ask(1, "third");
        assert!(rig.begun.try_recv().is_err(), "one at a time");
        first.finish(&10);
        assert_eq!(rig.heard(), [("first", Some(10))]);
        rig.begun.try_recv().expect("the next").finish(&20);
        assert_eq!(rig.heard(), [("second", Some(20)), ("third", Some(20))]);
        assert_eq!(rig.questions.depth(), (0, 0));
    }

    #[test]
    fn beyond_the_limit_questions_wait_for_a_place() {
        let rig = Rig::new(1);
        rig.ask(1, "one");
        rig.ask(2, "two");
        rig.ask(2, "two again");
        let one = rig.begun.try_recv().expect("it begins");
        assert_eq!(rig.questions.depth(), (1, 1));
        drop(one);
        assert_eq!(rig.heard(), [("one", None)], "dropped without an answer");
        let two = rig.begun.try_recv().expect("it has the place");
        assert_eq!(*two.key(), 2);
        two.finish(&2);
        assert_eq!(rig.heard(), [("two", Some(2)), ("two again", Some(2))]);
    }

    #[test]
    fn who_waits_too_long_is_told_and_the_question_goes_on() {
        let rig = Rig::new(1);
        rig.ask(1, "asked");
        let under_way = rig.begun.try_recv().expect("it begins");
        rig.ask(1, "next");
        rig.questions.expire(Instant::now(), Duration::ZERO);
        assert_eq!(rig.heard(), [("asked", None), ("next", None)]);
        rig.ask(1, "later");
        under_way.finish(&1);
        assert_eq!(rig.heard(), [], "nobody waits for that one any more");
        rig.begun.try_recv().expect("the next").finish(&2);
        assert_eq!(rig.heard(), [("later", Some(2))]);
    }

    #[test]
    fn what_does_not_get_on_its_way_has_no_answer() {
        let rig = Rig::new(1);
        let Rig { questions, heard, begun } = rig;
        drop(begun);
        let heard_by = heard.0.clone();
        questions.ask(1, move |value| heard_by.send(("lost", value)).expect("a test"));
        assert_eq!(heard.1.try_iter().collect::<Vec<_>>(), [("lost", None)]);
        assert_eq!(questions.depth(), (0, 0));
    }
}
