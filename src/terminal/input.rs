//! Where lines come from: an editor with history and completion at a terminal, else standard input.

use super::command::Codes;
use super::connection::Event;
use crossbeam_channel::{Receiver, Sender};
use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Context, Editor, Helper};
use std::error::Error;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::thread;

/// Stands before the line one types.
const PROMPT: &str = "fanfare> ";

/// Lines kept from one session to the next.
const HISTORY_LINES: usize = 1_000;

/// Prints above the line that is being typed.
pub(super) type Printer = Box<dyn rustyline::ExternalPrinter + Send>;

/// Starts the thread that reads lines. After each it waits for a word on `done`, and before the
/// first one too. Returns a printer when there is a terminal to draw on.
pub(super) fn start(
    events: Sender<Event>,
    done: Receiver<()>,
    codes: Codes,
) -> Result<Option<Printer>, Box<dyn Error>> {
    let thread = thread::Builder::new().name("input".into());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        thread.spawn(move || read_pipe(&events, &done))?;
        return Ok(None);
    }
    let mut editor: Editor<Words, FileHistory> = Editor::new()?;
    editor.set_completion_type(CompletionType::List);
    editor.set_auto_add_history(true);
    editor.set_max_history_size(HISTORY_LINES)?;
    editor.set_helper(Some(Words(codes)));
    let printer = Box::new(editor.create_external_printer()?);
    thread.spawn(move || edit(editor, &events, &done))?;
    Ok(Some(printer))
}

fn read_pipe(events: &Sender<Event>, done: &Receiver<()>) {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if done.recv().is_err() || events.send(Event::Line(line)).is_err() {
            return;
        }
    }
    // The last line is finished before the end is reported.
    if done.recv().is_ok() {
        let _ = events.send(Event::EndOfInput);
    }
}

fn edit(mut editor: Editor<Words, FileHistory>, events: &Sender<Event>, done: &Receiver<()>) {
    let file = history_file();
    if let Some(file) = &file {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    while done.recv().is_ok() {
        let event = match editor.readline(PROMPT) {
            Ok(line) => Event::Line(line),
            // Ctrl-C drops the line that was begun, as shells do.
            Err(ReadlineError::Interrupted) => Event::Line(String::new()),
            Err(_) => Event::EndOfInput,
        };
        // After every line, so that a lost terminal loses none of them.
        if let Some(file) = &file {
            let _ = std::fs::create_dir_all(file.parent().unwrap_or(file));
            let _ = editor.append_history(file);
        }
        if events.send(event).is_err() {
            return;
        }
    }
}

/// Where the desktop's conventions put what a program remembers.
fn history_file() -> Option<PathBuf> {
    let folder = match std::env::var_os("XDG_STATE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".local").join("state"),
    };
    Some(folder.join("fanfare").join("trade.history"))
}

/// What the editor asks about the line.
struct Words(Codes);

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.0.complete(&line[..position]))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}
