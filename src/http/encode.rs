//! Responses to bytes. Runs once per request, hence plain copies and no formatting machinery.

use super::head::Connection;
use super::reply_queue::Manner;
use super::representation::Coding;
use super::response::{Body, Response};
use crate::session::{COPIED_BYTES_MAX, HttpDate, SendQueue};
use std::io::IoSlice;

/// More than a usual head needs, so that writing it grows the buffer once.
const HEAD_BYTES_USUAL: usize = 256;

/// Asks for the body (RFC 9110 section 15.2.1).
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends `response` to `out`.
pub(super) fn response(response: Response, manner: &Manner, date: &HttpDate, out: &mut SendQueue) {
    // RFC 9110 section 8.6: no content, and no length of it either.
    let has_content = !matches!(response.status.code, 204 | 304);
    let content = if has_content && !manner.head_only { response.body.bytes() } else { &[] };
    let copied = if content.len() <= COPIED_BYTES_MAX { content } else { &[] };
    out.write(|head| {
        head.reserve(HEAD_BYTES_USUAL + copied.len());
        status_line(&response, head);
        head.extend_from_slice(date);
        if has_content {
            if let Body::Tagged(_, Coding::Gzip) = response.body {
                head.extend_from_slice(b"\r\nContent-Encoding: gzip");
            }
            head.extend_from_slice(response.content_type.fields());
            let mut digits = itoa::Buffer::new();
            head.extend_from_slice(digits.format(response.body.bytes().len()).as_bytes());
        }
        fields(&response, head);
        head.extend_from_slice(manner.extra_fields());
        head.extend_from_slice(match manner.connection {
            Connection::Goes => b"\r\n\r\n",
            Connection::KeepAlive => b"\r\nConnection: keep-alive\r\n\r\n",
            Connection::Close => b"\r\nConnection: close\r\n\r\n",
        });
        head.extend_from_slice(copied);
    });
    if content.len() > COPIED_BYTES_MAX {
        match response.body {
            Body::Owned(bytes) => out.push_owned(bytes),
            Body::Shared(bytes) => out.push_shared(&bytes),
            Body::Tagged(representation, coding) => out.push_shared(representation.bytes(coding)),
            Body::Static(bytes) => out.push_static(bytes),
        }
    }
}

/// Appends the head of an event stream. Without a length it ends with the connection, for
/// HTTP/1.0 and 1.1 alike (RFC 9112 section 6.3).
pub(super) fn stream_head(
    manner: &Manner,
    timing: Option<&str>,
    date: &HttpDate,
    out: &mut SendQueue,
) {
    out.extend(b"HTTP/1.1 200 OK\r\nDate: ");
    out.extend(date);
    out.extend(b"\r\nContent-Type: text/event-stream\r\nCache-Control: no-store");
    out.extend(manner.extra_fields());
    if let Some(timing) = timing {
        out.extend(b"\r\nServer-Timing: ");
        out.extend(timing.as_bytes());
    }
    out.extend(b"\r\nConnection: close\r\n\r\n");
}

/// The whole answer to a connection that is refused before it has asked.
pub fn refusal(why: &str, date: &HttpDate) -> Vec<u8> {
    let manner = Manner::plain(false, Connection::Close);
    let mut out = SendQueue::default();
    response(Response::unavailable(why), &manner, date, &mut out);
    let mut slices = [IoSlice::new(&[]); 2];
    let used = out.gather(&mut slices);
    slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect()
}

/// Up to the value of `Date`; the usual one in one piece.
fn status_line(response: &Response, head: &mut Vec<u8>) {
    if response.status.code == 200 {
        head.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
        return;
    }
    head.extend_from_slice(b"HTTP/1.1 ");
    let mut digits = itoa::Buffer::new();
    head.extend_from_slice(digits.format(response.status.code).as_bytes());
    head.push(b' ');
    head.extend_from_slice(response.status.reason.as_bytes());
    head.extend_from_slice(b"\r\nDate: ");
}

fn fields(response: &Response, head: &mut Vec<u8>) {
    if let Body::Tagged(representation, coding) = &response.body {
        head.extend_from_slice(representation.fields(*coding));
    }
    for (name, value) in &response.headers {
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_str().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_large_shared_body_is_not_copied() {
        let body: Arc<[u8]> = vec![b'x'; COPIED_BYTES_MAX + 1].into();
        let manner = Manner::plain(false, Connection::Goes);
        let mut out = SendQueue::default();
        response(Response::json(Arc::clone(&body)), &manner, &[b'-'; 29], &mut out);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(out.gather(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), body.as_ptr());
    }
}
