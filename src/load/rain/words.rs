//! What the red packets' calls say, as their clients read it.

use crate::client::http::{Answer, HttpConnection};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io;

/// The envelope of every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Reply<T> {
    pub(super) code: u32,
    #[serde(default)]
    pub(super) msg: String,
    pub(super) data: Option<T>,
}

/// `GET /rain`, as far as it is looked at; all but the state is missing before the first rain.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Rain {
    #[serde(default)]
    pub(super) id: i64,
    pub(super) state: String,
    #[serde(default)]
    pub(super) max_per_user: i64,
    #[serde(default)]
    pub(super) total_count: i64,
    #[serde(default)]
    pub(super) left_count: i64,
}

/// A packet got by a snatch; without luck there is the draw alone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Snatched {
    pub(super) envelope_id: i64,
    pub(super) max_count: i64,
    pub(super) cur_count: i64,
}

/// A packet opened. In fen.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Opened {
    pub(super) value: i64,
}

/// A page of a wallet, newest first. In fen.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Wallet {
    /// Of all that was opened, whatever the page.
    pub(super) amount: i64,
    pub(super) envelope_list: Vec<Envelope>,
    pub(super) next: Option<i64>,
}

/// A packet in a wallet. In fen; no value until it is opened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Envelope {
    #[serde(rename = "envelope_id")]
    pub(super) id: i64,
    pub(super) value: Option<i64>,
    pub(super) opened: bool,
}

/// The words for the codes.
pub(super) fn code_name(code: u32) -> &'static str {
    match code {
        0 => "success",
        1 => "bad parameter",
        2 => "busy (global limit)",
        3 => "no snatches left",
        4 => "unlucky",
        5 => "too fast (this user)",
        6 => "no packets left",
        7 => "not started",
        8 => "ended",
        9 => "paused",
        10 => "no such packet",
        11 => "not your packet",
        12 => "internal",
        _ => "unknown code",
    }
}

/// Reads an answer with an envelope, whatever its status: a fault has a code too.
pub(super) fn read<T: DeserializeOwned>(answer: Answer<'_>) -> io::Result<Reply<T>> {
    serde_json::from_slice(answer.body).map_err(|error| {
        let body = String::from_utf8_lossy(answer.body);
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}: {body}", answer.status))
    })
}

/// `GET /rain`.
pub(super) fn rain(connection: &mut HttpConnection) -> io::Result<Rain> {
    let reply: Reply<Rain> = read(connection.get("/rain")?)?;
    let missing =
        || io::Error::new(io::ErrorKind::InvalidData, format!("GET /rain: {}", reply.msg));
    reply.data.clone().ok_or_else(missing)
}
