//! What a request about gifts means: queries and bodies become the domain's commands, or a
//! refusal that names the field.

use super::{Gift, Period, REASON_BYTES, Read, TopQuery, WORTH, Write};
use crate::http::{FieldError, Object, Query, Request, request_key};

/// Places shown when the client names no number.
const NUM_DEFAULT: usize = 10;

/// Places of one part of a board.
pub(super) const TOP_NUM_MAX: usize = 1_000;

/// Entries of a page of the journal, and fans.
pub(super) const PAGE_NUM_MAX: usize = 100;

/// Places that can be skipped.
pub(super) const OFFSET_MAX: i64 = 10_000;

/// Neighbours on each side, and how many are shown when the client names no number.
pub(super) const AROUND_MAX: i64 = 50;
const AROUND_DEFAULT: usize = 2;

const ID: &str = "an id: an integer from 1 to 9223372036854775807";

/// The board that most clients ask for.
pub(super) const DEFAULT_TOP: TopQuery =
    TopQuery { period: Period::All, at: None, offset: 0, num: NUM_DEFAULT };

/// `GET /gift/top`.
pub(super) fn top(raw: &str) -> Result<TopQuery, FieldError> {
    // The spellings of the hot path need no parsing.
    if raw.is_empty() || raw == "num=10" {
        return Ok(DEFAULT_TOP);
    }
    let query = Query::new(raw);
    let (period, num) = board(query)?;
    let at = query.int("at", 0..=i64::MAX)?;
    if at.is_some() && period == Period::All {
        return Err(FieldError::new("at", "no moment with the board of all time"));
    }
    let offset = query.int("offset", 0..=OFFSET_MAX)?.map_or(0, to_usize);
    Ok(TopQuery { period, at, offset, num })
}

/// `GET /gift/stream`.
pub(super) fn stream(raw: &str) -> Result<(Period, usize), FieldError> {
    board(Query::new(raw))
}

/// `GET /gift/rank`.
pub(super) fn rank(raw: &str) -> Result<Read, FieldError> {
    let query = Query::new(raw);
    let around = query.int("around", 0..=AROUND_MAX)?.map_or(AROUND_DEFAULT, to_usize);
    Ok(Read::Rank { anchor_id: id(query)?, period: period(query)?, around })
}

/// `GET /gift/worth`.
pub(super) fn worth(raw: &str) -> Result<Read, FieldError> {
    Ok(Read::Worth { anchor_id: id(Query::new(raw))? })
}

/// `GET /gift/journal`.
pub(super) fn journal(raw: &str) -> Result<Read, FieldError> {
    let query = Query::new(raw);
    let before = query.id("before").map_err(|_| FieldError::new("before", "a cursor from next"))?;
    Ok(Read::Journal { anchor_id: id(query)?, num: num(query, PAGE_NUM_MAX)?, before })
}

/// `GET /gift/fans`.
pub(super) fn fans(raw: &str) -> Result<Read, FieldError> {
    let query = Query::new(raw);
    Ok(Read::Fans { anchor_id: id(query)?, num: num(query, PAGE_NUM_MAX)? })
}

/// `POST /gift/send`.
pub(super) fn send(request: &Request<'_>) -> Result<Write, FieldError> {
    let body = Object::parse(request.body)?;
    let audience_id = required(body.id("audience_id")?, "audience_id", ID)?;
    // Old clients misspell it.
    let anchor_id = required(body.id(["anchor_id", "auchor_id"])?, "anchor_id", ID)?;
    let worth = body.int("worth", WORTH)?;
    let worth = required(worth, "worth", "an integer from 1 to 1000000000000")?;
    let key = request_key(&request.headers, body.string("request_id")?)?;
    Ok(Write::Send { gift: Gift { audience_id, anchor_id, worth }, key })
}

/// `POST /gift/revoke`.
pub(super) fn revoke(request: &Request<'_>) -> Result<Write, FieldError> {
    const REASON: &str = "a text of 1 to 200 bytes";
    let body = Object::parse(request.body)?;
    let id = required(body.id("id")?, "id", ID)?;
    let reason = required(body.string("reason")?, "reason", REASON)?;
    if !REASON_BYTES.contains(&reason.len()) {
        return Err(FieldError::new("reason", REASON));
    }
    let key = request_key(&request.headers, body.string("request_id")?)?;
    Ok(Write::Revoke { id, reason: reason.to_owned(), key })
}

fn board(query: Query<'_>) -> Result<(Period, usize), FieldError> {
    Ok((period(query)?, num(query, TOP_NUM_MAX)?))
}

fn period(query: Query<'_>) -> Result<Period, FieldError> {
    let Some(name) = query.get("period")? else { return Ok(Period::All) };
    Period::from_name(&name).ok_or_else(|| FieldError::new("period", "all, hour, day or week"))
}

/// How many. Old clients send nothing, 0 or nonsense and expect ten; a number beyond the limits is
/// refused.
fn num(query: Query<'_>, max: usize) -> Result<usize, FieldError> {
    let Some(text) = query.get("num")? else { return Ok(NUM_DEFAULT) };
    let digits = text.strip_prefix('-').unwrap_or(&text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.bytes().all(|byte| byte == b'0')
    {
        return Ok(NUM_DEFAULT);
    }
    let num = text.parse().ok().filter(|num| (1..=max).contains(num));
    num.ok_or_else(|| FieldError::new("num", format!("an integer from 1 to {max}")))
}

fn id(query: Query<'_>) -> Result<i64, FieldError> {
    required(query.id("id")?, "id", ID)
}

fn required<T>(
    value: Option<T>,
    field: &'static str,
    expected: &'static str,
) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::required(field, expected))
}

/// For numbers that were checked against a small range.
fn to_usize(number: i64) -> usize {
    usize::try_from(number).expect("the range begins at 0 and ends low")
}
