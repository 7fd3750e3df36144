//! The trading room against the whole process: what api.md promises a client, on real sockets.

use crate::server::{Server, Start};
use crate::tlv_client::TlvClient;
use fanfare::tlv::Layout;
use serde_json::{Value, json};

const NEW: &str = "900000000001";
const STOCK: &str = r#""exchange_type":"1","stock_code":"600000""#;

fn order(quantity: i64) -> String {
    format!("{{{STOCK},\"quantity\":{quantity}}}")
}

fn position(quantity: i64) -> Value {
    json!({
        "exchange_type": "1", "stock_code": "600000", "quantity": quantity, "last_price_fen": 1_000,
        "market_value_fen": quantity * 1_000
    })
}

/// The next two frames are the pushes of a trade, with that number and the next.
#[track_caller]
fn pushed(client: &mut TlvClient, seq: i64, side: &str, quantity: i64, held: i64) -> i64 {
    let (id, trade) = client.next();
    let fields = ["seq", "side", "quantity", "price_fen"].map(|field| trade[field].clone());
    assert_eq!((id, fields), (101, [json!(seq), json!(side), json!(quantity), json!(1_000)]));
    let mut after = position(held);
    after["seq"] = json!(seq + 1);
    assert_eq!(client.next(), (102, after));
    trade["trade_id"].as_i64().expect("an id")
}

#[test]
fn a_customer_logs_in_trades_and_hears_of_it_on_every_connection() {
    let server = Server::start();
    for layout in [Layout::Big, Layout::Little] {
        let customer = if layout == Layout::Big { NEW } else { "900000000002" };
        let login = format!(r#"{{"customer_id":"{customer}"}}"#);
        let mut client = TlvClient::connect(server.tlv, layout);
        let answer = client.ask(2, &login);
        assert_eq!(
            answer,
            json!({"customer_id": customer, "seq": 0, "positions": 0, "total_value_fen": 0})
        );
        assert_eq!(client.pushes.remove(0).0, 1, "the welcome came first");
        let mut other = TlvClient::connect(server.tlv, Layout::Big);
        other.ask(2, &login);
        let empty = json!({"page": 0, "pages": 1, "holdings": [], "total_value_fen": 0});
        assert_eq!(client.ask(3, ""), empty);

        let bought = client.ask(4, &order(200));
        assert_eq!(
            [&bought["seq"], &bought["quantity"], &bought["price_fen"], &bought["holding"]],
            [&json!(1), &json!(200), &json!(1_000), &position(200)]
        );
        assert_eq!(bought.get("replayed"), None);
        let trade_id = pushed(&mut client, 1, "1", 200, 200);
        assert_eq!(bought["trade_id"], trade_id);
        assert_eq!(pushed(&mut other, 1, "1", 200, 200), trade_id);
        assert_eq!(other.ask(5, &order(50))["holding"], position(150));
        pushed(&mut other, 3, "2", 50, 150);
        pushed(&mut client, 3, "2", 50, 150);
        assert_eq!(client.ask(5, &order(150))["holding"], position(0));
        pushed(&mut client, 5, "2", 150, 0);
        pushed(&mut other, 5, "2", 150, 0);
        assert_eq!(client.ask(3, "{}"), empty);

        let history = client.ask(6, r#"{"limit":2}"#);
        let trades = history["trades"].as_array().expect("a list");
        let sides: Vec<_> = trades.iter().map(|trade| trade["quantity"].clone()).collect();
        assert_eq!(sides, [150, 50]);
        assert_eq!(history["next"], trades[1]["trade_id"]);
        let older = client.ask(6, &format!(r#"{{"before":{}}}"#, history["next"]));
        assert_eq!(older["trades"][0]["trade_id"], trade_id);
        assert_eq!(older.get("next"), None);
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_its_code_and_changes_nothing() {
    let server = Start::fresh().set("trade.lot", "100").run();
    let mut client = TlvClient::connect(server.tlv, Layout::Big);
    for id in [3, 4, 5, 6] {
        assert_eq!(client.refused(id, "{}"), "not_logged_in");
    }
    assert_eq!(client.refused(8, ""), "unknown_message");
    assert_eq!(client.refused(2, r#"{"customer_id":"7"}"#), "unknown_customer");
    assert_eq!(client.refused(2, "GET /"), "bad_request");
    client.ask(2, &format!(r#"{{"customer_id":"{NEW}"}}"#));
    for (id, data, code) in [
        (
            4,
            r#"{"exchange_type":"2","stock_code":"600000","quantity":100}"#.to_owned(),
            "unknown_stock",
        ),
        // Repeated in the answer, it would not fit into a frame.
        (
            4,
            format!(
                r#"{{"exchange_type":"1","stock_code":"{}","quantity":100}}"#,
                r#"\""#.repeat(2_000)
            ),
            "unknown_stock",
        ),
        (4, order(150), "bad_quantity"),
        (4, order(0), "bad_quantity"),
        (4, order(9_223_372_036_854_775_800), "overflow"),
        (5, order(100), "not_held"),
        (6, r#"{"limit":51}"#.to_owned(), "bad_request"),
        (3, r#"{"page":-1}"#.to_owned(), "bad_request"),
    ] {
        assert_eq!(client.refused(id, &data), code, "{data}");
    }
    client.ask(4, &order(100));
    assert_eq!(client.refused(5, &order(200)), "not_enough");
    assert_eq!(client.ask(3, "")["holdings"], json!([position(100)]));
    assert_eq!(client.ask(99_999, "anything"), json!({}));
}

#[test]
fn the_seeded_customers_have_their_positions_page_by_page() {
    let server = Server::start();
    let mut sizes = Vec::new();
    for number in 1..=100 {
        let customer = format!("{number:012}");
        let mut client = TlvClient::connect(server.tlv, Layout::Big);
        let login = client.ask(2, &format!(r#"{{"customer_id":"{customer}"}}"#));
        let (mut page, mut value, mut count) = (0, 0, 0);
        loop {
            let data = client.ask(3, &format!(r#"{{"page":{page}}}"#));
            let holdings = data["holdings"].as_array().expect("a list");
            count += holdings.len();
            for held in holdings {
                let (quantity, price) = (&held["quantity"], &held["last_price_fen"]);
                let product = quantity.as_i64().expect("exact") * price.as_i64().expect("exact");
                assert_eq!(held["market_value_fen"], product);
                value += product;
            }
            page += 1;
            if data["pages"] == page {
                break;
            }
        }
        assert_eq!(
            (&login["positions"], &login["total_value_fen"]),
            (&json!(count), &json!(value))
        );
        assert_eq!(
            (&login["seq"], client.ask(3, r#"{"page":99}"#)["holdings"].clone()),
            (&json!(0), json!([]))
        );
        let history = client.ask(6, r#"{"limit":50}"#);
        assert_eq!(history["trades"][0]["opening"], true);
        sizes.push(count);
    }
    assert!(sizes.iter().all(|count| (1..=100).contains(count)), "{sizes:?}");
    let mut client = TlvClient::connect(server.tlv, Layout::Little);
    let (mut page, mut stocks) = (0, Vec::new());
    loop {
        let data = client.ask(7, &format!(r#"{{"page":{page}}}"#));
        stocks.extend(data["stocks"].as_array().expect("a list").clone());
        page += 1;
        if data["pages"] == page {
            break;
        }
    }
    assert_eq!(stocks.len(), 2_000);
    assert_eq!(
        stocks[0],
        json!({"exchange_type": "1", "stock_code": "600000", "last_price_fen": 1_000})
    );
}

#[test]
fn a_retry_with_the_same_request_id_counts_once_and_a_rollback_takes_it_back() {
    let server = Server::start();
    let keyed = format!("{{{STOCK},\"quantity\":7,\"request_id\":\"a\"}}");
    let mut client = TlvClient::login(server.tlv, NEW);
    let first = client.ask(4, &keyed);
    pushed(&mut client, 1, "1", 7, 7);
    let again = client.ask(4, &keyed);
    assert_eq!((&again["replayed"], &again["trade_id"]), (&json!(true), &first["trade_id"]));
    assert_eq!(client.refused(5, &keyed), "conflict");
    let mut stranger = TlvClient::login(server.tlv, "900000000002");
    assert_eq!(stranger.ask(4, &keyed).get("replayed"), None, "keys are a customer's own");

    let body = json!({"trade_id": first["trade_id"], "reason": "a test"}).to_string();
    assert_eq!(server.client().post("/trade/rollback", &body).status, 404);
    let done = server.operator().post("/trade/rollback", &body);
    assert_eq!(done.status, 200, "{done:?}");
    let data = json!({"trade_id": first["trade_id"], "holding": position(0)});
    assert_eq!(done.json(), json!({"code": 0, "message": "success", "data": data}));
    let (id, taken) = client.next();
    let expected = json!({"seq": 3, "trade_id": first["trade_id"], "reason": "a test"});
    assert_eq!((id, taken), (103, expected));
    assert_eq!(client.next().1["quantity"], 0);
    let second = server.operator().post("/trade/rollback", &body);
    assert_eq!(second.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(second.body, done.body);
    let history = client.ask(6, "");
    assert_eq!(history["trades"].as_array().map(Vec::len), Some(1), "{history}");
    assert_eq!(history["trades"][0]["rolled_back"], true);
    assert_eq!(client.ask(4, &keyed)["holding"], position(0), "a replay shows the position of now");

    // What later trades need cannot be taken back, nor what was there from the start.
    let bought = client.ask(4, &order(5));
    client.ask(5, &order(5));
    let reason = json!({"trade_id": bought["trade_id"], "reason": "late"}).to_string();
    assert_eq!(server.operator().post("/trade/rollback", &reason).status, 409);
    // The most whose value fits: held once more beside the same again it would not.
    let most = order(i64::MAX / 1_000);
    client.ask(4, &most);
    let sold = client.ask(5, &most);
    client.ask(4, &most);
    let body = json!({"trade_id": sold["trade_id"], "reason": "too much"}).to_string();
    let refused = server.operator().post("/trade/rollback", &body);
    let why = refused.json()["message"].to_string();
    assert!(refused.status == 409 && why.contains("the range of an i64"), "{refused:?}");
    for (trade_id, status) in [(1, 409), (1_i64 << 50, 404)] {
        let body = json!({"trade_id": trade_id, "reason": "no"}).to_string();
        assert_eq!(server.operator().post("/trade/rollback", &body).status, status);
    }
    assert_eq!(server.operator().post("/trade/rollback", "{}").status, 400);
    let audit = server.operator().get("/audit").json();
    assert_eq!(audit["ok"], true, "{audit}");
    assert!(audit.to_string().contains("trade: trades not rolled back = holdings"));
}

#[test]
fn who_comes_back_gets_what_it_missed_in_order_also_after_a_restart() {
    let server = Start::fresh().set("trade.keep_pushes", "300").run();
    let mut client = TlvClient::login(server.tlv, NEW);
    // More than memory keeps for followers, so that the record is read.
    for _ in 0..200 {
        client.ask(4, &order(1));
    }
    let folder = server.stop();
    let server = folder.start().set("trade.keep_pushes", "300").run();
    let resume = |last_seq: i64| {
        let mut client = TlvClient::connect(server.tlv, Layout::Big);
        let login = format!(r#"{{"customer_id":"{NEW}","last_seq":{last_seq}}}"#);
        let answer = client.ask(2, &login);
        assert_eq!(answer["seq"], 400);
        (client, answer.get("resync").is_some())
    };
    for (last_seq, missed) in [(100, 101..401), (399, 400..401), (400, 401..401)] {
        let (mut client, resync) = resume(last_seq);
        assert!(!resync);
        for seq in missed {
            let (id, push) = client.next();
            assert_eq!((id, &push["seq"]), (if seq % 2 == 1 { 101 } else { 102 }, &json!(seq)));
        }
        assert_eq!(client.ask(99_999, ""), json!({}));
        assert_eq!(client.pushes.len(), 1, "the welcome and nothing else");
    }
    for last_seq in [99, 401] {
        let (mut client, resync) = resume(last_seq);
        assert!(resync, "{last_seq}");
        assert_eq!(client.ask(99_999, ""), json!({}));
        assert_eq!(client.pushes.len(), 1);
    }
}

#[test]
fn everybody_hears_who_comes_and_goes_where_that_is_configured() {
    let server = Start::fresh().set("trade.presence", "true").run();
    let mut watcher = TlvClient::login(server.tlv, NEW);
    let mut hears = |customer: &str, online: bool| {
        assert_eq!(watcher.next(), (104, json!({"customer_id": customer, "online": online})));
    };
    hears(NEW, true);
    let (one, two) = ("900000000002", "900000000003");
    let mut first = TlvClient::login(server.tlv, one);
    hears(one, true);
    let second = TlvClient::login(server.tlv, one);
    first.ask(2, &format!(r#"{{"customer_id":"{two}"}}"#));
    hears(two, true);
    // Again as the same customer: nobody goes, nobody comes.
    first.ask(2, &format!(r#"{{"customer_id":"{two}"}}"#));
    drop(second);
    hears(one, false);
    drop(first);
    hears(two, false);
}

#[test]
fn the_connection_over_the_limit_is_told_so_and_closed() {
    let server = Start::fresh().set("tlv.max_connections", "1").run();
    let mut client = TlvClient::login(server.tlv, NEW);
    let mut refused = TlvClient::connect(server.tlv, Layout::Big);
    let (id, error) = refused.next();
    assert_eq!((id, &error["code"]), (0, &json!("busy")));
    assert!(refused.try_next().is_err(), "closed");
    assert_eq!(client.ask(99_999, ""), json!({}));
}

#[test]
fn the_simulator_trades_for_the_seeded_customers() {
    let server = Start::fresh().set("trade.sim.rate", "2000").run();
    let mut clients: Vec<_> =
        (1..=5).map(|number| TlvClient::login(server.tlv, &format!("{number:012}"))).collect();
    for client in &mut clients {
        let mut last: Option<i64> = None;
        for _ in 0..20 {
            let (_, push) = client.next();
            let seq = push["seq"].as_i64().expect("a number");
            assert!(last.is_none_or(|last| seq == last + 1), "a gap before {seq}");
            last = Some(seq);
        }
    }
    let audit = server.operator().get("/audit").json();
    assert_eq!(audit["ok"], true, "{audit}");
}
