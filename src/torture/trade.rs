//! The trading room under torture: an account is a customer, its balance the shares of one stock.

use super::deed::{ANSWER_TIMEOUT, Addresses, Deed, Domain, Hand, Reply};
use crate::client::room::{Message, Request, Side, Stock, id};
use crate::client::room_link::RoomLink;
use std::io;

/// What is bought.
const CODE: &str = "600000";

pub(super) struct Room;

impl Domain for Room {
    fn name(&self) -> &'static str {
        "trade"
    }

    fn prepare(&self, server: &Addresses) -> io::Result<bool> {
        let mut link = RoomLink::open(server.tlv)?;
        let answer = link.ask(&Request::Stocks { page: 0 }, ANSWER_TIMEOUT)?;
        Ok(matches!(answer, Message::Stocks(_)))
    }

    fn connect(&self, server: &Addresses) -> io::Result<Box<dyn Hand>> {
        Ok(Box::new(Customer { link: RoomLink::open(server.tlv)?, account: None }))
    }

    fn accounts(&self) -> u32 {
        20
    }

    fn amount_max(&self) -> i64 {
        9
    }
}

struct Customer {
    link: RoomLink,
    /// Logged in as.
    account: Option<u32>,
}

impl Customer {
    fn ask(&mut self, request: &Request) -> io::Result<Message> {
        let answer = self.link.ask(request, ANSWER_TIMEOUT)?;
        self.link.forget_pushes();
        Ok(answer)
    }

    /// False: not now.
    fn log_in(&mut self, account: u32) -> io::Result<bool> {
        if self.account == Some(account) {
            return Ok(true);
        }
        // None of those that hold something from the start.
        let customer_id = format!("8{account:011}");
        match self.ask(&Request::Login { customer_id, last_seq: None })? {
            Message::LoggedIn(_) => {
                self.account = Some(account);
                Ok(true)
            }
            Message::Refused(refusal) if refusal.code == "busy" => Ok(false),
            other => Err(io::Error::other(format!("a login was answered {other:?}"))),
        }
    }
}

impl Hand for Customer {
    fn act(&mut self, deed: &Deed) -> io::Result<Reply> {
        if !self.log_in(deed.account)? {
            return Ok(Reply::Refused);
        }
        let stock = Stock::of_code(CODE);
        let (quantity, request_id) = (deed.amount, deed.key.clone());
        match self.ask(&Request::Trade { side: Side::Buy, stock, quantity, request_id })? {
            Message::Filled(fill) => {
                Ok(Reply::Done { id: Some(fill.trade_id), replayed: fill.replayed })
            }
            Message::Refused(refusal) if refusal.request == id::BUY && refusal.code == "busy" => {
                Ok(Reply::Refused)
            }
            other => Err(io::Error::other(format!("a buy was answered {other:?}"))),
        }
    }

    fn balance(&mut self, account: u32) -> io::Result<i64> {
        if !self.log_in(account)? {
            return Err(io::Error::other("a login was refused while nothing was wrong"));
        }
        match self.ask(&Request::Holdings { page: 0 })? {
            Message::Holdings(page) => Ok(page.holdings.iter().map(|row| row.quantity).sum()),
            other => Err(io::Error::other(format!("the holdings were answered {other:?}"))),
        }
    }
}
