//! The JSON on the wire. What is not listed is not read: `normalizedAlignment`, among others, has the words as they are
//! spelled out, not ours.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::config::VoiceSettings;

/// Opens a context, or the one utterance of a socket: one blank, and its settings, which no later message of it may carry.
#[derive(Debug, Serialize)]
pub(super) struct Open<'a> {
    pub(super) text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) voice_settings: Option<&'a VoiceSettings>,
}

/// Text that ends with a blank. `flush`: speak it now.
#[derive(Debug, Serialize)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context_id: Option<&'a str>,
    pub(super) flush: bool,
}

/// No more text: when what there is has been spoken, `isFinal` comes.
#[derive(Debug, Serialize)]
pub(super) struct CloseContext<'a> {
    pub(super) context_id: &'a str,
    pub(super) close_context: bool,
}

/// Keeps the connection; says nothing.
pub(super) const KEEP_ALIVE: &str = r#"{"text":""}"#;
pub(super) const CLOSE_SOCKET: &str = r#"{"close_socket":true}"#;
/// No more text on a socket of one utterance: when what there is has been spoken, `isFinal` comes.
pub(super) const END_OF_TEXT: &str = r#"{"text":""}"#;

/// One message of the vendor. Names are written in both ways: the documentation has one, what is sent varies.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow, rename = "contextId", alias = "context_id")]
    pub(super) context: Option<Borrowed<'a>>,
    /// Base64.
    #[serde(borrow)]
    pub(super) audio: Option<Borrowed<'a>>,
    #[serde(rename = "isFinal", alias = "is_final")]
    pub(super) last: Option<bool>,
    #[serde(borrow)]
    pub(super) alignment: Option<Alignment<'a>>,
    /// A name such as "quota_exceeded".
    #[serde(borrow)]
    pub(super) error: Option<Borrowed<'a>>,
    /// Of the WebSocket's close that follows.
    pub(super) code: Option<u16>,
}

/// Three lists of one length.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alignment<'a> {
    #[serde(borrow)]
    pub(super) chars: Vec<Borrowed<'a>>,
    #[serde(rename = "charStartTimesMs", alias = "charsStartTimesMs", alias = "char_start_times_ms")]
    pub(super) starts: Vec<f64>,
    #[serde(rename = "charDurationsMs", alias = "charsDurationsMs", alias = "char_durations_ms")]
    pub(super) durations: Vec<f64>,
}

/// A string that is copied only when it has escapes: audio has none.
#[derive(Debug, Deserialize)]
pub(super) struct Borrowed<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn what_is_sent() {
        let voice_settings = VoiceSettings { stability: Some(0.5), ..VoiceSettings::default() };
        let open = Open { text: " ", context_id: Some("1"), voice_settings: Some(&voice_settings) };
        assert_eq!(json(open), r#"{"text":" ","context_id":"1","voice_settings":{"stability":0.5}}"#);
        let open = Open { text: " ", context_id: None, voice_settings: None };
        assert_eq!(json(open), r#"{"text":" "}"#);
        let text = Text { text: "Good \"day\". ", context_id: Some("1"), flush: true };
        assert_eq!(json(text), r#"{"text":"Good \"day\". ","context_id":"1","flush":true}"#);
        let close = CloseContext { context_id: "1", close_context: true };
        assert_eq!(json(close), r#"{"context_id":"1","close_context":true}"#);
    }

    /// Shaped as in the reference of the vendor.
    const AUDIO: &str = r#"{
        "audio": "Y3VyaW91cyBtaW5kcyB0aGluayBhbGlrZSA6KQ==",
        "normalizedAlignment": {"charStartTimesMs": [0, 3], "charDurationsMs": [3, 4], "chars": ["o", "k"]},
        "alignment": {"charStartTimesMs": [0, 3, 7], "charDurationsMs": [3, 4, 2], "chars": ["H", "\u00e9", "\""]},
        "contextId": "conv_1"
    }"#;

    #[test]
    fn what_is_heard() {
        let message: Message<'_> = serde_json::from_str(AUDIO).unwrap();
        assert_eq!(message.context.unwrap().0, "conv_1");
        let audio = message.audio.unwrap().0;
        assert!(matches!(audio, Cow::Borrowed("Y3VyaW91cyBtaW5kcyB0aGluayBhbGlrZSA6KQ==")), "it is not copied");
        let alignment = message.alignment.unwrap();
        assert_eq!(alignment.chars.iter().map(|c| &*c.0).collect::<String>(), "Hé\"");
        assert_eq!((alignment.starts, alignment.durations), (vec![0.0, 3.0, 7.0], vec![3.0, 4.0, 2.0]));
        assert_eq!(message.last, None);

        let last: Message<'_> = serde_json::from_str(r#"{"audio":null,"isFinal":true,"contextId":"1"}"#).unwrap();
        assert!(last.audio.is_none() && last.last == Some(true));
        let snake: Message<'_> =
            serde_json::from_str(r#"{"is_final":true,"context_id":"1","alignment":null}"#).unwrap();
        assert!(snake.last == Some(true) && snake.context.is_some() && snake.alignment.is_none());
        let error = r#"{"message":"Maximum simultaneous contexts","error":"max_active_conversations","code":1008}"#;
        let error: Message<'_> = serde_json::from_str(error).unwrap();
        assert_eq!((error.error.unwrap().0.as_ref(), error.code), ("max_active_conversations", Some(1008)));
    }
}
