//! actix-web with one worker and one body for all.

use actix_web::rt::System;
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use std::io;
use std::time::Duration;

/// Longer than the idle connections of a round are held.
const KEEP_ALIVE: Duration = Duration::from_secs(600);

fn main() -> io::Result<()> {
    let body = Bytes::from(peers::body()?);
    let listener = peers::listen()?;
    peers::announce("actix-web", &listener)?;
    let app = move || {
        let body = body.clone();
        let answer = move || {
            let body = body.clone();
            async { HttpResponse::Ok().content_type("application/json").body(body) }
        };
        App::new().route("/gift/top", web::get().to(answer))
    };
    System::new().block_on(async {
        HttpServer::new(app).workers(1).keep_alive(KEEP_ALIVE).listen(listener)?.run().await
    })
}
