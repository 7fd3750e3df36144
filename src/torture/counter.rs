//! Counters under torture: an account is a resource, its balance the count.

use super::deed::{Addresses, Deed, Domain, Hand, Reply, get, http, post};
use crate::client::http::HttpConnection;
use std::io;

pub(super) struct Counters;

impl Domain for Counters {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn prepare(&self, server: &Addresses) -> io::Result<bool> {
        Ok(http(server)?.get("/api/v1/counter/torture-1/view")?.status == 200)
    }

    fn connect(&self, server: &Addresses) -> io::Result<Box<dyn Hand>> {
        Ok(Box::new(Viewer(http(server)?)))
    }

    fn accounts(&self) -> u32 {
        20
    }

    fn amount_max(&self) -> i64 {
        9
    }
}

struct Viewer(HttpConnection);

impl Hand for Viewer {
    fn act(&mut self, deed: &Deed) -> io::Result<Reply> {
        let Deed { account, amount, key } = deed;
        let body = format!(
            r#"{{"resource_id":"torture-{account}","counter_type":"view","increment":{amount}}}"#
        );
        let answer = post(&mut self.0, "/api/v1/counter/increment", key, &body)?;
        // The count in the answer is that of now, so it names nothing.
        Ok(answer
            .map_or(Reply::Refused, |answer| Reply::Done { id: None, replayed: answer.replayed }))
    }

    fn balance(&mut self, account: u32) -> io::Result<i64> {
        let target = format!("/api/v1/counter/torture-{account}/view");
        let value = get(&mut self.0, &target)?;
        value["data"]["count"].as_i64().ok_or_else(|| io::Error::other(target))
    }
}
