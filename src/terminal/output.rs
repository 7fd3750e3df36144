//! Where it is shown: a screen that is drawn anew above the prompt, or plain lines.

use super::board::Board;
use super::input::Printer;
use super::view::{self, Style};
use std::collections::VecDeque;
use std::io::{self, Write};

/// Moves to the first place and wipes what follows.
const WIPE: &str = "\x1b[H\x1b[2J";

/// What happened by itself stays for so many lines, or until the next command.
const EVENTS_SHOWN: usize = 3;

/// When the terminal does not say how high it is.
const ROWS_DEFAULT: usize = 24;

/// See the module documentation.
pub(super) enum Output {
    /// A line for each thing that happens, as it happens.
    Plain,
    /// The whole board, whenever something changed.
    Live(Screen),
}

/// What is on the terminal.
pub(super) struct Screen {
    printer: Printer,
    /// Of the last command.
    answer: String,
    /// What happened last by itself, oldest first.
    events: VecDeque<String>,
    changed: bool,
}

impl Output {
    /// Lines on standard output.
    pub(super) fn plain() -> Self {
        Output::Plain
    }

    /// A screen above the line that is being typed.
    pub(super) fn live(printer: Printer) -> Self {
        let (answer, events) = (String::new(), VecDeque::new());
        Output::Live(Screen { printer, answer, events, changed: true })
    }

    /// Whether a person sits there, who can try again.
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Output::Live(_))
    }

    /// How tables are drawn here.
    pub(super) fn style(&self) -> Style {
        if self.is_live() { Style::Lines } else { Style::Columns }
    }

    /// What a command is answered.
    pub(super) fn answer(&mut self, text: &str) -> io::Result<()> {
        match self {
            Output::Plain => line(text),
            Output::Live(screen) => {
                text.clone_into(&mut screen.answer);
                screen.events.clear();
                screen.changed = true;
                Ok(())
            }
        }
    }

    /// What happened by itself.
    pub(super) fn event(&mut self, text: &str) -> io::Result<()> {
        match self {
            Output::Plain => line(text),
            Output::Live(screen) => {
                if screen.events.len() == EVENTS_SHOWN {
                    screen.events.pop_front();
                }
                screen.events.push_back(text.to_owned());
                screen.changed = true;
                Ok(())
            }
        }
    }

    /// Draws what changed since it was drawn last.
    pub(super) fn flush(&mut self, board: &Board) -> io::Result<()> {
        let Output::Live(screen) = self else { return Ok(()) };
        if !std::mem::take(&mut screen.changed) {
            return Ok(());
        }
        let size = rustix::termios::tcgetwinsize(io::stdout());
        let rows = size.map_or(ROWS_DEFAULT, |size| usize::from(size.ws_row));
        let text =
            view::screen(board, &screen.answer, &screen.events.make_contiguous().join("\n"), rows);
        screen.printer.print(format!("{WIPE}{text}\n")).map_err(io::Error::other)
    }
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
