//! What an operator does with the data: audit, import, export, backup, and the proof of a rain.

mod audit;
mod export;
mod operator_client;
mod rebuild;
mod verify_rain;

use crate::access::token;
use crate::cli::{Export, Record, Tool};
use crate::config::{Backend, Config};
use crate::gift::local::{self, JournalFile};
use crate::gift::mongo_export;
use crate::packet;
use crate::progress;
use crate::store::{Clock, DataFolder, SystemClock};
use crate::trade;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

/// The room alone is one process's, whatever the backend.
const IN_MONGODB: &str = "only with backend = \"local\": the journal of a cluster is a collection \
                          of MongoDB, for mongoexport, mongoimport and mongodump";

/// Does what is asked of the data that the configuration names.
pub fn run(config: &Config, tool: &Tool) -> Result<(), Box<dyn Error>> {
    let is_local = config.backend == Backend::Local;
    match tool {
        Tool::Audit if is_local => audit::run(config),
        Tool::Audit => audit::ask(config),
        Tool::Rebuild if is_local => {
            Err("boards of the local backend are made from the journal at every start".into())
        }
        Tool::Rebuild => rebuild::run(config),
        Tool::Import { .. }
        | Tool::Export { what: Export::Journal, .. }
        | Tool::Backup { record: Record::Gift | Record::Packet, .. }
            if !is_local =>
        {
            Err(IN_MONGODB.into())
        }
        Tool::Import { file, append } => import(Path::new(&config.data_dir), file, *append),
        Tool::Export { what, format, output } => {
            export::run(Path::new(&config.data_dir), *what, *format, output.as_deref())
        }
        Tool::Check => Ok(super::packet::check_rain(&config.rain)?),
        Tool::VerifyRain { file } => verify_rain::run(file),
        Tool::Token { name, may_read, may_write } => make_token(name, *may_read, *may_write),
        Tool::Backup { record, file } => back_up(Path::new(&config.data_dir), *record, file),
    }
}

fn import(data: &Path, file: &Path, append: bool) -> Result<(), Box<dyn Error>> {
    let named = |error: &dyn Error| format!("{}: {error}", file.display());
    let input = File::open(file).map_err(|error| named(&error))?;
    // Nobody should wait for a long file to be read, and then hear that a server is running.
    let folder = DataFolder::open(data)?;
    let bar = progress::bytes("reading", input.metadata().map_or(0, |metadata| metadata.len()));
    let input = BufReader::with_capacity(1 << 16, bar.wrap_read(input));
    let gifts = mongo_export::read(input, SystemClock.now_us());
    bar.finish_and_clear();
    let mut gifts = gifts.map_err(|error| named(&error))?;
    mongo_export::arrange(&mut gifts);
    let bar = progress::items("importing", gifts.len() as u64);
    let imported = local::import(&folder, &gifts, append, || bar.inc(1));
    bar.finish_and_clear();
    imported?;
    say(&format!("imported {} gifts into {}\n", gifts.len(), data.display()))
}

fn make_token(name: &str, may_read: bool, may_write: bool) -> Result<(), Box<dyn Error>> {
    let (text, kept) = token::fresh(name, may_read, may_write)?;
    say(&format!("token, shown this once:  {text}\nline for api.tokens:     \"{kept}\"\n"))
}

fn back_up(data: &Path, record: Record, file: &Path) -> Result<(), Box<dyn Error>> {
    let bar = progress::items("copying pages", 0);
    let show = |pages, of| {
        bar.set_length(of);
        bar.set_position(pages);
    };
    let (what, copied) = match record {
        Record::Gift => ("the journal up to entry", JournalFile::open(data)?.back_up(file, show)),
        Record::Packet => ("packets up to", packet::local::back_up(data, file, show)),
        Record::Trade => {
            ("trades up to", trade::local::JournalFile::open(data)?.back_up(file, show))
        }
    };
    bar.finish_and_clear();
    say(&format!("{} holds {what} {}\n", file.display(), copied?))
}

/// Prints what was asked for. Whoever stopped reading has enough.
fn say(text: &str) -> Result<(), Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
