//! `/log/level`: what is logged, changed while the process runs.

use super::desk::Desk;
use crate::http::{Answer, FieldError, Method, Object, Response, Router, Status};
use crate::log::LevelSwitch;
use serde_json::json;

/// `GET` and `PUT /log/level`.
pub fn routes(router: Router, level: &LevelSwitch, desk: &Desk) -> Router {
    let (shown, set, desk) = (level.clone(), level.clone(), desk.clone());
    router.route(Method::Get, "/log/level", move |_, _| Answer::now(response(&shown))).route(
        Method::Put,
        "/log/level",
        move |request, deferral| {
            let word = match wanted(request.body) {
                Ok(word) => word,
                Err(error) => {
                    return Answer::now(Response::error(Status::BAD_REQUEST, &error.to_string()));
                }
            };
            let level = set.clone();
            desk.answer(deferral, move || {
                if level.set(&word) {
                    tracing::info!(level = word, "the log level was changed");
                    return response(&level);
                }
                let error = FieldError::new("level", "error, warn, info, debug or trace");
                Response::error(Status::BAD_REQUEST, &error.to_string())
            })
        },
    )
}

fn wanted(body: &[u8]) -> Result<String, FieldError> {
    let body = Object::parse(body)?;
    let word = body.string("level")?;
    word.map(str::to_owned).ok_or_else(|| FieldError::required("level", "a log level"))
}

fn response(level: &LevelSwitch) -> Response {
    Response::json(json!({ "level": level.word() }).to_string())
}
