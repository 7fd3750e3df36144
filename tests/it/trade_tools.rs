//! The operator's tools on the record of the trading room: audit, export and backup.

use crate::audit::tamper_with;
use crate::data_tools::{done, path, refused, tool};
use crate::server::{Folder, Server, Start};
use crate::tlv_client::TlvClient;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;

const CUSTOMER: &str = "900000000001";
const STOCK: &str = r#""exchange_type":"2","stock_code":"000007""#;

/// A stopped server's folder with 12 bought under a key, 5 sold, and the sale taken back; and how
/// many lines were there before.
fn folder_with_trades() -> (Folder, usize) {
    let server = Server::start();
    let mut client = TlvClient::login(server.tlv, CUSTOMER);
    let bought = client.ask(4, &format!("{{{STOCK},\"quantity\":12,\"request_id\":\"a,b\"}}"));
    let sold = client.ask(5, &format!("{{{STOCK},\"quantity\":5}}"));
    let body = json!({"trade_id": sold["trade_id"], "reason": "a \"slip\""}).to_string();
    assert_eq!(server.operator().post("/trade/rollback", &body).status, 200);
    let first = bought["trade_id"].as_u64().and_then(|id| usize::try_from(id).ok());
    (server.stop(), first.expect("an id") - 1)
}

#[test]
fn an_audit_of_a_folder_names_the_customer_whose_holdings_differ() {
    let check = "trade: trades not rolled back = holdings";
    for sql in [
        "UPDATE holding SET quantity = quantity + 1 WHERE customer_id = 900000000001",
        "DELETE FROM holding WHERE customer_id = 900000000001",
        "UPDATE trade SET quantity = 13 WHERE customer_id = 900000000001 AND quantity = 12",
        "DELETE FROM trade WHERE rolls_back IS NOT NULL",
    ] {
        let (folder, _) = folder_with_trades();
        assert!(!done(&["audit"], &folder.data).contains("DIFFERS"));
        tamper_with(&folder.data.join("trade.db"), sql);
        let said = tool(&["audit"], &folder.data, &[]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let row = said.out.lines().find(|row| row.starts_with(check)).expect("the check is there");
        let words: Vec<&str> = row.split_whitespace().collect();
        assert!(words.ends_with(&["DIFFERS", CUSTOMER]), "{sql}: {said:#?}");
    }
}

#[test]
fn an_export_has_every_trade_beside_a_running_server_too() {
    let (folder, opening) = folder_with_trades();
    let server = folder.start().run();
    let text = done(&["export", "trades"], &folder.data);
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), opening + 3);
    assert!(lines[..opening].iter().all(|line| line["seq"] == 0), "the opening");
    let journal = Connection::open(folder.data.join("trade.db")).expect("the journal opens");
    let sql = "SELECT json_object('trade_id', id,
                   'customer_id', printf('%012d', customer_id),
                   'exchange_type', printf('%d', exchange_type),
                   'stock_code', printf('%06d', stock_code), 'side', printf('%d', side),
                   'quantity', quantity, 'price_fen', price_fen, 'time_us', time_us, 'seq', seq,
                   'held', held, 'request_id', request_id, 'rolls_back', rolls_back,
                   'reason', reason) FROM trade WHERE id = ?1";
    for (line, id) in lines.iter().zip(1..) {
        let row: String = journal.query_row(sql, [id], |row| row.get(0)).expect("a row");
        assert_eq!(*line, serde_json::from_str::<Value>(&row).expect("JSON"));
    }
    let last = &lines[lines.len() - 1];
    assert_eq!((&last["rolls_back"], &last["side"]), (&json!(opening + 2), &json!("1")));
    drop(server);

    let csv = done(&["export", "trades", "--format", "csv"], &folder.data);
    let mut rows = csv.lines();
    let head = "trade_id,customer_id,exchange_type,stock_code,side,quantity,price_fen,time_us,seq,\
                held,request_id,rolls_back,reason";
    assert_eq!(rows.next(), Some(head));
    let mut rows = rows.skip(opening);
    let bought = rows.next().expect("the purchase");
    assert!(bought.starts_with(&format!("{},{CUSTOMER},2,000007,1,12,", opening + 1)), "{bought}");
    assert!(bought.ends_with(",1,12,\"a,b\",,"), "{bought}");
    let back = rows.nth(1).expect("the rollback");
    assert!(back.ends_with(&format!(",5,12,,{},\"a \"\"slip\"\"\"", opening + 2)), "{back}");
}

#[test]
fn a_restored_backup_serves_the_same_holdings_history_and_keys() {
    let (folder, opening) = folder_with_trades();
    let server = folder.start().run();
    let copies = tempfile::tempdir().expect("a temp folder");
    let copy = copies.path().join("trade.db");
    let args = ["backup", "--record", "trade", path(&copy)];
    let said = done(&args, server.data());
    assert!(said.ends_with(&format!("holds trades up to {}\n", opening + 3)), "{said}");
    assert!(refused(&args, server.data()).contains("exists already"));
    assert_eq!(fs::read_dir(copies.path()).expect("readable").count(), 1, "nothing else is left");

    let restored = Start::on(copies.path()).run();
    let seen = |server: &Server| {
        let mut client = TlvClient::login(server.tlv, CUSTOMER);
        let keyed = format!("{{{STOCK},\"quantity\":12,\"request_id\":\"a,b\"}}");
        (client.ask(3, ""), client.ask(6, ""), client.ask(4, &keyed))
    };
    let (holdings, history, again) = seen(&restored);
    assert_eq!(
        (&again["replayed"], &holdings["holdings"][0]["quantity"]),
        (&json!(true), &json!(12))
    );
    assert_eq!((holdings, history, again), seen(&server));
    drop(restored);
    assert!(!done(&["audit"], copies.path()).contains("DIFFERS"));
}

#[test]
fn a_backup_of_the_rain_holds_its_packets() {
    let server = Server::start();
    let rain = json!({"id": 1, "total_amount_fen": 1_000, "total_count": 10, "min_fen": 1,
        "max_fen": 500, "win_ppm": 1_000_000, "max_per_user": 5, "starts_at": 0,
        "ends_at": 4_102_444_800_i64, "reason": "a test"});
    assert_eq!(server.operator().post("/rain", &rain.to_string()).status, 200);
    assert_eq!(server.client().post("/snatch", r#"{"uid":7}"#).json()["code"], 0);
    let copies = tempfile::tempdir().expect("a temp folder");
    let copy = copies.path().join("packet.db");
    let args = ["backup", "--record", "packet", path(&copy)];
    assert!(done(&args, server.data()).ends_with("holds packets up to 1\n"));
    let restored = Start::on(copies.path()).run();
    let wallet = |server: &Server| server.client().post("/get_wallet_list", r#"{"uid":7}"#).json();
    assert_eq!(wallet(&restored), wallet(&server));
    assert_eq!(restored.client().get("/rain").json(), server.client().get("/rain").json());
}
