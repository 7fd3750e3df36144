//! hyper on one thread of tokio, with one body for all.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let body = Bytes::from(peers::body()?);
    let listener = peers::listen()?;
    peers::announce("hyper", &listener)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let body = body.clone();
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let answer = answer(body.clone());
                async { Ok::<_, Infallible>(answer) }
            });
            // One write for all pipelined answers: without it hyper would be slower by far there.
            let mut http = http1::Builder::new();
            http.pipeline_flush(true);
            // How a connection ends is its client's business.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
