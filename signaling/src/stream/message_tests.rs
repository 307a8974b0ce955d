//! Every message as frozen JSON: a change that breaks a client in the field breaks a line here first.

use serde_json::json;
use tandem_contract::UtteranceId;
use tandem_contract::leg::LegEnd;
use tandem_contract::record::{Speaker, Stage, StageSpan, TimelineEvent};

use super::*;

fn client(frame: &str, message: &ClientMessage) {
    assert_eq!(&ClientMessage::parse(frame).unwrap(), message);
    assert_eq!(serde_json::to_string(message).unwrap(), frame);
}

fn server(message: &ServerMessage, frozen: Value) {
    assert_eq!(serde_json::to_value(message).unwrap(), frozen);
    assert_eq!(&serde_json::from_value::<ServerMessage>(frozen).unwrap(), message);
}

#[test]
fn client_messages_are_frozen() {
    let start =
        Start { bot: None, mode: Mode::Voice, rate: Some(16_000), token: None, resume: None, seen: 0, continues: None };
    client(r#"{"type":"start","mode":"voice","rate":16000}"#, &ClientMessage::Start(start));
    let bot = Some(BotName::new("demo").unwrap());
    let token = Some("k".to_owned().into());
    let start = Start { bot, mode: Mode::Text, rate: None, token, resume: None, seen: 0, continues: None };
    client(r#"{"type":"start","bot":"demo","mode":"text","token":"k"}"#, &ClientMessage::Start(start));
    let attachments = Vec::new();
    client(r#"{"type":"text","text":"hello"}"#, &ClientMessage::Text { text: "hello".to_owned().into(), attachments });
    let (name, data) = ("a.png".to_owned().into(), "iVBORw0KGgo=".to_owned().into());
    let attachments = vec![AttachmentMessage { name, r#type: "image/png".into(), data }];
    client(
        r#"{"type":"text","text":"","attachments":[{"name":"a.png","type":"image/png","data":"iVBORw0KGgo="}]}"#,
        &ClientMessage::Text { text: String::new().into(), attachments },
    );
    client(r#"{"type":"dtmf","digit":"5"}"#, &ClientMessage::Dtmf { digit: "5".to_owned() });
    client(r#"{"type":"played","utterance":2,"offset":8000}"#, &ClientMessage::Played { utterance: 2, offset: 8000 });
    client(r#"{"type":"ping"}"#, &ClientMessage::Ping {});
    client(r#"{"type":"bye"}"#, &ClientMessage::Bye {});
}

#[test]
fn errors_say_what_where_and_how() {
    let error = |frame: &str| ClientMessage::parse(frame).unwrap_err().to_string();
    assert_eq!(error("{"), "this text frame is not JSON (line 1, column 1): EOF while parsing an object");
    assert_eq!(error("[]"), "this message has no type; every message is an object with a string `type`");
    assert_eq!(
        error(r#"{"type":"hallo"}"#),
        "there is no message of type \"hallo\"; a client sends start, text, dtmf, played, ping, bye"
    );
    assert_eq!(error(r#"{"type":"played","utterance":1}"#), "message played: missing field `offset`");
    assert_eq!(
        error(r#"{"type":"text","text":"x","loud":true}"#),
        "message text: unknown field `loud`, expected `text` or `attachments`"
    );
    assert!(error(r#"{"type":"start","mode":"fax"}"#).contains("unknown variant `fax`, expected `voice` or `text`"));
    assert!(error(r#"{"type":"start","mode":"text","bot":"../x"}"#).contains("a bot name is"));
    assert!(error(&format!("{{\"type\":\"{}\"}}", "x".repeat(900))).len() < 200);
}

/// Only what is attached may be long.
#[test]
fn a_long_frame_is_one_with_attachments() {
    let long = "A".repeat(TEXT_FRAME_MAX);
    let attached = format!(r#"{{"type":"text","text":"","attachments":[{{"name":"a","type":"b","data":"{long}"}}]}}"#);
    assert!(matches!(ClientMessage::parse(&attached), Ok(ClientMessage::Text { .. })));
    let bytes = attached.len();
    assert_eq!(
        ClientMessage::parse(&attached.replace("attachments", "attachmentz")),
        Err(StreamError::FrameLength { bytes })
    );
    let most = "A".repeat(ATTACHED_FRAME_MAX);
    let more = format!(r#"{{"type":"text","text":"","attachments":[{{"name":"a","type":"b","data":"{most}"}}]}}"#);
    assert_eq!(ClientMessage::parse(&more), Err(StreamError::FrameLength { bytes: more.len() }));
}

#[test]
fn session_messages_are_frozen() {
    let session = "0190163d-8694-739b-aea5-966c26f80000".parse().unwrap();
    let bot = BotName::new("demo").unwrap();
    let started = Started { session, bot, version: ConfigVersion(3), mode: Mode::Voice, rate: 16_000 };
    server(
        &ServerMessage::Started(started),
        json!({"type": "started", "session": "0190163d-8694-739b-aea5-966c26f80000", "bot": "demo", "version": 3,
               "mode": "voice", "rate": 16000}),
    );
    let word = WordSpan { text: "Hello".to_owned().into(), start: 0, end: 6400 };
    server(
        &SessionEvent::AgentUtterance {
            epoch: Epoch(1),
            utterance: UtteranceId(2),
            text: "Hello".to_owned().into(),
            words: vec![word],
            rate: 16_000,
        }
        .into(),
        json!({"type": "agent_utterance", "epoch": 1, "utterance": 2, "text": "Hello",
               "words": [{"text": "Hello", "start": 0, "end": 6400}], "rate": 16000}),
    );
    server(
        &SessionEvent::AgentProgress { utterance: UtteranceId(2), offset: 1600 }.into(),
        json!({"type": "agent_progress", "utterance": 2, "offset": 1600}),
    );
    server(&ServerMessage::Clear { utterance: 2 }, json!({"type": "clear", "utterance": 2}));
    server(
        &ServerMessage::Text { utterance: 2, text: "Hello".to_owned().into() },
        json!({"type": "text", "utterance": 2, "text": "Hello"}),
    );
    server(&ServerMessage::TextPart { text: "Hel".to_owned().into() }, json!({"type": "text_part", "text": "Hel"}));
    server(&ServerMessage::Typing { on: true }, json!({"type": "typing", "on": true}));
    server(&ServerMessage::Pong {}, json!({"type": "pong"}));
    let outcome = Outcome::Ended(LegEnd::AgentHungUp);
    server(
        &SessionEvent::Ended { outcome }.into(),
        json!({"type": "ended", "outcome": {"kind": "ended", "reason": "agent_hung_up"}}),
    );
    server(
        &ServerMessage::Error { code: "bad_message".into(), message: "why".into(), fatal: true },
        json!({"type": "error", "code": "bad_message", "message": "why", "fatal": true}),
    );
}

#[test]
fn record_messages_are_frozen() {
    let entry = LedgerEntry {
        utterance: UtteranceId(2),
        epoch: Epoch(1),
        speaker: Speaker::Agent,
        at_ms: 1200,
        text: "Hello there".to_owned().into(),
        heard: "Hello".to_owned().into(),
        heard_samples: 7000,
        rate: 16_000,
        interrupted: true,
    };
    server(
        &SessionEvent::Committed { entry }.into(),
        json!({"type": "committed", "entry": {"utterance": 2, "epoch": 1, "speaker": "agent", "at_ms": 1200,
               "text": "Hello there", "heard": "Hello", "heard_samples": 7000, "rate": 16000, "interrupted": true}}),
    );
    let entry = TimelineEntry { at_ms: 900, what: TimelineEvent::Paused { utterance: UtteranceId(2) } };
    server(
        &SessionEvent::Timeline { entry }.into(),
        json!({"type": "timeline", "entry": {"at_ms": 900, "event": "paused", "utterance": 2}}),
    );
    let stages = vec![StageSpan { stage: Stage::EndpointingWait, us: 500_000 }];
    let turn = TurnRecord { epoch: Epoch(1), caller_stopped_ms: 10, agent_started_ms: 510, gap_us: 500_000, stages };
    server(
        &SessionEvent::Turn { turn }.into(),
        json!({"type": "turn", "turn": {"epoch": 1, "caller_stopped_ms": 10, "agent_started_ms": 510,
               "gap_us": 500000, "stages": [{"stage": "endpointing_wait", "us": 500000}]}}),
    );
}

/// The examples of the description are messages of today.
#[test]
fn the_documented_examples_are_read() {
    let document = include_str!("../../../docs/websocket.md");
    let mut count = 0;
    for block in document.split("```json\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for frame in block.replace("\n ", "").lines() {
            let server = serde_json::from_str::<ServerMessage>(frame);
            assert!(server.is_ok() || ClientMessage::parse(frame).is_ok(), "{frame}");
            count += 1;
        }
    }
    assert_eq!(count, 12);
}
