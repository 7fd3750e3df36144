//! The wire contract of red packets: codes and their order, forms and JSON, the operator's calls.

use crate::client::Reply;
use crate::server::{Server, Start};
use serde_json::{Value, json};

fn started(limit: &str) -> Server {
    let limits = ["user_rate", "user_burst", "global_rate", "global_burst"];
    limits
        .into_iter()
        .fold(Start::fresh(), |start, key| start.set(&format!("rain.{key}"), limit))
        .run()
}

fn terms(id: i64, changed: &[(&str, Value)]) -> String {
    let mut terms = json!({
        "id": id, "total_amount_fen": 1_000, "total_count": 2, "min_fen": 1, "max_fen": 1_000,
        "win_ppm": 1_000_000, "max_per_user": 5, "starts_at": 0, "ends_at": 4_000_000_000_i64,
        "reason": "a test"
    });
    for (name, value) in changed {
        terms[*name] = value.clone();
    }
    terms.to_string()
}

fn operate(server: &Server, method: &str, path: &str, body: &str) -> Reply {
    server.operator().request(method, path, &[], body)
}

#[track_caller]
fn begin(server: &Server, id: i64, changed: &[(&str, Value)]) {
    let made = operate(server, "POST", "/rain", &terms(id, changed));
    assert_eq!(made.status, 200, "{made:?}");
}

#[track_caller]
fn patch(server: &Server, change: &str) {
    let reply = operate(server, "PATCH", "/rain/config", change);
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[track_caller]
fn check_snatch(server: &Server, uid: i64, code: i64) -> Reply {
    let reply = server.client().post("/snatch", &format!("uid={uid}"));
    let value = reply.json();
    assert_eq!((reply.status, &value["code"]), (200, &json!(code)), "{value}");
    let again = [2, 5].contains(&code);
    assert_eq!(reply.header("Retry-After").is_some(), again, "{reply:?}");
    reply
}

#[test]
fn the_codes_come_in_the_order_of_the_contract() {
    let server = started("1000000");
    assert_eq!(server.client().get("/rain").json()["data"], json!({ "state": "none" }));
    check_snatch(&server, 1, 7);
    let year_3000 = json!(32_503_680_000_i64);
    begin(&server, 1, &[("starts_at", year_3000), ("ends_at", json!(32_503_680_001_i64))]);
    check_snatch(&server, 1, 7);
    patch(&server, r#"{"paused":true,"max_per_user":1,"reason":"a test"}"#);
    check_snatch(&server, 1, 7);
    patch(&server, r#"{"starts_at":0,"reason":"a test"}"#);
    check_snatch(&server, 1, 9);
    patch(&server, r#"{"paused":false,"reason":"a test"}"#);
    check_snatch(&server, 1, 0);
    check_snatch(&server, 1, 3);
    check_snatch(&server, 2, 0);
    check_snatch(&server, 1, 3);
    check_snatch(&server, 3, 6);
    patch(&server, r#"{"win_ppm":0,"reason":"a test"}"#);
    check_snatch(&server, 3, 6);
    patch(&server, r#"{"total_count":3,"total_amount_fen":1500,"reason":"a test"}"#);
    let unlucky = check_snatch(&server, 3, 4).json();
    assert!(unlucky["data"]["draw"].as_i64() > Some(0), "{unlucky}");
    patch(&server, r#"{"paused":true,"ends_at":0,"reason":"a test"}"#);
    check_snatch(&server, 1, 8);
    assert_eq!(server.client().get("/rain").json()["data"]["state"], "ended");
}

#[test]
fn limits_answer_with_retry_after_and_cost_nothing() {
    let server = Start::fresh().set("rain.user_burst", "2").set("rain.user_rate", "1").run();
    check_snatch(&server, 1, 7);
    begin(&server, 1, &[("max_per_user", json!(1))]);
    check_snatch(&server, 1, 0);
    check_snatch(&server, 1, 3);
    check_snatch(&server, 1, 5);
    let server = Start::fresh().set("rain.global_burst", "1").set("rain.global_rate", "1").run();
    begin(&server, 1, &[]);
    check_snatch(&server, 1, 0);
    check_snatch(&server, 1, 2);
}

#[test]
fn json_and_forms_are_told_apart_by_content() {
    let server = started("1000000");
    begin(&server, 1, &[("total_count", json!(50))]);
    for (body, code) in [
        ("uid=1", 0),
        ("a=b&uid=1", 0),
        ("{\"uid\":1}", 0),
        (" {\"uid\":\"1\"} ", 0),
        ("{\"uid\":0}", 1),
        ("{\"uid\":1.0}", 1),
        ("{\"uid\":1,\"uid\":1}", 1),
        ("{\"uid\"", 1),
        ("uid=", 1),
        ("uid=-1", 1),
        ("uid=1&uid=2", 1),
        ("uid=1&x=%ff", 1),
        ("", 1),
        ("[]", 1),
        ("{}", 1),
    ] {
        let reply = server.client().post("/snatch", body);
        let value = reply.json();
        assert_eq!(value["code"], json!(code), "{body}: {value}");
        assert_eq!(reply.status, if code == 1 { 400 } else { 200 }, "{body}");
        assert!(value.get("msg").is_some() && value.get("data").is_some(), "{value}");
    }
    for (path, body, field) in [
        ("/open", "uid=1", "envelope_id"),
        ("/open", "envelope_id=1", "uid"),
        ("/get_wallet_list", "uid=1&limit=0", "limit"),
        ("/get_wallet_list", "uid=1&limit=1001", "limit"),
        ("/get_wallet_list", "{\"uid\":1,\"before\":-1}", "before"),
    ] {
        let reply = server.client().post(path, body).json();
        assert!(reply["msg"].as_str().is_some_and(|msg| msg.starts_with(field)), "{reply}");
    }
    assert_eq!(server.client().get("/snatch").status, 405);
}

#[test]
fn a_wallet_is_exact_at_once_paged_and_of_all_rains() {
    let server = started("1000000");
    let mut amount = 0;
    let mut ids = Vec::new();
    for rain in 1..=2 {
        begin(&server, rain, &[("total_count", json!(3)), ("max_per_user", json!(3))]);
        for _ in 0..3 {
            let got = check_snatch(&server, 8, 0).json();
            ids.insert(0, got["data"]["envelope_id"].clone());
        }
        let opened = server.client().post("/open", &format!("uid=8&envelope_id={}", ids[0])).json();
        amount += opened["data"]["value"].as_i64().expect("a value");
        let wallet = server.client().post("/get_wallet_list", "uid=8").json();
        assert_eq!(wallet["data"]["amount"], amount);
        patch(&server, r#"{"ends_at":0,"reason":"the next one"}"#);
    }
    let mut shown = Vec::new();
    let mut before = String::new();
    loop {
        let page = server.client().post("/get_wallet_list", &format!("uid=8&limit=4{before}"));
        let data = page.json()["data"].clone();
        assert_eq!(data["amount"], amount);
        for packet in data["envelope_list"].as_array().expect("a list") {
            assert_eq!(packet["opened"] == json!(true), packet.get("value").is_some());
            assert!(packet["snatch_time"].as_i64() > Some(1_700_000_000));
            shown.push(packet["envelope_id"].clone());
        }
        let Some(next) = data.get("next") else { break };
        before = format!("&before={next}");
    }
    assert_eq!(shown, ids, "newest first, none twice, none missing");
    let stranger = server.client().post("/get_wallet_list", "uid=9").json();
    assert_eq!(stranger["data"], json!({ "amount": 0, "envelope_list": [] }));
}

#[test]
fn a_retried_snatch_gets_its_packet_again_and_refusals_are_forgotten() {
    let server = started("1000000");
    let keyed = |uid: i64, key: &str| {
        let body = json!({ "uid": uid, "request_id": key }).to_string();
        server.client().post("/snatch", &body)
    };
    assert_eq!(keyed(1, "a").json()["code"], 7);
    begin(&server, 1, &[("max_per_user", json!(1))]);
    let first = keyed(1, "a");
    assert_eq!(first.json()["code"], 0, "the refusal of before was not remembered");
    let again = keyed(1, "a");
    assert_eq!((again.json(), again.header("Idempotent-Replayed")), (first.json(), Some("true")));
    assert_eq!(keyed(1, "b").json()["code"], 3);
    let other = keyed(2, "a");
    assert_eq!(other.json()["code"], 0, "a key belongs to its user");
    assert_ne!(other.json()["data"]["envelope_id"], first.json()["data"]["envelope_id"]);
    patch(&server, r#"{"ends_at":0,"reason":"over"}"#);
    assert_eq!(keyed(1, "a").json(), first.json(), "also when the rain is over");
    assert_eq!(keyed(1, "c").json()["code"], 8);

    let id = first.json()["data"]["envelope_id"].clone();
    let open = |id: &Value| {
        let body = json!({ "uid": 1, "envelope_id": id }).to_string();
        server.client().request("POST", "/open", &[("Idempotency-Key", "o")], &body)
    };
    let opened = open(&id);
    assert_eq!(
        (opened.json()["code"].clone(), opened.header("Idempotent-Replayed")),
        (json!(0), None)
    );
    assert_eq!(open(&id).json(), opened.json());
    assert_eq!(open(&other.json()["data"]["envelope_id"]).status, 409);
}

#[test]
fn an_operator_is_told_what_cannot_be_and_the_old_stays() {
    let server = started("1000000");
    assert_eq!(operate(&server, "GET", "/rain/config", "").status, 404);
    assert_eq!(
        operate(&server, "PATCH", "/rain/config", r#"{"win_ppm":1,"reason":"x"}"#).status,
        404
    );
    for (name, value, status) in [
        ("total_count", json!(0), 400),
        ("win_ppm", json!(1_000_001), 400),
        ("max_fen", json!("5"), 400),
        ("reason", json!(""), 400),
        ("reason", json!("x".repeat(201)), 400),
        ("min_fen", json!(501), 409),
        ("max_fen", json!(499), 409),
        ("ends_at", json!(0), 409),
    ] {
        let body = terms(1, &[(name, value.clone())]);
        let reply = operate(&server, "POST", "/rain", &body);
        assert_eq!(reply.status, status, "{name} = {value}: {reply:?}");
        assert!(reply.json().get("message").is_some(), "{reply:?}");
    }
    let mut short: Value = serde_json::from_str(&terms(1, &[])).expect("JSON");
    short.as_object_mut().expect("an object").remove("max_fen");
    let reply = operate(&server, "POST", "/rain", &short.to_string());
    assert!(reply.json()["message"].as_str().is_some_and(|m| m.starts_with("max_fen is missing")));
    begin(&server, 1, &[]);
    assert_eq!(operate(&server, "POST", "/rain", &terms(1, &[])).status, 409, "taken");
    assert_eq!(operate(&server, "POST", "/rain", &terms(2, &[])).status, 409, "not ended");
    check_snatch(&server, 1, 0);
    let before = operate(&server, "GET", "/rain/config", "").json();
    for (change, status) in [
        (r#"{"total_count":1,"reason":"x"}"#, 409),
        (r#"{"total_amount_fen":1,"reason":"x"}"#, 409),
        (r#"{"starts_at":4000000000,"reason":"x"}"#, 409),
        (r#"{"reason":"x"}"#, 400),
        (r#"{"win_ppm":5}"#, 400),
        (r#"{"win_ppm":-1,"reason":"x"}"#, 400),
    ] {
        assert_eq!(operate(&server, "PATCH", "/rain/config", change).status, status, "{change}");
    }
    assert_eq!(operate(&server, "GET", "/rain/config", "").json(), before);
    assert_eq!(server.client().request("PATCH", "/rain/config", &[], "{}").status, 404);
    assert_eq!(server.client().post("/rain", "{}").status, 405);
}

#[test]
fn every_change_is_in_the_history_and_a_retry_changes_nothing() {
    let server = started("1000000");
    begin(&server, 1, &[]);
    let head =
        |server: &Server| server.client().get("/rain").json()["data"]["version_hash"].clone();
    let first = head(&server);
    let change = r#"{"win_ppm":5,"reason":"less","request_id":"k"}"#;
    let done = operate(&server, "PATCH", "/rain/config", change);
    assert_eq!(done.header("Idempotent-Replayed"), None);
    assert_ne!(head(&server), first);
    let again = operate(&server, "PATCH", "/rain/config", change);
    assert_eq!((again.json(), again.header("Idempotent-Replayed")), (done.json(), Some("true")));
    let other = r#"{"win_ppm":6,"reason":"less","request_id":"k"}"#;
    assert_eq!(operate(&server, "PATCH", "/rain/config", other).status, 409);
    let history = done.json()["data"]["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(2));
    assert_eq!(history[0]["before"], Value::Null);
    assert_eq!((&history[1]["version"], &history[1]["reason"]), (&json!(2), &json!("less")));
    assert_eq!(history[1]["before"]["win_ppm"], 1_000_000);
    assert_eq!(history[1]["after"]["win_ppm"], 5);
    assert_eq!(done.json()["data"]["config"], history[1]["after"]);
}

#[test]
fn the_proof_is_secret_until_the_end() {
    let server = started("1000000");
    assert_eq!(server.client().get("/rain/proof").status, 404);
    begin(&server, 1, &[]);
    assert_eq!(server.client().get("/rain/proof").status, 403);
    assert_eq!(server.client().get("/rain/proof?id=2").status, 404);
    assert_eq!(server.client().get("/rain/proof?id=x").status, 400);
    patch(&server, r#"{"ends_at":0,"reason":"over"}"#);
    let proof = server.client().get("/rain/proof").json();
    assert_eq!(proof["data"]["seed"].as_str().map(str::len), Some(64));
    let commitment = &server.client().get("/rain").json()["data"]["commitment"];
    assert_eq!(&proof["data"]["commitment"], commitment);
    let late = r#"{"win_ppm":5,"reason":"too late"}"#;
    assert_eq!(operate(&server, "PATCH", "/rain/config", late).status, 409);
    begin(&server, 2, &[]);
    assert_eq!(server.client().get("/rain/proof?id=1").json(), proof);
    assert_eq!(server.client().get("/rain/proof").status, 403);
}
