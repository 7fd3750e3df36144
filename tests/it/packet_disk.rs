//! A disk that fills up while it rains: nothing is granted that is not written, reads go on, and it
//! heals by itself.

use crate::client::Client;
use crate::disk_faults::{fill, in_namespace};
use crate::server::{Server, Start};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Snatches for new users until there is no room three times in a row; notes who got what.
fn snatch_until_full(client: &mut Client, uids: &mut i64, got: &mut BTreeMap<i64, i64>) {
    let mut refusals = 0;
    while refusals < 3 {
        *uids += 1;
        let reply = client.post("/snatch", &format!("uid={uids}"));
        if reply.status == 200 {
            let id = reply.json()["data"]["envelope_id"].as_i64().expect("everybody wins");
            got.insert(id, *uids);
            refusals = 0;
        } else {
            assert_eq!((reply.status, &reply.json()["code"]), (503, &json!(12)), "{reply:?}");
            assert!(reply.header("Retry-After").is_some(), "{reply:?}");
            refusals += 1;
        }
    }
}

#[track_caller]
fn check_told(server: &Server, got: &BTreeMap<i64, i64>) {
    let mut client = server.client();
    let rain = client.get("/rain").json();
    let handed = 100_000 - rain["data"]["left_count"].as_i64().expect("a number");
    assert_eq!(handed, i64::try_from(got.len()).expect("few"), "granted is what was told");
    for (id, uid) in got {
        let wallet = client.post("/get_wallet_list", &format!("uid={uid}")).json();
        assert_eq!(wallet["data"]["envelope_list"][0]["envelope_id"], json!(id));
    }
}

#[test]
fn a_full_disk_grants_nothing_and_heals_by_itself() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let limits = ["user_rate", "user_burst", "global_rate", "global_burst"];
    let start = limits
        .into_iter()
        .fold(Start::on(&data), |start, key| start.set(&format!("rain.{key}"), "100000000"));
    let setup = "mount -t tmpfs -o size=4m none \"$DIR\"";
    let server = in_namespace(start, folder.path(), setup).run();
    // The mount is the server's own: this is the way in.
    let root = PathBuf::from(format!("/proc/{}/root", server.id()));
    let inside = root.join(folder.path().strip_prefix("/").expect("absolute"));
    let ballast = inside.join("ballast");
    let terms = json!({
        "id": 1, "total_amount_fen": 10_000_000, "total_count": 100_000, "min_fen": 1,
        "max_fen": 1_000, "win_ppm": 1_000_000, "max_per_user": 1, "starts_at": 0,
        "ends_at": 4_000_000_000_i64, "reason": "a test"
    });
    assert_eq!(server.operator().post("/rain", &terms.to_string()).status, 200);

    let (mut uids, mut got) = (0, BTreeMap::new());
    for _ in 0..3 {
        fill(&ballast);
        snatch_until_full(&mut server.client(), &mut uids, &mut got);
        check_told(&server, &got);
        let change = json!({ "win_ppm": 0, "reason": "not now" }).to_string();
        let refused = server.operator().request("PATCH", "/rain/config", &[], &change);
        assert_eq!(refused.status, 503, "{refused:?}");
        fs::remove_file(&ballast).expect("it is there");
        uids += 1;
        let healed = server.client().post("/snatch", &format!("uid={uids}"));
        assert_eq!(healed.status, 200, "{healed:?}");
        got.insert(healed.json()["data"]["envelope_id"].as_i64().expect("a packet"), uids);
        check_told(&server, &got);
    }
    assert!(!got.is_empty());
    let report = server.operator().get("/audit").json();
    assert_eq!(report["ok"], json!(true), "{report:#}");
}
