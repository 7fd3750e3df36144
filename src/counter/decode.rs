//! What a request about counters means: bodies and paths become the domain's commands, or a
//! refusal that names the field.

use super::hot_cache::Asked;
use super::wire::Named;
use super::{Action, Counter, Id, Path, Period, REASON_BYTES, Read, Types, Write};
use crate::http::{FieldError, Object, Query, Request, Value, request_key};
use crate::store::RequestKey;
use std::sync::Arc;

/// Counters of one batch.
pub(super) const BATCH_MAX: usize = 1_000;

/// Places of a hot list, and how many are shown when the client names no number.
pub(super) const HOT_MAX: i64 = 1_000;
const HOT_DEFAULT: usize = 10;

const RESOURCE: &str = "resource_id";
const TYPE: &str = "counter_type";
const USER: &str = "user_id";

/// The two kinds of clients by how they ask for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Queries,
    Items,
}

/// `POST …/increment`.
pub(super) fn increment(
    types: &Types,
    request: &Request<'_>,
) -> Result<(Named, Write), FieldError> {
    const DELTA: [&str; 2] = ["increment", "delta"];
    let body = Object::parse(request.body)?;
    let named = named(&body)?;
    let user = id(&body, USER)?.map(|(user, _)| user);
    let delta = match body.int(DELTA, i64::MIN..=i64::MAX)?.unwrap_or(0) {
        0 => 1,
        delta => delta,
    };
    let once = body.bool("once")?.unwrap_or(false);
    let action = if once || types.unique.contains(&named.counter.counter_type) {
        let user = user.ok_or_else(|| FieldError::required(USER, Id::EXPECTED))?;
        match delta {
            1 => Action::Join { user },
            -1 => Action::Leave { user },
            _ => {
                let field = DELTA.into_iter().find(|&name| body.get(name).is_some());
                let expected = "1 or -1, where users are counted once";
                return Err(FieldError::new(field.unwrap_or(DELTA[0]), expected));
            }
        }
    } else {
        Action::Add { delta, user }
    };
    let key = request_key(&request.headers, body.string("request_id")?)?;
    let counter = named.counter.clone();
    Ok((named, Write { counter, action, path: Path::Increment, key }))
}

/// `GET …/{resource_id}/{counter_type}`.
pub(super) fn count(request: &Request<'_>) -> Result<(Named, Read), FieldError> {
    let counter = path_counter(request)?;
    Ok((Named::plain(counter.clone()), Read::Count(counter)))
}

/// `POST …/batch`.
pub(super) fn batch(request: &Request<'_>) -> Result<(Dialect, Vec<Named>), FieldError> {
    let body = Object::parse(request.body)?;
    let (queries, items) = (body.array("queries")?, body.array("items")?);
    let (name, dialect, list) = match (queries, items) {
        (Some(list), None) => ("queries", Dialect::Queries, list),
        (None, Some(list)) => ("items", Dialect::Items, list),
        (Some(_), Some(_)) => return Err(FieldError::new("items", "either queries or items")),
        (None, None) => return Err(FieldError::required("queries", "an array, or items")),
    };
    if !(1..=BATCH_MAX).contains(&list.len()) {
        return Err(FieldError::new(name, format!("1 to {BATCH_MAX} of them")));
    }
    let mut all: Vec<Named> = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let place = || format!("{name}[{index}]");
        let object = item.as_object().ok_or_else(|| FieldError::new(place(), "an object"))?;
        let before = all.last().map(|named| &named.counter.counter_type);
        all.push(named_after(before, object).map_err(|error| error.within(&place()))?);
    }
    Ok((dialect, all))
}

/// `GET …/hot/{counter_type}`.
pub(super) fn hot(request: &Request<'_>) -> Result<(Asked, Read), FieldError> {
    let counter_type = path_id(request, 0, TYPE)?;
    let (period, num) = list(Query::new(request.query))?;
    Ok(((counter_type.clone(), period, num), Read::Hot { counter_type, period, num }))
}

/// `GET …/stream`; `None` when no type is named.
pub(super) fn stream(raw: &str) -> Result<Option<(Id, Period, usize)>, FieldError> {
    let query = Query::new(raw);
    let Some(name) = query.get("type")? else { return Ok(None) };
    let counter_type = Id::from_text(&name).ok_or_else(|| FieldError::new("type", Id::EXPECTED))?;
    let (period, num) = list(query)?;
    Ok(Some((counter_type, period, num)))
}

/// Which part of which list.
fn list(query: Query<'_>) -> Result<(Period, usize), FieldError> {
    let num = query.int("limit", 1..=HOT_MAX)?.map_or(HOT_DEFAULT, |limit| {
        usize::try_from(limit).expect("the range begins at 1 and ends low")
    });
    let period = match query.get("period")? {
        None => Period::All,
        Some(name) => Period::from_name(&name)
            .ok_or_else(|| FieldError::new("period", "all, hour, day or week"))?,
    };
    Ok((period, num))
}

/// `GET …/{resource_id}/{counter_type}/users/{user_id}`.
pub(super) fn is_counted(request: &Request<'_>) -> Result<Read, FieldError> {
    Ok(Read::IsCounted { counter: path_counter(request)?, user: path_id(request, 2, USER)? })
}

/// `DELETE …/{resource_id}/{counter_type}/users/{user_id}`. A body is not asked for; one that is
/// there may hold the key.
pub(super) fn leave(request: &Request<'_>) -> Result<(Named, Write), FieldError> {
    let counter = path_counter(request)?;
    let user = path_id(request, 2, USER)?;
    let body =
        if request.body.is_empty() { Object::default() } else { Object::parse(request.body)? };
    let key = request_key(&request.headers, body.string("request_id")?)?;
    let named = Named::plain(counter.clone());
    Ok((named, Write { counter, action: Action::Leave { user }, path: Path::Users, key }))
}

/// `POST …/recount`.
pub(super) fn recount(types: &Types, request: &Request<'_>) -> Result<(Named, Write), FieldError> {
    let (named, reason, key) = correction(request)?;
    if !types.unique.contains(&named.counter.counter_type) {
        return Err(FieldError::new(TYPE, "a type that counts users once (unique = true)"));
    }
    let counter = named.counter.clone();
    Ok((named, Write { counter, action: Action::Recount { reason }, path: Path::Recount, key }))
}

/// `POST …/reset`.
pub(super) fn reset(request: &Request<'_>) -> Result<(Named, Write), FieldError> {
    let (named, reason, key) = correction(request)?;
    let counter = named.counter.clone();
    Ok((named, Write { counter, action: Action::Reset { reason }, path: Path::Reset, key }))
}

fn correction(request: &Request<'_>) -> Result<(Named, String, Option<RequestKey>), FieldError> {
    const REASON: &str = "a text of 1 to 200 bytes";
    let body = Object::parse(request.body)?;
    let named = named(&body)?;
    let reason = body.string("reason")?.ok_or_else(|| FieldError::required("reason", REASON))?;
    if !REASON_BYTES.contains(&reason.len()) {
        return Err(FieldError::new("reason", REASON));
    }
    let key = request_key(&request.headers, body.string("request_id")?)?;
    Ok((named, reason.to_owned(), key))
}

fn named(object: &Object<'_>) -> Result<Named, FieldError> {
    named_after(None, object)
}

/// Where the type is the same text as the one `before` it, as in most batches, that one is shared.
fn named_after(before: Option<&Id>, object: &Object<'_>) -> Result<Named, FieldError> {
    let required = |name| id(object, name)?.ok_or_else(|| FieldError::required(name, Id::EXPECTED));
    let (resource, resource_is_text) = required(RESOURCE)?;
    let (counter_type, type_is_text) = match (before, object.get(TYPE)) {
        (Some(Id::Text(same)), Some(Value::String(text))) if **same == **text => {
            (Id::Text(Arc::clone(same)), true)
        }
        _ => required(TYPE)?,
    };
    Ok(Named { counter: Counter { counter_type, resource }, resource_is_text, type_is_text })
}

/// An id, and whether it came as text; `None` when absent.
fn id(object: &Object<'_>, name: &'static str) -> Result<Option<(Id, bool)>, FieldError> {
    let Some(value) = object.get(name) else { return Ok(None) };
    let found = match value {
        Value::Int(number) => Id::from_number(*number).map(|id| (id, false)),
        Value::String(text) => Id::from_text(text).map(|id| (id, true)),
        _ => None,
    };
    found.map(Some).ok_or_else(|| FieldError::new(name, Id::EXPECTED))
}

fn path_counter(request: &Request<'_>) -> Result<Counter, FieldError> {
    let resource = path_id(request, 0, RESOURCE)?;
    Ok(Counter { counter_type: path_id(request, 1, TYPE)?, resource })
}

fn path_id(request: &Request<'_>, index: usize, name: &'static str) -> Result<Id, FieldError> {
    Id::from_text(&request.params[index]).ok_or_else(|| FieldError::new(name, Id::EXPECTED))
}
