//! An echo server on the same HTTP library, for suites that test HTTP servers.
//!
//! `cargo run --example echo -- 127.0.0.1:8081`: GET and POST on any path of one segment answer 200
//! with the request's body; `/echo` answers the request line and header fields as they arrived.

use fanfare::app::http_port::HttpPort;
use fanfare::http::{Answer, ContentType, HttpOptions, Method, Request, Response, Router};
use fanfare::net::{self, ConnectionLimit, Control, EventLoop, LoopOptions, PortOptions};
use fanfare::signal::Handlers;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

fn body(request: &Request<'_>) -> Response {
    let content_type = ContentType::Text;
    Response { content_type, ..Response::json(request.body.to_vec()) }
}

fn head(request: &Request<'_>) -> Response {
    let mut text = format!("{} {}", request.method.token(), request.path);
    if !request.query.is_empty() {
        text.push('?');
        text.push_str(request.query);
    }
    text.push('\n');
    for (name, value) in request.headers.iter() {
        text.extend([name, ": ", &String::from_utf8_lossy(value), "\n"]);
    }
    Response { content_type: ContentType::Text, ..Response::json(text) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = net::bind(address.parse()?, 1, None)?.remove(0);
    eprintln!("echo on {}", listener.local_addr()?);
    let router = [Method::Get, Method::Post].into_iter().fold(Router::new(), |router, method| {
        router
            .route(method, "/", |request, _| Answer::now(body(request)))
            .route(method, "/{any}", |request, _| Answer::now(body(request)))
            .route(method, "/echo", |request, _| Answer::now(head(request)))
    });
    let options = LoopOptions { control: Control::new(), drain_timeout: Duration::from_secs(5) };
    fanfare::signal::watch(Arc::clone(&options.control), Handlers::default())?;
    let mut event_loop = EventLoop::new(options)?;
    let limit = Arc::new(ConnectionLimit::new(10_000));
    let write_timeout = Duration::from_secs(30);
    let port = PortOptions { limit, write_timeout, notifier: None };
    let http = HttpPort::new(Rc::new(router), Rc::new(HttpOptions::default()));
    event_loop.add_port(listener, http, port)?;
    event_loop.run()?;
    Ok(())
}
