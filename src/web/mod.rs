//! The live page and the overlay: plain files that are part of the program, and the one stream that
//! brings the page everything.

pub mod openapi;
mod rates;

pub use rates::{Rates, Total};

use crate::http::{Answer, ContentType, FieldError, Method, Request, Response, Router, Status};
use crate::session::Topic;
use std::sync::Arc;

/// Everything the page needs comes from us, nothing may be embedded in it, and no form leaves it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'self'";

macro_rules! files {
    ($($path:literal = $kind:ident $file:literal),* $(,)?) => {
        &[$(($path, ContentType::$kind, include_str!($file))),*]
    };
}

/// Paths, types and contents.
const FILES: &[(&str, ContentType, &str)] = files![
    "/" = Html "page.html",
    "/overlay" = Html "overlay.html",
    "/web/base.css" = Css "base.css",
    "/web/page.css" = Css "page.css",
    "/web/overlay.css" = Css "overlay.css",
    "/web/board.js" = JavaScript "board.js",
    "/web/chart.js" = JavaScript "chart.js",
    "/web/exact.js" = JavaScript "exact.js",
    "/web/falling.js" = JavaScript "falling.js",
    "/web/feed.js" = JavaScript "feed.js",
    "/web/hot.js" = JavaScript "hot.js",
    "/web/overlay.js" = JavaScript "overlay.js",
    "/web/page.js" = JavaScript "page.js",
    "/web/rain.js" = JavaScript "rain.js",
    "/web/rates.js" = JavaScript "rates.js",
    "/web/room.js" = JavaScript "room.js",
    "/web/rows.js" = JavaScript "rows.js",
    "/web/send.js" = JavaScript "send.js",
    "/web/mark.svg" = Svg "mark.svg",
];

/// Adds the pages, and `GET /live/stream`, which follows what `topics` makes of its query.
#[must_use]
pub fn routes(
    router: Router,
    topics: impl Fn(&str) -> Result<Vec<Arc<dyn Topic>>, FieldError> + 'static,
) -> Router {
    let router = FILES.iter().fold(router, |router, &(path, content_type, text)| {
        router.route(Method::Get, path, move |_, _| Answer::now(file(content_type, text)))
    });
    router.route(Method::Get, "/live/stream", move |request: &Request<'_>, _| {
        match topics(request.query) {
            Ok(topics) => Answer::streams(topics),
            Err(error) => Answer::now(Response::error(Status::BAD_REQUEST, &error.to_string())),
        }
    })
}

fn file(content_type: ContentType, text: &'static str) -> Response {
    Response { content_type, body: text.into(), ..Response::default() }
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
        // A new program has new files under the same names.
        .with_header("Cache-Control", "no-cache")
}
