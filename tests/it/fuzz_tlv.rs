//! Fuzz target: a whole TLV connection, any bytes cut anywhere. The corpus runs in `cargo test`.

use fanfare::exec::mailbox;
use fanfare::limits::{SEND_BYTES_HIGH, TLV_DATA_BYTES_MAX};
use fanfare::session::{ConnId, Phase, SendQueue, Session, Turn};
use fanfare::tlv::{Layout, Port, Router, TlvSession};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

/// The first byte picks the layout, the second the size of the pieces, the rest is the stream. The
/// answers must not depend on the pieces, and must be whole frames of the layout that was found.
#[allow(unreachable_pub, reason = "the fuzz crate includes this file and calls it")]
pub fn tlv_connection(data: &[u8]) {
    let [choice, piece, stream @ ..] = data else { return };
    let layout = match choice % 3 {
        0 => None,
        1 => Some(Layout::Big),
        _ => Some(Layout::Little),
    };
    let whole = converse(layout, stream, stream.len().max(1));
    let pieces = converse(layout, stream, usize::from(*piece) + 1);
    assert_eq!(whole, pieces, "the cut of the stream changed the conversation");
    let spoken = layout.or_else(|| {
        let header = stream.first_chunk()?;
        Layout::detect(header, TLV_DATA_BYTES_MAX)
    });
    assert_frames(spoken.unwrap_or(Layout::Big), &whole.0);
}

/// Everything that is sent to a peer that reads at once, and how it ends.
fn converse(layout: Option<Layout>, stream: &[u8], piece: usize) -> (Vec<u8>, Phase) {
    let (_mailbox, outbox) = mailbox(|| ());
    let uids = Arc::new(AtomicI64::new(0));
    let port = Rc::new(Port::new(Router::<()>::new(), outbox, uids).with_layout(layout));
    let now = Instant::now();
    let conn = ConnId { slot: 0, generation: 0 };
    let mut session = TlvSession::new(conn, port, now);
    let (mut out, mut subscriptions) = (SendQueue::default(), Vec::new());
    let mut sent = Vec::new();
    let mut step = |session: &mut TlvSession<Router<()>>, bytes: Option<&[u8]>| {
        let mut turn =
            Turn { now, date: &[b' '; 29], out: &mut out, subscriptions: &mut subscriptions };
        match bytes {
            Some(bytes) => session.received(bytes, &mut turn),
            None => session.recv_closed(&mut turn),
        }
        while !turn.out.is_empty() {
            assert!(turn.out.len() < SEND_BYTES_HIGH + 2 * TLV_DATA_BYTES_MAX, "unbounded output");
            let mut slices = [IoSlice::new(&[]); 4];
            let used = turn.out.gather(&mut slices);
            let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
            turn.out.advance(bytes.len());
            sent.extend(bytes);
            session.sent(&mut turn);
        }
        session.phase() == Phase::Open && session.wants_input(turn.out)
    };
    let mut open = true;
    for bytes in stream.chunks(piece) {
        open = open && step(&mut session, Some(bytes));
    }
    if open {
        step(&mut session, None);
    }
    assert_ne!(session.phase(), Phase::Open, "an ended input ends the conversation");
    (sent, session.phase())
}

fn assert_frames(layout: Layout, mut bytes: &[u8]) {
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let length = layout.header(header).data_bytes(TLV_DATA_BYTES_MAX);
        let length = length.expect("we keep to our own limit");
        serde_json::from_slice::<serde_json::Value>(&rest[..length]).expect("our data is JSON");
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a header was sent");
}

#[test]
fn the_corpus_of_tlv_connections_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/tlv_connection");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is part of the sources") {
        let path = entry.expect("a readable folder").path();
        tlv_connection(&std::fs::read(&path).expect("a readable file"));
        seeds += 1;
    }
    assert!(seeds > 0, "an empty corpus tests nothing");
}
