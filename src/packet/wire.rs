//! The JSON of every answer about red packets, as api.md has it; integers are exact, fields keep
//! their order.

use super::proof::Proof;
use super::{Budget, Figures, Held, Point, Shown, Terms, Version};
use serde::Serialize;

/// A code of the contract: its number, its words, and the answer that has no data beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    number: u16,
    msg: &'static str,
    /// Part of the program: a refusal must cost next to nothing.
    pub bare: &'static str,
}

macro_rules! codes {
    ($($name:ident = $number:literal $msg:literal),* $(,)?) => {
        impl Code {
            $(#[doc = $msg]
            pub const $name: Code = Code {
                number: $number,
                msg: $msg,
                bare: concat!("{\"code\":", $number, ",\"msg\":\"", $msg, "\",\"data\":null}"),
            };)*
        }
    };
}

codes! {
    SUCCESS = 0 "success",
    BUSY = 2 "too many requests at the moment, try again",
    NO_SNATCHES = 3 "no snatches left",
    UNLUCKY = 4 "no luck this time",
    TOO_FAST = 5 "too fast, try again in a moment",
    NO_PACKETS = 6 "all packets are gone",
    NOT_STARTED = 7 "the rain has not started",
    ENDED = 8 "the rain has ended",
    PAUSED = 9 "the rain is paused",
    NO_SUCH_PACKET = 10 "no such packet",
    NOT_YOURS = 11 "not your packet",
    INTERNAL = 12 "internal error, try again",
}

/// Code of a malformed request.
pub const BAD_PARAMETER: u16 = 1;

/// An answer without data and with words of its own.
pub fn error(code: u16, message: &str) -> Vec<u8> {
    envelope(code, message, ())
}

/// A packet was got.
pub fn got(envelope_id: i64, max_count: i64, cur_count: i64, draw: i64) -> Vec<u8> {
    success(Got { envelope_id, max_count, cur_count, draw })
}

/// A draw won nothing.
pub fn unlucky(draw: i64) -> Vec<u8> {
    envelope(Code::UNLUCKY.number, Code::UNLUCKY.msg, Draw { draw })
}

/// What was in a packet.
pub fn opened(value_fen: i64) -> Vec<u8> {
    success(Value { value: value_fen })
}

/// A page of a wallet, and the cursor of the next one.
pub fn wallet(amount_fen: i64, packets: &[Held], next: Option<i64>) -> Vec<u8> {
    let line = |held: &Held| Line {
        envelope_id: held.envelope_id,
        value: held.value_fen,
        opened: held.value_fen.is_some(),
        snatch_time: held.snatched_at,
    };
    let envelope_list = packets.iter().map(line).collect();
    success(Wallet { amount: amount_fen, envelope_list, next })
}

/// Before the first rain.
pub fn no_rain() -> Vec<u8> {
    success(NoRain { state: "none" })
}

/// A rain as everybody may see it.
pub fn rain(shown: &Shown) -> Vec<u8> {
    success(Rain::of(shown))
}

/// The same without the envelope, for a stream; `None` before the first rain.
pub fn shown(rain: Option<&Shown>) -> Vec<u8> {
    match rain {
        Some(shown) => encode(&Rain::of(shown)),
        None => encode(&NoRain { state: "none" }),
    }
}

/// A rain as the operator may see it.
pub fn figures(figures: &Figures) -> Vec<u8> {
    let mut before = figures.before;
    let line = |version: &Version| {
        let line = History {
            version: version.version,
            at: version.at,
            by: version.by.name(),
            reason: version.reason.clone(),
            hit_ppm: version.hit_ppm,
            before,
            after: version.config,
        };
        before = Some(version.config);
        line
    };
    let history = figures.history.iter().map(line).collect();
    success(OperatorView { id: figures.id, config: figures.terms, budget: figures.budget, history })
}

/// All that a rain reveals.
pub fn proof(proof: &Proof) -> Vec<u8> {
    success(proof)
}

fn success(data: impl Serialize) -> Vec<u8> {
    envelope(Code::SUCCESS.number, Code::SUCCESS.msg, data)
}

fn envelope(code: u16, msg: &str, data: impl Serialize) -> Vec<u8> {
    encode(&Envelope { code, msg, data })
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and fixed names always encode")
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    code: u16,
    msg: &'a str,
    data: T,
}

#[derive(Serialize)]
struct Got {
    envelope_id: i64,
    max_count: i64,
    cur_count: i64,
    draw: i64,
}

#[derive(Serialize)]
struct Draw {
    draw: i64,
}

#[derive(Serialize)]
struct Value {
    value: i64,
}

#[derive(Serialize)]
struct Wallet {
    amount: i64,
    envelope_list: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

#[derive(Serialize)]
struct Line {
    envelope_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<i64>,
    opened: bool,
    snatch_time: i64,
}

#[derive(Serialize)]
struct NoRain {
    state: &'static str,
}

#[derive(Serialize)]
struct Rain<'a> {
    id: i64,
    state: &'static str,
    starts_at: i64,
    ends_at: i64,
    max_per_user: i64,
    total_count: i64,
    left_count: i64,
    commitment: String,
    version: i64,
    version_hash: String,
    curve: &'a [Point],
}

impl<'a> Rain<'a> {
    fn of(shown: &'a Shown) -> Self {
        Self {
            id: shown.id,
            state: shown.state.name(),
            starts_at: shown.terms.starts_at,
            ends_at: shown.terms.ends_at,
            max_per_user: shown.terms.max_per_user,
            total_count: shown.terms.total_count,
            left_count: shown.left_count,
            commitment: shown.commitment.to_string(),
            version: shown.version,
            version_hash: shown.hash.to_string(),
            curve: &shown.curve,
        }
    }
}

#[derive(Serialize)]
struct OperatorView {
    id: i64,
    config: Terms,
    budget: Budget,
    history: Vec<History>,
}

#[derive(Serialize)]
struct History {
    version: i64,
    at: i64,
    by: &'static str,
    reason: String,
    hit_ppm: i64,
    before: Option<Terms>,
    after: Terms,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoded: Vec<u8>, expected: &str) {
        assert_eq!(String::from_utf8(encoded).expect("JSON is UTF-8"), expected);
    }

    #[test]
    fn a_packet_shows_its_value_only_when_it_is_open() {
        let opened = Held { envelope_id: 123, value_fen: Some(50), snatched_at: 1_634_551_711 };
        let unopened = Held { envelope_id: 124, value_fen: None, snatched_at: 1_634_551_812 };
        check(
            wallet(112, &[opened, unopened], None),
            r#"{"code":0,"msg":"success","data":{"amount":112,"envelope_list":[{"envelope_id":123,"value":50,"opened":true,"snatch_time":1634551711},{"envelope_id":124,"opened":false,"snatch_time":1634551812}]}}"#,
        );
        check(
            wallet(0, &[], Some(7)),
            r#"{"code":0,"msg":"success","data":{"amount":0,"envelope_list":[],"next":7}}"#,
        );
    }

    #[test]
    fn a_draw_has_its_number_whether_it_won_or_not() {
        check(
            got(123, 5, 3, 1_047),
            r#"{"code":0,"msg":"success","data":{"envelope_id":123,"max_count":5,"cur_count":3,"draw":1047}}"#,
        );
        check(unlucky(1_048), r#"{"code":4,"msg":"no luck this time","data":{"draw":1048}}"#);
        check(opened(50), r#"{"code":0,"msg":"success","data":{"value":50}}"#);
        check(no_rain(), r#"{"code":0,"msg":"success","data":{"state":"none"}}"#);
        check(Code::ENDED.bare.into(), r#"{"code":8,"msg":"the rain has ended","data":null}"#);
    }
}
