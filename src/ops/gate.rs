//! Lets only those with the operator's token pass.

use crate::http::{Answer, Deferral, ErrorRenderer, Place, Request, Service, Status, Times};
use std::hint::black_box;
use std::rc::Rc;

/// True for a request with a token of the public listener.
type IsCallersToken = Box<dyn Fn(&Request<'_>) -> bool>;

/// A service behind `Authorization: Bearer <token>` (RFC 6750 section 2.1).
pub struct Gate {
    service: Rc<dyn Service>,
    token: Box<[u8]>,
    is_callers_token: IsCallersToken,
}

impl Gate {
    /// The gate before `service`. Without a token stands open: the listener is a loopback address then.
    /// Who comes with a token of the public listener is told that it does not reach so far.
    pub fn around(
        service: Rc<dyn Service>,
        token: &str,
        is_callers_token: IsCallersToken,
    ) -> Rc<dyn Service> {
        if token.is_empty() {
            return service;
        }
        Rc::new(Self { service, token: token.as_bytes().into(), is_callers_token })
    }

    fn admits(&self, request: &Request<'_>) -> bool {
        let Some(credentials) = request.headers.get("Authorization") else { return false };
        let Some((scheme, token)) = credentials.split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && equal(token.trim_ascii(), &self.token)
    }
}

impl Service for Gate {
    fn call(&self, request: &Request<'_>, deferral: Deferral<'_>) -> Answer {
        if self.admits(request) {
            return self.service.call(request, deferral);
        }
        let (status, challenge) = if (self.is_callers_token)(request) {
            (Status::FORBIDDEN, "Bearer error=\"insufficient_scope\"")
        } else {
            (Status::UNAUTHORIZED, "Bearer")
        };
        let renderer = self.service.renderer(request.path);
        let refusal = renderer(status, "the operator's token is needed");
        Answer::now(refusal.with_header("WWW-Authenticate", challenge))
    }

    fn renderer(&self, path: &str) -> ErrorRenderer {
        self.service.renderer(path)
    }

    fn answered(&self, place: Place, code: u16, times: Option<&Times>) {
        self.service.answered(place, code, times);
    }
}

/// Takes the same time wherever the first difference is, so that a token cannot be guessed byte
/// by byte. Its length is no secret.
fn equal(given: &[u8], expected: &[u8]) -> bool {
    let pairs = given.iter().zip(expected);
    let difference = pairs.fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
    given.len() == expected.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn only_the_whole_token_is_equal() {
        assert!(equal(b"secret", b"secret"));
        for wrong in ["", "secre", "secret1", "Secret", "secreT"] {
            assert!(!equal(wrong.as_bytes(), b"secret"), "{wrong}");
        }
    }
}
