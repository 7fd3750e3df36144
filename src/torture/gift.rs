//! Gifts under torture: an account is an anchor, its balance the worth it received.

use super::deed::{Addresses, Deed, Domain, Hand, Reply, get, http, post, wrong};
use crate::client::http::HttpConnection;
use serde_json::Value;
use std::io;

pub(super) struct Gifts;

impl Domain for Gifts {
    fn name(&self) -> &'static str {
        "gift"
    }

    fn prepare(&self, server: &Addresses) -> io::Result<bool> {
        Ok(http(server)?.get("/gift/top")?.status == 200)
    }

    fn connect(&self, server: &Addresses) -> io::Result<Box<dyn Hand>> {
        Ok(Box::new(Sender(http(server)?)))
    }

    fn accounts(&self) -> u32 {
        20
    }

    fn amount_max(&self) -> i64 {
        9
    }
}

struct Sender(HttpConnection);

impl Hand for Sender {
    fn act(&mut self, deed: &Deed) -> io::Result<Reply> {
        let (path, Deed { account, amount, key }) = ("/gift/send", deed);
        let body = format!(r#"{{"audience_id":1,"anchor_id":{account},"worth":{amount}}}"#);
        let Some(answer) = post(&mut self.0, path, key, &body)? else { return Ok(Reply::Refused) };
        let value: Value = serde_json::from_slice(answer.body).map_err(|_| wrong(path, &answer))?;
        let id = value["data"]["id"].as_i64().ok_or_else(|| wrong(path, &answer))?;
        Ok(Reply::Done { id: Some(id), replayed: answer.replayed })
    }

    fn balance(&mut self, account: u32) -> io::Result<i64> {
        let target = format!("/gift/worth?id={account}");
        if self.0.get(&target)?.status == 404 {
            return Ok(0);
        }
        let value = get(&mut self.0, &target)?;
        value["data"]["total_worth"].as_i64().ok_or_else(|| io::Error::other(target))
    }
}
