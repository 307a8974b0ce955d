//! The JSON on the wire. What is not listed is not read.
//!
//! <https://developers.deepgram.com/reference/speech-to-text/listen-streaming>

use std::borrow::Cow;

use serde::Deserialize;

/// Makes Deepgram answer for all that it has heard. (<https://developers.deepgram.com/docs/finalize>)
pub(super) const FINALIZE: &str = r#"{"type":"Finalize"}"#;
pub(super) const KEEP_ALIVE: &str = r#"{"type":"KeepAlive"}"#;
pub(super) const CLOSE_STREAM: &str = r#"{"type":"CloseStream"}"#;

/// What every message has.
#[derive(Debug, Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
}

/// `"type": "Results"`.
#[derive(Debug, Deserialize)]
pub(super) struct Results<'a> {
    /// Seconds of audio since the socket was opened, to where this result begins.
    pub(super) start: f64,
    /// Seconds that it covers.
    pub(super) duration: f64,
    #[serde(default)]
    pub(super) is_final: bool,
    /// The answer to `Finalize`. Not sent by Deepgram for certain where little was left to answer for.
    #[serde(default)]
    pub(super) from_finalize: bool,
    #[serde(borrow)]
    pub(super) channel: Channel<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Channel<'a> {
    #[serde(borrow, default)]
    pub(super) alternatives: Vec<Alternative<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Alternative<'a> {
    #[serde(borrow, default)]
    pub(super) transcript: Cow<'a, str>,
    #[serde(default)]
    pub(super) confidence: f32,
    #[serde(borrow, default)]
    pub(super) words: Vec<Word<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Word<'a> {
    #[serde(borrow)]
    pub(super) word: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) punctuated_word: Option<Cow<'a, str>>,
    pub(super) start: f64,
    pub(super) end: f64,
    #[serde(default)]
    pub(super) confidence: f32,
}

/// `"type": "Error"`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem<'a> {
    /// Nova.
    #[serde(borrow, default)]
    pub(super) variant: Option<Cow<'a, str>>,
    /// Flux.
    #[serde(borrow, default)]
    pub(super) code: Option<Cow<'a, str>>,
}

impl Problem<'_> {
    /// Only its name: a description may quote what was said.
    pub(super) fn name(&self) -> &str {
        self.code.as_deref().or(self.variant.as_deref()).unwrap_or("without a name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the reference shows it.
    const RESULTS: &str = r#"{"type":"Results","channel_index":[0,1],"duration":1.98,"start":5.99,"is_final":true,
        "speech_final":true,"channel":{"alternatives":[{"transcript":"Tell me more about this.","confidence":0.99964225,
        "words":[{"word":"tell","start":6.0699997,"end":6.3499994,"confidence":0.99782443,"punctuated_word":"Tell"},
        {"word":"me","start":6.3499994,"end":6.6299996,"confidence":0.9998324}]}]},
        "metadata":{"request_id":"52cc0efe-fa77-4aa7-b79c-0dda09de2f14","model_info":{"name":"2-general-nova",
        "version":"2024-01-18.26916","arch":"nova-2"},"model_uuid":"c0d1a568-ce81-4fea-97e7-bd45cb1fdf3c"},
        "from_finalize":false}"#;

    #[test]
    fn results_are_read() {
        assert_eq!(serde_json::from_str::<Kind<'_>>(RESULTS).unwrap().kind, "Results");
        let results: Results<'_> = serde_json::from_str(RESULTS).unwrap();
        assert!(results.is_final && !results.from_finalize);
        assert_eq!((results.start, results.duration), (5.99, 1.98));
        let said = &results.channel.alternatives[0];
        assert_eq!(said.transcript, "Tell me more about this.");
        assert_eq!(said.words[0].punctuated_word.as_deref(), Some("Tell"));
        assert_eq!((said.words[1].word.as_ref(), said.words[1].end), ("me", 6.6299996));
    }

    #[test]
    fn other_messages_have_a_kind() {
        let begun = r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":9.54}"#;
        assert_eq!(serde_json::from_str::<Kind<'_>>(begun).unwrap().kind, "SpeechStarted");
        let nova = r#"{"type":"Error","description":"d","message":"m","variant":"SchemaError"}"#;
        assert_eq!(serde_json::from_str::<Problem<'_>>(nova).unwrap().name(), "SchemaError");
        let flux = r#"{"type":"Error","sequence_id":1,"code":"INTERNAL_SERVER_ERROR","description":"d"}"#;
        assert_eq!(serde_json::from_str::<Problem<'_>>(flux).unwrap().name(), "INTERNAL_SERVER_ERROR");
    }

    #[test]
    fn what_we_send_is_what_the_reference_asks_for() {
        for (text, kind) in [(FINALIZE, "Finalize"), (KEEP_ALIVE, "KeepAlive"), (CLOSE_STREAM, "CloseStream")] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(text).unwrap(), serde_json::json!({ "type": kind }));
        }
    }
}
