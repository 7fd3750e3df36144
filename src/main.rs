//! The program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    fanfare::cli::run(|_, _| Err("the server is not assembled yet".into()))
}
