//! What the embedded recognizer accepts and rejects: clips of synthetic and human voices, each heard with every grammar.
//!
//! Clips are heard through the telephone: 8 kHz, G.711 mu-law, 400 ms of silence before and 300 ms after.

use std::fmt;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use tandem_media::codec::{decode, encode};
use tandem_media::leg::Codec;
use tandem_media::resample::resample;
use tandem_speech::pocketsphinx::PocketsphinxRecognizer;
use tandem_speech::{Grammar, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput};
use tandem_speech_engines::flite::{FliteVoice, FliteVoiceName};
use tokio::task::JoinSet;

/// Debian's pocketsphinx-testdata.
pub const TESTDATA: &str = "/usr/share/pocketsphinx/test/data";
/// Who speaks the clips of [`TESTDATA`].
const HUMAN: &str = "human";
/// Clips heard at once: fewer than a recognizer of two threads has room for.
const AT_ONCE: usize = 8;

const YES: [&str; 5] = ["yes", "yeah", "yep", "yes please", "sure"];
const NO: [&str; 5] = ["no", "nope", "no thanks", "no thank you", "not now"];
const MENU: [&str; 10] = [
    "opening hours",
    "book an appointment",
    "cancel an appointment",
    "a person",
    "book",
    "cancel my appointment",
    "when are you open",
    "talk to a person",
    "make an appointment",
    "operator",
];
const DIGITS: [&str; 10] = [
    "five two six zero one",
    "nine four eight two one",
    "eight one five nine zero",
    "one two three four five",
    "eight three zero one six",
    "six one three one eight",
    "nine nine three five one",
    "six zero nine one three",
    "zero seven zero eight two",
    "four six two eight one",
];
/// Human clips below the folder of pocketsphinx-testdata, 16 kHz.
const COMMANDS: [(&str, &str); 1] = [("goforward.raw", "go forward ten meters")];
const CARDS: [(&str, &str); 5] = [
    ("cards/001.wav", "ten of clubs"),
    ("cards/002.wav", "four queen of clubs"),
    ("cards/003.wav", "seven of clubs"),
    ("cards/004.wav", "five five"),
    ("cards/005.wav", "eight of spades four of clubs seven of hearts"),
];
const READINGS: [&str; 5] = ["0870", "0880", "0890", "0920", "0930"];
const OUTSIDE: [&str; 20] = [
    "maybe tomorrow",
    "what is the weather like",
    "i would like a pizza",
    "hello there",
    "banana",
    "twenty seven",
    "good morning everybody",
    "my dog is brown",
    "the train leaves at noon",
    "could you repeat that",
    "window",
    "i don't know",
    "let me think about it",
    "monday",
    "purple elephant",
    "where did you put it",
    "my name is john",
    "the office is on main street",
    "how much does it cost",
    "never mind",
];

pub struct Clip {
    pub voice: &'static str,
    /// The grammar that holds it; none for what no grammar holds.
    pub home: Option<usize>,
    pub text: String,
    pub audio: Vec<i16>,
}

/// The grammars, named, in the order of [`Clip::home`].
pub fn grammars() -> Result<Vec<(&'static str, Grammar)>> {
    let phrases = |phrases: &[&str]| Grammar::Phrases { phrases: phrases.iter().map(|&p| p.to_owned()).collect() };
    let jsgf = |name: &str| {
        let source =
            std::fs::read_to_string(format!("{TESTDATA}/{name}")).context("pocketsphinx-testdata is missing")?;
        anyhow::Ok(Grammar::Jsgf { source })
    };
    Ok(vec![
        ("yes/no", phrases(&[YES, NO].concat())),
        ("menu", phrases(&MENU)),
        ("5 digits", Grammar::Digits { min: 5, max: 5 }),
        ("commands", jsgf("goforward.gram")?),
        ("cards", jsgf("cards/cards.gram")?),
    ])
}

/// The only two words of the yes/no grammar that matter to a bot.
fn meaning(text: &str) -> &str {
    match text {
        text if YES.contains(&text) => "yes",
        text if NO.contains(&text) => "no",
        text => text,
    }
}

fn through_the_telephone(samples: &[i16], rate: u32, gain: f64) -> Result<Vec<i16>> {
    let samples: Vec<i16> = samples.iter().map(|&sample| (f64::from(sample) * gain) as i16).collect();
    let mut audio = vec![0; 3200];
    audio.extend(resample(&samples, rate, 8000)?);
    audio.resize(audio.len() + 2400, 0);
    let (mut wire, mut heard) = (Vec::new(), Vec::new());
    encode(Codec::Pcmu, &audio, &mut wire);
    decode(Codec::Pcmu, &wire, &mut heard);
    Ok(heard)
}

fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks::<2>().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect()
}

fn espeak(text: &str) -> Result<(Vec<i16>, u32)> {
    let wav = Command::new("espeak-ng").args(["-v", "en-us", "--stdout", text]).output().context("espeak-ng")?.stdout;
    let rate = u32::from_le_bytes(wav[24..28].try_into()?);
    Ok((samples(&wav[44..]), rate))
}

fn spoken(voice: &str, text: &str) -> Result<(Vec<i16>, u32)> {
    let Some(name) = FliteVoiceName::from_name(voice) else { return espeak(text) };
    let spoken = FliteVoice::load(name)?.synthesize(text);
    Ok((spoken.samples, spoken.rate))
}

/// The clips of these synthetic voices (of flite, or "espeak-ng") and of people; `gain` is a factor for their level.
pub fn clips(voices: &[&'static str], gain: f64) -> Result<Vec<Clip>> {
    let yes_no = [YES, NO].concat();
    let sets: [(Option<usize>, &[&str]); 4] =
        [(Some(0), &yes_no), (Some(1), &MENU), (Some(2), &DIGITS), (None, &OUTSIDE)];
    let mut clips = Vec::new();
    for (home, texts) in sets {
        for text in texts {
            for &voice in voices {
                let (spoken, rate) = spoken(voice, text)?;
                let audio = through_the_telephone(&spoken, rate, gain)?;
                clips.push(Clip { voice, home, text: (*text).to_owned(), audio });
            }
        }
    }
    let readings: Vec<String> =
        READINGS.iter().map(|n| format!("librivox/sense_and_sensibility_01_austen_64kb-{n}.wav")).collect();
    let readings = readings.iter().map(|file| (None, file.as_str(), "a reading"));
    let commands = COMMANDS.iter().map(|&(file, text)| (Some(3), file, text));
    let cards = CARDS.iter().map(|&(file, text)| (Some(4), file, text));
    for (home, file, text) in commands.chain(cards).chain(readings) {
        let bytes = std::fs::read(format!("{TESTDATA}/{file}"))?;
        let audio = samples(if file.ends_with(".wav") { &bytes[44..] } else { &bytes });
        let audio = through_the_telephone(&audio, 16_000, gain)?;
        clips.push(Clip { voice: HUMAN, home, text: text.to_owned(), audio });
    }
    Ok(clips)
}

async fn hear(recognizer: &PocketsphinxRecognizer, grammar: &Grammar, audio: &[i16]) -> Result<RecognizerEvent> {
    let request = RecognizeRequest { grammar: grammar.clone(), rate: 8000, language: "en-US".to_owned() };
    let mut recognition = recognizer.listen(request)?;
    for frame in audio.chunks(160) {
        recognition.audio.send(RecognizerInput::Audio(frame.into())).await?;
    }
    recognition.audio.send(RecognizerInput::Finish).await?;
    loop {
        match recognition.events.recv().await.context("no last event")? {
            RecognizerEvent::Partial { .. } => {}
            last => return Ok(last),
        }
    }
}

/// What became of the clips of one voice with one grammar.
#[derive(Default)]
pub struct Row {
    pub grammar: &'static str,
    pub voice: &'static str,
    /// Clips that the grammar holds.
    pub inside: usize,
    pub right: usize,
    pub wrong: usize,
    /// Clips that it does not hold.
    pub outside: usize,
    pub rejected: usize,
    /// What was rejected inside and accepted outside.
    pub misses: Vec<String>,
}

pub const HEAD: &str =
    "| grammar | voice | in grammar: right | accepted wrong | outside: rejected |\n|---|---|---|---|---|";

impl Row {
    fn count(&mut self, clip: &Clip, inside: bool, heard: &RecognizerEvent) {
        let text = if let RecognizerEvent::Final { text, .. } = heard { Some(meaning(text)) } else { None };
        if inside {
            self.inside += 1;
            self.right += usize::from(text == Some(meaning(&clip.text)));
            self.wrong += usize::from(text.is_some_and(|text| text != meaning(&clip.text)));
        } else {
            self.outside += 1;
            self.rejected += usize::from(text.is_none());
        }
        if inside != text.is_some() {
            self.misses.push(format!("{} {} {:?}: {heard:?}", self.grammar, self.voice, clip.text));
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { grammar, voice, inside, right, wrong, outside, rejected, .. } = self;
        write!(f, "| {grammar} | {voice} | {right} of {inside} | {wrong} | {rejected} of {outside} |")
    }
}

/// Hears every clip with every grammar: a row for each grammar and voice, shown as soon as it is there.
pub async fn rows(
    recognizer: &Arc<PocketsphinxRecognizer>,
    voices: &[&'static str],
    clips: &[Arc<Clip>],
    show: impl Fn(&Row),
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (home, (name, grammar)) in grammars()?.into_iter().enumerate() {
        for &voice in voices.iter().chain(&[HUMAN]) {
            let mut row = Row { grammar: name, voice, ..Row::default() };
            let own: Vec<_> = clips.iter().filter(|clip| clip.voice == voice).collect();
            for some in own.chunks(AT_ONCE) {
                let mut hearing = JoinSet::new();
                for &clip in some {
                    let (recognizer, grammar, clip) = (recognizer.clone(), grammar.clone(), clip.clone());
                    hearing.spawn(async move { anyhow::Ok((hear(&recognizer, &grammar, &clip.audio).await?, clip)) });
                }
                for heard in hearing.join_all().await {
                    let (heard, clip) = heard?;
                    row.count(&clip, clip.home == Some(home), &heard);
                }
            }
            show(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}
