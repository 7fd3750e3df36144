//! The live page and the overlay: plain files that are part of the program, and the one stream that
//! brings the page everything.

pub mod openapi;
mod rates;

pub use rates::{Rates, Total};

use crate::http::{
    Answer, ContentType, FieldError, Method, Representation, Request, Response, Router, Status,
};
use crate::session::Topic;
use std::sync::{Arc, LazyLock};

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
    "/web/token.js" = JavaScript "token.js",
    "/web/mark.svg" = Svg "mark.svg",
];

/// What `FILES` holds, in its order, for all loops: each has the name of its content, and is
/// compressed once.
static SHARED: LazyLock<Vec<Arc<Representation>>> = LazyLock::new(|| {
    FILES.iter().map(|(_, _, text)| Arc::new(Representation::new(text.as_bytes()))).collect()
});

/// Paths of the files. They are the same for everybody, and hold nothing of an event.
pub fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|&(path, ..)| path)
}

/// Adds the pages, and `GET /live/stream`, which follows what `topics` makes of its query.
#[must_use]
pub fn routes(
    router: Router,
    topics: impl Fn(&str) -> Result<Vec<Arc<dyn Topic>>, FieldError> + 'static,
) -> Router {
    let files = FILES.iter().zip(SHARED.iter());
    let router = files.fold(router, |router, (&(path, content_type, _), shared)| {
        router.route(Method::Get, path, move |_, _| Answer::now(file(content_type, shared)))
    });
    router.route(Method::Get, "/live/stream", move |request: &Request<'_>, _| {
        match topics(request.query) {
            Ok(topics) => Answer::streams(topics),
            Err(error) => Answer::now(Response::error(Status::BAD_REQUEST, &error.to_string())),
        }
    })
}

/// It carries an `ETag` and is asked for each time: a new program has new files under the same names.
fn file(content_type: ContentType, shared: &Arc<Representation>) -> Response {
    Response { content_type, body: Arc::clone(shared).into(), ..Response::default() }
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
}
