//! `fanfare export journal`: the journal as text, one line an entry, with exact integers.

use crate::cli::ExportFormat;
use crate::gift::local::{JournalFile, Line, TransferError};
use crate::progress;
use serde::Serialize;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const HEAD: &str = "id,audience_id,anchor_id,worth,time_us,revokes,request_id,reason\n";

/// Writes all entries that the journal has now. A server may go on writing more.
pub(super) fn run(
    data: &Path,
    format: ExportFormat,
    output: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    let journal = JournalFile::open(data)?;
    let until = journal.newest()?;
    let Some(path) = output else {
        let written = write(&journal, until, format, io::stdout().lock());
        return match written {
            // Whoever stopped reading has enough.
            Err(ExportFault::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        };
    };
    let named = |error: &dyn Error| format!("{}: {error}", path.display());
    let file = File::create_new(path).map_err(|error| named(&error))?;
    let written = write(&journal, until, format, &file)
        .map_err(|fault| named(&fault))
        .and_then(|()| file.sync_all().map_err(|error| named(&error)));
    if written.is_err() {
        // Half an export must not look like one.
        let _ = std::fs::remove_file(path);
    }
    Ok(written?)
}

#[derive(Debug, thiserror::Error)]
enum ExportFault {
    #[error(transparent)]
    Journal(#[from] TransferError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn write(
    journal: &JournalFile,
    until: i64,
    format: ExportFormat,
    output: impl Write,
) -> Result<(), ExportFault> {
    let bar = progress::items("exporting", u64::try_from(until).unwrap_or(0));
    let mut output = BufWriter::with_capacity(1 << 16, output);
    if format == ExportFormat::Csv {
        output.write_all(HEAD.as_bytes())?;
    }
    journal.each(until, |line| -> Result<(), ExportFault> {
        bar.inc(1);
        match format {
            ExportFormat::Jsonl => json(&mut output, line)?,
            ExportFormat::Csv => csv(&mut output, line)?,
        }
        Ok(())
    })?;
    output.flush()?;
    bar.finish_and_clear();
    Ok(())
}

/// The columns, in this order.
#[derive(Serialize)]
struct Columns<'a> {
    id: i64,
    audience_id: i64,
    anchor_id: i64,
    worth: i64,
    time_us: i64,
    revokes: Option<i64>,
    request_id: Option<&'a str>,
    reason: Option<&'a str>,
}

fn json(output: &mut impl Write, Line { entry, request_id, reason }: &Line) -> io::Result<()> {
    let columns = Columns {
        id: entry.id,
        audience_id: entry.audience_id,
        anchor_id: entry.anchor_id,
        worth: entry.worth,
        time_us: entry.time_us,
        revokes: entry.revokes,
        request_id: request_id.as_deref(),
        reason: reason.as_deref(),
    };
    serde_json::to_writer(&mut *output, &columns)?;
    output.write_all(b"\n")
}

fn csv(output: &mut impl Write, Line { entry, request_id, reason }: &Line) -> io::Result<()> {
    let (id, audience, anchor) = (entry.id, entry.audience_id, entry.anchor_id);
    write!(output, "{id},{audience},{anchor},{},{},", entry.worth, entry.time_us)?;
    if let Some(revokes) = entry.revokes {
        write!(output, "{revokes}")?;
    }
    for text in [request_id, reason] {
        output.write_all(b",")?;
        output.write_all(field(text.as_deref().unwrap_or_default()).as_bytes())?;
    }
    output.write_all(b"\n")
}

/// A text as RFC 4180 section 2 quotes it.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
