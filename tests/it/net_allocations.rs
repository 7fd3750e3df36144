//! A board that is asked for again allocates nothing: counted on the loop's own thread.

use crate::client::Client;
use crate::gift_local_rig::Rig;
use crate::net_harness::PATIENCE;
use fanfare::app::http_port::HttpPort;
use fanfare::gift::Store;
use fanfare::gift::api::{ApiOptions, ConfigView, public_routes};
use fanfare::gift::stream::Streams;
use fanfare::http::{HttpOptions, Router, SlowLog};
use fanfare::net::{ConnectionLimit, Control, EventLoop, LoopOptions, PortOptions, bind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

/// Allocations on the thread of a loop, from its first turn to its last, while `visit` uses it.
fn allocations(rig: &Rig, visit: impl FnOnce(&mut Client)) -> u64 {
    let address = "127.0.0.1:0".parse().expect("an address");
    let listener = bind(address, 1, None).expect("a free port").remove(0);
    let address = listener.local_addr().expect("bound");
    let control = Control::new();
    let store: Arc<dyn Store> = Arc::clone(rig.gifts()) as _;
    let options = ApiOptions {
        clock: Arc::clone(&rig.clock) as _,
        streams: Arc::new(Streams::new(Arc::clone(&store))),
        test_data: None,
        config: ConfigView::default(),
    };
    thread::scope(|scope| {
        let options = LoopSetup { control: Arc::clone(&control), store, options };
        let counted = scope.spawn(move || {
            let event_loop = options.event_loop(listener);
            let counted = allocation_counter::measure(|| event_loop.run().expect("it turns"));
            counted.count_total
        });
        let mut client = Client::connect(address);
        visit(&mut client);
        control.drain();
        counted.join().expect("a loop does not panic")
    })
}

/// What a loop is made of, on its own thread.
struct LoopSetup {
    control: Arc<Control>,
    store: Arc<dyn Store>,
    options: ApiOptions,
}

impl LoopSetup {
    fn event_loop(self, listener: std::net::TcpListener) -> EventLoop {
        let drain_timeout = PATIENCE;
        let mut event_loop = EventLoop::new(LoopOptions { control: self.control, drain_timeout })
            .expect("a loop starts");
        let router = public_routes(Router::new(), &self.store, &self.options);
        let (router, _) = router.counted(&Arc::new(SlowLog::new(PATIENCE)));
        let port = HttpPort::new(Rc::new(router), Rc::new(HttpOptions::default()));
        let limit = Arc::new(ConnectionLimit::new(10));
        let options = PortOptions { limit, write_timeout: PATIENCE, notifier: None };
        event_loop.add_port(listener, port, options).expect("a port");
        event_loop
    }
}

/// A board of ten, and how often its loop allocated while `visit` was repeated so many times.
fn repeated(times: usize, visit: impl Fn(&mut Client)) -> u64 {
    let rig = Rig::opened();
    for anchor in 1..=10 {
        rig.give(1, anchor, 100 + anchor);
    }
    allocations(&rig, |client| {
        for _ in 0..times {
            visit(client);
        }
    })
}

#[test]
fn asking_for_the_board_again_allocates_nothing() {
    let visit = |client: &mut Client| assert_eq!(client.get("/gift/top?num=10").status, 200);
    let few = repeated(10, visit);
    assert!(few > 0, "the first answer is encoded, so something is counted");
    assert_eq!(repeated(1_010, visit), few, "for 1,000 more requests");
}

#[test]
fn neither_do_sixteen_requests_in_one_write() {
    let visit = |client: &mut Client| {
        let requests = b"GET /gift/top HTTP/1.1\r\nHost: a\r\n\r\n".repeat(16);
        client.send(&requests).expect("sent");
        for _ in 0..16 {
            assert_eq!(client.reply_to("GET").expect("an answer").status, 200);
        }
    };
    let few = repeated(10, visit);
    assert_eq!(repeated(110, visit), few, "for 1,600 more requests");
}

/// What a write allocates shows that the counting sees the loop's work.
#[test]
fn a_write_is_counted() {
    let read = |client: &mut Client| assert_eq!(client.get("/gift/top").status, 200);
    let write = |client: &mut Client| {
        let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
        assert_eq!(client.post("/gift/send", gift).status, 200);
    };
    assert!(repeated(20, write) > repeated(20, read));
}
