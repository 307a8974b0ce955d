//! Between utterances and Cartesia's messages.

use serde::Serialize;

use super::wire::{Cancel, Message, OutputFormat, Request, VoiceId, WordTimestamps};
use crate::line::contexts::{Problem, Protocol, Said};
use crate::line::pcm::Encoding;
use crate::line::speaking::Source;
use crate::line::words::{Base, Piece};

/// Rates of the vendor's raw audio, Hz.
const RATES: [u32; 6] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];

/// At 8 kHz the line is G.711 anyway, and mu-law has half the bytes.
fn format(rate: u32) -> OutputFormat {
    let sample_rate = RATES.into_iter().find(|known| *known >= rate).unwrap_or(RATES[RATES.len() - 1]);
    let encoding = if sample_rate == 8_000 { "pcm_mulaw" } else { "pcm_s16le" };
    OutputFormat { container: "raw", encoding, sample_rate }
}

pub(super) struct CartesiaProtocol {
    pub(super) model: String,
    pub(super) voice: String,
    pub(super) rate: u32,
    pub(super) language: Option<String>,
}

impl Protocol for CartesiaProtocol {
    /// The vendor carries dozens; a conversation says a few clauses at once.
    const CONTEXTS: usize = 8;

    fn source(&self) -> Source {
        let format = format(self.rate);
        let encoding = if format.encoding == "pcm_mulaw" { Encoding::MuLaw } else { Encoding::Linear };
        Source { encoding, rate: format.sample_rate, base: Base::Utterance }
    }

    fn speak(&self, context: &str, text: &str, out: &mut Vec<String>) {
        out.push(json(&Request {
            model_id: &self.model,
            transcript: text,
            voice: VoiceId { mode: "id", id: &self.voice },
            language: self.language.as_deref(),
            context_id: context,
            output_format: format(self.rate),
            add_timestamps: true,
            use_normalized_timestamps: false,
            r#continue: false,
        }));
    }

    fn cancel(&self, context: &str) -> Option<String> {
        Some(json(&Cancel { context_id: context, cancel: true }))
    }

    /// There is none: after five minutes without a word the vendor closes, and the line dials again.
    fn keep_alive(&self) -> Option<String> {
        None
    }

    fn goodbye(&self) -> Option<String> {
        None
    }

    fn read(&self, message: &str, taker: &mut dyn FnMut(Said<'_>)) -> Result<(), String> {
        let message: Message<'_> = serde_json::from_str(message)
            .map_err(|error| format!("line {} column {}", error.line(), error.column()))?;
        let kind = &*message.r#type.0;
        let name = message.error_code.as_ref().map(|code| &*code.0);
        taker(Said {
            context: message.context_id.as_ref().map(|context| &*context.0),
            audio: message.data.as_ref().filter(|_| kind == "chunk").map_or("", |data| &*data.0),
            pieces: message.word_timestamps.as_ref().map(pieces).unwrap_or_default(),
            last: kind == "done",
            error: (kind == "error").then(|| problem(message.status_code, name)),
        });
        Ok(())
    }
}

/// Lists of different lengths go as far as the shortest.
fn pieces<'a>(told: &'a WordTimestamps<'_>) -> Vec<Piece<'a>> {
    let times = told.start.iter().zip(&told.end);
    let timed = told.words.iter().zip(times);
    timed.map(|(text, (start, end))| Piece { text: &text.0, start: start * 1000.0, end: end * 1000.0 }).collect()
}

/// The status is as of HTTP (RFC 9110 section 15). The vendor's sentence stays out: it may quote the text.
fn problem(status: Option<u16>, name: Option<&str>) -> Problem {
    let plain = |name: &&str| name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let name = name.filter(plain).map(|name| format!(": {name}")).unwrap_or_default();
    match status {
        Some(401 | 403) => Problem::Unauthorized,
        Some(429) => Problem::RateLimited,
        Some(status @ 400..500) => Problem::Refused(format!("status {status}{name}")),
        Some(status) => Problem::Failed(format!("status {status}{name}")),
        None => Problem::Failed(format!("it says that something is wrong{name}")),
    }
}

/// Plain structs with string keys: serde_json has nothing to refuse.
fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol() -> CartesiaProtocol {
        CartesiaProtocol { model: "sonic-3".into(), voice: "v".into(), rate: 8_000, language: Some("en".into()) }
    }

    #[test]
    fn what_is_sent() {
        let mut out = Vec::new();
        protocol().speak("7", "Good day.", &mut out);
        assert_eq!(
            out,
            [concat!(
                r#"{"model_id":"sonic-3","transcript":"Good day.","voice":{"mode":"id","id":"v"},"language":"en","#,
                r#""context_id":"7","output_format":{"container":"raw","encoding":"pcm_mulaw","sample_rate":8000},"#,
                r#""add_timestamps":true,"use_normalized_timestamps":false,"continue":false}"#
            )]
        );
        let any = CartesiaProtocol { language: None, ..protocol() };
        any.speak("8", "Good day.", &mut out);
        assert!(!out[1].contains("language"), "{}", out[1]);
        assert_eq!(protocol().cancel("7").unwrap(), r#"{"context_id":"7","cancel":true}"#);
    }

    /// The messages of the vendor's reference.
    #[test]
    fn what_is_heard() {
        let chunk = r#"{"type":"chunk","data":"aSDinaTvuI8gbWludGxpZnk=","done":false,"status_code":206,
                        "step_time":123,"context_id":"50dc3b5e"}"#;
        let times = r#"{"type":"timestamps","done":false,"status_code":206,"context_id":"50dc3b5e",
                        "word_timestamps":{"words":["Hello","world"],"start":[0,0.5],"end":[0.4,0.9]}}"#;
        let done = r#"{"type":"done","done":true,"status_code":206,"context_id":"50dc3b5e"}"#;
        let flushed = r#"{"type":"flush_done","done":false,"flush_done":true,"flush_id":1,"context_id":"50dc3b5e"}"#;
        let error = r#"{"type":"error","done":true,"title":"Invalid model","message":"The model is not valid",
                        "error_code":"model_not_found","status_code":400,"context_id":"50dc3b5e"}"#;
        let context = Some("50dc3b5e");
        let world = Piece { text: "world", start: 500.0, end: 900.0 };
        let pieces = vec![Piece { text: "Hello", start: 0.0, end: 400.0 }, world];
        let refused = Some(Problem::Refused("status 400: model_not_found".to_owned()));
        for (message, expected) in [
            (chunk, Said { context, audio: "aSDinaTvuI8gbWludGxpZnk=", ..Said::default() }),
            (times, Said { context, pieces, ..Said::default() }),
            (done, Said { context, last: true, ..Said::default() }),
            (flushed, Said { context, ..Said::default() }),
            (error, Said { context, error: refused, ..Said::default() }),
        ] {
            let mut seen = false;
            protocol()
                .read(message, &mut |said| {
                    assert_eq!(said, expected);
                    seen = true;
                })
                .unwrap();
            assert!(seen);
        }
        assert_eq!(protocol().read("{}", &mut |_| {}), Err("line 1 column 2".to_owned()));
    }
}
