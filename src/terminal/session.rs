//! The loop behind the terminal: commands and messages in, requests and the board out.

use super::board::Board;
use super::command::{self, Codes, Command};
use super::connection::Event;
use super::output::Output;
use super::view;
use crate::cli::TradeOptions;
use crate::client::room::{Fill, Holding, HoldingsPage, Message, Request, id};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::error::Error;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// A command that takes longer, lost connections included, has failed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// What arrives within so short a time is drawn at once.
const DRAW_INTERVAL: Duration = Duration::from_millis(30);

/// How often holdings are pulled again because rows went between two pages of them.
const PULLS_MAX: u32 = 5;

/// Where the conversation stands.
enum Phase {
    /// No connection, or not logged in on it yet.
    Away,
    /// Holdings are being pulled.
    Pulling(Pull),
    /// The board is the server's.
    Ready,
}

/// Holdings on their way.
#[derive(Default)]
struct Pull {
    rows: Vec<Holding>,
    /// A row that was read went meanwhile, so that the next page may leave one out.
    moved: bool,
    /// Earlier tries.
    tries: u32,
}

/// The command that is under way.
enum Job {
    /// Log in; done when the board stands.
    Login,
    /// Pull the holdings and show them.
    Holdings,
    /// Ask, and show the answer.
    Ask(Request),
    /// A trade was made; done when its pushes are here, the last of which has this number.
    Settle(i64),
}

/// See the module documentation.
pub(super) struct Session {
    out: Output,
    codes: Codes,
    board: Board,
    phase: Phase,
    writer: Option<TcpStream>,
    job: Option<(Job, Instant)>,
    /// The reader of lines waits for word that it may go on.
    owes_word: bool,
    /// Unlike those of any other run: a request that was sent twice counts once.
    request_prefix: String,
    requests: u64,
    /// The script is over, or the user leaves.
    finished: bool,
    /// What ended a script.
    failure: Option<String>,
    was_up: bool,
}

impl Session {
    /// A session that logs in as soon as it is connected.
    pub(super) fn new(options: &TradeOptions, out: Output, codes: Codes) -> Self {
        Self {
            out,
            codes,
            board: Board::of(&options.customer),
            phase: Phase::Away,
            writer: None,
            job: Some((Job::Login, Instant::now() + COMMAND_TIMEOUT)),
            owes_word: true,
            request_prefix: format!("{:016x}", fastrand::u64(..)),
            requests: 0,
            finished: false,
            failure: None,
            was_up: false,
        }
    }

    /// Runs to the end.
    pub(super) fn run(
        mut self,
        events: &Receiver<Event>,
        done: &Sender<()>,
    ) -> Result<(), Box<dyn Error>> {
        let result = self.turn_until_finished(events, done);
        match (result, self.failure) {
            // Whoever stopped reading has enough.
            (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(failure)) => Err(failure.into()),
            (Ok(()), None) => Ok(()),
        }
    }

    fn turn_until_finished(
        &mut self,
        events: &Receiver<Event>,
        done: &Sender<()>,
    ) -> io::Result<()> {
        while !self.finished {
            let deadline = self.job.as_ref().map(|(_, deadline)| *deadline);
            let event = match deadline {
                Some(deadline) => events.recv_deadline(deadline),
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(event) => self.take(event)?,
                Err(RecvTimeoutError::Timeout) => self.fail("there was no answer in time")?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let draw_at = Instant::now() + DRAW_INTERVAL;
            while self.out.is_live() && !self.finished {
                let Ok(event) = events.recv_deadline(draw_at) else { break };
                self.take(event)?;
            }
            self.out.flush(&self.board)?;
            if self.owes_word && self.job.is_none() {
                self.owes_word = false;
                let _ = done.send(());
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Line(line) => {
                self.owes_word = true;
                match command::parse(&line) {
                    Ok(Some(command)) => self.begin(command),
                    Ok(None) => Ok(()),
                    Err(why) => self.fail(&why),
                }
            }
            Event::EndOfInput => {
                self.finished = true;
                Ok(())
            }
            Event::Up(stream) => {
                self.writer = Some(stream);
                self.was_up = true;
                self.log_in();
                Ok(())
            }
            Event::Down(why) => self.lost(why),
            Event::Message(message) => self.hear(message),
        }
    }

    fn lost(&mut self, why: String) -> io::Result<()> {
        self.writer = None;
        self.phase = Phase::Away;
        if !self.was_up {
            self.finished = true;
            self.failure = Some(why);
            return Ok(());
        }
        // Once, not with every try.
        if self.board.offline.replace(why.clone()).is_none() {
            self.out.event(&format!("connection lost ({why}), trying again"))?;
        }
        Ok(())
    }

    /// The command, or whatever was under way, cannot be done.
    fn fail(&mut self, why: &str) -> io::Result<()> {
        self.job = None;
        if self.out.is_live() {
            return self.out.answer(why);
        }
        // A script that went on would trade on what it only believes.
        self.finished = true;
        self.failure = Some(why.to_owned());
        Ok(())
    }

    fn begin(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Menu => self.out.answer(&command::menu()),
            Command::Help => self.out.answer(&command::help()),
            Command::Quit => {
                self.finished = true;
                Ok(())
            }
            Command::Holding(stock) => {
                let row = self.board.portfolio.row(&stock);
                let text = view::holding(row, &stock.stock_code);
                self.out.answer(&text)
            }
            Command::Login(customer) => {
                if let Some(customer) = customer {
                    self.board = Board::of(&customer);
                }
                self.start(Job::Login);
                self.log_in();
                Ok(())
            }
            Command::Holdings => {
                self.start(Job::Holdings);
                Ok(())
            }
            Command::Trade(side, stock, quantity) => {
                self.requests += 1;
                let request_id = format!("{}-{}", self.request_prefix, self.requests);
                self.start(Job::Ask(Request::Trade { side, stock, quantity, request_id }));
                Ok(())
            }
            Command::History(limit) => {
                self.start(Job::Ask(Request::History { before: None, limit }));
                Ok(())
            }
            Command::Stocks(page) => {
                self.start(Job::Ask(Request::Stocks { page }));
                Ok(())
            }
        }
    }

    fn start(&mut self, job: Job) {
        self.job = Some((job, Instant::now() + COMMAND_TIMEOUT));
        if matches!(self.phase, Phase::Ready) {
            self.ask_for_job();
        }
    }

    /// Asks what the job needs; again after each new connection.
    fn ask_for_job(&mut self) {
        match &self.job {
            Some((Job::Ask(request), _)) => {
                let request = request.clone();
                self.send(&request);
            }
            Some((Job::Holdings, _)) => self.pull(Pull::default()),
            Some((Job::Login | Job::Settle(_), _)) | None => {}
        }
    }

    fn send(&mut self, request: &Request) {
        if let Some(writer) = &mut self.writer {
            // What was not sent is asked again on the next connection, which the thread that reads
            // this one makes as soon as it sees the end.
            if writer.write_all(&request.encode()).is_err() {
                let _ = writer.shutdown(Shutdown::Both);
            }
        }
    }

    fn log_in(&mut self) {
        self.phase = Phase::Away;
        let (customer_id, last_seq) = (self.board.customer_id.clone(), self.board.portfolio.seq());
        self.send(&Request::Login { customer_id, last_seq });
    }

    fn pull(&mut self, pull: Pull) {
        self.phase = Phase::Pulling(pull);
        self.send(&Request::Holdings { page: 0 });
    }

    fn hear(&mut self, message: Message) -> io::Result<()> {
        match self.board.portfolio.follow(&message) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(gap) => {
                self.out.event(&format!("{gap}: pulling the holdings"))?;
                self.pull(Pull::default());
            }
        }
        match message {
            Message::Welcome | Message::Other(_) => Ok(()),
            Message::LoggedIn(login) => {
                let fresh = login.resync || self.board.portfolio.seq().is_none();
                if fresh {
                    self.board.portfolio.stand_at(login.seq);
                }
                if std::mem::take(&mut self.board.offline).is_some() {
                    self.out.event("connected again")?;
                }
                if fresh || self.job_is_login() {
                    self.pull(Pull::default());
                    return Ok(());
                }
                self.ready()
            }
            Message::Holdings(page) => self.take_page(page),
            Message::Filled(fill) => self.filled(&fill),
            Message::History(page) => {
                let text = view::history(&page, self.out.style());
                self.finish(&text)
            }
            Message::Stocks(page) => {
                self.codes.learn(page.stocks.iter().map(|quote| quote.stock.stock_code.as_str()));
                let text = view::stocks(&page, self.out.style());
                self.finish(&text)
            }
            Message::Trade(push) => {
                let text = view::trade(&push);
                self.board.show(push);
                self.out.event(&text)
            }
            Message::Holding(push) => {
                let change = self.board.portfolio.apply(&push);
                if let Phase::Pulling(pull) = &mut self.phase {
                    // Rows behind one that goes move up, perhaps onto a page that was read.
                    let gone = push.holding.quantity == 0;
                    pull.moved |= take_in(&mut pull.rows, &push.holding) && gone;
                }
                self.codes.learn([push.holding.stock.stock_code.as_str()]);
                self.settle();
                self.out.event(&view::change(&push, change))
            }
            Message::Rollback(push) => {
                self.board.take_off(push.trade_id);
                self.out.event(&view::rollback(push.trade_id, &push.reason))
            }
            Message::Refused(refusal) => self.refused(refusal.request, &refusal.to_string()),
        }
    }

    fn job_is_login(&self) -> bool {
        matches!(self.job, Some((Job::Login, _)))
    }

    fn refused(&mut self, request: u32, why: &str) -> io::Result<()> {
        let asked = match &self.job {
            Some((Job::Login, _)) => request == id::LOGIN || request == id::HOLDINGS,
            Some((Job::Holdings, _)) => request == id::HOLDINGS,
            Some((Job::Ask(asked), _)) => request == asked.id(),
            Some((Job::Settle(_), _)) | None => false,
        };
        if asked {
            self.phase = Phase::Ready;
            return self.fail(why);
        }
        // Nobody asked: it was the resume. A new connection tries again, later each time.
        if let Some(writer) = &self.writer {
            let _ = writer.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    fn take_page(&mut self, page: HoldingsPage) -> io::Result<()> {
        let Phase::Pulling(pull) = &mut self.phase else { return Ok(()) };
        for row in page.holdings {
            // A push that came before this page is older than the page, or as old.
            take_in(&mut pull.rows, &row);
        }
        if page.page + 1 < page.pages {
            self.send(&Request::Holdings { page: page.page + 1 });
            return Ok(());
        }
        if pull.moved && page.pages > 1 && pull.tries < PULLS_MAX {
            let tries = pull.tries + 1;
            self.pull(Pull { tries, ..Pull::default() });
            return Ok(());
        }
        let rows = std::mem::take(&mut pull.rows);
        self.board.portfolio.replace(rows);
        self.codes.learn(self.board.portfolio.rows().map(|row| row.stock.stock_code.as_str()));
        self.ready()
    }

    /// The board is the server's: what waits may be asked.
    fn ready(&mut self) -> io::Result<()> {
        self.phase = Phase::Ready;
        match &self.job {
            Some((Job::Login, _)) if self.out.is_live() => self.finish(&command::menu()),
            Some((Job::Login | Job::Holdings, _)) => {
                let style = self.out.style();
                let text = view::holdings(&self.board.portfolio, style, usize::MAX);
                self.finish(&text)
            }
            Some((Job::Settle(_) | Job::Ask(_), _)) => {
                self.ask_for_job();
                self.settle();
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn filled(&mut self, fill: &Fill) -> io::Result<()> {
        let Some((Job::Ask(Request::Trade { side, stock, .. }), deadline)) = self.job.take() else {
            return Ok(());
        };
        let text = view::fill(side, &stock.stock_code, fill);
        self.out.answer(&text)?;
        // The position follows the trade, under the next number.
        self.job = Some((Job::Settle(fill.seq + 1), deadline));
        self.settle();
        Ok(())
    }

    /// A trade is done for the one who typed it when the board shows it.
    fn settle(&mut self) {
        if let Some((Job::Settle(last), _)) = &self.job
            && self.board.portfolio.seq() >= Some(*last)
        {
            self.job = None;
        }
    }

    fn finish(&mut self, answer: &str) -> io::Result<()> {
        self.job = None;
        self.out.answer(answer)
    }
}

/// The newest word on each stock counts; nothing held is no row. True when there was a row.
fn take_in(rows: &mut Vec<Holding>, row: &Holding) -> bool {
    let before = rows.len();
    rows.retain(|known| known.stock != row.stock);
    let was_there = rows.len() < before;
    if row.quantity > 0 {
        rows.push(row.clone());
    }
    was_there
}
