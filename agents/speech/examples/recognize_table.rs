//! Prints what the embedded recognizer accepts and rejects, and what it costs:
//! `cargo run -p tandem-speech --example recognize_table`.
//!
//! The clips are those of `tests/table`. `-v` lists what went wrong, `--gain -12` makes all callers quieter by 12 dB.

#![allow(clippy::print_stdout, reason = "it prints a table")]

#[path = "../tests/table/mod.rs"]
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use table::{Clip, HEAD, Row, clips, grammars, rows};
use tandem_speech::pocketsphinx::PocketsphinxRecognizer;
use tandem_speech::{Grammar, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput};
use tandem_speech_engines::pocketsphinx::Pocketsphinx;

const VOICES: [&str; 4] = ["rms", "awb", "slt", "espeak-ng"];

/// Factor for the caller's level: `--gain -12` makes callers quiet by 12 dB.
fn gain() -> f64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--gain").skip(1);
    let decibels: f64 = arguments.next().and_then(|value| value.parse().ok()).unwrap_or(0.0);
    10f64.powf(decibels / 20.0)
}

/// What the caller waits for the last event after the end of speech, when frames come as fast as they are spoken.
async fn print_latency(recognizer: &PocketsphinxRecognizer, grammar: &Grammar, clips: &[Arc<Clip>]) -> Result<()> {
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let verbose = std::env::args().any(|argument| argument == "-v");
    let clips: Vec<_> = clips(&VOICES, gain())?.into_iter().map(Arc::new).collect();
    let recognizer = Arc::new(PocketsphinxRecognizer::start(2)?);
    let before = processor_seconds()?;
    println!("{HEAD}");
    let show = |row: &Row| {
        println!("{row}");
        row.misses.iter().filter(|_| verbose).for_each(|miss| println!("    {miss}"));
    };
    rows(&recognizer, &VOICES, &clips, show).await?;
    let used = processor_seconds()? - before;
    let samples: usize = clips.iter().map(|clip| clip.audio.len()).sum();
    let seconds = (samples * grammars()?.len()) as f64 / 8000.0;
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
