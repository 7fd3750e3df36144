//! `fanfare verify-rain`: whether what a rain revealed holds.

use super::say;
use crate::packet::proof::Proof;
use serde::Deserialize;
use std::error::Error;
use std::fs;
use std::path::Path;

/// What `GET /rain/proof` answered: the proof within its envelope, or by itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Whole { data: Proof },
    Bare(Proof),
}

/// Prints what was shown, or fails with the first flaw.
pub(super) fn run(file: &Path) -> Result<(), Box<dyn Error>> {
    let named = |error: &dyn Error| format!("{}: {error}", file.display());
    let text = fs::read(file).map_err(|error| named(&error))?;
    let answer = serde_json::from_slice(&text)
        .map_err(|_| format!("{}: expected the answer of GET /rain/proof", file.display()))?;
    let (Answer::Whole { data: proof } | Answer::Bare(proof)) = answer;
    let shown = proof.verify().map_err(|flaw| named(&flaw))?;
    let (handed, left) = (shown.handed_out, shown.left);
    let skipped = match shown.skipped {
        0 => String::new(),
        skipped => format!("; {skipped} packets were lost on their way and skipped"),
    };
    say(&format!(
        "rain {} holds: {} packets of {} fen handed out, {} of {} fen left; \
         {} versions of the terms, {} chunks{skipped}\n\
         To be compared with what GET /rain showed: commitment {}, version_hash {}\n",
        shown.id,
        handed.count,
        handed.fen,
        left.count,
        left.fen,
        shown.versions,
        shown.chunks,
        shown.commitment,
        shown.version_hash
    ))
}
