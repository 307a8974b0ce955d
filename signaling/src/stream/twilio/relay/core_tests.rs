use serde_json::{Value, json};
use tandem_contract::{BotName, ConfigVersion, NodeId, SessionId, UtteranceId};

use super::*;
use crate::stream::message::{Mode, Started};

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

/// A core and what came out of it.
struct Line {
    core: RelayCore,
    now: Time,
    events: Vec<LegEvent>,
    sent: Vec<Value>,
    closed: Option<Closing>,
}

impl Line {
    fn new() -> Self {
        Self { core: RelayCore::new(Time::ZERO), now: Time::ZERO, events: Vec::new(), sent: Vec::new(), closed: None }
    }

    /// A call whose session runs and whose far end tells of speakers.
    fn running() -> Self {
        let mut line = Self::new();
        line.hear(json!({ "type": "setup", "callSid": "CA1", "customParameters": { "token": "t" } }));
        let started = Started {
            session: SessionId::new(NodeId(0)),
            bot: BotName::new("demo").unwrap(),
            version: ConfigVersion(1),
            mode: Mode::Text,
            rate: 0,
        };
        line.give(StreamInput::Accepted { started, resumed: None });
        line.hear(json!({ "type": "info", "name": "agentSpeaking", "value": "on" }));
        line.events.clear();
        line
    }

    fn give(&mut self, input: StreamInput) {
        let mut out = Vec::new();
        self.core.handle(self.now, input, &mut out);
        self.take(out);
        let json = serde_json::to_string(&self.core).unwrap();
        assert_eq!(serde_json::from_str::<RelayCore>(&json).unwrap(), self.core, "its state survives a hand-over");
    }

    fn take(&mut self, out: Vec<Effect>) {
        self.events.extend(out.into_iter().filter_map(|effect| match effect {
            StreamEffect::Leg { event } => Some(event),
            _ => None,
        }));
        while let Some(out) = self.core.poll_send() {
            match out {
                RelayOut::Text { text } => self.sent.push(serde_json::from_str(text.reveal()).unwrap()),
                RelayOut::Ping => self.sent.push("ping".into()),
                RelayOut::Close { closing } => self.closed = Some(closing),
            }
        }
    }

    fn hear(&mut self, message: Value) {
        self.give(StreamInput::Text { frame: message.to_string() });
    }

    fn command(&mut self, command: LegCommand) {
        self.give(StreamInput::Leg { command });
    }

    fn speak(&mut self, utterance: u32, text: &str) {
        let text = text.to_owned().into();
        self.command(LegCommand::Speak { utterance: UtteranceId(utterance), text, interruptible: true });
    }

    fn until(&mut self, at: Time) {
        while let Some(due) = self.core.timeout().filter(|due| *due <= at) {
            self.now = self.now.max(due);
            let mut out = Vec::new();
            self.core.handle_timeout(self.now, &mut out);
            self.take(out);
        }
        self.now = at;
    }

    fn events(&mut self) -> Vec<LegEvent> {
        std::mem::take(&mut self.events)
    }

    fn tokens(&self) -> Vec<&str> {
        self.sent.iter().filter_map(|message| message["token"].as_str()).collect()
    }
}

fn played(utterance: u32, offset: u64) -> LegEvent {
    LegEvent::Played { utterance: UtteranceId(utterance), offset }
}

fn finished(utterance: u32) -> LegEvent {
    LegEvent::Finished { utterance: UtteranceId(utterance) }
}

#[test]
fn a_conversation() {
    let mut line = Line::running();
    line.speak(1, "Hello.");
    line.command(LegCommand::ReplyEnds);
    assert_eq!(line.tokens(), ["Hello. ", ""]);
    assert_eq!(line.sent[1]["last"], true);
    line.hear(json!({ "type": "info", "name": "tokensPlayed", "value": "Hello." }));
    assert_eq!(line.events(), [played(1, 0), played(1, 6), finished(1)]);
    line.hear(json!({ "type": "info", "name": "clientSpeaking", "value": "on" }));
    line.hear(json!({ "type": "prompt", "voicePrompt": "Hi", "lang": "en-US", "last": false }));
    line.hear(json!({ "type": "prompt", "voicePrompt": "Hi there.", "lang": "en-US", "last": true }));
    let text = LegEvent::Text { text: "Hi there.".to_owned().into(), attachments: Vec::new() };
    let speaks = |on| LegEvent::CallerSpeaks { on };
    assert_eq!(line.events(), [speaks(true), speaks(false), text]);
    line.hear(json!({ "type": "dtmf", "digit": "7" }));
    assert_eq!(line.events(), [LegEvent::Dtmf { digit: '7' }]);
    line.command(LegCommand::HangUp);
    assert_eq!(line.sent.last(), Some(&json!({ "type": "end" })));
    assert_eq!(line.events(), [LegEvent::Ended { reason: LegEnd::AgentHungUp }]);
    line.give(StreamInput::SessionGone);
    assert!(line.core.is_over() && line.closed.is_none(), "it is for Twilio to close");
}

#[test]
fn an_interrupted_reply_is_over_for_all() {
    let mut line = Line::running();
    line.speak(1, "Life is a complex set of things.");
    line.hear(json!({ "type": "interrupt", "utteranceUntilInterrupt": "Life is a complex set of",
        "durationUntilInterruptMs": 460 }));
    assert_eq!(line.events(), [played(1, 0), played(1, 24), LegEvent::Interrupted]);
    line.speak(2, "This was on its way.");
    line.command(LegCommand::ReplyEnds);
    line.command(LegCommand::Clear { utterance: UtteranceId(0) });
    line.speak(4, "Pardon?");
    assert_eq!(line.tokens(), ["Life is a complex set of things. ", "Pardon? "]);
    assert_eq!(line.events(), [played(4, 0)]);
    line.command(LegCommand::ReplyEnds);
    line.hear(json!({ "type": "info", "name": "tokensPlayed", "value": "Pardon?" }));
    line.events();
    line.hear(json!({ "type": "interrupt", "utteranceUntilInterrupt": "Pardon?", "durationUntilInterruptMs": 0 }));
    assert_eq!(line.events(), [], "all of it was heard");
}

#[test]
fn a_long_text_gives_signs_of_life_and_ends_in_time() {
    let mut line = Line::running();
    let text = "word ".repeat(60);
    line.speak(1, text.trim());
    line.command(LegCommand::ReplyEnds);
    for second in 1..=38 {
        line.until(ms(second * 1_000));
        line.give(StreamInput::Heartbeat);
    }
    let events = line.events();
    assert!(events.len() >= 9 && events.iter().all(|event| *event == played(1, 0)), "{events:?}");
    line.until(ms(40_000));
    assert_eq!(line.events()[..], [played(1, 299), finished(1)]);
}

#[test]
fn a_far_end_that_does_not_tell_who_speaks_hurries_nobody() {
    let mut line = Line::new();
    line.hear(json!({ "type": "setup", "customParameters": {} }));
    let started = Started {
        session: SessionId::new(NodeId(0)),
        bot: BotName::new("demo").unwrap(),
        version: ConfigVersion(1),
        mode: Mode::Text,
        rate: 0,
    };
    line.give(StreamInput::Accepted { started, resumed: None });
    assert_eq!(line.events(), [LegEvent::Answered, LegEvent::CallerSpeaks { on: true }]);
    line.hear(json!({ "type": "prompt", "voicePrompt": "Hi.", "last": true }));
    assert_eq!(line.events(), [LegEvent::Text { text: "Hi.".to_owned().into(), attachments: Vec::new() }]);
}

#[test]
fn a_transfer_goes_by_the_end_of_the_relay() {
    for (target, wanted) in [
        ("+1 (555) 010-0100", Some("+15550100100")),
        ("tel:+15550100;ext=1", Some("+15550100")),
        ("sip:desk@example.com", Some("sip:desk@example.com")),
        ("the front desk", None),
        ("https://example.com", None),
        ("sip:", None),
    ] {
        let mut line = Line::running();
        line.command(LegCommand::Transfer { target: target.to_owned().into() });
        let Some(wanted) = wanted else {
            assert_eq!(line.events(), [LegEvent::TransferProgress { status: 416 }], "{target}");
            continue;
        };
        let handoff: Value = serde_json::from_str(line.sent[0]["handoffData"].as_str().unwrap()).unwrap();
        assert_eq!(handoff, json!({ "reason": "transfer", "target": wanted }));
        assert_eq!(line.events(), [LegEvent::Ended { reason: LegEnd::Transferred }]);
    }
}

#[test]
fn whoever_does_not_keep_to_the_protocol_is_told_so() {
    let mut line = Line::new();
    line.hear(json!({ "type": "prompt", "voicePrompt": "Hi." }));
    assert_eq!(line.closed, Some(Closing::Problem { error: StreamError::StartMissing }));
    let mut line = Line::new();
    line.until(ms(6_000));
    assert!(matches!(line.closed, Some(Closing::Problem { error: StreamError::StartTimeout { .. } })));
    let mut line = Line::running();
    line.hear(json!({ "type": "setup" }));
    assert_eq!(line.events(), [LegEvent::Ended { reason: LegEnd::WireLost }]);
    let mut line = Line::running();
    line.hear(json!({ "type": "info", "name": "roundTripDelayMs", "value": 148 }));
    line.hear(json!({ "type": "weather", "digit": 5, "voicePrompt": null }));
    assert_eq!((line.events(), line.core.is_over()), (vec![], false), "passed over");
    line.hear(json!({ "type": "error", "description": "Invalid message received" }));
    assert_eq!((line.core.complaints(), line.core.is_over()), (1, false));
}

#[test]
fn a_caller_may_be_silent_and_a_far_end_may_not() {
    let mut line = Line::running();
    for second in 1..=60 {
        line.until(ms(second * 1_000));
        if line.sent.pop().is_some() {
            line.give(StreamInput::Heartbeat);
        }
    }
    assert!(!line.core.is_over());
    line.until(ms(100_000));
    assert!(matches!(line.closed, Some(Closing::Problem { error: StreamError::Idle { .. } })));
    assert_eq!(line.events().last(), Some(&LegEvent::Ended { reason: LegEnd::WireLost }));
}

#[test]
fn when_twilio_closes_the_caller_is_gone() {
    let mut line = Line::running();
    line.give(StreamInput::Gone { closed: true });
    assert_eq!(line.events(), [LegEvent::Ended { reason: LegEnd::CallerHungUp }]);
    assert!(line.core.is_over());
}
