//! Sound files for callers: speech by flite and espeak-ng, through a telephone line by sox.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// A voice of flite: "rms", "awb", "slt".
    Flite(&'static str),
    /// espeak-ng, en-us.
    Espeak,
}

/// Speaks `text` into an 8 kHz mono WAV with silence before and after it, and returns the file.
///
/// # Errors
/// When a program is missing or fails.
pub fn speech(speaker: Speaker, text: &str, lead_s: f32, tail_s: f32, file: &Path) -> Result<PathBuf> {
    let raw = file.with_extension("raw.wav");
    match speaker {
        Speaker::Flite(voice) => {
            run(Command::new("flite").args(["-voice", voice, "-t", text, "-o"]).arg(&raw))?;
        }
        Speaker::Espeak => {
            run(Command::new("espeak-ng").args(["-v", "en-us", "-w"]).arg(&raw).arg(text))?;
        }
    }
    telephone(&raw, lead_s, tail_s, file)
}

/// Any sound file to an 8 kHz mono 16-bit WAV with silence around it.
///
/// # Errors
/// When sox is missing or fails.
pub fn telephone(source: &Path, lead_s: f32, tail_s: f32, file: &Path) -> Result<PathBuf> {
    let mut sox = Command::new("sox");
    if source.extension().is_some_and(|ending| ending == "raw") {
        sox.args(["-t", "raw", "-r", "16000", "-e", "signed", "-b", "16", "-c", "1"]);
    }
    sox.arg(source).args(["-r", "8000", "-c", "1", "-b", "16", "-e", "signed"]).arg(file);
    sox.args(["norm", "-3", "pad", &lead_s.to_string(), &tail_s.to_string()]);
    run(&mut sox)?;
    Ok(file.to_owned())
}
