//! `fanfare export`: a journal as text, one line an entry, with exact integers.

use crate::cli::{Export, ExportFormat};
use crate::progress;
use crate::store::sqlite::RecordError;
use crate::{gift, trade};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What stands in one column; nothing is an empty field, or null.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Number(i64),
    Text(Cow<'a, str>),
    Nothing,
}

impl<'a> Field<'a> {
    fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.into()))
    }

    fn number(number: Option<i64>) -> Self {
        number.map_or(Self::Nothing, Field::Number)
    }
}

/// Writes all entries that the journal has now. A server may go on writing more.
pub(super) fn run(
    data: &Path,
    what: Export,
    format: ExportFormat,
    output: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    match what {
        Export::Journal => {
            let journal = gift::local::JournalFile::open(data)?;
            let until = journal.newest()?;
            deliver(output, &Lines { columns: &GIFT, format, until }, |each| {
                journal.each(until, |line| each(&gift_row(line)))
            })
        }
        Export::Trades => {
            let journal = trade::local::JournalFile::open(data)?;
            let until = journal.newest()?;
            deliver(output, &Lines { columns: &TRADE, format, until }, |each| {
                journal.each(until, |line| each(&trade_row(line)))
            })
        }
    }
}

const GIFT: [&str; 8] =
    ["id", "audience_id", "anchor_id", "worth", "time_us", "revokes", "request_id", "reason"];

fn gift_row(gift::local::Line { entry, request_id, reason }: &gift::local::Line) -> [Field<'_>; 8] {
    [
        Field::Number(entry.id),
        Field::Number(entry.audience_id),
        Field::Number(entry.anchor_id),
        Field::Number(entry.worth),
        Field::Number(entry.time_us),
        Field::number(entry.revokes),
        Field::text(request_id.as_deref()),
        Field::text(reason.as_deref()),
    ]
}

const TRADE: [&str; 13] = [
    "trade_id",
    "customer_id",
    "exchange_type",
    "stock_code",
    "side",
    "quantity",
    "price_fen",
    "time_us",
    "seq",
    "held",
    "request_id",
    "rolls_back",
    "reason",
];

/// Codes are spelt as on the wire.
fn trade_row(trade::local::Line { entry, request_id }: &trade::local::Line) -> [Field<'_>; 13] {
    let trade::Order { customer, stock, side, quantity } = entry.order;
    let rollback = entry.rollback.as_ref();
    [
        Field::Number(entry.id),
        Field::Text(customer.to_string().into()),
        Field::Text(stock.exchange().number().to_string().into()),
        Field::Text(format!("{:06}", stock.code()).into()),
        Field::Text(side.number().to_string().into()),
        Field::Number(quantity),
        Field::Number(entry.price_fen),
        Field::Number(entry.time_us),
        Field::Number(entry.seq),
        Field::Number(entry.held),
        Field::text(request_id.as_deref()),
        Field::number(rollback.map(|back| back.trade_id)),
        Field::text(rollback.map(|back| back.reason.as_str())),
    ]
}

#[derive(Debug, thiserror::Error)]
enum ExportFault {
    #[error(transparent)]
    Journal(#[from] RecordError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Takes a row.
type Each<'a> = dyn FnMut(&[Field<'_>]) -> Result<(), ExportFault> + 'a;

/// How rows become lines.
struct Lines<'a> {
    columns: &'a [&'static str],
    format: ExportFormat,
    /// Id of the last.
    until: i64,
}

/// Writes the rows that `read` hands out to a new file, or to standard output.
fn deliver(
    output: Option<&Path>,
    lines: &Lines<'_>,
    read: impl FnOnce(&mut Each<'_>) -> Result<(), ExportFault>,
) -> Result<(), Box<dyn Error>> {
    let Some(path) = output else {
        return match lines.write(io::stdout().lock(), read) {
            // Whoever stopped reading has enough.
            Err(ExportFault::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        };
    };
    let named = |error: &dyn Error| format!("{}: {error}", path.display());
    let file = File::create_new(path).map_err(|error| named(&error))?;
    let written = lines
        .write(&file, read)
        .map_err(|fault| named(&fault))
        .and_then(|()| file.sync_all().map_err(|error| named(&error)));
    if written.is_err() {
        // Half an export must not look like one.
        let _ = std::fs::remove_file(path);
    }
    Ok(written?)
}

impl Lines<'_> {
    fn write(
        &self,
        output: impl Write,
        read: impl FnOnce(&mut Each<'_>) -> Result<(), ExportFault>,
    ) -> Result<(), ExportFault> {
        let bar = progress::items("exporting", u64::try_from(self.until).unwrap_or(0));
        let mut output = BufWriter::with_capacity(1 << 16, output);
        if self.format == ExportFormat::Csv {
            writeln!(output, "{}", self.columns.join(","))?;
        }
        read(&mut |row| {
            bar.inc(1);
            match self.format {
                ExportFormat::Jsonl => self.json(&mut output, row)?,
                ExportFormat::Csv => csv(&mut output, row)?,
            }
            Ok(())
        })?;
        output.flush()?;
        bar.finish_and_clear();
        Ok(())
    }

    fn json(&self, output: &mut impl Write, row: &[Field<'_>]) -> io::Result<()> {
        let columns = self.columns.iter().zip(row);
        serde_json::Serializer::new(&mut *output).collect_map(columns)?;
        output.write_all(b"\n")
    }
}

fn csv(output: &mut impl Write, row: &[Field<'_>]) -> io::Result<()> {
    for (index, field) in row.iter().enumerate() {
        if index > 0 {
            output.write_all(b",")?;
        }
        match field {
            Field::Number(number) => write!(output, "{number}")?,
            Field::Text(text) => output.write_all(quoted(text).as_bytes())?,
            Field::Nothing => {}
        }
    }
    output.write_all(b"\n")
}

/// A text as RFC 4180 section 2 quotes it.
fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}
