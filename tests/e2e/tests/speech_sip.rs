//! Spoken answers by baresip through G.711: which state do they reach?

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tandem_test_support::baresip::Baresip;
use tandem_test_support::peer;
use tandem_test_support::process::run;
use tandem_test_support::sound::{Speaker, speech, telephone};
use tandem_test_support::tandem::{Options, Tandem};
use tempfile::TempDir;

/// Every answer has this long, pauses included.
const SLOT_S: f32 = 5.0;
/// Before the first answer the agent greets.
const LEAD_S: f32 = 3.0;
/// Human clips, of Debian's pocketsphinx-testdata.
const CLIPS: &str = "/usr/share/pocketsphinx/test/data";

const YES_NO: [(&str, &str); 10] = [
    ("yes", "yes"),
    ("no", "no"),
    ("yeah", "yes"),
    ("nope", "no"),
    ("yes please", "yes"),
    ("no thanks", "no"),
    ("correct", "yes"),
    ("no", "no"),
    ("sure", "yes"),
    ("yes", "yes"),
];
const PLAIN_YES_NO: [(&str, &str); 10] = [
    ("yes", "yes"),
    ("no", "no"),
    ("no", "no"),
    ("yes", "yes"),
    ("no", "no"),
    ("yes", "yes"),
    ("yes", "yes"),
    ("no", "no"),
    ("no", "no"),
    ("yes", "yes"),
];
/// The menu of the demo bot, in its own phrases.
const MENU: [(&str, &str); 10] = [
    ("opening hours", "hours"),
    ("book an appointment", "book"),
    ("cancel an appointment", "cancel"),
    ("a person", "person"),
    ("when are you open", "hours"),
    ("make an appointment", "book"),
    ("cancel my appointment", "cancel"),
    ("speak to a person", "person"),
    ("book", "book"),
    ("operator", "person"),
];
const DIGITS: [&str; 10] = ["12345", "90210", "31415", "27182", "86420", "55501", "70368", "49913", "60026", "18374"];
const FORWARD: [(&str, &str); 1] = [("goforward.raw", "go forward ten meters")];
const CARDS: [(&str, &str); 5] = [
    ("cards/001.wav", "ten of clubs"),
    ("cards/002.wav", "four queen of clubs"),
    ("cards/003.wav", "seven of clubs"),
    ("cards/004.wav", "five five"),
    ("cards/005.wav", "eight of spades four of clubs seven of hearts"),
];

/// A bot that asks the same again and again, and goes through a state of its own for each of these answers.
fn asking(ask: Value, values: &[&str]) -> Value {
    let mut states = json!({
        "ask": { "say": "Next?", "ask": ask, "slot": "answer", "goto": "ask",
                 "no_match": { "max": 0, "goto": "rejected" }, "no_input": { "max": 0, "goto": "ask", "after_ms": 60_000 } },
        "rejected": { "say": "What?", "goto": "ask" }
    });
    for value in values {
        states["ask"]["on"][*value] = json!(state_of(value));
        states[state_of(value)] = json!({ "say": "Right.", "goto": "ask" });
    }
    json!({ "flow": { "start": "ask", "states": states } })
}

fn state_of(value: &str) -> String {
    format!("heard_{}", file_name(value))
}

fn bots() -> Vec<(&'static str, Value)> {
    let choice = json!({ "choice": {
        "hours": { "say": ["opening hours", "hours", "when are you open"] },
        "book": { "say": ["book an appointment", "book", "make an appointment"] },
        "cancel": { "say": ["cancel an appointment", "cancel", "cancel my appointment"] },
        "person": { "say": ["a person", "speak to a person", "operator"] },
    }});
    let grammar = |file: &str| std::fs::read_to_string(Path::new(CLIPS).join(file)).unwrap_or_default();
    vec![
        ("yesno", asking(json!("yes_no"), &["yes", "no"])),
        ("menu", asking(choice, &["hours", "book", "cancel", "person"])),
        ("digits", asking(json!({ "digits": { "length": 5 } }), &DIGITS)),
        ("forward", asking(json!({ "jsgf": grammar("goforward.gram") }), &FORWARD.map(|(_, text)| text))),
        ("cards", asking(json!({ "jsgf": grammar("cards/cards.gram") }), &CARDS.map(|(_, text)| text))),
    ]
}

/// One call: who speaks, to which bot, what, and what should be understood.
struct Trial {
    name: String,
    bot: &'static str,
    clips: Vec<PathBuf>,
    expected: Vec<String>,
    /// Hits that the test insists on; none where the table only shows them.
    at_least: Option<usize>,
}

fn spoken(
    speaker: Speaker,
    bot: &'static str,
    lines: &[(&str, &str)],
    folder: &Path,
    least: Option<usize>,
) -> Result<Trial> {
    let name = format!("{bot} by {speaker:?}");
    let mut clips = Vec::new();
    for (index, (text, _)) in lines.iter().enumerate() {
        let file = folder.join(format!("{}-{index}.wav", file_name(&name)));
        clips.push(speech(speaker, text, 0.0, SLOT_S, &file)?);
    }
    let expected = lines.iter().map(|(_, value)| (*value).to_owned()).collect();
    Ok(Trial { name, bot, clips, expected, at_least: least })
}

fn file_name(name: &str) -> String {
    name.replace(|c: char| !c.is_alphanumeric(), "_")
}

fn human(bot: &'static str, files: &[(&str, &str)], folder: &Path, at_least: Option<usize>) -> Result<Trial> {
    let mut clips = Vec::new();
    for (index, (file, _)) in files.iter().enumerate() {
        clips.push(telephone(&Path::new(CLIPS).join(file), 0.0, SLOT_S, &folder.join(format!("{bot}-{index}.wav")))?);
    }
    let expected = files.iter().map(|(_, text)| (*text).to_owned()).collect();
    Ok(Trial { name: format!("{bot} by a person"), bot, clips, expected, at_least })
}

fn trials(folder: &Path) -> Result<Vec<Trial>> {
    let spaced: Vec<String> = DIGITS.iter().map(|digits| digits.chars().map(|c| format!("{c} ")).collect()).collect();
    let digits: Vec<(&str, &str)> = spaced.iter().map(String::as_str).zip(DIGITS).collect();
    let mut trials = Vec::new();
    for speaker in [Speaker::Flite("rms"), Speaker::Flite("awb"), Speaker::Espeak] {
        let flite = speaker != Speaker::Espeak;
        let yes_no = if flite { &YES_NO } else { &PLAIN_YES_NO };
        trials.push(spoken(speaker, "yesno", yes_no, folder, Some(9))?);
        trials.push(spoken(speaker, "menu", &MENU, folder, flite.then_some(9))?);
        trials.push(spoken(speaker, "digits", &digits, folder, flite.then_some(9))?);
    }
    trials.push(human("forward", &FORWARD, folder, Some(1))?);
    trials.push(human("cards", &CARDS, folder, Some(3))?);
    Ok(trials)
}

/// All clips in slots of the same length, after the lead.
fn track(trial: &Trial, file: &Path) -> Result<PathBuf> {
    let mut join = Command::new("sox");
    for (index, clip) in trial.clips.iter().enumerate() {
        let slot = file.with_extension(format!("{index}.wav"));
        let lead = if index == 0 { LEAD_S } else { 0.0 };
        let length = (lead + SLOT_S).to_string();
        run(Command::new("sox").arg(clip).arg(&slot).args(["pad", &lead.to_string(), "0", "trim", "0", &length]))?;
        join.arg(slot);
    }
    run(join.arg(file).args(["pad", "0", "5"]))?;
    Ok(file.to_owned())
}

/// What became of the answer in a slot.
#[derive(Clone, Debug, Default)]
struct Answer {
    /// What the recognizer made of it, for the table.
    understood: String,
    /// Where it led.
    state: Option<String>,
}

fn answers(record: &Value, slots: usize) -> Vec<Answer> {
    let mut answers = vec![Answer::default(); slots];
    let slot = |entry: &Value, later_s: f32| {
        let at_s = entry["at_ms"].as_f64().unwrap_or_default() as f32 / 1000.0 + later_s;
        let slot = ((at_s - LEAD_S) / SLOT_S).floor();
        (0.0..slots as f32).contains(&slot).then_some(slot as usize)
    };
    for entry in record["ledger"].as_array().into_iter().flatten().filter(|entry| entry["speaker"] == "caller") {
        // The ledger says when speech began: a clip without silence before it may begin right before its slot.
        if let Some(slot) = slot(entry, 0.5) {
            answers[slot].understood = entry["heard"].as_str().unwrap_or_default().to_owned();
        }
    }
    for entry in record["timeline"].as_array().into_iter().flatten() {
        let state = entry["state"].as_str().filter(|state| *state != "ask");
        if let (Some(slot), Some(state)) = (slot(entry, 0.0), state) {
            answers[slot].state = Some(state.to_owned());
        }
    }
    answers
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.as_deref().unwrap_or("-");
        let led_to = state.strip_prefix("heard_").unwrap_or(state);
        match self.understood.as_str() {
            "" => write!(f, "{led_to}"),
            understood => write!(f, "\"{understood}\" -> {led_to}"),
        }
    }
}

#[test]
fn spoken_answers_reach_their_state() -> Result<()> {
    let peers = ["baresip", "flite", "sox", "espeak-ng", "curl"];
    let clips = Path::new(CLIPS).is_dir();
    if !clips {
        println!("SKIPPED-PEER pocketsphinx-testdata");
    }
    if !peers.into_iter().all(|program| peer(program).is_some()) || !clips {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let tandem = Tandem::start(Options { bots: bots(), ..Options::default() })?;
    let trials = trials(folder.path())?;
    let mut misses = Vec::new();
    // Three callers at a time: the recognizer's pool is as small as the machine.
    for some in trials.chunks(3) {
        let mut calls = Vec::new();
        for (index, trial) in some.iter().enumerate() {
            // baresip's config takes no path with a space in it.
            let own = folder.path().join(format!("call-{}-{index}", file_name(&trial.name)));
            let track = track(trial, &folder.path().join(format!("{}.track.wav", file_name(&trial.name))))?;
            let seconds = (LEAD_S + SLOT_S * trial.clips.len() as f32 + 3.0) as u64;
            let uri = format!("sip:{}@{}", trial.bot, tandem.sip);
            let before = tandem.call_ids()?;
            let call = Baresip::call(&uri, &track, seconds, &own)?;
            let session = tandem.session_besides(&before)?;
            calls.push((trial, call, session, seconds));
        }
        for (trial, call, session, seconds) in calls {
            call.wait(Duration::from_secs(seconds + 20))?;
            let answers = answers(&tandem.record(&session)?, trial.expected.len());
            let hit = |(answer, value): &(&Answer, &String)| answer.state.as_deref() == Some(&state_of(value));
            let hits = answers.iter().zip(&trial.expected).filter(hit).count();
            let table: Vec<_> = answers.iter().map(Answer::to_string).collect();
            println!("| {} | {hits} of {} | {} |", trial.name, trial.expected.len(), table.join(", "));
            if trial.at_least.is_some_and(|least| hits < least) {
                misses.push(format!("{}: {hits}; {answers:?}; wanted {:?}", trial.name, trial.expected));
            }
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
    Ok(())
}
