use proptest::prelude::*;
use serde_json::json;
use tandem_contract::event::SessionEvent;
use tandem_contract::record::Outcome;
use tandem_contract::{BotName, ConfigVersion, NodeId, SessionId};

use super::*;
use crate::stream::attachment::AttachmentError;

struct Line {
    core: StreamCore,
    now: Time,
    effects: Vec<StreamEffect>,
}

impl Line {
    fn new() -> Self {
        Self { core: StreamCore::new(Time::ZERO), now: Time::ZERO, effects: Vec::new() }
    }

    fn running(mode: Mode) -> Self {
        let mut line = Self::starting(mode);
        line.accept(mode);
        line.sent();
        line.effects.clear();
        line
    }

    fn starting(mode: Mode) -> Self {
        let mut line = Self::new();
        line.text(&format!("{{\"type\":\"start\",\"mode\":\"{}\"}}", mode.as_str()));
        line
    }

    fn accept(&mut self, mode: Mode) {
        let started = Started {
            session: SessionId::new(NodeId(0)),
            bot: BotName::new("demo").unwrap(),
            version: ConfigVersion(1),
            mode,
            rate: RATE,
        };
        self.put(StreamInput::Accepted { started, resumed: None });
    }

    fn put(&mut self, input: StreamInput) {
        self.core.handle(self.now, input, &mut self.effects);
    }

    fn text(&mut self, frame: &str) {
        self.put(StreamInput::Text { frame: frame.to_owned() });
    }

    fn audio(&mut self, utterance: u32, offset: u32) {
        let audio = AgentAudio { utterance, offset, samples: Arc::from([0i16; 320]) };
        self.put(StreamInput::Audio { audio });
    }

    fn later(&mut self, by: Duration) {
        self.now += by;
        self.core.handle_timeout(self.now, &mut self.effects);
    }

    fn sent(&mut self) -> Vec<Outgoing> {
        std::iter::from_fn(|| self.core.poll_send()).collect()
    }

    fn leg_events(&mut self) -> Vec<LegEvent> {
        let effects = std::mem::take(&mut self.effects);
        let leg = |effect| if let StreamEffect::Leg { event } = effect { Some(event) } else { None };
        effects.into_iter().filter_map(leg).collect()
    }
}

fn ended_with(sent: &[Outgoing]) -> Option<StreamError> {
    match sent {
        [.., Outgoing::Problem { error: said }, Outgoing::Close { closing: Closing::Problem { error } }] => {
            assert_eq!(said, error);
            Some(error.clone())
        }
        _ => None,
    }
}

#[test]
fn what_is_said_before_the_session_runs_is_heard() {
    let mut line = Line::starting(Mode::Text);
    line.text(r#"{"type":"text","text":"hello"}"#);
    line.text(r#"{"type":"text","text":"are you there?"}"#);
    assert_eq!(line.leg_events(), []);
    line.accept(Mode::Text);
    let text = |text: &str| LegEvent::Text { text: text.to_owned().into(), attachments: Vec::new() };
    assert_eq!(line.leg_events(), [LegEvent::Answered, text("hello"), text("are you there?")]);

    let mut line = Line::starting(Mode::Text);
    for _ in 0..=EARLY_MAX {
        line.text(r#"{"type":"dtmf","digit":"1"}"#);
    }
    let told = line.sent();
    let full = StreamError::MessagesTooFast { per_second: MESSAGES_PER_SECOND };
    assert_eq!(told, [Outgoing::Problem { error: full }], "only what there is no room for");

    let mut line = Line::starting(Mode::Text);
    line.text(r#"{"type":"bye"}"#);
    line.text(r#"{"type":"text","text":"too late"}"#);
    line.accept(Mode::Text);
    let ended = LegEvent::Ended { reason: LegEnd::CallerHungUp };
    assert_eq!(line.leg_events(), [LegEvent::Answered, ended]);
}

#[test]
fn a_start_becomes_a_session() {
    let mut line = Line::new();
    line.text(r#"{"type":"start","mode":"voice","rate":16000,"bot":"demo"}"#);
    assert!(matches!(line.effects.as_slice(), [StreamEffect::Start { start }] if start.mode == Mode::Voice));
    let mut line = Line::running(Mode::Voice);
    line.text(r##"{"type":"dtmf","digit":"#"}"##);
    line.text(r#"{"type":"text","text":"hello"}"#);
    line.text(r#"{"type":"played","utterance":1,"offset":1600}"#);
    let text = "hello".to_owned().into();
    let text = LegEvent::Text { text, attachments: Vec::new() };
    let played = LegEvent::Played { utterance: UtteranceId(1), offset: 1600 };
    assert_eq!(line.leg_events(), [LegEvent::Dtmf { digit: '#' }, text, played]);
    line.put(StreamInput::Binary { frame: vec![1, 0, 2, 0] });
    assert_eq!(line.effects, [StreamEffect::Caller { samples: Arc::from([1, 2]) }]);
}

fn attached(text: &str, attachments: &[(&str, &str, &str)]) -> String {
    let attachment = |(name, kind, data): &(&str, &str, &str)| json!({ "name": name, "type": kind, "data": data });
    let attachments: Vec<_> = attachments.iter().map(attachment).collect();
    json!({ "type": "text", "text": text, "attachments": attachments }).to_string()
}

#[test]
fn what_is_attached_comes_with_its_text_or_is_refused_with_a_reason() {
    let (png, text) = (("cat.png", "image/png", "iVBORw0KGgo="), ("a.txt", "text/plain", "SGk="));
    let mut line = Line::running(Mode::Text);
    line.text(&attached("", &[png, text]));
    let Some(LegEvent::Text { text: words, attachments }) = line.leg_events().pop() else { panic!("no text") };
    let marks: Vec<_> = attachments.iter().map(Attachment::mark).collect();
    assert_eq!((words.reveal().as_str(), marks), ("", vec!["[image: cat.png]".to_owned(), "[file: a.txt]".to_owned()]));
    for (attachments, error) in [
        (
            vec![png, ("b.png", "image/png", "SGk=")],
            StreamError::Attachment { at: 1, why: AttachmentError::NotAPicture },
        ),
        (vec![("b.png", "image/png", "!")], StreamError::Attachment { at: 0, why: AttachmentError::NotBase64 }),
        (vec![text; 5], StreamError::Attachments { count: 5 }),
    ] {
        line.text(&attached("Look", &attachments));
        assert_eq!(line.leg_events(), [], "all or nothing");
        assert_eq!(line.sent(), [Outgoing::Problem { error }]);
    }
    line.text(r#"{"type":"text","text":" ","attachments":[]}"#);
    assert_eq!(line.sent(), [Outgoing::Problem { error: StreamError::TextLength }]);
}

#[test]
fn attachments_are_for_chats_that_run() {
    for mut line in [Line::running(Mode::Voice), Line::starting(Mode::Text), Line::new()] {
        line.text(&attached("Look", &[("cat.png", "image/png", "iVBORw0KGgo=")]));
        assert_eq!(line.leg_events(), []);
        assert_eq!(line.sent(), [Outgoing::Problem { error: StreamError::AttachedElsewhere }]);
    }
}

fn writes(line: &mut Line, utterance: u32) {
    let text = utterance.to_string().into();
    line.put(StreamInput::Leg { command: LegCommand::Text { utterance: UtteranceId(utterance), text } });
}

#[test]
fn a_lost_chat_is_kept_and_the_client_that_comes_back_gets_what_it_missed() {
    for lost in [None, Some(false)] {
        let mut line = Line::running(Mode::Text);
        (1..4).for_each(|utterance| writes(&mut line, utterance));
        match lost {
            Some(closed) => line.put(StreamInput::Gone { closed }),
            None => line.later(IDLE_LIMIT),
        }
        let Some(StreamEffect::Park { written }) = line.effects.pop() else { panic!("{:?}", line.effects) };
        assert!(line.core.is_over() && line.effects.is_empty());
        let mut again = Line::new();
        let session = SessionId::new(NodeId(0));
        again.text(&format!(r#"{{"type":"start","mode":"text","resume":"{session}","seen":1}}"#));
        assert!(matches!(again.effects.pop(), Some(StreamEffect::Start { start }) if start.resume == Some(session)));
        let bot = BotName::new("demo").unwrap();
        let started = Started { session, bot, version: ConfigVersion(1), mode: Mode::Text, rate: 0 };
        again.put(StreamInput::Accepted { started, resumed: Some(written) });
        writes(&mut again, 4);
        let texts: Vec<u32> = again
            .sent()
            .iter()
            .filter_map(|sent| match sent {
                Outgoing::Message { message } => match **message {
                    ServerMessage::Text { utterance, .. } => Some(utterance),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        assert_eq!(texts, [2, 3, 4]);
        assert!(again.leg_events().is_empty(), "it was answered before");
    }
}

#[test]
fn a_client_that_comes_back_elsewhere_takes_its_session_along() {
    let mut line = Line::running(Mode::Text);
    line.sent();
    writes(&mut line, 1);
    line.put(StreamInput::TakenOver);
    let Some(StreamEffect::Park { written }) = line.effects.pop() else { panic!("{:?}", line.effects) };
    assert_eq!(written.len(), 1, "it goes the new way, and not this one too");
    assert_eq!(ended_with(&line.sent()), Some(StreamError::TakenOver));
    assert!(line.core.is_over() && line.effects.is_empty(), "the session goes on");
    let mut spoken = Line::running(Mode::Voice);
    spoken.put(StreamInput::TakenOver);
    assert!(!spoken.core.is_over());
}

#[test]
fn what_is_closed_or_spoken_is_not_kept() {
    let mut closed = Line::running(Mode::Text);
    closed.put(StreamInput::Gone { closed: true });
    assert_eq!(closed.leg_events(), [LegEvent::Ended { reason: LegEnd::CallerHungUp }]);
    let mut spoken = Line::running(Mode::Voice);
    spoken.put(StreamInput::Gone { closed: false });
    assert_eq!(spoken.leg_events(), [LegEvent::Ended { reason: LegEnd::WireLost }]);
    let mut line = Line::new();
    line.text(&format!(r#"{{"type":"start","mode":"voice","resume":"{}"}}"#, SessionId::new(NodeId(0))));
    assert_eq!(ended_with(&line.sent()), Some(StreamError::ResumedVoice));
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let table: [(Mode, &str, &str); 6] = [
        (Mode::Voice, "{", "not JSON"),
        (Mode::Voice, "{\"type\":\"x\"}", "no message of type"),
        (Mode::Voice, "{\"type\":\"start\",\"mode\":\"voice\"}", "start came twice"),
        (Mode::Text, "{\"type\":\"dtmf\"}", "missing field `digit`"),
        (Mode::Text, "[1]", "no type"),
        (Mode::Text, "{\"type\":\"bye\",\"x\":1}", "unknown field `x`"),
    ];
    for (mode, frame, why) in table {
        let mut line = Line::running(mode);
        line.text(frame);
        let error = ended_with(&line.sent()).expect(frame).to_string();
        assert!(error.contains(why), "{frame}: {error}");
        assert_eq!(line.leg_events(), [LegEvent::Ended { reason: LegEnd::WireLost }]);
        assert!(line.core.is_over());
    }
}

#[test]
fn slips_are_answered_and_forgiven() {
    for frame in [r#"{"type":"dtmf","digit":"12"}"#, r#"{"type":"text","text":"  "}"#] {
        let mut line = Line::running(Mode::Text);
        line.text(frame);
        line.put(StreamInput::Binary { frame: vec![0; 640] });
        let sent = line.sent();
        assert!(matches!(sent.as_slice(), [Outgoing::Problem { .. }, Outgoing::Problem { .. }]), "{sent:?}");
        assert!(!line.core.is_over() && line.effects.is_empty());
    }
}

#[test]
fn nothing_comes_before_start() {
    for input in [
        StreamInput::Text { frame: r#"{"type":"text","text":"hi"}"#.to_owned() },
        StreamInput::Binary { frame: vec![0; 640] },
    ] {
        let mut line = Line::new();
        line.put(input);
        assert!(matches!(ended_with(&line.sent()), Some(StreamError::StartFirst { .. })));
        assert!(line.effects.is_empty());
    }
    let mut line = Line::new();
    line.text(r#"{"type":"start","mode":"voice","rate":8000}"#);
    assert_eq!(ended_with(&line.sent()), Some(StreamError::Rate { rate: 8000 }));
}

#[test]
fn a_silent_client_is_pinged_and_then_given_up() {
    let mut line = Line::new();
    line.later(START_WITHIN);
    assert!(matches!(ended_with(&line.sent()), Some(StreamError::StartTimeout { seconds: 5 })));

    let mut line = Line::running(Mode::Text);
    line.later(PING_AFTER);
    line.later(PING_AFTER);
    assert_eq!(line.sent(), [Outgoing::Ping, Outgoing::Ping]);
    line.put(StreamInput::Heartbeat);
    line.later(PING_AFTER);
    line.later(PING_AFTER);
    line.sent();
    line.later(PING_AFTER);
    assert_eq!(ended_with(&line.sent()), Some(StreamError::Idle { seconds: 30 }));
}

#[test]
fn either_side_may_hang_up_and_the_farewell_is_heard() {
    for (hang_up, reason) in [
        (StreamInput::Text { frame: r#"{"type":"bye"}"#.to_owned() }, LegEnd::CallerHungUp),
        (StreamInput::Leg { command: LegCommand::HangUp }, LegEnd::AgentHungUp),
    ] {
        let mut line = Line::running(Mode::Voice);
        line.put(hang_up);
        assert_eq!(line.leg_events(), [LegEvent::Ended { reason }]);
        line.put(StreamInput::Binary { frame: vec![0; 640] });
        line.put(StreamInput::Event { event: SessionEvent::Ended { outcome: Outcome::Ended(reason) } });
        let outcome = Outcome::Ended(reason);
        let message = Box::new(ServerMessage::Ended { outcome });
        assert_eq!(line.sent(), [Outgoing::Message { message }, Outgoing::Close { closing: Closing::Done }]);
        assert!(line.core.is_over() && line.effects.is_empty());
    }
}

#[test]
fn a_session_that_dies_or_never_says_goodbye_closes_too() {
    let mut line = Line::running(Mode::Voice);
    line.put(StreamInput::SessionGone);
    assert_eq!(line.sent(), [Outgoing::Close { closing: Closing::SessionLost }]);
    let mut line = Line::running(Mode::Voice);
    line.text(r#"{"type":"bye"}"#);
    line.later(FAREWELL_LIMIT);
    assert_eq!(line.sent(), [Outgoing::Close { closing: Closing::SessionLost }]);
    let mut line = Line::running(Mode::Voice);
    line.put(StreamInput::Gone { closed: false });
    assert_eq!(line.leg_events(), [LegEvent::Ended { reason: LegEnd::WireLost }]);
}

#[test]
fn clear_overtakes_its_audio_which_comes_back_on_resume() {
    let mut line = Line::running(Mode::Voice);
    line.audio(4, 0);
    line.audio(4, 320);
    line.put(StreamInput::Leg { command: LegCommand::Clear { utterance: UtteranceId(4) } });
    let clear = Outgoing::Message { message: Box::new(ServerMessage::Clear { utterance: 4 }) };
    assert_eq!(line.sent(), [clear]);
    let withheld = LegEvent::Withheld { utterance: UtteranceId(4), offset: 0 };
    assert_eq!(line.leg_events(), [withheld], "the ledger hears that the client got none of it");
    line.audio(4, 640);
    assert_eq!(line.sent(), [], "a frame that was on its way is no resume");
    line.later(Duration::from_millis(700));
    line.audio(4, 960);
    let offset = |item: Outgoing| item_audio(item).offset;
    assert_eq!(line.sent().into_iter().map(offset).collect::<Vec<_>>(), [0, 320, 640, 960]);
    let withheld = LegEvent::Withheld { utterance: UtteranceId(4), offset: 0 };
    let released = LegEvent::Released { utterance: UtteranceId(4) };
    assert_eq!(line.leg_events(), [withheld, released], "and it is no longer withheld");

    line.audio(4, 1280);
    line.put(StreamInput::Leg { command: LegCommand::Clear { utterance: UtteranceId(4) } });
    line.sent();
    line.audio(5, 0);
    let after: Vec<_> = line.sent().into_iter().map(|item| item_audio(item).utterance).collect();
    assert_eq!(after, [5], "what was thrown away does not come back with the next utterance");
}

#[test]
fn the_ledger_hears_from_where_on_a_slow_client_lost_audio() {
    let mut line = Line::running(Mode::Voice);
    (0..30).for_each(|frame| line.audio(4, frame * 320));
    let lost = |utterance, offset| LegEvent::Lost { utterance: UtteranceId(utterance), offset };
    assert_eq!(line.leg_events(), [lost(4, 0)], "told once; five frames are gone");
    assert_eq!((line.core.frames_dropped(), line.sent().len()), (5, 25));

    line.audio(5, 0);
    line.sent();
    line.audio(5, 320);
    line.audio(6, 0);
    line.put(StreamInput::Gone { closed: false });
    let gone = LegEvent::Ended { reason: LegEnd::WireLost };
    assert_eq!(line.leg_events(), [lost(5, 320), lost(6, 0), gone], "what waited never left");
}

#[test]
fn a_frame_behind_the_clear_is_told_and_survives_a_second_pause() {
    let mut line = Line::running(Mode::Voice);
    let clear = || StreamInput::Leg { command: LegCommand::Clear { utterance: UtteranceId(4) } };
    line.audio(4, 0);
    line.sent();
    line.put(clear());
    assert_eq!(line.leg_events(), [], "all of it had gone out");
    line.audio(4, 320);
    assert_eq!(line.leg_events(), [LegEvent::Withheld { utterance: UtteranceId(4), offset: 320 }]);
    line.later(Duration::from_millis(500));
    line.put(clear());
    line.sent();
    line.later(Duration::from_millis(500));
    line.audio(4, 640);
    let offsets: Vec<_> = line.sent().into_iter().map(|item| item_audio(item).offset).collect();
    assert_eq!(offsets, [320, 640]);
}

fn item_audio(item: Outgoing) -> AgentAudio {
    match item {
        Outgoing::Audio { audio } => audio,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_slow_client_loses_old_audio_and_is_closed_when_messages_pile_up() {
    let mut line = Line::running(Mode::Voice);
    for frame in 0..100 {
        line.audio(1, frame * 320);
    }
    assert_eq!(line.core.frames_dropped(), 75);
    let sent = line.sent();
    assert_eq!((sent.len(), item_audio(sent[0].clone()).offset), (25, 75 * 320));
    for _ in 0..300 {
        line.text(r#"{"type":"ping"}"#);
    }
    assert_eq!(ended_with(&line.sent()), Some(StreamError::TooSlow { waiting: 256 }));
    let lost = LegEvent::Lost { utterance: UtteranceId(1), offset: 0 };
    assert_eq!(line.leg_events(), [lost, LegEvent::Ended { reason: LegEnd::WireLost }]);
}

#[test]
fn a_flood_of_audio_is_told_once() {
    let mut line = Line::running(Mode::Voice);
    for _ in 0..10 {
        line.put(StreamInput::Binary { frame: vec![0; 32_000] });
    }
    assert_eq!(line.effects.len(), 2);
    assert_eq!(line.sent(), [Outgoing::Problem { error: StreamError::TooFast { dropped: 16_000 } }]);
    assert_eq!(line.core.samples_flooded(), 8 * 16_000);
}

#[test]
fn a_flood_of_texts_is_dropped_and_told() {
    let mut line = Line::running(Mode::Text);
    for _ in 0..30 {
        line.text(r#"{"type":"text","text":"x"}"#);
    }
    assert_eq!(line.effects.len(), 20);
    let told = Outgoing::Problem { error: StreamError::MessagesTooFast { per_second: 4 } };
    assert_eq!(line.sent(), vec![told; 10]);
}

#[test]
fn a_transfer_is_refused_in_words_of_sip() {
    let mut line = Line::running(Mode::Voice);
    let target = Private::new("tel:110".to_owned());
    line.put(StreamInput::Leg { command: LegCommand::Transfer { target } });
    assert_eq!(line.leg_events(), [LegEvent::TransferProgress { status: 501 }]);
}

/// Frames that a client may send, from well-formed to noise.
fn frames() -> impl Strategy<Value = StreamInput> {
    let json = prop::sample::select(vec![
        r#"{"type":"start","mode":"voice","rate":16000}"#,
        r#"{"type":"start","mode":"text"}"#,
        r#"{"type":"text","text":"x"}"#,
        r#"{"type":"dtmf","digit":"1"}"#,
        r#"{"type":"played","utterance":4294967295,"offset":18446744073709551615}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"bye"}"#,
        r#"{"type":"played","utterance":-1,"offset":0}"#,
    ]);
    prop_oneof![
        3 => json.prop_map(|frame| StreamInput::Text { frame: frame.to_owned() }),
        1 => ".{0,80}".prop_map(|frame| StreamInput::Text { frame }),
        2 => prop::collection::vec(any::<u8>(), 0..700).prop_map(|frame| StreamInput::Binary { frame }),
        1 => Just(StreamInput::Heartbeat),
        1 => any::<bool>().prop_map(|closed| StreamInput::Gone { closed }),
        1 => Just(StreamInput::SessionGone),
    ]
}

proptest! {
    /// No frame panics; the session hears of the leg's end once and nothing after it; at most one close goes out, last.
    #[test]
    fn any_frames_keep_the_session_in_order(inputs in prop::collection::vec((frames(), 0u64..8_000), 0..60)) {
        let mut line = Line::new();
        let (mut ends, mut closes) = (0, 0);
        for (input, wait) in inputs {
            line.put(input);
            if matches!(line.effects.as_slice(), [StreamEffect::Start { .. }]) {
                let running = Line::running(Mode::Voice);
                line.core = StreamCore { heard_from: line.now, ..running.core };
            }
            line.later(Duration::from_millis(wait));
            for event in line.leg_events() {
                prop_assert_eq!(ends, 0, "nothing follows the end");
                ends += u32::from(matches!(event, LegEvent::Ended { .. }));
            }
            for item in line.sent() {
                prop_assert_eq!(closes, 0, "nothing follows the close");
                closes += u32::from(matches!(item, Outgoing::Close { .. }));
            }
            let stored = serde_json::to_string(&line.core).unwrap();
            prop_assert_eq!(serde_json::from_str::<StreamCore>(&stored).unwrap(), line.core.clone());
        }
    }

    #[test]
    fn inputs_and_effects_survive_a_hand_over(input in frames()) {
        let stored = serde_json::to_string(&input).unwrap();
        prop_assert_eq!(serde_json::from_str::<StreamInput>(&stored).unwrap(), input.clone());
        let mut line = Line::running(Mode::Voice);
        line.put(input);
        let stored = serde_json::to_string(&line.effects).unwrap();
        prop_assert_eq!(serde_json::from_str::<Vec<StreamEffect>>(&stored).unwrap(), line.effects);
    }
}
