//! Counters under torture: an account is a resource, its balance the count.

use super::deed::{Addresses, Deed, Domain, Hand, Reply, fresh, http, post};
use crate::client::http::HttpConnection;
use std::io;

pub(super) struct Counters {
    /// Before the number of the account.
    name: String,
}

impl Counters {
    /// Of a server that nobody else asks.
    pub(super) fn alone() -> Self {
        Self { name: "torture".to_owned() }
    }

    /// Others in every run.
    pub(super) fn among_others(seed: u64) -> Self {
        Self { name: format!("torture-{seed}") }
    }
}

impl Domain for Counters {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn prepare(&self, server: &Addresses) -> io::Result<bool> {
        let target = format!("/api/v1/counter/{}-1/view", self.name);
        Ok(http(server)?.get(&target)?.status == 200)
    }

    fn connect(&self, server: &Addresses) -> io::Result<Box<dyn Hand>> {
        Ok(Box::new(Viewer { connection: http(server)?, name: self.name.clone() }))
    }

    fn accounts(&self) -> u32 {
        20
    }

    fn amount_max(&self) -> i64 {
        9
    }
}

struct Viewer {
    connection: HttpConnection,
    name: String,
}

impl Hand for Viewer {
    fn act(&mut self, deed: &Deed) -> io::Result<Reply> {
        let (name, Deed { account, amount, key }) = (&self.name, deed);
        let body = format!(
            r#"{{"resource_id":"{name}-{account}","counter_type":"view","increment":{amount}}}"#
        );
        let answer = post(&mut self.connection, "/api/v1/counter/increment", key, &body)?;
        // The count in the answer is that of now, so it names nothing.
        Ok(answer
            .map_or(Reply::Refused, |answer| Reply::Done { id: None, replayed: answer.replayed }))
    }

    fn balance(&mut self, account: u32) -> io::Result<i64> {
        let target = format!("/api/v1/counter/{}-{account}/view", self.name);
        let value = fresh(&mut self.connection, &target)?.unwrap_or_default();
        value["data"]["count"].as_i64().ok_or_else(|| io::Error::other(target))
    }
}
