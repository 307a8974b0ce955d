//! Bots and callers that several end-to-end tests use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tandem_test_support::capture::write_rtp_pcap;
use tandem_test_support::scenario::{Step, xml};
use tandem_test_support::sound::{Speaker, run, speech};
use tandem_test_support::tones;

/// What the agent of [`truth_bot`] says first: long enough to be interrupted anywhere.
pub const LONG_TEXT: &str = "Welcome to the line test this sentence has many different words so that an interrupting \
     caller leaves a clear mark between what was heard and what was not because every single word sounds unlike its \
     neighbours and nobody has to guess where the voice fell silent";

/// A bot that speaks [`LONG_TEXT`] by the test voice and takes any interruption. No word of the long text sounds like the
/// first word of what it says next: a word that was cut short can be told from the answer.
pub fn truth_bot() -> Value {
    json!({
        "livekit_config": { "tts_provider": "test" },
        "flow": {
            "start": "talk",
            "states": {
                "talk": {
                    "say": LONG_TEXT,
                    "again": "Please go on",
                    "ask": { "phrases": ["never mind"] },
                    "no_match": { "say": "Please go on", "max": 5 },
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

/// When call number `call` (0 to 19) interrupts the agent: from 0.7 s to 7.2 s, at times that hit words and the gaps
/// between them.
pub fn interruption_ms(call: u32) -> u32 {
    700 + call * 337 + call * call % 7 * 11
}

/// Compares the words that reached the caller with the ledger: for each utterance the same words, and after an
/// interruption at most one more on the caller's side (the word that was cut), never one less. Returns the number of
/// interruptions.
///
/// # Errors
/// With the first difference.
pub fn check(reached: &[tones::HeardWord], record: &Value) -> Result<u32> {
    let mut reached = reached.iter().map(|word| word.symbol).peekable();
    let mut interrupted = 0;
    for entry in record["ledger"].as_array().context("ledger")?.iter().filter(|entry| entry["speaker"] == "agent") {
        let (said, heard) = (entry["text"].as_str().unwrap_or_default(), entry["heard"].as_str().unwrap_or_default());
        ensure!(said.starts_with(heard), "heard {heard:?} is not the beginning of {said:?}");
        let (said, heard) = (tones::expected(said)?, tones::expected(heard)?);
        for (position, symbol) in heard.iter().enumerate() {
            let there = reached.next();
            ensure!(there == Some(*symbol), "word {position}: ledger {symbol}, caller {there:?}; {entry}");
        }
        if heard.len() < said.len() {
            interrupted += u32::from(entry["interrupted"] == true);
            reached.next_if(|symbol| *symbol == said[heard.len()]);
        }
    }
    ensure!(
        reached.peek().is_none(),
        "words reached the caller that no ledger line has: {:?}",
        reached.collect::<Vec<_>>()
    );
    Ok(interrupted)
}
