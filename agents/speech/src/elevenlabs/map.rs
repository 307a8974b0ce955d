//! Between utterances and ElevenLabs' messages.

use serde::Serialize;

use super::config::VoiceSettings;
use super::wire::{Alignment, CLOSE_SOCKET, CloseContext, END_OF_TEXT, KEEP_ALIVE, Message, Open, Text};
use crate::language::primary;
use crate::line::contexts::{Problem, Protocol, Said};
use crate::line::pcm::Encoding;
use crate::line::speaking::Source;
use crate::line::words::{Base, Piece};

/// The vendor's own audio formats, by rate: name, Hz. At 8 kHz the line is G.711 anyway, and mu-law has half the bytes.
const FORMATS: [(&str, u32); 4] =
    [("ulaw_8000", 8_000), ("pcm_16000", 16_000), ("pcm_24000", 24_000), ("pcm_48000", 48_000)];
/// The code of a WebSocket that is closed for what we did (RFC 6455 section 7.4.1, policy violation).
const POLICY: u16 = 1008;
/// Models that take `language_code`; the others refuse it.
const TOLD_LANGUAGE: [&str; 2] = ["eleven_flash_v2_5", "eleven_turbo_v2_5"];
/// After this long without a message the vendor closes an idle connection, seconds. The longest that there is.
const INACTIVITY: u32 = 180;

/// The format for a leg's rate: the same, or the next above, which is converted.
pub(super) fn format(rate: u32) -> (&'static str, u32) {
    FORMATS.into_iter().find(|(_, known)| *known >= rate).unwrap_or(FORMATS[FORMATS.len() - 1])
}

/// `auto_mode`: every text is a whole clause, so nothing is gained by waiting for more of it. `sync_alignment`: each chunk
/// of audio comes with the characters in it.
pub(super) fn query(model: &str, rate: u32, language: Option<&str>) -> String {
    let (format, _) = format(rate);
    let language = language
        .filter(|_| TOLD_LANGUAGE.contains(&model))
        .and_then(primary)
        .map(|code| format!("&language_code={code}"))
        .unwrap_or_default();
    format!(
        "model_id={model}&output_format={format}&auto_mode=true&sync_alignment=true\
         &inactivity_timeout={INACTIVITY}{language}"
    )
}

#[derive(Clone)]
pub(super) struct ElevenLabsProtocol {
    pub(super) rate: u32,
    pub(super) voice_settings: Option<VoiceSettings>,
}

impl ElevenLabsProtocol {
    fn say(&self, context_id: Option<&str>, text: &str, out: &mut Vec<String>) {
        let spoken = format!("{text} ");
        out.push(json(&Open { text: " ", context_id, voice_settings: self.voice_settings.as_ref() }));
        out.push(json(&Text { text: &spoken, context_id, flush: true }));
    }
}

impl Protocol for ElevenLabsProtocol {
    /// A sixth ends the connection (`max_active_conversations`).
    const CONTEXTS: usize = 5;

    /// The documentation says of the times that they are "relative to the returned chunk", and Pipecat adds the chunks up;
    /// LiveKit's plugin takes them as they are. Both are understood.
    fn source(&self) -> Source {
        let (_, rate) = format(self.rate);
        let encoding = if rate == 8_000 { Encoding::MuLaw } else { Encoding::Linear };
        Source { encoding, rate, base: Base::Unsaid }
    }

    /// The context is closed at once: what was flushed is spoken first, and without it there is no word of the end.
    fn speak(&self, context: &str, text: &str, out: &mut Vec<String>) {
        self.say(Some(context), text, out);
        out.push(json(&CloseContext { context_id: context, close_context: true }));
    }

    /// Its context is closed already, and the vendor knows no more that one could take back.
    fn cancel(&self, _context: &str) -> Option<String> {
        None
    }

    fn keep_alive(&self) -> Option<String> {
        Some(KEEP_ALIVE.to_owned())
    }

    fn goodbye(&self) -> Option<String> {
        Some(CLOSE_SOCKET.to_owned())
    }

    fn read(&self, message: &str, taker: &mut dyn FnMut(Said<'_>)) -> Result<(), String> {
        let message: Message<'_> = serde_json::from_str(message).map_err(|error| place(&error))?;
        let error = message.error.as_ref().map(|error| problem(&error.0, message.code));
        taker(Said {
            context: message.context.as_ref().map(|context| &*context.0),
            audio: message.audio.as_ref().map_or("", |audio| &*audio.0),
            pieces: message.alignment.as_ref().map(pieces).unwrap_or_default(),
            last: message.last == Some(true),
            error,
        });
        Ok(())
    }
}

/// The same over a socket that carries one utterance. Nothing names it.
#[derive(Clone)]
pub(super) struct SingleProtocol(pub(super) ElevenLabsProtocol);

impl Protocol for SingleProtocol {
    const CONTEXTS: usize = 1;

    fn source(&self) -> Source {
        self.0.source()
    }

    fn speak(&self, _context: &str, text: &str, out: &mut Vec<String>) {
        self.0.say(None, text, out);
        out.push(END_OF_TEXT.to_owned());
    }

    /// Its line is closed.
    fn cancel(&self, _context: &str) -> Option<String> {
        None
    }

    /// An empty text would end it and a blank begin it: after its time of inactivity the vendor closes, and the line dials
    /// again.
    fn keep_alive(&self) -> Option<String> {
        None
    }

    fn goodbye(&self) -> Option<String> {
        None
    }

    fn read(&self, message: &str, taker: &mut dyn FnMut(Said<'_>)) -> Result<(), String> {
        self.0.read(message, taker)
    }
}

/// Lists of different lengths go as far as the shortest.
fn pieces<'a>(alignment: &'a Alignment<'_>) -> Vec<Piece<'a>> {
    let times = alignment.starts.iter().zip(&alignment.durations);
    let timed = alignment.chars.iter().zip(times);
    timed.map(|(text, (start, duration))| Piece { text: &text.0, start: *start, end: start + duration }).collect()
}

/// <https://elevenlabs.io/docs/developers/resources/error-messages>
fn problem(name: &str, code: Option<u16>) -> Problem {
    match name {
        "auth_error" | "authentication_error" | "invalid_api_key" | "missing_permissions" | "unaccepted_terms" => {
            Problem::Unauthorized
        }
        "rate_limited"
        | "rate_limit_exceeded"
        | "too_many_concurrent_requests"
        | "concurrent_limit_exceeded"
        | "system_busy"
        | "queue_overflow"
        | "resource_exhausted"
        | "max_active_conversations" => Problem::RateLimited,
        name if code == Some(POLICY) || ["quota_exceeded", "insufficient_credits"].contains(&name) => {
            Problem::Refused(told(name))
        }
        name => Problem::Failed(told(name)),
    }
}

/// The vendor's code, when it is one: a sentence in its place may quote the text.
fn told(name: &str) -> String {
    let code = name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if code { format!("it says {name}") } else { "it says that something is wrong".to_owned() }
}

/// Where the JSON is wrong, without what is there.
fn place(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

/// Plain structs with string keys: serde_json has nothing to refuse.
fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nonsense is an error or says nothing; it never panics, and lists of any lengths fit together.
        #[test]
        fn anything_can_be_read(text in ".{0,80}", starts in prop::collection::vec(any::<f64>(), 0..4), chars in 0..4_usize) {
            let _ = read(&text);
            let alignment = serde_json::json!({ "chars": vec!["x"; chars], "charStartTimesMs": starts,
                                                "charDurationsMs": vec![1; 2] });
            let message = serde_json::json!({ "contextId": text, "audio": text, "alignment": alignment });
            let _ = read(&message.to_string());
        }
    }

    fn read(message: &str) -> Result<Option<Problem>, String> {
        let protocol = ElevenLabsProtocol { rate: 8_000, voice_settings: None };
        let mut error = None;
        protocol.read(message, &mut |said| error = said.error)?;
        Ok(error)
    }

    #[test]
    fn the_rate_of_the_leg_is_asked_for_where_there_is_one() {
        for (rate, expected) in [
            (8_000, ("ulaw_8000", 8_000)),
            (11_025, ("pcm_16000", 16_000)),
            (16_000, ("pcm_16000", 16_000)),
            (24_000, ("pcm_24000", 24_000)),
            (44_100, ("pcm_48000", 48_000)),
            (48_000, ("pcm_48000", 48_000)),
        ] {
            assert_eq!(format(rate), expected);
        }
        assert_eq!(
            query("eleven_flash_v2_5", 8_000, Some("de-AT")),
            "model_id=eleven_flash_v2_5&output_format=ulaw_8000&auto_mode=true&sync_alignment=true\
             &inactivity_timeout=180&language_code=de"
        );
        assert!(!query("eleven_multilingual_v2", 8_000, Some("de")).contains("language"));
        for none in ["&x=y", "multi"] {
            assert!(!query("eleven_flash_v2_5", 8_000, Some(none)).contains("language"), "{none}");
        }
    }

    #[test]
    fn an_utterance_is_a_context_of_its_own() {
        let protocol = ElevenLabsProtocol { rate: 8_000, voice_settings: None };
        let mut out = Vec::new();
        protocol.speak("7", "Good day.", &mut out);
        assert_eq!(
            out,
            [
                r#"{"text":" ","context_id":"7"}"#,
                r#"{"text":"Good day. ","context_id":"7","flush":true}"#,
                r#"{"context_id":"7","close_context":true}"#,
            ]
        );
    }

    #[test]
    fn an_utterance_is_all_that_a_socket_of_its_own_carries() {
        let protocol = SingleProtocol(ElevenLabsProtocol { rate: 8_000, voice_settings: None });
        let mut out = Vec::new();
        protocol.speak("7", "Good day.", &mut out);
        assert_eq!(out, [r#"{"text":" "}"#, r#"{"text":"Good day. ","flush":true}"#, r#"{"text":""}"#]);
        let mut last = false;
        protocol.read(r#"{"isFinal":true}"#, &mut |said| last = said.last && said.context.is_none()).unwrap();
        assert!(last);
    }

    #[test]
    fn problems_are_told_apart_and_quote_nothing() {
        let busy = r#"{"message": "Maximum ...", "error": "max_active_conversations", "code": 1008}"#;
        assert_eq!(read(busy), Ok(Some(Problem::RateLimited)));
        assert_eq!(read(r#"{"error": "invalid_api_key"}"#), Ok(Some(Problem::Unauthorized)));
        let refused = r#"{"error": "voice_id_does_not_exist", "code": 1008}"#;
        assert_eq!(read(refused), Ok(Some(Problem::Refused("it says voice_id_does_not_exist".to_owned()))));
        let quoting = r#"{"error": "cannot say 'my secret'", "code": 1011}"#;
        assert_eq!(read(quoting), Ok(Some(Problem::Failed("it says that something is wrong".to_owned()))));
        assert_eq!(read("{\"audio\": secret"), Err("line 1 column 11".to_owned()));
        assert_eq!(read(r#"{"type": "flush_done"}"#), Ok(None));
    }
}
