//! The words of the command line, as clap reads them and as `--help` explains them.

use super::clients::{Load, TortureOptions, TradeOptions};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fanfare                              serve on :8080 (HTTP) and :8999 (TLV), data in ./data
  fanfare --dev                        on 127.0.0.1:8080, with test data
  fanfare serve --demo                 an event to look at in a browser
  fanfare check --config live.toml     print what would be in effect, or what is wrong with it
  FANFARE__TLV__LISTEN=0.0.0.0:9000 fanfare
  fanfare audit                        does the board equal the journal?
  fanfare backup gifts.db              a copy of the journal while it serves
  fanfare trade                        trade in the trading room of this machine

Flags win over the environment, the environment over the file, the file over the defaults.

Exit status: 0 ended as asked, 1 failed while starting or running, or an audit
failed, 2 wrong command line or configuration.";

/// The backend for live events: gift boards, exact and fast, on nothing but itself.
#[derive(Debug, Parser)]
#[command(name = "fanfare", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve until SIGTERM or SIGINT (the same as no command at all).
    Serve(ServeArgs),
    /// Check the configuration and print what is in effect as TOML, secrets hidden.
    Check(ServeArgs),
    /// Recompute boards, counts, budgets and holdings from the journals and compare; exits with 1
    /// when they differ. Asks the server if one uses the folder.
    Audit(DataArgs),
    /// Take in gifts from a mongoexport JSON file, all or none. No server may use the folder.
    Import(ImportArgs),
    /// Write a journal as text, beside a running server too.
    Export(ExportArgs),
    /// Check what a rain revealed (`GET /rain/proof`): computes every amount and every win again.
    VerifyRain {
        /// The proof, as it was answered.
        file: PathBuf,
    },
    /// Make a token for the public listener: prints it, and the line of it for `api.tokens`.
    Token(TokenArgs),
    /// Copy a record to a new file, beside a running server too.
    Backup(BackupArgs),
    /// Trade in the trading room, at a terminal or through a pipe.
    Trade(TradeOptions),
    /// Make a load as users would, measure it, and check that everything adds up.
    #[command(subcommand)]
    Load(Load),
    /// Kill a server of its own, cut its power and fill its disk under writes, and count what was
    /// lost or doubled; exits with 1 when anything was.
    Torture(TortureOptions),
    /// Print the completions of a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Make the boards of a cluster anew from its journal, while they serve: asks the process at
    /// admin.listen.
    Rebuild(DataArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct ServeArgs {
    /// Read this configuration file: TOML, YAML or JSON, by its extension.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Listen for HTTP here (http.listen), such as 127.0.0.1:8080; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Keep the data in this folder (`data_dir`).
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<String>,
    /// Sample the CPU at 99 Hz and write a profile for `go tool pprof` here at the end.
    #[arg(long, value_name = "FILE")]
    pub(super) cpu_profile: Option<PathBuf>,
    /// A developer's machine: test data and profiles on the public listener, which must be a
    /// loopback address (127.0.0.1:8080 if none is given).
    #[arg(long)]
    pub(super) dev: bool,
    /// Something to look at: an audience, rains and trades made up on this machine, on loopback
    /// addresses and with data that are forgotten at the end, unless said otherwise.
    #[arg(long)]
    pub(super) demo: bool,
}

/// Where the data are, for everything that is not the server.
#[derive(Debug, ClapArgs)]
pub(super) struct DataArgs {
    /// Read this configuration file: TOML, YAML or JSON, by its extension.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The folder with the data (`data_dir`).
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ImportArgs {
    /// One document a line, or a JSON array, with the fields audienceid, anchorid, worth, time.
    pub(super) file: PathBuf,
    /// Import into a journal that has gifts already, all of them older than the file's.
    #[arg(long)]
    pub(super) append: bool,
    #[command(flatten)]
    pub(super) at: DataArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ExportArgs {
    /// What to export.
    pub(super) what: Export,
    /// How a line looks.
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(super) format: ExportFormat,
    /// Write a new file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) at: DataArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct BackupArgs {
    /// The copy; it must not exist.
    pub(super) file: PathBuf,
    /// Which record.
    #[arg(long, value_enum, default_value_t = Record::Gift)]
    pub(super) record: Record,
    #[command(flatten)]
    pub(super) at: DataArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct TokenArgs {
    /// What it is called in the configuration: 1 to 64 visible ASCII characters.
    #[arg(value_parser = token_name)]
    pub(super) name: String,
    /// What it allows: calls that change nothing, calls that do, or both.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Scope::Read])]
    pub(super) scope: Vec<Scope>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scope {
    /// Calls that change nothing.
    Read,
    /// All others.
    Write,
}

fn token_name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| "1 to 64 visible ASCII characters".to_owned())
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Export {
    /// Every gift and every revoke, oldest first.
    Journal,
    /// Every trade, opening trade and rollback of the trading room, oldest first.
    Trades,
}

/// What can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Record {
    /// The journal of gifts, which boards and fans are made from.
    Gift,
    /// Rains with their seeds, packets and wallets.
    Packet,
    /// The trading room: its journal, holdings and prices.
    Trade,
}

/// How a line of an export looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values below a head line (RFC 4180, but for LF line ends).
    Csv,
}
