//! The JSON on the wire. What is not listed is not read.
//!
//! <https://developers.deepgram.com/reference/speech-to-text/listen-flux>

use std::borrow::Cow;

use serde::Deserialize;

/// Ends the turn on what was transcribed so far. Ignored where there is no turn.
pub(super) const FORCE_END_TURN: &str = r#"{"type":"ForceEndTurn"}"#;

/// `"type": "TurnInfo"`.
#[derive(Debug, Deserialize)]
pub(super) struct TurnInfo<'a> {
    pub(super) event: TurnEvent,
    /// Of the whole turn.
    #[serde(borrow, default)]
    pub(super) transcript: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) words: Vec<TurnWord<'a>>,
    /// 0 to 1.
    #[serde(default)]
    pub(super) end_of_turn_confidence: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum TurnEvent {
    StartOfTurn,
    Update,
    EagerEndOfTurn,
    TurnResumed,
    EndOfTurn,
    /// What Deepgram may add.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct TurnWord<'a> {
    #[serde(borrow)]
    pub(super) word: Cow<'a, str>,
    #[serde(default)]
    pub(super) confidence: f32,
    /// Seconds of audio since the socket was opened. Older servers send none.
    #[serde(default)]
    pub(super) start: Option<f64>,
    #[serde(default)]
    pub(super) end: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the reference shows it, with the fields that were added since.
    const TURN: &str = r#"{"type":"TurnInfo","request_id":"550e8400-e29b-41d4-a716-446655440000","sequence_id":11,
        "event":"EndOfTurn","turn_index":0,"audio_window_start":0.0,"audio_window_end":1.6,"transcript":"Yes, please.",
        "words":[{"word":"Yes,","confidence":0.9,"start":0.48,"end":0.72},{"word":"please.","confidence":0.8}],
        "end_of_turn_confidence":0.87,"trigger":"manual"}"#;

    #[test]
    fn a_turn_is_read() {
        let turn: TurnInfo<'_> = serde_json::from_str(TURN).unwrap();
        assert_eq!((turn.event, turn.transcript.as_ref()), (TurnEvent::EndOfTurn, "Yes, please."));
        assert_eq!((turn.end_of_turn_confidence, turn.words[0].start), (0.87, Some(0.48)));
        assert_eq!((turn.words[1].word.as_ref(), turn.words[1].end), ("please.", None));
        let added = TURN.replace("EndOfTurn", "SpeakerChanged");
        assert_eq!(serde_json::from_str::<TurnInfo<'_>>(&added).unwrap().event, TurnEvent::Other);
    }

    #[test]
    fn the_end_is_forced_as_the_reference_says() {
        let sent: serde_json::Value = serde_json::from_str(FORCE_END_TURN).unwrap();
        assert_eq!(sent, serde_json::json!({ "type": "ForceEndTurn" }));
    }
}
