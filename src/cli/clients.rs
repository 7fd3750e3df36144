//! What the commands are told that talk to a server from outside.

use clap::Args as ClapArgs;
use std::net::{SocketAddr, ToSocketAddrs};

/// A visit to a server.
#[derive(Clone, Debug)]
pub enum Client {
    /// `fanfare trade`.
    Trade(TradeOptions),
}

/// The trading room at a terminal.
#[derive(Clone, Debug, ClapArgs)]
pub struct TradeOptions {
    /// Where the trading room listens (tlv.listen).
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8999", value_parser = address)]
    pub addr: SocketAddr,
    /// Log in as this customer: twelve digits.
    #[arg(long, default_value = "000000000001", value_parser = customer_id)]
    pub customer: String,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

/// A customer number of the trading room.
pub fn customer_id(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("a customer is twelve digits".to_owned())
    }
}
