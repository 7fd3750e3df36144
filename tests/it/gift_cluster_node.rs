//! One node of a cluster, asked event by event: what the simulation reaches rarely or never.

use fanfare::calendar::{Calendar, Keep};
use fanfare::gift::Entry;
use fanfare::gift::cluster::{
    BeatAnswer, Command, Draft, Event, Fate, Node, Now, Op, Outcome, RedisAnswer, RedisRequest,
    Rules, ScriptAnswer, Tuning,
};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::time::Duration;

struct Rig(Node);

impl Rig {
    /// Its first heartbeat is confirmed, and it knows the view's generation.
    fn ready(tuning: Tuning) -> Self {
        let rules = Rules {
            calendar: Calendar::new(TimeZone::UTC),
            keep: Keep::default(),
            expiry_margin_s: Rules::EXPIRY_MARGIN_S,
        };
        let mut rig = Self(Node::new(1, &[2], 3, tuning, rules));
        let op = beat(&rig.tell(0, Event::Tick)).expect("it registers itself");
        rig.tell(0, Event::BeatAnswered { op, answer: BeatAnswer::Taken });
        let fences = rig.tell(0, Event::Connected { conn: 5 });
        let op = redis(&fences).expect("it asks where the fences are").0;
        let answer =
            RedisAnswer::Fences { generation: 4, is_hollow: false, fences: BTreeMap::new() };
        rig.tell(0, Event::RedisAnswered { op, answer });
        rig
    }

    fn tell(&mut self, now_s: u64, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        self.0.handle(Now { mono: Duration::from_secs(now_s), wall_s: 1 }, event, &mut out);
        out
    }

    fn ask(&mut self, now_s: u64, ticket: u64) -> Vec<Command> {
        let id = ticket.cast_signed();
        let entry = Entry { id, audience_id: 1, anchor_id: 7, worth: 5, time_us: 1, revokes: None };
        self.tell(now_s, Event::Asked { ticket, draft: Draft::gift(entry, None) })
    }
}

fn beat(commands: &[Command]) -> Option<Op> {
    commands.iter().find_map(|command| match command {
        Command::SendBeat { op, .. } => Some(*op),
        _ => None,
    })
}

fn insert(commands: &[Command]) -> Option<Op> {
    commands.iter().find_map(|command| match command {
        Command::Insert { op, .. } => Some(*op),
        _ => None,
    })
}

fn redis(commands: &[Command]) -> Option<(Op, RedisRequest)> {
    commands.iter().find_map(|command| match command {
        Command::Redis { op, request, .. } => Some((*op, request.clone())),
        _ => None,
    })
}

fn outcomes(commands: Vec<Command>) -> Vec<(u64, Outcome)> {
    let answers = commands.into_iter().filter_map(|command| match command {
        Command::Answer { ticket, outcome } => Some((ticket, outcome)),
        _ => None,
    });
    answers.collect()
}

#[test]
fn a_gift_is_acknowledged_when_the_view_holds_it_and_a_full_anchor_takes_no_more() {
    let mut rig = Rig::ready(Tuning::default());
    let op = insert(&rig.ask(0, 1)).expect("it goes into the journal first");
    let commands = rig.tell(0, Event::Inserted { op, fates: vec![Fate::Landed] });
    let (op, request) = redis(&commands).expect("then into the view");
    assert!(matches!(request, RedisRequest::Apply(scripts) if scripts.len() == 1));
    assert_eq!(outcomes(commands), []);
    let answer = RedisAnswer::Scripts(vec![ScriptAnswer::Done { full: vec![7] }]);
    let answered = outcomes(rig.tell(0, Event::RedisAnswered { op, answer }));
    let written = |outcome: &Outcome| matches!(outcome, Outcome::Written { degraded: false, .. });
    assert!(answered.len() == 1 && written(&answered[0].1), "{answered:?}");
    assert_eq!(outcomes(rig.ask(0, 2)), [(2, Outcome::Overflow)]);
}

#[test]
fn a_refused_batch_is_never_acknowledged() {
    let mut rig = Rig::ready(Tuning::default());
    let op = insert(&rig.ask(0, 1)).expect("it goes into the journal first");
    let commands = rig.tell(0, Event::Inserted { op, fates: vec![Fate::Landed] });
    let (op, _) = redis(&commands).expect("then into the view");
    let answer = RedisAnswer::Scripts(vec![ScriptAnswer::Refused]);
    assert_eq!(outcomes(rig.tell(0, Event::RedisAnswered { op, answer })), []);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let mut rig = Rig::ready(Tuning { queue_asks_max: 2, ..Tuning::default() });
    // The only writer is busy with the first.
    for ticket in 1..=3 {
        assert_eq!(outcomes(rig.ask(0, ticket)), []);
    }
    assert_eq!(outcomes(rig.ask(0, 4)), [(4, Outcome::Unavailable)]);
}

#[test]
fn nothing_is_inserted_when_others_may_take_this_process_for_gone() {
    let tuning = Tuning::default();
    let mut rig = Rig::ready(tuning);
    let late = tuning.lapse.as_secs();
    let commands = rig.ask(late, 1);
    assert_eq!(insert(&commands), None);
    let op = beat(&commands).expect("a heartbeat is overdue");
    let confirmed = rig.tell(late, Event::BeatAnswered { op, answer: BeatAnswer::Taken });
    assert!(insert(&confirmed).is_some(), "it waited for that");
}

#[test]
fn a_process_declared_gone_answers_what_it_holds_and_falls_silent() {
    let mut rig = Rig::ready(Tuning::default());
    rig.ask(0, 1);
    rig.ask(0, 2);
    let op = beat(&rig.tell(2, Event::Tick)).expect("it is time");
    let commands = rig.tell(2, Event::BeatAnswered { op, answer: BeatAnswer::Finished });
    assert!(commands.contains(&Command::Retire));
    let mut answered = outcomes(commands);
    answered.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(answered, [(1, Outcome::Unavailable), (2, Outcome::Unavailable)]);
    assert_eq!(rig.tell(3, Event::Tick), []);
}
