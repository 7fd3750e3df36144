//! Asks the server that uses the data folder, on its operator listener.

use crate::config::Config;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// To reach a server on this machine, or in the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An audit of a large journal takes its time when it is the first since the start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1_800);

/// An answer is a few kilobytes; what is much longer is none of ours.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// The body of a successful answer to `GET target`.
pub(super) fn get(config: &Config, target: &str) -> Result<Vec<u8>, String> {
    call(config, "GET", target)
}

/// The body of a successful answer to a `POST target` without a body.
pub(super) fn post(config: &Config, target: &str) -> Result<Vec<u8>, String> {
    call(config, "POST", target)
}

fn call(config: &Config, method: &str, target: &str) -> Result<Vec<u8>, String> {
    let address = address(config.admin.listen.addr())?;
    let failed = |error: std::io::Error| {
        format!("the server's operator listener at {address} (admin.listen): {error}")
    };
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    let authorization = match config.admin.token.expose() {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\
         {authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(failed)?;
    body(answer).map_err(|why| format!("the server's operator listener at {address}: {why}"))
}

/// A listener on every address is reached on this machine.
fn address(listen: SocketAddr) -> Result<SocketAddr, String> {
    if listen.port() == 0 {
        let why = "a server uses the folder, but admin.listen has port 0: name the port that it \
                   took, such as FANFARE__ADMIN__LISTEN=127.0.0.1:9464";
        return Err(why.to_owned());
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

/// We asked the server to close behind its answer, so what came is the answer.
fn body(mut answer: Vec<u8>) -> Result<Vec<u8>, String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or("it is not an HTTP server, or it ended in the middle")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer.split_off(end + 4);
    let lengths = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().and_then(|(_, value)| value.parse::<usize>().ok());
    if length != Some(body.len()) {
        return Err("it ended in the middle of its answer".to_owned());
    }
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        Some("401" | "403") => Err("it asks for another token (admin.token)".to_owned()),
        _ => {
            let status = head.lines().next().unwrap_or_default();
            Err(format!("{status}: {}", String::from_utf8_lossy(&body)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_this_machine() {
        let check = |listen: &str| address(listen.parse().expect("an address"));
        assert_eq!(check("0.0.0.0:9464"), Ok("127.0.0.1:9464".parse().expect("an address")));
        assert_eq!(check("[::]:9464"), Ok("[::1]:9464".parse().expect("an address")));
        assert_eq!(check("10.1.2.3:9464"), Ok("10.1.2.3:9464".parse().expect("an address")));
        assert!(check("127.0.0.1:0").is_err());
    }

    #[test]
    fn only_a_whole_and_good_answer_has_a_body() {
        let check = |text: &str| body(text.as_bytes().to_vec());
        let well = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(check(well), Ok(b"ab".to_vec()));
        for wrong in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
            "HTTP/1.1 200 OK\r\n\r\nab",
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nab",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
