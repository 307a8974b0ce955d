//! The messages of a conversation relay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tandem_contract::Private;

use crate::stream::error::StreamError;

/// Largest text frame, bytes. A setup has about 600 and some hundred a parameter; a caller who talks for minutes says less.
const FRAME_MAX: usize = 64 * 1024;

/// A message of Twilio by its fields. Those that we have no use for (durations, languages, ids of the account) may be anything.
type Frame = Map<String, Value>;

/// `setup`: who calls, and what the TwiML's `<Parameter>`s said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RelaySetup {
    pub session_id: String,
    pub call_sid: String,
    pub from: Option<Private<String>>,
    pub custom_parameters: BTreeMap<String, Private<String>>,
}

/// What a message says.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Setup(Box<RelaySetup>),
    /// The caller's words; whole, or so far.
    Prompt {
        text: Private<String>,
        last: bool,
    },
    /// The caller interrupted; the last words that they heard.
    Interrupt {
        heard: Private<String>,
    },
    Digit(String),
    /// Words that were played (`tokens-played`).
    Played(Private<String>),
    /// `speaker-events`.
    CallerSpeaks(bool),
    AgentSpeaks,
    /// Twilio did not like a message of ours. Its text may hold what we said.
    Complaint,
    /// Nothing that we know; Twilio adds messages over time.
    Other,
}

/// Reads a text frame.
///
/// # Errors
/// Not JSON, or a known message without what it is about.
pub(super) fn read(frame: &str) -> Result<Heard, StreamError> {
    if frame.len() > FRAME_MAX {
        return Err(StreamError::FrameLength { bytes: frame.len() });
    }
    let fields: Frame = parse(frame)?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    let about = |field: &str| {
        let text = fields.get(field).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| StreamError::BadField { why: format!("it has no string `{field}`"), kind: kind.to_owned() })
    };
    match kind {
        "setup" => parse(frame).map(|setup| Heard::Setup(Box::new(setup))),
        "prompt" => Ok(Heard::Prompt { text: about("voicePrompt")?.into(), last: is_last(&fields) }),
        "interrupt" => Ok(Heard::Interrupt { heard: about("utteranceUntilInterrupt")?.into() }),
        "dtmf" => about("digit").map(Heard::Digit),
        "error" => Ok(Heard::Complaint),
        "info" => Ok(info(&fields)),
        _ => Ok(Heard::Other),
    }
}

/// Of a prompt; one that does not say is whole.
fn is_last(prompt: &Frame) -> bool {
    prompt.get("last").and_then(Value::as_bool).unwrap_or(true)
}

/// What the attribute `events` asks for. The words and values are not in Twilio's reference but on its wire: whatever else
/// comes there, a number too, is nothing that a call ends for.
fn info(fields: &Frame) -> Heard {
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    match (text("name"), text("value")) {
        (Some("tokensPlayed"), Some(words)) => Heard::Played(words.to_owned().into()),
        (Some("clientSpeaking"), Some("on")) => Heard::CallerSpeaks(true),
        (Some("clientSpeaking"), Some("off")) => Heard::CallerSpeaks(false),
        (Some("agentSpeaking"), Some(_)) => Heard::AgentSpeaks,
        _ => Heard::Other,
    }
}

fn parse<'a, T: Deserialize<'a>>(frame: &'a str) -> Result<T, StreamError> {
    serde_json::from_str(frame).map_err(|error| StreamError::NotJson {
        line: error.line(),
        column: error.column(),
        why: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
    })
}

/// Text to be spoken. Texts of one reply follow each other without a gap of their own, so that each brings one.
pub(super) fn text(text: &str, interruptible: bool) -> String {
    let token = format!("{text} ");
    match interruptible {
        // As the TwiML says: by voice and by keys.
        true => json!({ "type": "text", "token": token, "last": false }),
        false => json!({ "type": "text", "token": token, "last": false, "interruptible": false }),
    }
    .to_string()
}

/// The reply is whole: what Twilio still holds of it may be spoken.
pub(super) fn last() -> String {
    json!({ "type": "text", "token": "", "last": true }).to_string()
}

/// Ends the relay; with `transfer_to`, what `POST /twilio/relay/action` is told makes it dial.
pub(super) fn end(transfer_to: Option<&str>) -> String {
    match transfer_to {
        None => json!({ "type": "end" }),
        Some(target) => {
            let handoff = json!({ "reason": "transfer", "target": target }).to_string();
            json!({ "type": "end", "handoffData": handoff })
        }
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of Twilio's page "WebSocket messages".
    #[test]
    fn reads_what_the_documentation_shows() {
        let setup = r#"{"type":"setup","sessionId":"VX00000000000000000000000000000000",
            "accountSid":"ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX","parentCallSid":"",
            "callSid":"CA00000000000000000000000000000000","from":"+18005550100","to":"+18005550101",
            "forwardedFrom":"+18005550102","callType":"PSTN","callerName":"","direction":"inbound",
            "callStatus":"RINGING","customParameters":{"callReference":"bar"}}"#;
        let Ok(Heard::Setup(setup)) = read(setup) else { panic!("no setup") };
        assert_eq!(setup.call_sid, "CA00000000000000000000000000000000");
        assert_eq!(setup.from, Some("+18005550100".to_owned().into()));
        assert_eq!(setup.custom_parameters["callReference"].reveal(), "bar");
        let prompt = r#"{"type":"prompt","voicePrompt":"Hi! Can you tell me about life?","lang":"en-US","last":true}"#;
        let words = "Hi! Can you tell me about life?".to_owned().into();
        assert_eq!(read(prompt), Ok(Heard::Prompt { text: words, last: true }));
        assert_eq!(read(r#"{"type":"dtmf","digit":"1"}"#), Ok(Heard::Digit("1".to_owned())));
        let heard = || "Life is a complex set of".to_owned().into();
        for duration in ["460", "\"460\""] {
            let interrupt = format!(
                r#"{{"type":"interrupt","utteranceUntilInterrupt":"Life is a complex set of","durationUntilInterruptMs":{duration}}}"#
            );
            assert_eq!(read(&interrupt), Ok(Heard::Interrupt { heard: heard() }));
        }
        let error = r#"{"type":"error","description":"Invalid message received: { \"foo\" : \"bar\" }"}"#;
        assert_eq!(read(error), Ok(Heard::Complaint));
        assert_eq!(read(r#"{"type":"weather"}"#), Ok(Heard::Other));
    }

    /// As calls showed them that asked for `speaker-events tokens-played`.
    #[test]
    fn reads_what_is_played() {
        let info = |name: &str, value: &str| read(&format!(r#"{{"type":"info","name":"{name}","value":"{value}"}}"#));
        assert_eq!(info("tokensPlayed", "You said:"), Ok(Heard::Played("You said:".to_owned().into())));
        assert_eq!(info("clientSpeaking", "on"), Ok(Heard::CallerSpeaks(true)));
        assert_eq!(info("clientSpeaking", "off"), Ok(Heard::CallerSpeaks(false)));
        assert_eq!(info("agentSpeaking", "off"), Ok(Heard::AgentSpeaks));
        assert_eq!(info("roundTripDelayMs", "148"), Ok(Heard::Other));
    }

    #[test]
    fn what_it_does_not_expect_ends_no_call() {
        for frame in [
            r#"{"type":"info","name":"roundTripDelayMs","value":148}"#,
            r#"{"type":"info","name":"tokensPlayed","value":null}"#,
            r#"{"type":"info","name":"clientSpeaking","value":{"on":true}}"#,
            r#"{"type":"info","name":7}"#,
            r#"{"type":"info"}"#,
            r#"{"type":"weather","name":{"city":"Oslo"},"value":3,"digit":5,"last":"no","voicePrompt":[]}"#,
            r#"{"type":7}"#,
            "{}",
        ] {
            assert_eq!(read(frame), Ok(Heard::Other), "{frame}");
        }
        let prompt = r#"{"type":"prompt","voicePrompt":"Hi.","name":1,"value":2,"digit":3,"last":"true"}"#;
        assert_eq!(read(prompt), Ok(Heard::Prompt { text: "Hi.".to_owned().into(), last: true }));
    }

    #[test]
    fn says_what_is_wrong() {
        let why = |frame: &str| read(frame).unwrap_err().to_string();
        assert!(why("{").contains("not JSON"), "{}", why("{"));
        assert!(why(r#"{"type":"prompt"}"#).contains("no string `voicePrompt`"));
        assert!(why(r#"{"type":"dtmf","digit":5}"#).contains("no string `digit`"));
        assert!(why(r#"{"type":"interrupt"}"#).contains("no string `utteranceUntilInterrupt`"));
        assert!(why(&" ".repeat(FRAME_MAX + 1)).contains("over the limit"));
    }

    #[test]
    fn what_we_send_is_frozen() {
        assert_eq!(text("Say \"hi\".", true), r#"{"type":"text","token":"Say \"hi\". ","last":false}"#);
        assert_eq!(text("Hi.", false), r#"{"type":"text","token":"Hi. ","last":false,"interruptible":false}"#);
        assert_eq!(last(), r#"{"type":"text","token":"","last":true}"#);
        assert_eq!(end(None), r#"{"type":"end"}"#);
        let transfer = r#"{"type":"end","handoffData":"{\"reason\":\"transfer\",\"target\":\"+1555\"}"}"#;
        assert_eq!(end(Some("+1555")), transfer);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(frame in ".{0,200}", kind in "setup|prompt|interrupt|dtmf|info", inner in ".{0,40}") {
            let _ = read(&frame);
            let _ = read(&format!(r#"{{"type":"{kind}",{inner}}}"#));
        }
    }
}
