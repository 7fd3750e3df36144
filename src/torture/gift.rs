//! Gifts under torture: an account is an anchor, its balance the worth it received.

use super::deed::{Addresses, Deed, Domain, Hand, Reply, fresh, http, post, wrong};
use crate::client::http::HttpConnection;
use serde_json::Value;
use std::io;

pub(super) struct Gifts {
    /// Account 1 is the anchor behind this one.
    before_first: i64,
}

impl Gifts {
    /// To anchors 1, 2, 3 …, of a board that nobody else writes to.
    pub(super) fn alone() -> Self {
        Self { before_first: 0 }
    }

    /// To anchors that nobody has, on a board that others write to: beyond 2^62, and others in every
    /// run.
    pub(super) fn among_others(seed: u64) -> Self {
        let run = i64::try_from(seed % (1 << 32)).unwrap_or(0);
        Self { before_first: (1 << 62) + run * 1_024 }
    }
}

impl Domain for Gifts {
    fn name(&self) -> &'static str {
        "gift"
    }

    fn prepare(&self, server: &Addresses) -> io::Result<bool> {
        Ok(http(server)?.get("/gift/top")?.status == 200)
    }

    fn connect(&self, server: &Addresses) -> io::Result<Box<dyn Hand>> {
        Ok(Box::new(Sender { connection: http(server)?, before_first: self.before_first }))
    }

    fn accounts(&self) -> u32 {
        20
    }

    fn amount_max(&self) -> i64 {
        9
    }
}

struct Sender {
    connection: HttpConnection,
    before_first: i64,
}

impl Hand for Sender {
    fn act(&mut self, deed: &Deed) -> io::Result<Reply> {
        let (path, Deed { account, amount, key }) = ("/gift/send", deed);
        let anchor = self.before_first + i64::from(*account);
        let body = format!(r#"{{"audience_id":1,"anchor_id":{anchor},"worth":{amount}}}"#);
        let Some(answer) = post(&mut self.connection, path, key, &body)? else {
            return Ok(Reply::Refused);
        };
        let value: Value = serde_json::from_slice(answer.body).map_err(|_| wrong(path, &answer))?;
        let id = value["data"]["id"].as_i64().ok_or_else(|| wrong(path, &answer))?;
        Ok(Reply::Done { id: Some(id), replayed: answer.replayed })
    }

    fn balance(&mut self, account: u32) -> io::Result<i64> {
        let target = format!("/gift/worth?id={}", self.before_first + i64::from(account));
        let Some(value) = fresh(&mut self.connection, &target)? else { return Ok(0) };
        value["data"]["total_worth"].as_i64().ok_or_else(|| io::Error::other(target))
    }
}
