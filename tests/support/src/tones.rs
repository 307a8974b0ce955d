//! The words of the test voice, decoded by a program that shares no code with the product (docs/test-voice.md).

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::process::run;
use crate::root;

/// A word that was heard: when it began and which tone pair it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeardWord {
    pub start_ms: f64,
    pub symbol: u64,
}

fn decoder() -> Command {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/support/tone_decode.py"));
    python
}

/// The words in a WAV, or in raw 8 kHz 16-bit samples, in order.
///
/// # Errors
/// When the decoder fails.
pub fn heard(file: &Path) -> Result<Vec<HeardWord>> {
    let list: Vec<(f64, u64)> = serde_json::from_slice(&run(decoder().arg(file))?)?;
    Ok(list.into_iter().map(|(start_ms, symbol)| HeardWord { start_ms, symbol }).collect())
}

/// The tone pairs that a text is spoken as.
///
/// # Errors
/// When the decoder fails.
pub fn expected(text: &str) -> Result<Vec<u64>> {
    let list: Value = serde_json::from_slice(&run(decoder().args(["--words", text]))?)?;
    Ok(serde_json::from_value(list)?)
}
