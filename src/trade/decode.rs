//! What a message means: its data becomes the domain's words, or a refusal with a code of api.md.

use super::{Customer, Order, REASON_BYTES, Side, Stock, Write};
use crate::http::{FieldError, Object, Request, request_key};
use crate::store::RequestKey;

/// Trades of a page of the history, and how many there are when the client names no number.
const HISTORY_MAX: i64 = 50;
const HISTORY_DEFAULT: usize = 20;

/// Why a message is refused: a code of api.md, and what a person reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<FieldError> for Refused {
    fn from(error: FieldError) -> Self {
        Self::new("bad_request", error.to_string())
    }
}

/// Empty data is `{}`.
fn object(data: &[u8]) -> Result<Object<'_>, FieldError> {
    Object::parse(if data.is_empty() { b"{}" } else { data })
}

/// Message 2: who, and the last push that the client has.
pub(super) fn login(data: &[u8]) -> Result<(Customer, Option<i64>), Refused> {
    const EXPECTED: &str = "a text of 12 digits";
    let data = object(data)?;
    let customer = required(data.string("customer_id")?, "customer_id", EXPECTED)?;
    let last_seq = data.int("last_seq", 0..=i64::MAX)?;
    let unknown = || Refused::new("unknown_customer", "customer_id: expected 12 digits");
    Ok((Customer::new(customer).ok_or_else(unknown)?, last_seq))
}

/// Messages 3 and 7: which page.
pub(super) fn page(data: &[u8]) -> Result<usize, Refused> {
    // A page far beyond the last is as empty as any.
    let page = object(data)?.int("page", 0..=i64::MAX)?.unwrap_or(0);
    Ok(usize::try_from(page).unwrap_or(usize::MAX))
}

/// Messages 4 and 5.
pub(super) fn trade(
    data: &[u8],
    customer: Customer,
    side: Side,
    lot: i64,
) -> Result<Write, Refused> {
    let data = object(data)?;
    let exchange = required(data.string("exchange_type")?, "exchange_type", "\"1\" or \"2\"")?;
    let code = required(data.string("stock_code")?, "stock_code", "a text of 6 digits")?;
    let quantity = data.int("quantity", i64::MIN..=i64::MAX)?;
    let quantity = required(quantity, "quantity", "an integer above 0")?;
    let key = data.string("request_id")?.map(|text| {
        let expected = "1 to 64 visible ASCII characters";
        RequestKey::new(text).ok_or_else(|| FieldError::new("request_id", expected))
    });
    let key = key.transpose()?;
    let Some(stock) = Stock::from_text(exchange, code) else {
        // Without the client's words: they may be as long as its frame.
        return Err(Refused::new("unknown_stock", "stock_code: there is no such stock there"));
    };
    if quantity <= 0 || quantity % lot != 0 {
        let message = format!("quantity: expected a multiple of {lot} above 0");
        return Err(Refused::new("bad_quantity", message));
    }
    Ok(Write::Trade { order: Order { customer, stock, side, quantity }, key })
}

/// Message 6: trades before which, and how many.
pub(super) fn history(data: &[u8]) -> Result<(Option<i64>, usize), Refused> {
    let data = object(data)?;
    let before = data.int("before", 1..=i64::MAX)?;
    let limit = data.int("limit", 1..=HISTORY_MAX)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    Ok((before, limit.unwrap_or(HISTORY_DEFAULT)))
}

/// `POST /trade/rollback`.
pub(super) fn rollback(request: &Request<'_>) -> Result<Write, FieldError> {
    // Without control characters its JSON is at most twice as long, so its push fits every frame.
    const REASON: &str = "a text of 1 to 200 bytes without control characters";
    let body = Object::parse(request.body)?;
    let trade_id = required(body.id("trade_id")?, "trade_id", "the id of a trade")?;
    let reason = required(body.string("reason")?, "reason", REASON)?;
    if !REASON_BYTES.contains(&reason.len()) || reason.chars().any(char::is_control) {
        return Err(FieldError::new("reason", REASON));
    }
    let key = request_key(&request.headers, body.string("request_id")?)?;
    Ok(Write::Rollback { trade_id, reason: reason.to_owned(), key })
}

fn required<T>(
    value: Option<T>,
    field: &'static str,
    expected: &'static str,
) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::required(field, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        Customer::new("000000000007").expect("twelve digits")
    }

    #[test]
    fn logins_name_a_customer_of_twelve_digits() {
        let code = |data: &str| login(data.as_bytes()).map_err(|refused| refused.code);
        assert_eq!(code(r#"{"customer_id":"000000000007"}"#), Ok((customer(), None)));
        let resumed = r#"{"customer_id":"000000000007","last_seq":0,"more":1}"#;
        assert_eq!(code(resumed), Ok((customer(), Some(0))));
        for unknown in ["7", "0000000000007", "00000000000a", "", "+00000000007"] {
            let data = format!(r#"{{"customer_id":"{unknown}"}}"#);
            assert_eq!(code(&data), Err("unknown_customer"), "{unknown}");
        }
        for bad in [
            "",
            "{}",
            "[]",
            "x",
            r#"{"customer_id":7}"#,
            r#"{"customer_id":"000000000007","last_seq":-1}"#,
            r#"{"customer_id":"000000000007","last_seq":1.0}"#,
            r#"{"customer_id":"000000000007","customer_id":"000000000007"}"#,
        ] {
            assert_eq!(code(bad), Err("bad_request"), "{bad}");
        }
    }

    #[test]
    fn trades_are_in_lots_of_a_listed_stock() {
        let code = |fields: &str, lot: i64| {
            let data = format!(r#"{{"exchange_type":"1","stock_code":"600001"{fields}}}"#);
            trade(data.as_bytes(), customer(), Side::Buy, lot).map_err(|refused| refused.code)
        };
        for (fields, lot) in [(r#","quantity":1"#, 1), (r#","quantity":300,"request_id":"a""#, 100)]
        {
            assert!(code(fields, lot).is_ok(), "{fields}");
        }
        for (fields, lot, expected) in [
            (r#","quantity":0"#, 1, "bad_quantity"),
            (r#","quantity":-5"#, 1, "bad_quantity"),
            (r#","quantity":150"#, 100, "bad_quantity"),
            (r#","quantity":9223372036854775808"#, 1, "bad_request"),
            (r#","quantity":1.0"#, 1, "bad_request"),
            (r#","quantity":"1""#, 1, "bad_request"),
            ("", 1, "bad_request"),
            (r#","quantity":1,"request_id":"""#, 1, "bad_request"),
            (r#","quantity":1,"request_id":"ä""#, 1, "bad_request"),
        ] {
            assert_eq!(code(fields, lot).err(), Some(expected), "{fields}");
        }
        let unknown = br#"{"exchange_type":"2","stock_code":"600001","quantity":1}"#;
        let refused =
            trade(unknown, customer(), Side::Sell, 1).expect_err("it is not listed there");
        assert_eq!(refused.code, "unknown_stock");
    }

    #[test]
    fn pages_and_limits_are_in_their_ranges() {
        assert_eq!(page(b""), Ok(0));
        assert_eq!(page(br#"{"page":3}"#), Ok(3));
        assert!(page(br#"{"page":-1}"#).is_err());
        assert_eq!(history(b"{}"), Ok((None, 20)));
        assert_eq!(history(br#"{"before":9,"limit":50}"#), Ok((Some(9), 50)));
        for bad in [&br#"{"limit":0}"#[..], br#"{"limit":51}"#, br#"{"before":0}"#] {
            assert!(history(bad).is_err());
        }
    }
}
