//! Asks the server that uses the data folder, on its operator listener.

use crate::client::http::{self, HttpConnection};
use crate::config::Config;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// An audit of a large journal takes its time when it is the first since the start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1_800);

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
    let failed = |why: &dyn Display| {
        format!("the server's operator listener at {address} (admin.listen): {why}")
    };
    let bearer = format!("Bearer {}", config.admin.token.expose());
    let headers: &[_] = match config.admin.token.expose() {
        "" => &[],
        _ => &[("Authorization", bearer.as_str())],
    };
    let mut server =
        HttpConnection::open(address, ANSWER_TIMEOUT).map_err(|error| failed(&error))?;
    let answer = server
        .exchange(&http::request(method, target, headers, ""))
        .map_err(|error| failed(&error))?;
    match answer.status {
        200 => Ok(answer.body.to_vec()),
        401 | 403 => Err(failed(&"it asks for another token (admin.token)")),
        status => Err(failed(&format!("{status}: {}", String::from_utf8_lossy(answer.body)))),
    }
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
}
