//! Bots and callers that several end-to-end tests use.

pub mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tandem_test_support::capture::{RtpPacket, write_rtp_pcap};
use tandem_test_support::process::{Process, run};
use tandem_test_support::scenario::{Step, xml};
use tandem_test_support::sipp::{Outcome, Sipp, finish};
use tandem_test_support::sound::{Speaker, speech};
use tandem_test_support::tandem::Tandem;
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

/// How long a run of callers may take.
pub const CALLERS_LIMIT: Duration = Duration::from_secs(100);
/// Formats that our callers offer: both G.711 codecs and telephone events.
const FORMATS: &str = "0 8 101";

/// The steps of a caller who is answered.
pub fn answered<'a>(invite: Step<'a>) -> Vec<Step<'a>> {
    vec![invite, Step::Maybe(100), Step::Maybe(180), Step::Expect(200), Step::Ack]
}

/// The steps of a caller who is answered, does something and hangs up.
pub fn whole_call<'a>(during: &[Step<'a>]) -> Vec<Step<'a>> {
    [&answered(Step::Invite(FORMATS)), during, &[Step::Bye, Step::Expect(200)]].concat()
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

/// Starts callers of a bot, up to 20 a second; [`ended_well`] waits for their end.
///
/// # Errors
/// When sipp cannot be started.
pub fn start_calls(tandem: &Tandem, user: &str, calls: u32, steps: &[Step<'_>], folder: &Path) -> Result<Process> {
    let scenario = scenario(folder, steps)?;
    Sipp { scenario, target: &tandem.sip, user, calls, options: &[] }.start(folder)
}

/// Callers of a bot, to their end; all of them must succeed.
///
/// # Errors
/// When sipp cannot be started, does not end, or counts a failed call.
pub fn calls(tandem: &Tandem, user: &str, calls: u32, steps: &[Step<'_>]) -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    ended_well(start_calls(tandem, user, calls, steps, folder.path())?, folder.path(), calls)
}

/// Waits for callers that were started; all of them must succeed.
///
/// # Errors
/// When sipp does not end, or counts a failed call.
pub fn ended_well(callers: Process, folder: &Path, calls: u32) -> Result<()> {
    let Outcome { successful, failed, errors } = finish(callers, folder, CALLERS_LIMIT)?;
    ensure!((successful, failed) == (u64::from(calls), 0), "{successful} of {calls} calls, {failed} failed: {errors}");
    Ok(())
}

/// When call number `call` (0 to 19) interrupts the agent: from 0.7 s to 7.2 s, at times that hit words and the gaps
/// between them.
pub fn interruption_ms(call: u32) -> u32 {
    700 + call * 337 + call * call % 7 * 11
}

/// An interruption as a caller's recording shows it, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Interruption {
    /// The last word of the utterance that reached the caller. None: nobody can tell where the utterance began.
    pub last_word: Option<LastWord>,
    /// When the next word began, of whatever the agent said next.
    pub next_word: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub struct LastWord {
    /// When it began, in the recording.
    pub start: f64,
    /// How much was heard from there on, by the ledger's sample offset.
    pub heard: f64,
}

/// From the beginning of a word of the test voice to the next (docs/test-voice.md), milliseconds.
const WORD_MS: f64 = 240.0;

/// Compares the words that reached the caller with the ledger: for each utterance the same words, and after an
/// interruption at most one more on the caller's side (the word that was cut), never one less. Returns the interruptions.
///
/// # Errors
/// With the first difference.
pub fn check(reached: &[tones::HeardWord], record: &Value) -> Result<Vec<Interruption>> {
    let mut reached = reached.iter().peekable();
    let mut interruptions = Vec::new();
    for entry in record["ledger"].as_array().context("ledger")?.iter().filter(|entry| entry["speaker"] == "agent") {
        let (said, heard) = (entry["text"].as_str().unwrap_or_default(), entry["heard"].as_str().unwrap_or_default());
        ensure!(said.starts_with(heard), "heard {heard:?} is not the beginning of {said:?}");
        let (said, heard) = (tones::expected(said)?, tones::expected(heard)?);
        let mut last = None;
        for (position, symbol) in heard.iter().enumerate() {
            let there = reached.next();
            ensure!(
                there.map(|word| word.symbol) == Some(*symbol),
                "word {position}: ledger {symbol}, caller {there:?}; {entry}"
            );
            last = there.map(|word| (position, word.start_ms));
        }
        if heard.len() < said.len() {
            let cut = reached.next_if(|word| word.symbol == said[heard.len()]);
            last = cut.map(|word| (heard.len(), word.start_ms)).or(last);
            if entry["interrupted"] == true {
                let next_word = reached.peek().map(|word| word.start_ms);
                interruptions.push(Interruption { last_word: last_word(entry, last)?, next_word });
            }
        }
    }
    ensure!(
        reached.peek().is_none(),
        "words reached the caller that no ledger line has: {:?}",
        reached.collect::<Vec<_>>()
    );
    Ok(interruptions)
}

/// What the ledger's offset makes of the last word, given its position in the utterance and its beginning.
fn last_word(entry: &Value, last: Option<(usize, f64)>) -> Result<Option<LastWord>> {
    let samples = entry["heard_samples"].as_f64().context("heard_samples")?;
    let rate = entry["rate"].as_f64().context("rate")?;
    let heard = |position| samples * 1000.0 / rate - position as f64 * WORD_MS;
    Ok(last.map(|(position, start)| LastWord { start, heard: heard(position) }))
}

/// RTP as RFC 3550 wants it: sequence by one, timestamp by 160 for 20 ms of 8 kHz PCMU, and a packet every 20 ms. Of the
/// gaps the median is looked at: a host that takes the processor away makes some of them odd (one in six was measured), and in
/// packets that leave in bursts nearly all are.
///
/// # Errors
/// With the first fault, or when the packets are not paced.
pub fn paced(packets: &[RtpPacket]) -> Result<()> {
    let mut apart = Vec::new();
    for pair in packets.windows(2) {
        ensure!(pair[1].sequence == pair[0].sequence.wrapping_add(1), "sequence: {pair:?}");
        ensure!((pair[1].payload_type, pair[1].payload.len()) == (0, 160), "not 20 ms of PCMU: {pair:?}");
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        ensure!(ticks > 0 && ticks.is_multiple_of(160), "timestamp: {pair:?}");
        apart.push(pair[1].at - pair[0].at);
    }
    ensure!(!apart.is_empty(), "no two packets");
    let rate = apart.len() as f64 / apart.iter().sum::<f64>();
    ensure!((45.0..55.0).contains(&rate), "{rate} frames a second");
    apart.sort_by(f64::total_cmp);
    let median = apart[apart.len() / 2];
    ensure!((0.018..0.022).contains(&median), "a packet every {median} s");
    Ok(())
}
