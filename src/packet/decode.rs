//! What a request about red packets means: JSON or a form becomes the domain's commands, or a
//! refusal that names the field.

use super::{
    Author, Change, MAX_PER_USER, Manage, Open, PACKET_FEN, REASON_BYTES, Read, Snatch, TIME_S,
    TOTAL_AMOUNT_FEN, TOTAL_COUNT, Terms, WALLET_LIMIT, WIN_PPM,
};
use crate::http::{FieldError, Object, Query, Request, request_key};
use crate::store::RequestKey;
use std::borrow::Cow;
use std::ops::RangeInclusive;

const ID: &str = "an id: an integer from 1 to 9223372036854775807";
const REASON: &str = "a text of 1 to 200 bytes";

/// `POST /snatch`.
pub(super) fn snatch(request: &Request<'_>) -> Result<Snatch, FieldError> {
    let fields = Fields::parse(request)?;
    Ok(Snatch { uid: required(fields.id("uid")?, "uid")?, key: fields.key(request)? })
}

/// `POST /open`.
pub(super) fn open(request: &Request<'_>) -> Result<Open, FieldError> {
    let fields = Fields::parse(request)?;
    let uid = required(fields.id("uid")?, "uid")?;
    let envelope_id = required(fields.id("envelope_id")?, "envelope_id")?;
    Ok(Open { uid, envelope_id, key: fields.key(request)? })
}

/// `POST /get_wallet_list`.
pub(super) fn wallet(request: &Request<'_>) -> Result<Read, FieldError> {
    let fields = Fields::parse(request)?;
    let uid = required(fields.id("uid")?, "uid")?;
    let limit = fields.int("limit", WALLET_LIMIT)?.unwrap_or(*WALLET_LIMIT.end());
    Ok(Read::Wallet { uid, limit, before: fields.id("before")? })
}

/// `GET /rain/proof`.
pub(super) fn proof(raw: &str) -> Result<Read, FieldError> {
    Ok(Read::Proof { id: Query::new(raw).id("id")? })
}

/// `PATCH /rain/config`.
pub(super) fn change(request: &Request<'_>) -> Result<Manage, FieldError> {
    let body = Object::parse(request.body)?;
    let change = some_terms(&body)?;
    if change == Change::default() {
        return Err(FieldError::new("body", "at least one figure to change"));
    }
    Ok(Manage::Change { change, reason: reason(&body)?, key: key(&body, request)? })
}

/// `POST /rain`.
pub(super) fn create(request: &Request<'_>) -> Result<Manage, FieldError> {
    let body = Object::parse(request.body)?;
    let id = required(body.id("id")?, "id")?;
    let named = some_terms(&body)?;
    let number = |value: Option<i64>, field, range: RangeInclusive<i64>| {
        value.ok_or_else(|| FieldError::required(field, expected(&range)))
    };
    let terms = Terms {
        total_amount_fen: number(named.total_amount_fen, "total_amount_fen", TOTAL_AMOUNT_FEN)?,
        total_count: number(named.total_count, "total_count", TOTAL_COUNT)?,
        min_fen: number(named.min_fen, "min_fen", PACKET_FEN)?,
        max_fen: number(named.max_fen, "max_fen", PACKET_FEN)?,
        win_ppm: number(named.win_ppm, "win_ppm", WIN_PPM)?,
        max_per_user: number(named.max_per_user, "max_per_user", MAX_PER_USER)?,
        starts_at: number(named.starts_at, "starts_at", TIME_S)?,
        ends_at: number(named.ends_at, "ends_at", TIME_S)?,
        paused: named.paused.unwrap_or(false),
        pacing: named.pacing.unwrap_or(false),
    };
    let by = Author::Operator;
    Ok(Manage::Create { id, terms, by, reason: reason(&body)?, key: key(&body, request)? })
}

/// The terms that a body names, each within its own range.
fn some_terms(body: &Object<'_>) -> Result<Change, FieldError> {
    Ok(Change {
        total_amount_fen: body.int("total_amount_fen", TOTAL_AMOUNT_FEN)?,
        total_count: body.int("total_count", TOTAL_COUNT)?,
        min_fen: body.int("min_fen", PACKET_FEN)?,
        max_fen: body.int("max_fen", PACKET_FEN)?,
        win_ppm: body.int("win_ppm", WIN_PPM)?,
        max_per_user: body.int("max_per_user", MAX_PER_USER)?,
        starts_at: body.int("starts_at", TIME_S)?,
        ends_at: body.int("ends_at", TIME_S)?,
        paused: body.bool("paused")?,
        pacing: body.bool("pacing")?,
    })
}

fn reason(body: &Object<'_>) -> Result<String, FieldError> {
    let reason = body.string("reason")?;
    let reason = reason.ok_or_else(|| FieldError::required("reason", REASON))?;
    if !REASON_BYTES.contains(&reason.len()) {
        return Err(FieldError::new("reason", REASON));
    }
    Ok(reason.to_owned())
}

fn key(body: &Object<'_>, request: &Request<'_>) -> Result<Option<RequestKey>, FieldError> {
    request_key(&request.headers, body.string("request_id")?)
}

fn required(id: Option<i64>, field: &'static str) -> Result<i64, FieldError> {
    id.ok_or_else(|| FieldError::required(field, ID))
}

fn expected(range: &RangeInclusive<i64>) -> Cow<'static, str> {
    format!("an integer from {} to {}", range.start(), range.end()).into()
}

/// A body as its content says: a JSON object, or else the pairs of a form.
enum Fields<'a> {
    Json(Object<'a>),
    Form(Query<'a>),
}

impl<'a> Fields<'a> {
    fn parse(request: &Request<'a>) -> Result<Self, FieldError> {
        let first = request.body.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            // No form begins so: the name of a field is a word.
            Some(b'{' | b'[' | b'"') => Ok(Self::Json(Object::parse(request.body)?)),
            _ => Ok(Self::Form(Query::form(request.body)?)),
        }
    }

    fn id(&self, name: &'static str) -> Result<Option<i64>, FieldError> {
        match self {
            Self::Json(body) => body.id(name),
            Self::Form(form) => form.id(name),
        }
    }

    fn int(
        &self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, FieldError> {
        match self {
            Self::Json(body) => body.int(name, range),
            Self::Form(form) => form.int(name, range),
        }
    }

    fn key(&self, request: &Request<'_>) -> Result<Option<RequestKey>, FieldError> {
        match self {
            Self::Json(body) => key(body, request),
            Self::Form(form) => request_key(&request.headers, form.get("request_id")?.as_deref()),
        }
    }
}
