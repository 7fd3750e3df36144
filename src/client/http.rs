//! One blocking keep-alive HTTP/1.1 connection, for tools, loads and checks.
//!
//! Less than an HTTP library on purpose: exactly one connection, no retries, no pool, so that a load
//! measures the server and a check sees every answer as it came.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// To reach a server on this machine, or in the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// More than any head of ours.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// An answer is a few hundred kilobytes at most; what is much longer is none of ours.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Header fields of an answer.
const HEADERS_MAX: usize = 64;

/// See the module documentation. After an error the connection is of no more use.
pub struct HttpConnection {
    reader: BufReader<TcpStream>,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// An answer, lent until the next request.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The server did it before, and answers as it did then (`Idempotent-Replayed`).
    pub replayed: bool,
    /// It may be older than what was acknowledged (`Warning`).
    pub stale: bool,
    /// The whole body.
    pub body: &'a [u8],
}

impl HttpConnection {
    /// Connects; an answer that takes longer than `answer_timeout` is an error.
    pub fn open(address: SocketAddr, answer_timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(answer_timeout))?;
        stream.set_write_timeout(Some(answer_timeout))?;
        Ok(Self { reader: BufReader::new(stream), head: Vec::new(), body: Vec::new() })
    }

    /// `GET target`.
    pub fn get(&mut self, target: &str) -> io::Result<Answer<'_>> {
        self.exchange(&request("GET", target, &[], ""))
    }

    /// `POST target` with a JSON body.
    pub fn post(&mut self, target: &str, body: &str) -> io::Result<Answer<'_>> {
        self.exchange(&request("POST", target, &[], body))
    }

    /// Sends one encoded request and reads its answer to the end.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.reader.get_mut().write_all(request)?;
        self.read_head()?;
        let Head { status, replayed, stale, length } = parse_head(&self.head)?;
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body)?;
        Ok(Answer { status, replayed, stale, body: &self.body })
    }

    /// The socket alone, without this side's buffers.
    pub fn into_stream(self) -> TcpStream {
        self.reader.into_inner()
    }

    /// Up to and with the blank line.
    fn read_head(&mut self) -> io::Result<()> {
        self.head.clear();
        loop {
            let before = self.head.len();
            let room = (HEAD_BYTES_MAX - before) as u64;
            (&mut self.reader).take(room).read_until(b'\n', &mut self.head)?;
            match &self.head[before..] {
                b"\r\n" => return Ok(()),
                line if line.ends_with(b"\n") => {}
                [] if before == 0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    ));
                }
                _ => return Err(invalid("the head of the answer is cut off or too long")),
            }
        }
    }
}

/// Encodes a request with a JSON body, which may be empty.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: fanfare\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        let length = body.len().to_string();
        text.extend(["Content-Type: application/json\r\nContent-Length: ", &length, "\r\n"]);
    }
    text.extend(["\r\n", body]);
    text.into_bytes()
}

/// What is looked at of a head.
struct Head {
    status: u16,
    replayed: bool,
    stale: bool,
    length: usize,
}

fn parse_head(head: &[u8]) -> io::Result<Head> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let parsed = answer.parse(head).map_err(|error| invalid(&format!("not HTTP: {error}")))?;
    let (true, Some(status)) = (parsed.is_complete(), answer.code) else {
        return Err(invalid("not HTTP: no status"));
    };
    let field = |name: &str| {
        let mut fields = answer.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(field.value).ok()
    };
    let replayed = field("idempotent-replayed") == Some("true");
    let stale = field("warning").is_some();
    let length = match field("content-length").and_then(|value| value.parse().ok()) {
        Some(length) if length <= BODY_BYTES_MAX => length,
        Some(_) => return Err(invalid("the answer is too long")),
        // All of the server's finite answers say how long they are, but for these.
        None if status == 204 || status == 304 => 0,
        None => return Err(invalid("the answer has no Content-Length")),
    };
    Ok(Head { status, replayed, stale, length })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// What a client makes of a server that sends `answers` and closes.
    fn talk(answers: &'static str, requests: usize) -> Vec<Result<(u16, String), io::ErrorKind>> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(answers.as_bytes()).expect("sent");
            stream.shutdown(std::net::Shutdown::Write).expect("open");
            stream.read_to_end(&mut Vec::new()).expect("requests");
        });
        let mut connection =
            HttpConnection::open(address, Duration::from_secs(60)).expect("connected");
        let mut results = Vec::new();
        for _ in 0..requests {
            let answer = connection
                .get("/")
                .map(|answer| (answer.status, String::from_utf8_lossy(answer.body).into_owned()));
            results.push(answer.map_err(|error| error.kind()));
        }
        drop(connection);
        server.join().expect("no panic");
        results
    }

    #[test]
    fn answers_follow_each_other_on_one_connection() {
        let answers = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\
                       HTTP/1.1 503 Busy\r\ncontent-length: 1\r\nRetry-After: 1\r\n\r\nc";
        let results = talk(answers, 3);
        assert_eq!(results[..2], [Ok((200, "ab".into())), Ok((503, "c".into()))]);
        assert!(results[2].is_err(), "nothing more came");
    }

    #[test]
    fn what_is_not_a_whole_answer_is_an_error() {
        for (answer, expected) in [
            ("", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\n\r\nab", io::ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\nContent-Le", io::ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", io::ErrorKind::InvalidData),
            ("SSH-2.0\r\n\r\n", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(talk(answer, 1), [Err(expected)], "{answer:?}");
        }
    }

    #[test]
    fn a_request_says_how_long_it_is() {
        let bytes = request("POST", "/a", &[("Idempotency-Key", "k")], "{}");
        let text = String::from_utf8(bytes).expect("ASCII");
        assert_eq!(
            text,
            "POST /a HTTP/1.1\r\nHost: fanfare\r\nIdempotency-Key: k\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
    }
}
