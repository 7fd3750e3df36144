//! The command line: what is asked, in which order the layers are read, and how the process ends.

mod args;
mod clients;

pub use args::{Export, ExportFormat, Record};
pub use clients::{Client, Load, RainLoad, TortureOptions, TradeLoad, TradeOptions, customer_id};

use crate::config::{Config, Flags, Sources};
use args::{
    Args, BackupArgs, Command, DataArgs, ExportArgs, ImportArgs, Scope, ServeArgs, TokenArgs,
};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The start or the run failed.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong; nothing was started.
const MISUSED: u8 = 2;

/// What the command line asks of a server beyond its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeOptions {
    /// `--cpu-profile`: sample the whole run and write the profile here at the end.
    pub cpu_profile: Option<PathBuf>,
    /// `--dev`: a developer's machine. The public listener is a loopback address then, and may
    /// serve what otherwise only the operator sees.
    pub dev: bool,
    /// Where the configuration was read from, and is read again at SIGHUP.
    pub sources: Sources,
    /// `--demo`: an audience made up on this machine.
    pub demo: bool,
}

/// What an operator does with the data, beside the server or without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Checks what the file's values mean together, where only a domain can tell.
    Check,
    /// Holds what is shown against the journals.
    Audit,
    /// Takes in a mongoexport file.
    Import {
        /// The file.
        file: PathBuf,
        /// Also into a journal that has gifts already.
        append: bool,
    },
    /// Writes a journal as text.
    Export {
        /// Which.
        what: Export,
        /// How a line looks.
        format: ExportFormat,
        /// A new file instead of standard output.
        output: Option<PathBuf>,
    },
    /// Checks the proof of a rain.
    VerifyRain {
        /// The proof.
        file: PathBuf,
    },
    /// Makes an API token.
    Token {
        /// What it is called in the configuration.
        name: String,
        /// Calls that change nothing.
        may_read: bool,
        /// All others.
        may_write: bool,
    },
    /// Copies a record.
    Backup {
        /// Which.
        record: Record,
        /// The copy.
        file: PathBuf,
    },
    /// Makes the boards of a cluster anew from its journal.
    Rebuild,
}

/// Runs the program to its end; `serve` is the server, `work` does what is asked of the data,
/// `visit` what is asked of a server from outside. Errors go to standard error, each line after
/// `fanfare: `.
pub fn run<S, W, V>(serve: S, work: W, visit: V) -> ExitCode
where
    S: FnOnce(&Config, &ServeOptions) -> Result<(), Box<dyn Error>>,
    W: FnOnce(&Config, &Tool) -> Result<(), Box<dyn Error>>,
    V: FnOnce(&Client) -> Result<(), Box<dyn Error>>,
{
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            // One error, whatever its number of lines: usage and hints follow as clap lays them out.
            eprint(&format!("fanfare: {}", text.strip_prefix("error: ").unwrap_or(&text)));
            return ExitCode::from(MISUSED);
        }
        // Help and version are answers, not errors.
        Err(error) => return print(&error.render().to_string()),
    };
    let (args, only_check) = match args.command {
        Some(Command::Serve(serve)) => (serve, false),
        Some(Command::Check(serve)) => (serve, true),
        None => (args.serve, false),
        Some(Command::Audit(at)) => return run_tool(at, &Tool::Audit, work),
        Some(Command::Import(ImportArgs { file, append, at })) => {
            return run_tool(at, &Tool::Import { file, append }, work);
        }
        Some(Command::Export(ExportArgs { what, format, output, at })) => {
            return run_tool(at, &Tool::Export { what, format, output }, work);
        }
        // It asks nothing of this machine's data.
        Some(Command::VerifyRain { file }) => {
            return end(work(&Config::default(), &Tool::VerifyRain { file }));
        }
        Some(Command::Backup(BackupArgs { file, record, at })) => {
            return run_tool(at, &Tool::Backup { record, file }, work);
        }
        Some(Command::Trade(options)) => return end(visit(&Client::Trade(options))),
        Some(Command::Load(load)) => return end(visit(&Client::Load(load))),
        Some(Command::Torture(options)) => return end(visit(&Client::Torture(options))),
        Some(Command::Completions { shell }) => return print(&completions(shell)),
        Some(Command::Token(TokenArgs { name, scope })) => {
            let has = |wanted| scope.contains(&wanted);
            let (may_read, may_write) = (has(Scope::Read), has(Scope::Write));
            // It asks nothing of any configuration.
            let tool = Tool::Token { name, may_read, may_write };
            return end(work(&Config::default(), &tool));
        }
        Some(Command::Rebuild(at)) => return run_tool(at, &Tool::Rebuild, work),
    };
    // Forgotten when the server has ended.
    let forgotten = match (args.demo && args.data.is_none()).then(tempfile::tempdir).transpose() {
        Ok(folder) => folder,
        Err(error) => return fail(FAILED, &format!("a temporary folder for --demo: {error}")),
    };
    let mut sources = sources(&args);
    if let Some(folder) = &forgotten {
        sources.flags.data = Some(folder.path().display().to_string());
    }
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(errors) => return fail(MISUSED, &errors.to_string()),
    };
    if only_check {
        return match work(&config, &Tool::Check) {
            Ok(()) => print(&config.to_toml()),
            Err(error) => fail(MISUSED, &error.to_string()),
        };
    }
    let ServeArgs { cpu_profile, dev, demo, .. } = args;
    end(serve(&config, &ServeOptions { cpu_profile, dev, sources, demo }))
}

fn completions(shell: Shell) -> String {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn run_tool<W>(at: DataArgs, tool: &Tool, work: W) -> ExitCode
where
    W: FnOnce(&Config, &Tool) -> Result<(), Box<dyn Error>>,
{
    let flags = Flags { data: at.data, ..Flags::default() };
    let environment = std::env::vars_os().collect();
    match Config::load(&Sources { file: at.config, environment, flags }) {
        Ok(config) => end(work(&config, tool)),
        Err(errors) => fail(MISUSED, &errors.to_string()),
    }
}

fn end(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error.to_string()),
    }
}

fn sources(args: &ServeArgs) -> Sources {
    let flags = Flags {
        listen: args.listen.clone(),
        data: args.data.clone(),
        dev: args.dev,
        demo: args.demo,
    };
    Sources { file: args.config.clone(), environment: std::env::vars_os().collect(), flags }
}

/// Text that was asked for. Whoever stopped reading (`fanfare check | head -1`) has enough.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(FAILED, &format!("standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    let lines: Vec<String> = message.lines().map(|line| format!("fanfare: {line}\n")).collect();
    eprint(&lines.concat());
    ExitCode::from(code)
}

/// When standard error is gone too, the exit code still tells.
fn eprint(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}
