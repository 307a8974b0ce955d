//! Bots and callers that several end-to-end tests use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};
use tandem_test_support::capture::write_rtp_pcap;
use tandem_test_support::scenario::{Step, xml};
use tandem_test_support::sound::{Speaker, run, speech};

/// What the agent of [`truth_bot`] says first: long enough to be interrupted anywhere.
pub const LONG_TEXT: &str = "Welcome to the line test this sentence has many different words so that an interrupting \
     caller leaves a clear mark between what was heard and what was not because every single word sounds unlike its \
     neighbours and nobody has to guess where the voice fell silent";

/// A bot that speaks [`LONG_TEXT`] by the test voice and takes any interruption.
pub fn truth_bot() -> Value {
    json!({
        "livekit_config": { "tts_provider": "test" },
        "flow": {
            "start": "talk",
            "states": {
                "talk": {
                    "say": LONG_TEXT,
                    "again": "Go on please",
                    "ask": { "phrases": ["never mind"] },
                    "no_match": { "say": "Go on please", "max": 5 },
                    "goto": "talk"
                }
            }
        }
    })
}

/// Speech as RTP for sipp, and nothing before or after it.
///
/// # Errors
/// When flite or sox is missing or fails.
pub fn speech_pcap(text: &str, folder: &Path) -> Result<PathBuf> {
    let wav = speech(Speaker::Flite("rms"), text, 0.0, 0.0, &folder.join("speech.wav"))?;
    let mulaw = run(Command::new("sox").arg(&wav).args(["-t", "ul", "-"]))?;
    let pcap = folder.join("speech.pcap");
    write_rtp_pcap(&mulaw, &pcap)?;
    Ok(pcap)
}

/// Writes a scenario and returns its file.
///
/// # Errors
/// When the file cannot be written.
pub fn scenario(folder: &Path, steps: &[Step<'_>]) -> Result<PathBuf> {
    let file = folder.join("scenario.xml");
    std::fs::write(&file, xml(steps))?;
    Ok(file)
}
