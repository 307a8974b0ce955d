//! Prints what the embedded recognizer accepts and rejects: `cargo run -p tandem-speech --example recognize_table`.
//!
//! Clips of flite's and espeak-ng's voices (and the human ones of Debian's pocketsphinx-testdata) are heard through the
//! telephone: 8 kHz, G.711 mu-law, 400 ms of silence before and 300 ms after. Each is heard with every grammar.
//! `-v` lists what went wrong, `--gain -12` makes all callers quieter by 12 dB.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tandem_media::codec::{decode, encode};
use tandem_media::leg::Codec;
use tandem_media::resample::resample;
use tandem_speech::pocketsphinx::PocketsphinxRecognizer;
use tandem_speech::{Grammar, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput};
use tandem_speech_engines::flite::{FliteVoice, FliteVoiceName};
use tandem_speech_engines::pocketsphinx::Pocketsphinx;

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

struct Clip {
    voice: &'static str,
    /// The grammar that holds it; none for what no grammar holds.
    home: Option<usize>,
    text: String,
    audio: Vec<i16>,
}

fn grammars() -> Result<Vec<(&'static str, Grammar)>> {
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

const TESTDATA: &str = "/usr/share/pocketsphinx/test/data";
/// The only two words of the yes/no grammar that matter to a bot.
fn meaning(text: &str) -> &str {
    match text {
        text if YES.contains(&text) => "yes",
        text if NO.contains(&text) => "no",
        text => text,
    }
}

/// Factor for the caller's level: `--gain -12` makes callers quiet by 12 dB.
fn gain() -> f64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--gain").skip(1);
    let decibels: f64 = arguments.next().and_then(|value| value.parse().ok()).unwrap_or(0.0);
    10f64.powf(decibels / 20.0)
}

fn through_the_telephone(samples: &[i16], rate: u32) -> Result<Vec<i16>> {
    let gain = gain();
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

fn clips() -> Result<Vec<Clip>> {
    let yes_no = [YES, NO].concat();
    let sets: [(Option<usize>, &[&str]); 4] =
        [(Some(0), &yes_no), (Some(1), &MENU), (Some(2), &DIGITS), (None, &OUTSIDE)];
    let mut clips = Vec::new();
    for (home, texts) in sets {
        for text in texts {
            for name in [FliteVoiceName::Rms, FliteVoiceName::Awb, FliteVoiceName::Slt] {
                let spoken = FliteVoice::load(name)?.synthesize(text);
                let audio = through_the_telephone(&spoken.samples, spoken.rate)?;
                clips.push(Clip { voice: name.as_str(), home, text: (*text).to_owned(), audio });
            }
            let (spoken, rate) = espeak(text)?;
            let audio = through_the_telephone(&spoken, rate)?;
            clips.push(Clip { voice: "espeak-ng", home, text: (*text).to_owned(), audio });
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
        let audio = through_the_telephone(&audio, 16_000)?;
        clips.push(Clip { voice: "human", home, text: text.to_owned(), audio });
    }
    Ok(clips)
}

/// What the caller waits for the last event after the end of speech, when frames come as fast as they are spoken.
async fn print_latency(recognizer: &PocketsphinxRecognizer, grammar: &Grammar, clips: &[Clip]) -> Result<()> {
    let mut waits = Vec::new();
    for clip in clips.iter().filter(|clip| clip.voice == "rms" && clip.home == Some(2)) {
        let request = RecognizeRequest { grammar: grammar.clone(), rate: 8000, language: "en-US".to_owned() };
        let mut recognition = recognizer.listen(request)?;
        let mut slots = tokio::time::interval(Duration::from_millis(20));
        for frame in clip.audio.chunks(160) {
            slots.tick().await;
            recognition.audio.send(RecognizerInput::Audio(frame.into())).await?;
        }
        let finished = Instant::now();
        recognition.audio.send(RecognizerInput::Finish).await?;
        while let Some(RecognizerEvent::Partial { .. }) = recognition.events.recv().await {}
        waits.push(finished.elapsed().as_secs_f64() * 1e3);
    }
    waits.sort_by(f64::total_cmp);
    println!(
        "end of speech to last event, in real time: median {:.1} ms, longest {:.1} ms of {}",
        waits[waits.len() / 2],
        waits[waits.len() - 1],
        waits.len()
    );
    Ok(())
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

#[derive(Default)]
struct Row {
    inside: usize,
    right: usize,
    wrong: usize,
    outside: usize,
    rejected: usize,
}

impl Row {
    fn count(&mut self, clip: &Clip, home: usize, heard: &RecognizerEvent) {
        let text = if let RecognizerEvent::Final { text, .. } = heard { Some(meaning(text)) } else { None };
        if clip.home == Some(home) {
            self.inside += 1;
            self.right += usize::from(text == Some(meaning(&clip.text)));
            self.wrong += usize::from(text.is_some_and(|text| text != meaning(&clip.text)));
        } else {
            self.outside += 1;
            self.rejected += usize::from(text.is_none());
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let verbose = std::env::args().any(|argument| argument == "-v");
    let (clips, recognizer) = (clips()?, PocketsphinxRecognizer::start(2)?);
    let (before, mut seconds) = (processor_seconds()?, 0.0);
    println!("| grammar | voice | in grammar: right | accepted wrong | outside: rejected |\n|---|---|---|---|---|");
    for (index, (name, grammar)) in grammars()?.iter().enumerate() {
        for voice in ["rms", "awb", "slt", "espeak-ng", "human"] {
            let mut row = Row::default();
            for clip in clips.iter().filter(|clip| clip.voice == voice) {
                let heard = hear(&recognizer, grammar, &clip.audio).await?;
                seconds += clip.audio.len() as f64 / 8000.0;
                row.count(clip, index, &heard);
                let inside = clip.home == Some(index);
                if verbose && inside != matches!(heard, RecognizerEvent::Final { .. }) {
                    println!("    {name} {voice} {:?}: {heard:?}", clip.text);
                }
            }
            let Row { inside, right, wrong, outside, rejected } = row;
            println!("| {name} | {voice} | {right} of {inside} | {wrong} | {rejected} of {outside} |");
        }
    }
    let used = processor_seconds()? - before;
    println!("\ndecoding: {:.3} s of processor time for each second of audio ({seconds:.0} s)", used / seconds);
    print_latency(&recognizer, &Grammar::Digits { min: 5, max: 5 }, &clips).await?;
    engine_figures()
}

/// User and system time of this process.
fn processor_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // proc(5): fields 14 and 15, in ticks of 10 ms.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// Unshared memory of this process in KB.
fn private_kb() -> Result<i64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup.lines().find(|line| line.starts_with("Private_Dirty:")).context("no Private_Dirty")?;
    Ok(line.split_whitespace().nth(1).context("no value")?.parse()?)
}

fn engine_figures() -> Result<()> {
    const DECODERS: i64 = 10;
    let engine = Pocketsphinx::load()?;
    let words: Vec<String> =
        "zero oh one two three four five six seven eight nine".split(' ').map(str::to_owned).collect();
    let jsgf = format!("#JSGF V1.0; grammar g; public <g> = ({})*;", words.join(" | "));
    let (memory, started) = (private_kb()?, Instant::now());
    let mut decoders = Vec::new();
    for _ in 0..DECODERS {
        let mut decoder = engine.decoder()?;
        decoder.set_grammar(&jsgf, &words)?;
        decoder.start()?;
        decoder.process(&[0; 16_000])?;
        decoders.push(decoder);
    }
    let (each, memory) = (started.elapsed() / DECODERS as u32, private_kb()? - memory);
    println!(
        "a decoder: {:.1} ms to make, set up and hear a second of silence; {} KB of its own",
        each.as_secs_f64() * 1e3,
        memory / DECODERS
    );
    Ok(())
}
