//! ElevenLabs' `/v1/text-to-speech/{voice}/stream-input` and `multi-stream-input`: any text is a tone of its length, with the
//! characters aligned to it.
//!
//! <https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input>

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

use super::tone::Tone;
use super::{Delays, Side};

/// Characters after which a text is spoken though nobody asked for it.
const ENOUGH: usize = 120;
/// The context of a connection that has only one.
const ONLY: &str = "default";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    context_id: Option<Cow<'a, str>>,
    flush: bool,
    try_trigger_generation: bool,
    close_context: bool,
    close_socket: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    audio: Option<&'a str>,
    #[serde(rename = "isFinal")]
    last: Option<bool>,
    alignment: Option<&'a Alignment>,
    #[serde(rename = "normalizedAlignment")]
    normalized: Option<&'a Alignment>,
    #[serde(rename = "contextId", skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
}

#[derive(Serialize)]
struct Alignment {
    chars: Vec<char>,
    #[serde(rename = "charStartTimesMs")]
    starts: Vec<u64>,
    #[serde(rename = "charDurationsMs")]
    durations: Vec<u64>,
}

impl Alignment {
    fn new(chars: &[char], each: u64) -> Self {
        let starts = (0..chars.len() as u64).map(|index| index * each).collect();
        Self { chars: chars.to_vec(), starts, durations: vec![each; chars.len()] }
    }
}

enum Job {
    Speak { text: Vec<char>, chunk: usize },
    Close,
}

/// What one context has to say, one after the other.
struct Context {
    id: String,
    /// Text that is not spoken so far.
    pending: String,
    jobs: VecDeque<Job>,
    begun: bool,
    /// When its next message may leave.
    free_at: Time,
}

impl Context {
    fn due(&self) -> Option<Time> {
        (!self.jobs.is_empty()).then_some(self.free_at)
    }

    fn push(&mut self, now: Time, job: Job) {
        if self.jobs.is_empty() {
            self.free_at = self.free_at.max(now);
        }
        self.jobs.push_back(job);
    }

    fn flush(&mut self, now: Time, first: Duration) {
        let text = std::mem::take(&mut self.pending);
        if text.trim().is_empty() {
            return;
        }
        self.push(now, Job::Speak { text: text.chars().collect(), chunk: 0 });
        if !std::mem::replace(&mut self.begun, true) {
            self.free_at += first;
        }
    }
}

/// One connection.
pub(super) struct ElevenLabsSide {
    multi: bool,
    auto: bool,
    delays: Delays,
    tone: Tone,
    /// At most as many as the client has open: five, says the vendor.
    contexts: Vec<Context>,
}

impl ElevenLabsSide {
    pub(super) fn new(multi: bool, asked: &HashMap<String, String>, delays: &Delays) -> Result<Self, String> {
        let value = |name: &str| asked.get(name).map(String::as_str);
        let tone = Tone::new(value("output_format").unwrap_or("mp3_44100_128"), delays.tts_chunk_audio_ms)?;
        let auto = value("auto_mode") == Some("true");
        Ok(Self { multi, auto, delays: delays.clone(), tone, contexts: Vec::new() })
    }

    fn context(&mut self, id: &str) -> &mut Context {
        let index = self.contexts.iter().position(|context| context.id == id).unwrap_or_else(|| {
            let (pending, jobs) = (String::new(), VecDeque::new());
            self.contexts.push(Context { id: id.to_owned(), pending, jobs, begun: false, free_at: Time::ZERO });
            self.contexts.len() - 1
        });
        &mut self.contexts[index]
    }

    /// No more text for a context: when all is spoken, it is over.
    fn close(&mut self, now: Time, id: &str) {
        let first = Duration::from_millis(self.delays.tts_first_ms);
        if let Some(context) = self.contexts.iter_mut().find(|context| context.id == id) {
            context.flush(now, first);
            context.push(now, Job::Close);
        }
    }

    /// Message number `chunk` of a text, and whether it is the last.
    fn chunk(&self, id: &str, text: &[char], chunk: usize) -> (String, bool) {
        let Delays { ms_per_char, tts_chunk_audio_ms, .. } = self.delays;
        let length = text.len() as u64 * ms_per_char;
        let chunks = length.div_ceil(tts_chunk_audio_ms).max(1);
        let left = length.saturating_sub(chunk as u64 * tts_chunk_audio_ms);
        let audio = self.tone.start(left, tts_chunk_audio_ms);
        let each = text.len().div_ceil(chunks as usize).max(1);
        let chars = text.chunks(each).nth(chunk).unwrap_or_default();
        let alignment = Alignment::new(chars, ms_per_char);
        let alignment = (!chars.is_empty()).then_some(&alignment);
        let context = self.multi.then_some(id);
        let answer = Answer { audio: Some(&*audio), last: None, alignment, normalized: alignment, context };
        (json(&answer), chunk as u64 + 1 >= chunks)
    }
}

fn json(answer: &Answer<'_>) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

impl Side for ElevenLabsSide {
    fn handle_text(&mut self, now: Time, text: &str) -> ControlFlow<()> {
        let asked: Asked<'_> = serde_json::from_str(text).unwrap_or_default();
        if asked.close_socket {
            return ControlFlow::Break(());
        }
        let id = asked.context_id.as_deref().unwrap_or(ONLY);
        let text = asked.text.as_deref();
        if asked.close_context || (text == Some("") && !asked.flush && !self.multi) {
            self.close(now, id);
            return ControlFlow::Continue(());
        }
        if !asked.flush && text.is_none_or(str::is_empty) {
            // Keeps the connection, and says nothing.
            return ControlFlow::Continue(());
        }
        let (auto, first) = (self.auto, Duration::from_millis(self.delays.tts_first_ms));
        let context = self.context(id);
        context.pending.push_str(text.filter(|text| *text != " ").unwrap_or_default());
        let enough = context.pending.len() >= ENOUGH;
        if asked.flush || asked.try_trigger_generation || auto || enough {
            context.flush(now, first);
        }
        ControlFlow::Continue(())
    }

    /// Nobody sends any.
    fn handle_audio(&mut self, _now: Time, _bytes: &[u8]) {}

    fn timeout(&self) -> Option<Time> {
        self.contexts.iter().filter_map(Context::due).min()
    }

    fn poll_message(&mut self, now: Time) -> Option<String> {
        let at = self.contexts.iter().position(|context| context.due().is_some_and(|due| due <= now))?;
        let Context { id, jobs, .. } = &self.contexts[at];
        let Some(Job::Speak { text, chunk }) = jobs.front() else {
            let context = self.contexts.swap_remove(at);
            let id = self.multi.then_some(&*context.id);
            return Some(json(&Answer {
                audio: None,
                last: Some(true),
                alignment: None,
                normalized: None,
                context: id,
            }));
        };
        let (message, last) = self.chunk(id, text, *chunk);
        let gap = Duration::from_millis(self.delays.tts_chunk_gap_ms);
        let context = &mut self.contexts[at];
        context.free_at = now + gap;
        match context.jobs.front_mut() {
            Some(Job::Speak { chunk, .. }) if !last => *chunk += 1,
            _ => drop(context.jobs.pop_front()),
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use clap::Parser as _;
    use serde_json::Value;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        delays: Delays,
    }

    fn side(multi: bool, flags: &[&str]) -> ElevenLabsSide {
        let asked = HashMap::from([("output_format".to_owned(), "ulaw_8000".to_owned())]);
        ElevenLabsSide::new(multi, &asked, &Cli::parse_from(["x"].iter().chain(flags)).delays).unwrap()
    }

    /// All that comes, and when.
    fn speak(side: &mut ElevenLabsSide) -> Vec<(u64, Value)> {
        std::iter::from_fn(|| {
            let due = side.timeout()?;
            let text = side.poll_message(due)?;
            Some((due.as_millis(), serde_json::from_str(&text).unwrap()))
        })
        .collect()
    }

    fn bytes(message: &Value) -> usize {
        message["audio"].as_str().map_or(0, |audio| STANDARD.decode(audio).unwrap().len())
    }

    #[test]
    fn a_text_is_a_tone_of_its_length_with_its_characters() {
        let mut side = side(true, &["--tts-first-ms", "40"]);
        let now = Time::from_millis(100);
        for text in [
            r#"{"text":" ","context_id":"7"}"#,
            r#"{"text":"Hi \"you\" ","context_id":"7","flush":true}"#,
            r#"{"context_id":"7","close_context":true}"#,
        ] {
            assert!(side.handle_text(now, text).is_continue());
        }
        let told = speak(&mut side);
        assert_eq!(told.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [140, 145, 150, 155]);
        assert_eq!(told.iter().map(|(_, one)| bytes(one)).collect::<Vec<_>>(), [2_000, 2_000, 320, 0]);
        assert!(told.iter().all(|(_, one)| one["contextId"] == "7"));
        let chars = |one: &Value| one["alignment"]["chars"].as_array().cloned().unwrap_or_default();
        let text: String =
            told.iter().flat_map(|(_, one)| chars(one)).map(|c| c.as_str().unwrap().to_owned()).collect();
        assert_eq!(text, "Hi \"you\" ");
        assert_eq!(told[3].1["isFinal"], true);
        assert!(side.contexts.is_empty());
    }

    #[test]
    fn contexts_speak_at_the_same_time() {
        let mut side = side(true, &[]);
        for id in ["1", "2"] {
            let text = format!(r#"{{"text":"eight chr","context_id":"{id}","flush":true}}"#);
            let _ = side.handle_text(Time::ZERO, &text);
        }
        let order: Vec<_> = speak(&mut side).iter().map(|(at, one)| (*at, one["contextId"].clone())).collect();
        assert_eq!(order[..3], [(0, "1".into()), (0, "2".into()), (5, "1".into())]);
    }

    #[test]
    fn the_single_stream_waits_for_its_end() {
        let mut side = side(false, &[]);
        for text in [r#"{"text":" ","voice_settings":{"speed":1}}"#, r#"{"text":"Hello "}"#, r#"{"text":"there"}"#] {
            let _ = side.handle_text(Time::ZERO, text);
        }
        assert_eq!(side.timeout(), None, "nobody asked for it so far");
        let _ = side.handle_text(Time::ZERO, r#"{"text":""}"#);
        let told = speak(&mut side);
        assert_eq!(told.iter().map(|(_, one)| bytes(one)).sum::<usize>(), 11 * 60 * 8);
        assert!(told.iter().all(|(_, one)| one.get("contextId").is_none()));
        assert!(side.handle_text(Time::ZERO, r#"{"close_socket":true}"#).is_break());
    }
}
