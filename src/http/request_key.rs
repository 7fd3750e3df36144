//! Where a client names its write: the `Idempotency-Key` header, the body's `request_id`, or both.

use super::field_error::FieldError;
use super::request::Headers;
use crate::store::RequestKey;

const EXPECTED: &str = "1 to 64 visible ASCII characters";

/// The key of a write, if it has one. `body` is the text of its `request_id` field. A key given
/// more than once must be the same each time.
pub fn request_key(
    headers: &Headers<'_>,
    body: Option<&str>,
) -> Result<Option<RequestKey>, FieldError> {
    let mut found: Option<RequestKey> = None;
    for value in headers.all("idempotency-key") {
        let key = std::str::from_utf8(value).ok().and_then(RequestKey::new);
        agree(&mut found, key, "Idempotency-Key")?;
    }
    if let Some(text) = body {
        agree(&mut found, RequestKey::new(text), "request_id")?;
    }
    Ok(found)
}

fn agree(
    found: &mut Option<RequestKey>,
    key: Option<RequestKey>,
    field: &'static str,
) -> Result<(), FieldError> {
    let key = key.ok_or_else(|| FieldError::new(field, EXPECTED))?;
    match found {
        Some(earlier) if *earlier != key => Err(FieldError::new(field, "one key, not several")),
        _ => {
            *found = Some(key);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(headers: &[&str], body: Option<&str>) -> Result<Option<String>, String> {
        let fields: Vec<_> = headers
            .iter()
            .map(|value| httparse::Header { name: "Idempotency-key", value: value.as_bytes() })
            .collect();
        let key = request_key(&Headers::new(&fields), body);
        key.map(|key| key.map(|key| key.as_str().to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn header_and_body_must_agree() {
        assert_eq!(key(&[], None), Ok(None));
        for (headers, body) in
            [(&["k"][..], None), (&[], Some("k")), (&["k"], Some("k")), (&["k", "k"], None)]
        {
            assert_eq!(key(headers, body), Ok(Some("k".to_owned())), "{headers:?} {body:?}");
        }
        for (headers, body, field) in [
            (&["k"][..], Some("K"), "request_id: expected one key"),
            (&["k", "l"], None, "Idempotency-Key: expected one key"),
            (&[""], None, "Idempotency-Key: expected 1 to 64"),
            (&["a b"], Some("a b"), "Idempotency-Key: expected 1 to 64"),
            (&[], Some(""), "request_id: expected 1 to 64"),
            (&["k"], Some("ä"), "request_id: expected 1 to 64"),
        ] {
            let error = key(headers, body).expect_err("the keys are bad");
            assert!(error.starts_with(field), "{error}");
        }
    }
}
