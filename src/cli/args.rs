//! The words of the command line, as clap reads them and as `--help` explains them.

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fanfare                              serve on :8080 (HTTP) and :8999 (TLV), data in ./data
  fanfare --dev                        on 127.0.0.1:8080, with test data and profiles
  fanfare check --config live.toml     print what would be in effect, or what is wrong with it
  FANFARE__TLV__LISTEN=0.0.0.0:9000 fanfare

Flags win over the environment, the environment over the file, the file over the defaults.

Exit status: 0 ended as asked, 1 failed while starting or running, 2 wrong command line or
configuration.";

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
}
