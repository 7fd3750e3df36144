//! The edges of the room: its messages over TLV, and the operator's call over HTTP.

use super::decode::{self, Refused};
use super::room::LOGGED_IN;
use super::wire::{self, id};
use super::{Account, Customer, Found, Read, Room, Side, Store, Write, Written};
use crate::http::{self, JsonTopic, Method, Response, Status};
use crate::session::Topic;
use crate::store::StoreError;
use crate::tlv::{Answer, Deferral, Frame, Message, Peer, Responder, Router};
use std::rc::Rc;
use std::sync::Arc;

/// What the room needs beside its store.
#[derive(Clone)]
pub struct ApiOptions {
    /// Those who are here.
    pub room: Arc<Room>,
    /// `tlv.max_data`.
    pub data_bytes_max: usize,
    /// `trade.lot`: quantities are multiples of it.
    pub lot: i64,
    /// `trade.keep_pushes`: how many pushes a customer may have missed and still resume.
    pub keep_pushes: i64,
    /// `trade.presence`: everybody hears who comes and goes.
    pub presence: bool,
}

/// What is kept of a connection.
#[derive(Debug, Default)]
pub struct Properties {
    /// Who is logged in on it.
    pub customer: Option<Customer>,
}

type Client<'a> = Peer<'a, Properties>;

/// The room as one loop serves it.
struct Desk {
    store: Arc<dyn Store>,
    options: ApiOptions,
}

/// The messages of the room.
pub fn router(store: &Arc<dyn Store>, options: &ApiOptions) -> Router<Properties> {
    let desk = Rc::new(Desk { store: Arc::clone(store), options: options.clone() });
    let handler = |handle: fn(&Desk, &mut Client<'_>, &Message<'_>, Deferral<'_>) -> Reply| {
        let desk = Rc::clone(&desk);
        move |peer: &mut Client<'_>, message: &Message<'_>, deferral: Deferral<'_>| {
            let refuse = |refused| Answer::now(refusal(message.id, &refused));
            handle(&desk, peer, message, deferral).unwrap_or_else(refuse)
        }
    };
    let router = Router::new()
        .route(id::LOGIN, handler(Desk::login))
        .route(id::HOLDINGS, handler(Desk::holdings))
        .route(id::BUY, handler(Desk::buy))
        .route(id::SELL, handler(Desk::sell))
        .route(id::HISTORY, handler(Desk::history))
        .route(id::STOCKS, handler(Desk::stocks));
    let desk = Rc::clone(&desk);
    router.on_stop(move |peer| desk.say_gone(desk.leave(peer)))
}

type Reply = Result<Answer, Refused>;

fn refusal(request: u32, refused: &Refused) -> Frame {
    Frame::error(request, refused.code, &refused.message)
}

fn busy() -> Refused {
    Refused::new("busy", "the room cannot be reached for the moment, try again")
}

fn customer(peer: &Client<'_>) -> Result<Customer, Refused> {
    let refused = || Refused::new("not_logged_in", "log in first, with message 2");
    peer.properties.customer.ok_or_else(refused)
}

impl Desk {
    fn login(&self, peer: &mut Client<'_>, message: &Message<'_>, _: Deferral<'_>) -> Reply {
        let (customer, last_seq) = decode::login(message.data)?;
        let left = self.leave(peer);
        let mut login = None;
        let is_first = peer.follow(&self.options.room.feeds, customer.feed_key(), || {
            let account = self.account(customer);
            let seq = account.as_ref().map_or(0, |account| account.seq);
            let oldest = seq.saturating_sub(self.options.keep_pushes);
            let resumed = last_seq.filter(|last_seq| (oldest..=seq).contains(last_seq));
            let resync = last_seq.is_some() && resumed.is_none();
            login = Some(account.map(|account| (account, resync)));
            (seq, resumed.unwrap_or(seq))
        });
        let found = login.expect("following starts at once");
        // Who logs in again as the same customer neither goes nor comes.
        let stays = found.is_ok() && left == Some(customer);
        if !stays {
            self.say_gone(left);
        }
        let (account, resync) = found.inspect_err(|_| {
            peer.unfollow(&self.options.room.feeds);
        })?;
        peer.properties.customer = Some(customer);
        peer.join(LOGGED_IN);
        if is_first && !stays {
            self.announce(customer, true);
        }
        Ok(Answer::now(wire::login(customer, &account, resync)))
    }

    /// Ends a login, if there is one; the customer, if this was the last connection.
    fn leave(&self, peer: &mut Client<'_>) -> Option<Customer> {
        let is_last = peer.unfollow(&self.options.room.feeds);
        let customer = peer.properties.customer.take()?;
        peer.leave(LOGGED_IN);
        is_last.then_some(customer)
    }

    fn say_gone(&self, customer: Option<Customer>) {
        if let Some(customer) = customer {
            self.announce(customer, false);
        }
    }

    fn announce(&self, customer: Customer, online: bool) {
        if self.options.presence {
            self.options.room.everyone.push(LOGGED_IN, &wire::presence(customer, online));
        }
    }

    /// What memory knows without asking anybody.
    fn recall(&self, read: Read) -> Result<Found, Refused> {
        let found = self.store.read(read, &mut || Box::new(|_| ()));
        found.and_then(Result::ok).ok_or_else(busy)
    }

    fn account(&self, customer: Customer) -> Result<Account, Refused> {
        match self.recall(Read::Account { customer })? {
            Found::Account(account) => Ok(account),
            _ => Err(busy()),
        }
    }

    fn holdings(&self, peer: &mut Client<'_>, message: &Message<'_>, _: Deferral<'_>) -> Reply {
        let customer = customer(peer)?;
        let page = decode::page(message.data)?;
        let num = wire::holdings_per_page(self.options.data_bytes_max);
        let offset = page.saturating_mul(num);
        match self.recall(Read::Holdings { customer, offset, num })? {
            Found::Holdings { holdings, account } => {
                Ok(Answer::now(wire::holdings(page, num, &holdings, &account)))
            }
            _ => Err(busy()),
        }
    }

    fn stocks(&self, _: &mut Client<'_>, message: &Message<'_>, _: Deferral<'_>) -> Reply {
        let page = decode::page(message.data)?;
        let num = wire::stocks_per_page(self.options.data_bytes_max);
        match self.recall(Read::Stocks { offset: page.saturating_mul(num), num })? {
            Found::Stocks(stocks) => Ok(Answer::now(wire::stocks(page, num, &stocks))),
            _ => Err(busy()),
        }
    }

    fn buy(&self, peer: &mut Client<'_>, message: &Message<'_>, deferral: Deferral<'_>) -> Reply {
        self.trade(peer, message, deferral, Side::Buy)
    }

    fn sell(&self, peer: &mut Client<'_>, message: &Message<'_>, deferral: Deferral<'_>) -> Reply {
        self.trade(peer, message, deferral, Side::Sell)
    }

    fn trade(
        &self,
        peer: &mut Client<'_>,
        message: &Message<'_>,
        deferral: Deferral<'_>,
        side: Side,
    ) -> Reply {
        let customer = customer(peer)?;
        let write = decode::trade(message.data, customer, side, self.options.lot)?;
        let request = message.id;
        Ok(deferral.later(|responder| {
            self.store.write(write, Box::new(move |written| traded(responder, request, written)));
        }))
    }

    fn history(
        &self,
        peer: &mut Client<'_>,
        message: &Message<'_>,
        deferral: Deferral<'_>,
    ) -> Reply {
        let customer = customer(peer)?;
        let (before, num) = decode::history(message.data)?;
        let (request, data_bytes_max) = (message.id, self.options.data_bytes_max);
        let render = move |found: Result<Found, StoreError>| match found {
            Ok(Found::History { trades, more }) => wire::history(&trades, more, data_bytes_max),
            _ => refusal(request, &busy()),
        };
        Ok(deferral.later(|responder| {
            let mut responder = Some(responder);
            let read = Read::History { customer, before, num };
            let found = self.store.read(read, &mut || {
                let responder = responder.take().expect("a store takes one answer");
                Box::new(move |found| responder.send(render(found)))
            });
            if let (Some(found), Some(responder)) = (found, responder) {
                responder.send(render(found));
            }
        }))
    }
}

/// Answers a buy or a sell.
fn traded(responder: Responder, request: u32, written: Result<Written, StoreError>) {
    let refuse = |code, message| refusal(request, &Refused::new(code, message));
    let frame = match written {
        Ok(Written::Done { entry, holding, replayed }) => {
            let frame = wire::filled(request, &entry, &holding, replayed);
            return responder.send_before(entry.seq, frame);
        }
        Ok(Written::NotHeld) => refuse("not_held", "the customer has none of this stock"),
        Ok(Written::NotEnough) => refuse("not_enough", "the customer has less than that"),
        Ok(Written::Overflow) => {
            refuse("overflow", "the quantity or the value in fen would leave the range of an i64")
        }
        Ok(Written::KeyConflict) => {
            refuse("conflict", "the request_id was used for another request")
        }
        Ok(other) => {
            tracing::error!(?other, "no outcome of a trade");
            refusal(request, &busy())
        }
        Err(_) => refusal(request, &busy()),
    };
    responder.send(frame);
}

/// Adds the public call: what the room does as a whole is what `stream` follows.
#[must_use]
pub fn public_routes(router: http::Router, stream: &Arc<JsonTopic>) -> http::Router {
    let stream = Arc::clone(stream);
    router.route(Method::Get, "/trade/stream", move |request, _| {
        let last_event = http::last_event_id(request);
        http::Answer::stream(Arc::clone(&stream) as Arc<dyn Topic>, last_event)
    })
}

/// Adds the operator's call.
#[must_use]
pub fn operator_routes(router: http::Router, store: &Arc<dyn Store>) -> http::Router {
    let store = Arc::clone(store);
    router.route(Method::Post, "/trade/rollback", move |request, deferral| {
        match decode::rollback(request) {
            Err(error) => {
                http::Answer::now(Response::error(Status::BAD_REQUEST, &error.to_string()))
            }
            Ok(write) => roll_back(&*store, write, deferral),
        }
    })
}

fn roll_back(store: &dyn Store, write: Write, deferral: http::Deferral<'_>) -> http::Answer {
    deferral.later(|responder| {
        store.write(write, Box::new(move |written| responder.send(rolled_back(written))));
    })
}

fn rolled_back(written: Result<Written, StoreError>) -> Response {
    let conflict = |why| Response::error(Status::CONFLICT, why);
    match written {
        Ok(Written::Done { entry, replayed, .. }) => {
            let trade_id = entry.rollback.as_ref().map_or(entry.id, |back| back.trade_id);
            let response = Response::json(wire::rolled_back(trade_id, &entry));
            if replayed { response.with_header("Idempotent-Replayed", "true") } else { response }
        }
        Ok(Written::UnknownTrade) => {
            Response::error(Status::NOT_FOUND, "trade_id: there is no such trade")
        }
        Ok(Written::NotATrade) => {
            conflict("trade_id: an opening position or a rollback cannot be taken back")
        }
        Ok(Written::KeyConflict) => conflict("the idempotency key was used for another request"),
        Ok(Written::Overflow) => conflict(
            "trade_id: with what this one sold, the quantity or the value in fen would leave the \
             range of an i64",
        ),
        Ok(_) => conflict("trade_id: later trades need what this one brought"),
        Err(StoreError::Unavailable) => {
            Response::unavailable("the room cannot be reached, try again")
        }
        Err(StoreError::Broken) => Response::error(Status::INTERNAL_ERROR, "internal error"),
    }
}
