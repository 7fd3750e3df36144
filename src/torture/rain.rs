//! The rain under torture: an account is a user, its balance the packets got.

use super::deed::{ANSWER_TIMEOUT, Addresses, Deed, Domain, Hand, Reply, http, post, wrong};
use crate::client::http::{HttpConnection, request};
use serde_json::{Value, json};
use std::io;

/// Packets of the rain: more than a run can snatch.
const PACKETS: u64 = 1_000_000;

/// Wallets are read in pages of so many.
const PAGE: usize = 1_000;

pub(super) struct Rain;

impl Domain for Rain {
    fn name(&self) -> &'static str {
        "rain"
    }

    fn prepare(&self, server: &Addresses) -> io::Result<bool> {
        if http(server)?.get("/rain")?.status != 200 {
            return Ok(false);
        }
        let rain = json!({
            "id": 1, "total_amount_fen": PACKETS * 100, "total_count": PACKETS,
            "min_fen": 1, "max_fen": 1_000, "win_ppm": 1_000_000, "max_per_user": PACKETS,
            "starts_at": 1, "ends_at": 4_102_444_800_u64, "paused": false, "pacing": false,
            "reason": "torture",
        });
        let mut operator = HttpConnection::open(server.admin, ANSWER_TIMEOUT)?;
        let answer = operator.exchange(&request("POST", "/rain", &[], &rain.to_string()))?;
        if answer.status == 200 { Ok(true) } else { Err(wrong("POST /rain", &answer)) }
    }

    fn connect(&self, server: &Addresses) -> io::Result<Box<dyn Hand>> {
        Ok(Box::new(User(http(server)?)))
    }

    fn accounts(&self) -> u32 {
        50
    }

    fn amount_max(&self) -> i64 {
        1
    }
}

struct User(HttpConnection);

impl User {
    /// The data of an answer with code 0; `None`: not now.
    fn call(&mut self, path: &str, key: &str, body: &str) -> io::Result<Option<(Value, bool)>> {
        let Some(answer) = post(&mut self.0, path, key, body)? else { return Ok(None) };
        let mut value: Value =
            serde_json::from_slice(answer.body).map_err(|_| wrong(path, &answer))?;
        match value["code"].as_i64() {
            Some(0) => Ok(Some((value["data"].take(), answer.replayed))),
            // Busy, too fast.
            Some(2 | 5) => Ok(None),
            _ => Err(wrong(path, &answer)),
        }
    }
}

impl Hand for User {
    fn act(&mut self, deed: &Deed) -> io::Result<Reply> {
        let Deed { account, key, .. } = deed;
        let snatched = self.call("/snatch", key, &format!(r#"{{"uid":{account}}}"#))?;
        let Some((packet, replayed)) = snatched else { return Ok(Reply::Refused) };
        let id = packet["envelope_id"].as_i64();
        let id = id.ok_or_else(|| io::Error::other(format!("/snatch gave {packet}")))?;
        Ok(Reply::Done { id: Some(id), replayed })
    }

    fn balance(&mut self, account: u32) -> io::Result<i64> {
        let (mut count, mut before) = (0, String::new());
        loop {
            let body = format!(r#"{{"uid":{account},"limit":{PAGE}{before}}}"#);
            let answer = self.0.post("/get_wallet_list", &body)?;
            let value: Value = serde_json::from_slice(answer.body)
                .map_err(|_| wrong("/get_wallet_list", &answer))?;
            let page = value["data"]["envelope_list"].as_array().map_or(0, Vec::len);
            count += i64::try_from(page).unwrap_or(i64::MAX);
            match value["data"]["next"].as_i64() {
                Some(next) => before = format!(r#","before":{next}"#),
                None => return Ok(count),
            }
        }
    }
}
