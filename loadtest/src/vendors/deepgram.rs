//! Deepgram's `/v1/listen`: what is loud is speech, and a quarter of a second of it is a word.
//!
//! <https://developers.deepgram.com/reference/speech-to-text/listen-streaming>

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

use super::{Delays, Side};

/// What callers are understood to say, as far as they have spoken.
const WORDS: [&str; 14] =
    ["what", "time", "do", "you", "open", "on", "saturday", "morning", "and", "can", "i", "book", "a", "table"];
/// Speech that makes a word.
const WORD_MS: u64 = 250;
/// Audio that is looked at as one.
const WINDOW_MS: u64 = 20;
/// Loud windows in a row that begin an utterance.
const BEGIN: u64 = 3;
/// Quiet after which loud windows are counted anew.
const APART_MS: u64 = 40;

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
struct Results<'a> {
    r#type: &'static str,
    channel_index: [u8; 2],
    duration: f64,
    start: f64,
    is_final: bool,
    speech_final: bool,
    from_finalize: bool,
    channel: Channel<'a>,
}

#[derive(Serialize)]
struct Channel<'a> {
    alternatives: [Alternative<'a>; 1],
}

#[derive(Serialize)]
struct Alternative<'a> {
    transcript: &'a str,
    confidence: f32,
    words: Vec<Word>,
}

#[derive(Serialize)]
struct Word {
    word: &'static str,
    start: f64,
    end: f64,
    confidence: f32,
    punctuated_word: &'static str,
}

/// What the query asked for.
struct Options {
    mulaw: bool,
    /// Bytes of 20 ms.
    window: usize,
    interim: bool,
    vad_events: bool,
    /// None: only `Finalize` ends an utterance.
    endpoint_ms: Option<u64>,
    utterance_end_ms: Option<u64>,
}

impl Options {
    fn new(asked: &HashMap<String, String>, delays: &Delays) -> Result<Self, String> {
        let value = |name: &str| asked.get(name).map_or("", String::as_str);
        let number = |name: &str| -> Result<Option<u64>, String> {
            let text = value(name);
            if text.is_empty() {
                Ok(None)
            } else {
                text.parse().map(Some).map_err(|_| format!("{name}={text}: no number"))
            }
        };
        let mulaw = match value("encoding") {
            "mulaw" => true,
            "linear16" => false,
            other => return Err(format!("encoding={other}: the stand-in hears mulaw and linear16 only")),
        };
        let endpoint_ms = match value("endpointing") {
            "" | "true" => Some(delays.stt_endpoint_ms),
            "false" => None,
            _ => number("endpointing")?,
        };
        let rate = number("sample_rate")?.unwrap_or(16_000).clamp(8_000, 48_000);
        let width = if mulaw { 1 } else { 2 };
        Ok(Self {
            mulaw,
            window: (rate * WINDOW_MS / 1_000 * width) as usize,
            interim: value("interim_results") == "true",
            vad_events: value("vad_events") == "true",
            endpoint_ms: endpoint_ms.map(|ms| ms.max(WINDOW_MS)),
            utterance_end_ms: number("utterance_end_ms")?,
        })
    }
}

/// Where the caller is; milliseconds of audio since the connection.
#[derive(Default)]
struct Hearing {
    now: u64,
    /// Loud windows since the last pause.
    loud: u64,
    quiet_ms: u64,
    /// The utterance's begin, and how much of it was loud.
    utterance: Option<u64>,
    spoken_ms: u64,
    last_interim: u64,
    end_told: bool,
}

/// One connection.
pub(super) struct DeepgramSide {
    options: Options,
    delays: Delays,
    hearing: Hearing,
    /// Audio of less than a window.
    rest: Vec<u8>,
    /// Few: one a result.
    outbox: VecDeque<(Time, String)>,
}

impl DeepgramSide {
    pub(super) fn new(asked: &HashMap<String, String>, delays: &Delays) -> Result<Self, String> {
        let options = Options::new(asked, delays)?;
        let hearing = Hearing { end_told: true, ..Hearing::default() };
        Ok(Self { options, delays: delays.clone(), hearing, rest: Vec::new(), outbox: VecDeque::new() })
    }

    fn say(&mut self, now: Time, text: String) {
        self.outbox.push_back((now + Duration::from_millis(self.delays.stt_delay_ms), text));
    }

    fn window(&mut self, now: Time, window: &[u8]) {
        let loud = self.is_loud(window);
        let hearing = &mut self.hearing;
        hearing.now += WINDOW_MS;
        if loud {
            hearing.quiet_ms = 0;
            hearing.loud += 1;
            hearing.spoken_ms += WINDOW_MS;
            if hearing.utterance.is_none() && hearing.loud >= BEGIN {
                self.begin(now);
            }
        } else {
            hearing.quiet_ms += WINDOW_MS;
            if hearing.quiet_ms >= APART_MS {
                hearing.loud = 0;
            }
        }
        self.report(now);
    }

    fn begin(&mut self, now: Time) {
        let at = self.hearing.now;
        self.hearing.utterance = Some(at);
        self.hearing.last_interim = at;
        self.hearing.spoken_ms = BEGIN * WINDOW_MS;
        self.hearing.end_told = false;
        if self.options.vad_events {
            self.say(now, format!(r#"{{"type":"SpeechStarted","channel":[0,1],"timestamp":{}}}"#, seconds(at)));
        }
    }

    fn report(&mut self, now: Time) {
        let Hearing { now: at, quiet_ms, utterance, last_interim, end_told, .. } = self.hearing;
        if utterance.is_some() {
            if self.options.interim && at - last_interim >= self.delays.stt_interim_ms {
                self.hearing.last_interim = at;
                self.result(now, Kind::Interim);
            }
            if self.options.endpoint_ms.is_some_and(|limit| quiet_ms >= limit) {
                self.result(now, Kind::Endpoint);
            }
        } else if !end_told && self.options.utterance_end_ms.is_some_and(|limit| quiet_ms >= limit) {
            self.hearing.end_told = true;
            let end = seconds(at - quiet_ms);
            self.say(now, format!(r#"{{"type":"UtteranceEnd","channel":[0,1],"last_word_end":{end}}}"#));
        }
    }

    /// Tells what was said so far; a result that is not interim ends the utterance.
    fn result(&mut self, now: Time, kind: Kind) {
        let hearing = &mut self.hearing;
        let begin = hearing.utterance.unwrap_or(hearing.now);
        let spoken = (hearing.spoken_ms / WORD_MS).clamp(1, WORDS.len() as u64) as usize;
        let words = if hearing.utterance.is_some() { &WORDS[..spoken] } else { &[] };
        if kind != Kind::Interim {
            hearing.utterance = None;
        }
        let duration = seconds(hearing.now - begin);
        let text = results(words, begin, duration, kind);
        self.say(now, text);
    }

    fn is_loud(&self, window: &[u8]) -> bool {
        let (energy, samples): (u64, usize) = if self.options.mulaw {
            (window.iter().map(|code| u64::from(ENERGY[usize::from(*code)])).sum(), window.len())
        } else {
            let (pairs, _) = window.as_chunks::<2>();
            let square = |pair: &[u8; 2]| i64::from(i16::from_le_bytes(*pair)).pow(2) as u64;
            (pairs.iter().map(square).sum(), pairs.len())
        };
        energy >= u64::from(self.delays.stt_rms).pow(2) * samples as u64
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interim,
    Endpoint,
    Finalize,
}

fn results(words: &[&'static str], begin: u64, duration: f64, kind: Kind) -> String {
    let place = |(index, word): (usize, &&'static str)| {
        let start = seconds(begin + index as u64 * WORD_MS);
        Word { word, start, end: start + 0.2, confidence: 0.99, punctuated_word: word }
    };
    let transcript = words.join(" ");
    let confidence = if words.is_empty() { 0.0 } else { 0.99 };
    let words: Vec<Word> = words.iter().enumerate().map(place).collect();
    let last = kind != Kind::Interim;
    let message = Results {
        r#type: "Results",
        channel_index: [0, 1],
        duration,
        start: seconds(begin),
        is_final: last,
        speech_final: last && !words.is_empty(),
        from_finalize: kind == Kind::Finalize,
        channel: Channel { alternatives: [Alternative { transcript: &transcript, confidence, words }] },
    };
    serde_json::to_string(&message).unwrap_or_default()
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

impl Side for DeepgramSide {
    fn handle_text(&mut self, now: Time, text: &str) -> ControlFlow<()> {
        match serde_json::from_str::<Asked<'_>>(text).as_ref().map(|asked| &*asked.kind) {
            Ok("Finalize") => self.result(now, Kind::Finalize),
            Ok("CloseStream") => {
                let duration = seconds(self.hearing.now);
                // What was delayed comes too late for a client that leaves.
                self.outbox.clear();
                let bye =
                    format!(r#"{{"type":"Metadata","request_id":"stand-in","duration":{duration},"channels":1}}"#);
                self.outbox.push_back((now, bye));
                return ControlFlow::Break(());
            }
            // KeepAlive, and what we do not know.
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn handle_audio(&mut self, now: Time, bytes: &[u8]) {
        let mut audio = std::mem::take(&mut self.rest);
        audio.extend_from_slice(bytes);
        let windows = audio.chunks_exact(self.options.window);
        let rest = windows.remainder().to_vec();
        for window in windows {
            self.window(now, window);
        }
        self.rest = rest;
    }

    fn timeout(&self) -> Option<Time> {
        self.outbox.front().map(|(due, _)| *due)
    }

    fn poll_message(&mut self, now: Time) -> Option<String> {
        self.outbox.pop_front_if(|(due, _)| *due <= now).map(|(_, text)| text)
    }
}

/// Squares of the mu-law samples (ITU-T G.711).
const ENERGY: [u32; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let inverted = !(code as u8);
        let sample = (((((inverted & 0x0f) as u32) << 3) + 0x84) << ((inverted >> 4) & 7)) - 0x84;
        table[code] = sample * sample;
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::Value;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        delays: Delays,
    }

    fn side(query: &[(&str, &str)], flags: &[&str]) -> DeepgramSide {
        let asked = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let delays = Cli::parse_from(["x"].iter().chain(flags)).delays;
        DeepgramSide::new(&asked, &delays).unwrap()
    }

    /// So many windows of mu-law, loud or silent; what is said meanwhile.
    fn hear(side: &mut DeepgramSide, loud: bool, windows: usize) -> Vec<Value> {
        side.handle_audio(Time::ZERO, &vec![if loud { 0x20 } else { 0xff }; windows * 160]);
        said(side, Time::ZERO)
    }

    fn said(side: &mut DeepgramSide, now: Time) -> Vec<Value> {
        std::iter::from_fn(|| side.poll_message(now)).map(|text| serde_json::from_str(&text).unwrap()).collect()
    }

    const MULAW: [(&str, &str); 3] = [("encoding", "mulaw"), ("sample_rate", "8000"), ("endpointing", "false")];

    #[test]
    fn a_finalize_is_answered_with_the_words_so_far() {
        let mut side = side(&MULAW, &[]);
        assert!(hear(&mut side, false, 10).is_empty());
        assert!(hear(&mut side, true, 50).is_empty(), "no interim results were asked for");
        assert!(hear(&mut side, false, 200).is_empty(), "endpointing is off");
        let _ = side.handle_text(Time::ZERO, r#"{"type":"Finalize"}"#);
        let told = said(&mut side, Time::ZERO);
        assert_eq!(told.len(), 1);
        let result = &told[0];
        assert_eq!(result["channel"]["alternatives"][0]["transcript"], "what time do you");
        assert_eq!((&result["is_final"], &result["from_finalize"]), (&true.into(), &true.into()));
        assert_eq!(result["start"], 0.26);
        let _ = side.handle_text(Time::ZERO, r#"{"type":"Finalize"}"#);
        assert_eq!(said(&mut side, Time::ZERO)[0]["channel"]["alternatives"][0]["transcript"], "");
    }

    #[test]
    fn interim_results_endpoints_and_their_delay() {
        let query =
            [("encoding", "mulaw"), ("sample_rate", "8000"), ("interim_results", "true"), ("endpointing", "100")];
        let mut side = side(&query, &["--stt-delay-ms", "50"]);
        assert!(hear(&mut side, true, 33).is_empty(), "all is delayed");
        assert_eq!(side.timeout(), Some(Time::from_millis(50)));
        let interim = said(&mut side, Time::from_millis(50));
        assert_eq!(interim.iter().map(|one| &one["is_final"]).collect::<Vec<_>>(), [false, false]);
        hear(&mut side, false, 5);
        let last = said(&mut side, Time::from_millis(50));
        assert_eq!(last.last().map(|one| &one["speech_final"]), Some(&true.into()));
    }

    #[test]
    fn linear_audio_is_heard_across_messages() {
        let query = [("encoding", "linear16"), ("sample_rate", "16000"), ("vad_events", "true")];
        let mut side = side(&query, &[]);
        let loud = 3_000_i16.to_le_bytes().repeat(320 * 3);
        for part in loud.chunks(100) {
            side.handle_audio(Time::ZERO, part);
        }
        assert_eq!(said(&mut side, Time::ZERO)[0]["type"], "SpeechStarted");
    }

    #[test]
    fn who_says_goodbye_gets_the_metadata() {
        let mut side = side(&MULAW, &[]);
        assert!(side.handle_text(Time::ZERO, r#"{"type":"KeepAlive"}"#).is_continue());
        assert!(side.handle_text(Time::ZERO, r#"{"type":"CloseStream"}"#).is_break());
        assert_eq!(said(&mut side, Time::ZERO)[0]["type"], "Metadata");
    }
}
