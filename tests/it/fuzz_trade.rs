//! Fuzz target: any messages to the room, cut anywhere, with a store behind it. The corpus runs in
//! `cargo test`.

use fanfare::exec::{Answer, Delivery, mailbox};
use fanfare::session::{ConnId, Phase, SendQueue, Session, Turn};
use fanfare::store::StoreError;
use fanfare::tlv::{Layout, Port, TlvSession};
use fanfare::trade::api::{ApiOptions, router};
use fanfare::trade::book::{Book, Overlay};
use fanfare::trade::{Entry, Found, Holding, Order, Read, Room, Store, Watch, Write, Written};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The book and its lines in memory, answering at once.
struct MemoryStore {
    room: Arc<Room>,
    state: Mutex<(Book, Vec<Entry>)>,
}

impl MemoryStore {
    fn fill(&self, order: Order) -> Option<(Entry, Holding)> {
        let (book, lines) = &mut *self.state.lock().expect("no panic within");
        let mut overlay = Overlay::new(book);
        let (held, seq) = overlay.fill(book, &order).ok()?;
        let id = lines.last().map_or(1, |last| last.id + 1);
        let price_fen = overlay.prices().of(order.stock);
        let entry = Entry { id, order, price_fen, time_us: id, seq, held, rollback: None };
        overlay.apply_to(book);
        lines.push(entry.clone());
        let holding = entry.holding();
        Some((entry, holding))
    }
}

impl Store for MemoryStore {
    fn write(&self, write: Write, then: Answer<Written>) {
        let Write::Trade { order, .. } = write else { return then(Err(StoreError::Broken)) };
        then(Ok(match self.fill(order) {
            Some((entry, holding)) => {
                self.room.written(std::slice::from_ref(&entry));
                Written::Done { entry, holding, replayed: false }
            }
            None => Written::NotEnough,
        }));
    }

    fn read(
        &self,
        read: Read,
        _: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        let (book, lines) = &*self.state.lock().expect("no panic within");
        Some(Ok(match read {
            Read::Account { customer } => Found::Account(book.account(customer)),
            Read::Holdings { customer, offset, num } => Found::Holdings {
                holdings: book.holdings(customer, offset, num),
                account: book.account(customer),
            },
            Read::Stocks { offset, num } => Found::Stocks(book.stocks(offset, num)),
            Read::History { .. } => Found::History { trades: Vec::new(), more: false },
            Read::Pushes { customer, after, num } => {
                let lines = lines.iter().filter(|entry| entry.order.customer == customer);
                let lines = lines.filter(|entry| entry.seq >= after);
                Found::Pushes(lines.take(num).cloned().collect())
            }
        }))
    }
}

/// The first byte picks the size of the pieces, the rest is the stream. What is answered must not
/// depend on the pieces; the numbers of the pushes have no gaps. (When a resume reaches its client
/// among answers does depend on them.)
#[allow(unreachable_pub, reason = "the fuzz crate includes this file and calls it")]
pub fn trade_connection(data: &[u8]) {
    let [piece, stream @ ..] = data else { return };
    let whole = converse(stream, stream.len().max(1));
    let pieces = converse(stream, usize::from(*piece) + 1);
    assert_eq!(whole.1, pieces.1, "the cut of the stream changed the end");
    let answers = answers(&whole.0);
    assert_eq!(answers, self::answers(&pieces.0), "the cut of the stream changed the answers");
}

fn converse(stream: &[u8], piece: usize) -> (Vec<u8>, Phase) {
    let room = Room::new();
    let state = Mutex::new((Book::default(), Vec::new()));
    let store: Arc<dyn Store> = Arc::new(MemoryStore { room: Arc::clone(&room), state });
    room.serve(&store);
    let options =
        ApiOptions { room, data_bytes_max: 4_096, lot: 1, keep_pushes: 10_000, presence: false };
    let (mailbox, outbox) = mailbox(|| ());
    let port = Port::new(router(&store, &options), outbox, Arc::default());
    let port = Rc::new(port.with_layout(Some(Layout::Big)));
    let now = Instant::now();
    let mut session = TlvSession::new(ConnId { slot: 0, generation: 0 }, port, now);
    let (mut out, mut sent) = (SendQueue::default(), Vec::new());
    let mut step = |session: &mut TlvSession<_>, bytes: Option<&[u8]>| {
        let mut turn =
            Turn { now, date: &[b' '; 29], out: &mut out, subscriptions: &mut Vec::new() };
        match bytes {
            Some(bytes) => session.received(bytes, &mut turn),
            None => session.recv_closed(&mut turn),
        }
        loop {
            while !turn.out.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let used = turn.out.gather(&mut slices);
                let bytes: Vec<u8> =
                    slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
                turn.out.advance(bytes.len());
                sent.extend(bytes);
                session.sent(&mut turn);
            }
            let deliveries: Vec<_> = mailbox.drain().collect();
            if deliveries.is_empty() {
                return session.phase() == Phase::Open && session.wants_input(turn.out);
            }
            for delivery in deliveries {
                match delivery {
                    Delivery::Reply { reply, .. } => session.complete(reply, &mut turn),
                    Delivery::Tell { reply, .. } => session.complete(reply(), &mut turn),
                    _ => {}
                }
            }
        }
    };
    let mut open = true;
    for bytes in stream.chunks(piece) {
        open = open && step(&mut session, Some(bytes));
    }
    if open {
        step(&mut session, None);
    }
    let phase = session.phase();
    (sent, phase)
}

/// All frames but pushes. Each is JSON, and behind each login the numbers follow on.
fn answers(mut bytes: &[u8]) -> Vec<(u32, serde_json::Value)> {
    let mut answers = Vec::new();
    let mut expected: Option<i64> = None;
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let header = Layout::Big.header(header);
        let length = header.data_bytes(4_096).expect("we keep to our own limit");
        let data: serde_json::Value =
            serde_json::from_slice(&rest[..length]).expect("our data is JSON");
        match (header.id, data["seq"].as_i64()) {
            // A resume may begin before it.
            (2, _) => expected = None,
            (101..=103, Some(seq)) => {
                assert!(expected.is_none_or(|expected| seq == expected), "a gap before {seq}");
                expected = Some(seq + 1);
            }
            _ => {}
        }
        if !(101..=104).contains(&header.id) {
            answers.push((header.id, data));
        }
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a header was sent");
    answers
}

#[test]
fn the_corpus_of_conversations_with_the_room_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/trade_connection");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is part of the sources") {
        let path = entry.expect("a readable folder").path();
        trade_connection(&std::fs::read(&path).expect("a readable file"));
        seeds += 1;
    }
    assert!(seeds > 0, "an empty corpus tests nothing");
}

#[cfg(test)]
mod tests {
    use super::trade_connection;
    use crate::tlv_talk::frame;
    use fanfare::tlv::Layout;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = (u32, String)> {
        let login =
            (0..3_i64, proptest::option::of(-1..20_i64)).prop_map(|(customer, last_seq)| {
                let last_seq =
                    last_seq.map(|seq| format!(",\"last_seq\":{seq}")).unwrap_or_default();
                (2, format!("{{\"customer_id\":\"90000000000{customer}\"{last_seq}}}"))
            });
        let trade = (4..=5_u32, -1..4_i64).prop_map(|(id, quantity)| {
            let stock = "\"exchange_type\":\"1\",\"stock_code\":\"600001\"";
            (id, format!("{{{stock},\"quantity\":{quantity}}}"))
        });
        let other = (prop_oneof![Just(3_u32), Just(6), Just(7), Just(8)], 0..3_i64)
            .prop_map(|(id, page)| (id, format!("{{\"page\":{page}}}")));
        prop_oneof![1 => login, 4 => trade, 1 => other]
    }

    proptest! {
        #[test]
        fn any_messages_get_their_answers_however_they_are_cut(
            messages in proptest::collection::vec(message(), 0..30),
            piece: u8,
        ) {
            let mut data = vec![piece];
            for (id, text) in messages {
                data.extend(frame(Layout::Big, id, text.as_bytes()));
            }
            trade_connection(&data);
        }
    }
}
