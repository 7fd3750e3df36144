//! TLV conversations: layouts, order, limits, back-pressure, pushes.

use crate::tlv_talk::{BEAT, LAYOUTS, Talk, WELCOME, frame, frames, header};
use fanfare::exec::mailbox;
use fanfare::limits::{READ_BYTES_MAX, SEND_BYTES_HIGH, TLV_QUEUE_BYTES_MAX, TLV_WELCOME_DELAY};
use fanfare::session::{ConnId, Phase, Session};
use fanfare::tlv::{
    Answer, Deferral, Frame, Layout, Message, Peer, Port, Pusher, Responder, Router, Service,
    TlvSession, id,
};
use proptest::prelude::*;
use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn the_welcome_waits_for_the_layout_and_comes_first() {
    for layout in LAYOUTS {
        let mut talk = Talk::heartbeats();
        talk.receive(&frame(layout, id::HEARTBEAT, b"anything at all"));
        talk.check(layout, &[WELCOME, BEAT]);
        talk.check_phase(Phase::Open);
        assert_eq!(talk.session.deadline(), None);
    }
}

#[test]
fn a_silent_client_gets_a_big_endian_welcome_and_may_still_be_an_old_one() {
    for layout in LAYOUTS {
        let mut talk = Talk::heartbeats();
        assert_eq!(talk.session.deadline(), Some(talk.now + TLV_WELCOME_DELAY));
        talk.expire().check(Layout::Big, &[WELCOME]);
        assert_eq!(talk.session.deadline(), None);
        talk.receive(&frame(layout, id::HEARTBEAT, b"")).check(layout, &[BEAT]);
    }
}

#[test]
fn who_is_in_the_middle_of_the_first_header_is_not_silent() {
    let beat = frame(Layout::Little, id::HEARTBEAT, b"");
    let mut talk = Talk::heartbeats();
    let opened = talk.now;
    talk.now += Duration::from_millis(200);
    talk.receive(&beat[..7]);
    talk.now = opened + TLV_WELCOME_DELAY;
    talk.turn(Session::expired);
    talk.check(Layout::Big, &[]);
    talk.receive(&beat[7..]).check(Layout::Little, &[WELCOME, BEAT]);
}

#[test]
fn a_forced_layout_greets_at_once() {
    for layout in LAYOUTS {
        let mut talk = Talk::new(Router::<()>::new(), |port| port.with_layout(Some(layout)));
        assert_eq!(talk.session.deadline(), Some(talk.now), "no wait");
        talk.expire().check(layout, &[WELCOME]);
        talk.receive(&frame(layout, 77, b"")).receive(&frame(layout, id::HEARTBEAT, b"{}"));
        let sent = frames(layout, &talk.read());
        assert_eq!(sent.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id::ERROR, id::HEARTBEAT]);
    }
}

#[test]
fn an_unknown_message_gets_an_error_and_the_connection_stays() {
    for layout in LAYOUTS {
        let mut talk = Talk::heartbeats();
        let unknown = [2, 0, 1, 101, 12, u32::MAX];
        for id in unknown {
            talk.receive(&frame(layout, id, b"{\"a\":1}"));
        }
        let sent = frames(layout, &talk.read());
        assert_eq!(sent.len(), 1 + unknown.len());
        for (request, (id, data)) in unknown.into_iter().zip(&sent[1..]) {
            let data: serde_json::Value = serde_json::from_str(data).expect("errors are JSON");
            assert_eq!(*id, id::ERROR);
            assert_eq!(
                (&data["request"], &data["code"]),
                (&request.into(), &"unknown_message".into())
            );
            assert!(data["message"].is_string());
        }
        talk.check_phase(Phase::Open);
    }
}

#[test]
fn a_first_header_that_fits_no_layout_closes_without_a_word() {
    let http = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for input in [http.as_slice(), tls, b"\0\0\0\0\0\0\0\0", &[0xff; 4_200], b"????????"] {
        let mut talk = Talk::heartbeats();
        talk.receive(input).check(Layout::Big, &[]);
        talk.check_phase(Phase::Lingering);
    }
}

#[test]
fn http_and_tls_close_a_connection_of_a_forced_layout() {
    for layout in LAYOUTS {
        for input in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]
        {
            let mut talk = Talk::new(Router::<()>::new(), |port| port.with_layout(Some(layout)));
            talk.receive(input).check(layout, &[WELCOME]);
            talk.check_phase(Phase::Lingering);
        }
    }
}

#[test]
fn a_frame_of_the_largest_size_is_answered_and_a_larger_one_closes() {
    for layout in LAYOUTS {
        let mut talk = Talk::heartbeats();
        talk.receive(&frame(layout, id::HEARTBEAT, &[b'x'; 4_096])).check(layout, &[WELCOME, BEAT]);
        for length in [4_097, u32::MAX] {
            let mut talk = Talk::heartbeats();
            talk.receive(&frame(layout, id::HEARTBEAT, b""));
            // What was asked before is still answered; what comes after is not.
            let bad = [frame(layout, id::HEARTBEAT, b""), header(layout, id::HEARTBEAT, length)];
            let after = frame(layout, id::HEARTBEAT, b"");
            talk.receive(&[bad.concat(), after].concat());
            talk.check(layout, &[WELCOME, BEAT, BEAT]);
            talk.check_phase(Phase::Lingering);
        }
    }
}

#[test]
fn many_frames_of_one_read_are_answered_in_order_in_one_go() {
    for layout in LAYOUTS {
        let mut talk = Talk::heartbeats();
        let count = READ_BYTES_MAX / 8;
        talk.receive(&frame(layout, id::HEARTBEAT, b"").repeat(count));
        assert_eq!(talk.out.len(), 18 + count * 10);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(talk.out.gather(&mut slices), 1, "one write");
    }
}

#[test]
fn a_half_closed_client_gets_its_answers() {
    for layout in LAYOUTS {
        let mut talk = Talk::heartbeats();
        // Half a frame at the end is nothing that could be answered.
        let input = [frame(layout, id::HEARTBEAT, b"").repeat(2), header(layout, 2, 1)].concat();
        talk.receive(&input).hang_up().check(layout, &[WELCOME, BEAT, BEAT]);
        talk.check_phase(Phase::Finishing);
    }
}

#[test]
fn a_drained_connection_finishes() {
    let mut talk = Talk::heartbeats();
    talk.receive(&frame(Layout::Little, id::HEARTBEAT, b""));
    talk.turn(Session::drain);
    talk.check(Layout::Little, &[WELCOME, BEAT]);
    talk.check_phase(Phase::Lingering);
}

#[test]
fn who_does_not_read_is_not_read() {
    let layout = Layout::Big;
    let mut talk = Talk::heartbeats();
    let burst = frame(layout, 3, b"").repeat(READ_BYTES_MAX / 8);
    talk.receive(&burst);
    assert!(!talk.session.wants_input(&talk.out), "no room for more answers");
    assert!(talk.out.len() < SEND_BYTES_HIGH + 1_024, "{}", talk.out.len());
}

#[test]
fn what_waited_for_room_is_answered_once_there_is_some() {
    let layout = Layout::Little;
    let mut talk = Talk::heartbeats();
    // The first header tells the layout, so it is one of a client's.
    talk.receive(&frame(layout, 2, b"").repeat(READ_BYTES_MAX / 8)).hang_up();
    assert_eq!(talk.session.phase(), Phase::Open, "answers are owed");
    assert_eq!(frames(layout, &talk.read()).len(), 1 + READ_BYTES_MAX / 8);
    talk.check_phase(Phase::Finishing);
}

#[test]
fn an_idle_client_is_closed_only_where_that_is_configured() {
    let idle = Duration::from_secs(60);
    let mut talk = Talk::new(Router::<()>::new(), |port| port.with_idle(Some(idle)));
    talk.receive(&frame(Layout::Big, id::HEARTBEAT, b"")).read();
    assert_eq!(talk.session.deadline(), Some(talk.now + idle));
    talk.expire().check_phase(Phase::Lingering);
}

#[test]
fn uids_are_given_once() {
    let uids = Arc::new(AtomicI64::new(0));
    let (_mailbox, outbox) = mailbox(|| ());
    let port = Rc::new(Port::new(Router::<()>::new(), outbox, Arc::clone(&uids)));
    let conn = ConnId { slot: 0, generation: 0 };
    let open = || TlvSession::new(conn, Rc::clone(&port), Instant::now()).uid();
    assert_eq!([open(), open(), open()], [1, 2, 3]);
    assert_eq!(uids.load(Ordering::Relaxed), 3);
}

/// Hands every message to a worker, whom the test plays; remembers who came and went.
#[derive(Clone, Default)]
struct Room(Rc<RefCell<RoomState>>);

#[derive(Default)]
struct RoomState {
    waiting: Vec<(u32, Responder)>,
    pushers: Vec<Pusher>,
    visits: Vec<&'static str>,
}

impl Room {
    fn talk() -> (Self, Talk<Self>) {
        let room = Self::default();
        (room.clone(), Talk::new(room, |port| port))
    }

    fn answer(&self, data: &'static str) {
        let (id, responder) = self.0.borrow_mut().waiting.remove(0);
        responder.send(Frame::new(id, data));
    }

    fn waiting(&self) -> Vec<u32> {
        self.0.borrow().waiting.iter().map(|(id, _)| *id).collect()
    }
}

impl Service for Room {
    type Properties = ();

    fn opened(&self, peer: &mut Peer<'_, ()>) {
        assert_eq!(peer.uid, 42);
        self.0.borrow_mut().visits.push("opened");
        self.0.borrow_mut().pushers.push(peer.pusher());
    }

    fn call(&self, _: &mut Peer<'_, ()>, message: &Message<'_>, deferral: Deferral<'_>) -> Answer {
        assert_ne!(message.data, b"panic", "as asked");
        deferral.later(|responder| self.0.borrow_mut().waiting.push((message.id, responder)))
    }

    fn closed(&self, _: &mut Peer<'_, ()>) {
        self.0.borrow_mut().visits.push("closed");
    }
}

#[test]
fn the_next_message_waits_for_an_unanswered_one() {
    for layout in LAYOUTS {
        let (room, mut talk) = Room::talk();
        talk.receive(&[frame(layout, 3, b""), frame(layout, 4, b"x")].concat());
        assert_eq!(room.waiting(), [3]);
        assert!(!talk.session.wants_input(&talk.out));
        room.answer("first");
        talk.deliver().check(layout, &[WELCOME, (3, "first")]);
        assert_eq!(room.waiting(), [4]);
        talk.hang_up().check(layout, &[]);
        room.answer("second");
        talk.deliver().check(layout, &[(4, "second")]);
        talk.check_phase(Phase::Finishing);
    }
}

#[test]
fn a_lost_or_panicking_request_is_answered_and_the_next_one_served() {
    let layout = Layout::Big;
    let (room, mut talk) = Room::talk();
    talk.receive(&frame(layout, 3, b""));
    room.0.borrow_mut().waiting.clear();
    talk.deliver();
    talk.receive(&frame(layout, 4, b"panic"));
    talk.receive(&frame(layout, 5, b""));
    room.answer("{}");
    talk.deliver();
    let sent = frames(layout, &talk.read());
    assert_eq!(sent.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id::WELCOME, 0, 0, 5]);
    for (request, (_, data)) in [3, 4].into_iter().zip(&sent[1..]) {
        assert!(data.contains("\"busy\"") && data.contains(&format!("\"request\":{request}")));
    }
}

#[test]
fn pushes_keep_their_order_with_the_answers() {
    let layout = Layout::Little;
    let (room, mut talk) = Room::talk();
    talk.receive(&frame(layout, 4, b""));
    let pusher = room.0.borrow().pushers[0].clone();
    let shared: Arc<[u8]> = Arc::from(b"shared".as_slice());
    pusher.push(Frame::new(104, "before"));
    room.answer("answer");
    pusher.push(Frame::new(101, Arc::clone(&shared)));
    talk.deliver();
    talk.check(layout, &[WELCOME, (104, "before"), (4, "answer"), (101, "shared")]);
    pusher.push(Frame::new(102, "last"));
    pusher.close();
    pusher.push(Frame::new(102, "too late"));
    talk.deliver().check(layout, &[(102, "last")]);
    talk.check_phase(Phase::Lingering);
}

#[test]
fn a_reader_too_far_behind_is_closed_and_not_buffered() {
    let (room, mut talk) = Room::talk();
    talk.expire();
    let pusher = room.0.borrow().pushers[0].clone();
    let data: Arc<[u8]> = vec![b'x'; 4_096].into();
    for _ in 0..TLV_QUEUE_BYTES_MAX / 4_096 + 10 {
        pusher.push(Frame::new(101, Arc::clone(&data)));
    }
    talk.deliver();
    assert!(talk.out.len() <= TLV_QUEUE_BYTES_MAX);
    talk.check_phase(Phase::Aborted);
}

#[test]
fn a_service_hears_of_each_connection_that_was_greeted() {
    let (room, talk) = Room::talk();
    drop(talk);
    assert!(room.0.borrow().visits.is_empty(), "it was gone before its welcome");
    let (room, mut talk) = Room::talk();
    talk.expire();
    drop(talk);
    assert_eq!(room.0.borrow().visits, ["opened", "closed"]);
}

proptest! {
    /// However the stream is cut, the answers are the same, and so is the end.
    #[test]
    fn cutting_the_stream_anywhere_changes_nothing(
        layout in prop_oneof![Just(Layout::Big), Just(Layout::Little)],
        messages in prop::collection::vec(
            (prop_oneof![Just(id::HEARTBEAT), 2..8_u32, any::<u32>()], 0..40_usize), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..12),
        cuts in prop::collection::vec(1..30_usize, 1..20),
    ) {
        let mut input = frame(layout, id::HEARTBEAT, b"");
        for (id, size) in messages {
            input.extend(frame(layout, id, &vec![b' '; size]));
        }
        input.extend(tail);
        let whole = {
            let mut talk = Talk::heartbeats();
            talk.receive(&input);
            if talk.session.phase() == Phase::Open {
                talk.hang_up();
            }
            (talk.read(), talk.session.phase())
        };
        let mut talk = Talk::heartbeats();
        let (mut rest, mut sent) = (input.as_slice(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() || talk.session.phase() != Phase::Open {
                break;
            }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            sent.extend(talk.receive(piece).read());
            rest = behind;
        }
        if talk.session.phase() == Phase::Open {
            sent.extend(talk.hang_up().read());
        }
        prop_assert_eq!((sent, talk.session.phase()), whole);
    }

    #[test]
    fn any_bytes_leave_the_conversation_in_order(
        input in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        super::fuzz_tlv::tlv_connection(&input);
    }
}
