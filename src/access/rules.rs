//! What the operator decided about callers, made ready for loops; replaced whole by a reload.

use super::cors::{self, Cors};
use super::rate::Rate;
use super::{forwarded, token};
use crate::config::{Api, ApiToken};
use crate::http::Request;
use crate::limits::RATE_SLOTS;
use ipnet::IpNet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Tokens, rates, proxies and origins.
pub struct Rules {
    tokens: Vec<ApiToken>,
    /// By the index of the token.
    token_rate: Option<Rate>,
    /// By the hash of the address, under a key that nobody outside knows: else an attacker could
    /// choose addresses that share a slot with a victim.
    address_rate: Option<Rate>,
    hasher: RandomState,
    proxies: Vec<IpNet>,
    pub(super) cors: Cors,
    /// Nothing is asked of anybody, and nothing added to any answer: the usual case, in one look.
    pub(super) is_open: bool,
}

/// What a call asks of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Anybody may make it.
    Nothing,
    /// It changes nothing.
    Read,
    /// Any other.
    Write,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or none that is known.
    Unauthorized,
    /// The token's scope is too small.
    Forbidden,
    /// Too many requests; one has a chance after this time.
    TooMany(Duration),
}

impl Rules {
    /// What the configuration says.
    pub fn new(api: &Api, proxies: &[IpNet], origins: &[String]) -> Self {
        let token_rate = Rate::new(api.token_rate, api.token_burst, api.tokens.len());
        let address_rate = Rate::new(api.address_rate, api.address_burst, RATE_SLOTS);
        let cors = Cors::new(origins);
        let is_open = api.tokens.is_empty() && address_rate.is_none() && cors.is_off();
        Self {
            tokens: api.tokens.clone(),
            token_rate,
            address_rate,
            hasher: RandomState::new(),
            proxies: proxies.to_vec(),
            cors,
            is_open,
        }
    }

    /// True for a request with a token of ours, whatever its scope.
    pub fn knows(&self, request: &Request<'_>) -> bool {
        self.token(request.headers.get("authorization")).is_some()
    }

    /// Counts the request, and decides whether it is served.
    pub(super) fn check(&self, request: &Request<'_>, need: Need) -> Result<(), Refusal> {
        if request.path == "/health" || request.path == "/api/v1/health" {
            return Ok(()); // Whoever asks this decides whether others reach us at all.
        }
        if cors::asks_first(request) {
            return Ok(()); // The token by which it is counted comes with what follows.
        }
        let authorization = request.headers.get("authorization");
        let Some((index, token)) = self.token(authorization) else {
            self.count_address(request)?;
            let is_free = self.tokens.is_empty() || need == Need::Nothing;
            return if is_free { Ok(()) } else { Err(Refusal::Unauthorized) };
        };
        if let Some(rate) = &self.token_rate {
            rate.check(index as u64).map_err(Refusal::TooMany)?;
        }
        let may = match need {
            Need::Nothing => true,
            Need::Read => token.may_read,
            Need::Write => token.may_write,
        };
        if may { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    fn token(&self, authorization: Option<&[u8]>) -> Option<(usize, &ApiToken)> {
        if self.tokens.is_empty() {
            return None;
        }
        let hash = token::hash(token::bearer(authorization?)?);
        // How long a comparison of hashes takes tells nothing about the token.
        self.tokens.iter().enumerate().find(|(_, token)| token.sha256 == hash)
    }

    fn count_address(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let Some(rate) = &self.address_rate else { return Ok(()) };
        let client = forwarded::client(request.peer, &request.headers, &self.proxies);
        rate.check(self.hasher.hash_one(counted(client))).map_err(Refusal::TooMany)
    }
}

/// Whoever has one IPv6 address has the 2^64 beside it too.
fn counted(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
    }
}
