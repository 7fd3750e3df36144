//! The program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    fanfare::cli::run(fanfare::app::serve, fanfare::app::tools::run, fanfare::app::visit::run)
}
