use std::time::Duration;

use tandem_contract::Epoch;
use tandem_contract::bot::{BotConfig, TurnBlock};
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::record::{Outcome, Speaker, TimelineEntry, TimelineEvent};
use tandem_media::Time;
use tandem_media::leg::{MediaCommand, MediaEvent};
use tandem_speech::{RecognizerEvent, SpeechError, VoiceEvent};

use super::world::*;
use crate::brain::{BrainEffect, BrainEvent, Listen, ToolFailure};
use crate::session::input::{Measure, SessionEffect, SessionInput};
use crate::turn::Silence;

fn commands(world: &World, wanted: &MediaCommand) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::Media(command) if command == wanted))
}

fn leg_commands(world: &World, wanted: &LegCommand) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::Leg(command) if command == wanted))
}

#[test]
fn the_record_exists_before_the_first_word() {
    let world = World::new(Door::Sip, polite);
    let first = world.effects.iter().position(|(_, effect)| matches!(effect, SessionEffect::Store { first: true, .. }));
    let voice = world.effects.iter().position(|(_, effect)| matches!(effect, SessionEffect::StartVoice { .. }));
    assert!(first.unwrap() < voice.unwrap());
}

#[test]
fn a_plain_turn_is_heard_whole_and_measured() {
    let mut world = World::new(Door::Sip, polite);
    world.until(4200);
    assert_eq!(world.entries(Speaker::Agent).len(), 1);
    world.voice(5000, 5600);
    world.until(9000);
    let caller = world.entries(Speaker::Caller)[0].clone();
    assert_eq!((caller.heard.reveal().as_str(), caller.at_ms), ("yes", 5000));
    assert_eq!(world.entries(Speaker::Agent)[1].heard.reveal(), "that is fine");
    let turn = |event: &&SessionEvent| if let SessionEvent::Turn { turn } = event { Some(turn.clone()) } else { None };
    let turn = world.events().iter().find_map(turn).unwrap();
    assert_eq!(turn.stages.iter().map(|span| span.us).sum::<u64>(), turn.gap_us);
    // 500 ms of endpointing, 40 of the recognizer, 30 of the voice, and the next slot.
    assert_eq!((turn.caller_stopped_ms, turn.gap_us / 1000), (5600, 580));
    world.assert_heard_is_played();
}

#[test]
fn a_barge_in_at_any_time_leaves_what_was_heard() {
    for onset in (120..3700).step_by(53) {
        let mut world = World::new(Door::Sip, polite);
        world.voice(onset, onset + 1000);
        world.until(onset + 1560);
        let cut = &world.entries(Speaker::Agent)[0];
        assert!(cut.interrupted, "{onset}");
        // 200 ms of voice, and the line is silent on the next slot.
        let after = |at: &&Time| at.as_millis() > onset + 220 && at.as_millis() < onset + 1540;
        assert_eq!(world.sounding.iter().filter(after).count(), 0, "{onset}");
        world.until(onset + 6000);
        assert_eq!(world.entries(Speaker::Agent)[1].heard.reveal(), "that is fine");
        world.assert_heard_is_played();
    }
}

#[test]
fn late_audio_of_the_reply_before_is_dropped() {
    let mut world = World::new(Door::Sip, polite);
    world.until(100);
    let (epoch, utterance) = (Epoch(0), tandem_contract::UtteranceId(1));
    world.press('1');
    let before = world.effects.len();
    world.give(SessionInput::Voice { epoch, utterance, event: VoiceEvent::Audio(vec![1; 160].into()) });
    world.give(SessionInput::Voice { epoch, utterance, event: VoiceEvent::Words(Vec::new()) });
    world.give(SessionInput::Voice { epoch, utterance, event: VoiceEvent::Done });
    assert_eq!(world.effects.len(), before);
    world.until(6000);
    world.assert_heard_is_played();
}

#[test]
fn a_cough_pauses_and_resumes() {
    let mut world = World::new(Door::Sip, polite);
    world.answer = Some(RecognizerEvent::Rejected);
    world.voice(1000, 1300);
    world.until(9000);
    assert_eq!(
        (commands(&world, &MediaCommand::Pause), commands(&world, &MediaCommand::Resume)),
        (vec![1200], vec![1840])
    );
    let greeting = world.entries(Speaker::Agent)[0];
    assert!(!greeting.interrupted && greeting.heard == greeting.text);
    world.assert_heard_is_played();
}

#[test]
fn on_hold_nobody_is_waited_for_and_the_rest_is_heard_after_it() {
    let mut world = World::new(Door::Sip, polite);
    world.until(1500);
    world.hold(true);
    world.until(300_000);
    assert!(world.entries(Speaker::Agent).is_empty() && commands(&world, &MediaCommand::Clear).is_empty());
    world.hold(false);
    world.until(304_000);
    let greeting = world.entries(Speaker::Agent)[0];
    assert!(!greeting.interrupted && greeting.heard == greeting.text);
    // Now it is the caller's turn, who is away.
    world.hold(true);
    world.until(600_000);
    let no_input = |world: &World| {
        let silent = |event: &&SessionEvent| matches!(event, SessionEvent::Timeline { entry } if entry.what == TimelineEvent::NoInput);
        world.events().into_iter().filter(silent).count()
    };
    assert_eq!(no_input(&world), 0);
    world.hold(false);
    world.until(605_900);
    assert_eq!(no_input(&world), 0, "the wait begins anew");
    world.until(606_100);
    assert_eq!(no_input(&world), 1);
    world.assert_heard_is_played();
}

#[test]
fn a_key_cuts_the_prompt_at_once() {
    let mut world = World::new(Door::Sip, polite);
    world.until(1500);
    world.press('2');
    assert_eq!(commands(&world, &MediaCommand::Clear), [1500]);
    world.until(5000);
    let entries: Vec<_> = world.core.ledger().entries().iter().map(|entry| entry.heard.reveal().clone()).collect();
    assert_eq!(entries, ["one two three", "2", "that is fine"]);
}

#[test]
fn a_caller_who_hangs_up_in_the_middle_of_a_word_heard_the_words_before() {
    for at in (40..4100).step_by(97) {
        let mut world = World::new(Door::Sip, polite);
        world.until(at);
        world.hang_up();
        world.until(at + 1000);
        let record = world.record.as_ref().unwrap();
        assert_eq!(record.outcome, Outcome::Ended(LegEnd::CallerHungUp));
        assert_eq!(record.media.as_ref().unwrap().codec, "pcma");
        world.assert_heard_is_played();
    }
}

#[test]
fn a_far_end_that_buffers_heard_what_it_reports() {
    let mut world = World::new(Door::Websocket, polite);
    world.far_delay = Some(1700);
    world.voice(1000, 2000);
    world.until(2600);
    let cut = world.entries(Speaker::Agent)[0];
    let sent = world.sent[&cut.utterance];
    assert_eq!((cut.heard_samples, cut.interrupted), (sent - 1700, true));
    assert_eq!(leg_commands(&world, &LegCommand::Clear { utterance: cut.utterance }), [1200]);
}

#[test]
fn a_far_end_that_never_reports_is_not_waited_for() {
    let mut world = World::new(Door::Websocket, polite);
    world.until(1500);
    world.press('2');
    assert_eq!(world.entries(Speaker::Agent).len(), 0);
    world.until(1799);
    assert_eq!((world.entries(Speaker::Agent).len(), world.told().len()), (0, 2));
    world.until(5000);
    world.assert_heard_is_played();
}

#[test]
fn a_hang_up_waits_for_the_last_word() {
    let mut world = World::new(Door::Sip, |event, out| {
        if event == BrainEvent::Started {
            out.extend([say(Epoch(0), "good bye"), BrainEffect::HangUp]);
        }
    });
    world.until(3000);
    // Two words from the slot after the voice's 30 ms on, the slot of their end, and the tail.
    assert_eq!(leg_commands(&world, &LegCommand::HangUp), [1020]);
    let record = world.record.as_ref().unwrap();
    assert_eq!((record.outcome, record.ledger.len()), (Outcome::Ended(LegEnd::AgentHungUp), 1));
    world.assert_heard_is_played();
}

#[test]
fn a_transfer_that_fails_goes_on() {
    let mut world = World::new(Door::Sip, |event, out| match event {
        BrainEvent::Started => {
            out.extend([
                say(Epoch(0), "one moment"),
                BrainEffect::Transfer { target: "sip:desk@example.org".to_owned().into() },
            ]);
        }
        BrainEvent::TransferProgress { epoch, status: 486 } => out.push(say(epoch, "nobody there")),
        _ => {}
    });
    world.until(2000);
    let transfers = |effect: &SessionEffect| matches!(effect, SessionEffect::Leg(LegCommand::Transfer { .. }));
    assert_eq!(world.when(transfers).len(), 1);
    world.give(SessionInput::Leg(LegEvent::TransferProgress { status: 180 }));
    world.give(SessionInput::Leg(LegEvent::TransferProgress { status: 486 }));
    world.until(5000);
    assert_eq!(world.entries(Speaker::Agent)[1].heard.reveal(), "nobody there");
    assert_eq!(world.core.turn().state().name(), "listening");
}

#[test]
fn a_drain_lets_it_go_on_until_the_limit() {
    let mut world = World::new(Door::Sip, polite);
    world.until(500);
    world.give(SessionInput::Command(SessionCommand::Drain { now: false }));
    world.until(1000);
    assert!(leg_commands(&world, &LegCommand::HangUp).is_empty());
    world.give(SessionInput::Command(SessionCommand::Drain { now: true }));
    world.until(2000);
    assert_eq!(world.record.as_ref().unwrap().outcome, Outcome::Ended(LegEnd::Drained));
    world.assert_heard_is_played();
}

#[test]
fn a_lost_worker_ends_the_session() {
    let mut world = World::new(Door::Sip, polite);
    world.until(500);
    world.give(SessionInput::MediaLost);
    world.until(1000);
    assert_eq!(world.record.as_ref().unwrap().outcome, Outcome::Ended(LegEnd::WireLost));
}

#[test]
fn the_brain_hears_of_a_tool_before_it_hears_the_caller_again() {
    let mut world = World::new(Door::Sip, |event, out| match event {
        BrainEvent::Started => {
            let arguments = serde_json::json!({});
            out.push(BrainEffect::CallTool { epoch: Epoch(0), call: 1, tool: "book".into(), arguments });
        }
        BrainEvent::ToolDone { epoch, .. } => out.push(say(epoch, "booked")),
        BrainEvent::Digits { epoch, .. } => out.push(say(epoch, "right")),
        _ => {}
    });
    world.until(200);
    world.press('1');
    let failure = ToolFailure { code: "slot_taken".into(), detail: String::new(), failed: false };
    world.give(SessionInput::ToolDone { call: 1, result: Err(failure) });
    world.until(4000);
    let spoken: Vec<_> = world.entries(Speaker::Agent).iter().map(|entry| entry.heard.reveal().clone()).collect();
    assert_eq!(spoken, ["booked", "right"]);
}

#[test]
fn silence_is_told_to_the_brain() {
    let mut world = World::new(Door::Sip, |_, _| {});
    world.until(6500);
    assert!(world.told().contains(&BrainEvent::Silent { epoch: Epoch(1) }));
}

#[test]
fn a_voice_that_fails_does_not_end_the_conversation() {
    let mut world = World::new(Door::Sip, polite);
    let error = SpeechError::Unavailable { engine: "voice".into(), why: "none".into() };
    let utterance = tandem_contract::UtteranceId(1);
    world.give(SessionInput::Voice { epoch: Epoch(0), utterance, event: VoiceEvent::Failed(error) });
    world.until(500);
    assert_eq!(world.core.turn().state().name(), "listening");
}

#[test]
fn chat_is_heard_when_it_is_delivered() {
    let mut world = World::with(Door::Websocket, Modality::Text, |event, out| match event {
        BrainEvent::Started => out.push(say(Epoch(0), "hello")),
        BrainEvent::Said { epoch, text } => out.push(say(epoch, &format!("you said {}", text.reveal()))),
        _ => {}
    });
    world.write("a");
    world.write("b");
    world.until(100_000);
    let lines: Vec<_> = world.core.ledger().entries().iter().map(|entry| entry.heard.reveal().clone()).collect();
    assert_eq!(lines, ["hello", "a", "you said a", "b", "you said b"]);
    world.hang_up();
    let record = world.record.as_ref().unwrap();
    assert_eq!((record.media.as_ref(), record.turns.len()), (None, 2));
    let measured = world.when(|effect| matches!(effect, SessionEffect::Measure(_)));
    assert!(measured.is_empty(), "gaps and stages are voice's; a chat's turns are in its record");
}

#[test]
fn chat_that_comes_during_a_tool_is_answered_in_order() {
    let mut world = World::with(Door::Websocket, Modality::Text, |event, out| match event {
        BrainEvent::Said { epoch, text } if text.reveal() == "book" => {
            let arguments = serde_json::json!({});
            out.push(BrainEffect::CallTool { epoch, call: 1, tool: "book".into(), arguments });
        }
        BrainEvent::Said { epoch, text } => out.push(say(epoch, &format!("re {}", text.reveal()))),
        BrainEvent::ToolDone { epoch, .. } => out.push(say(epoch, "booked")),
        _ => {}
    });
    for text in ["book", "x", "y"] {
        world.write(text);
    }
    world.later(Duration::from_millis(500), SessionInput::ToolDone { call: 1, result: Ok(serde_json::json!({})) });
    world.until(1000);
    let lines: Vec<_> = world.core.ledger().entries().iter().map(|entry| entry.heard.reveal().clone()).collect();
    assert_eq!(lines, ["book", "booked", "x\ny", "re x\ny"], "what came meanwhile is answered as one");
}

/// What a chat's lines are, and how often the brain was told something.
fn repeats(event: BrainEvent, out: &mut Vec<BrainEffect>) {
    match event {
        BrainEvent::Started => out.push(say(Epoch(0), "hello")),
        BrainEvent::Said { epoch, text } => out.push(say(epoch, &format!("re {}", text.reveal()))),
        _ => {}
    }
}

fn lines(world: &World) -> Vec<String> {
    world.core.ledger().entries().iter().map(|entry| entry.heard.reveal().clone()).collect()
}

/// Waits a second for more.
fn patient() -> BotConfig {
    let turn = TurnBlock { message_wait_ms: Some(1_000), ..TurnBlock::default() };
    BotConfig { turn: Some(turn), ..BotConfig::default() }
}

#[test]
fn messages_in_quick_succession_are_one_turn() {
    let mut world = World::of(Door::Websocket, Modality::Text, patient(), repeats);
    for (at, text) in [(100, "hi"), (900, "one question"), (1_800, "when are you open?")] {
        world.until(at);
        world.write(text);
    }
    world.until(2_700);
    assert_eq!(lines(&world), ["hello"], "the caller may go on");
    world.until(2_900);
    let all = "hi\none question\nwhen are you open?";
    assert_eq!(lines(&world), ["hello", all, &format!("re {all}")]);
    world.write("thanks");
    world.hang_up();
    assert_eq!(lines(&world).last().unwrap(), "thanks", "what nobody answers any more is kept");
}

#[test]
fn who_writes_on_and_on_is_answered_meanwhile() {
    let mut world = World::of(Door::Websocket, Modality::Text, patient(), repeats);
    for n in 0..16_u64 {
        world.until(n * 500);
        world.write("and");
    }
    let answered = lines(&world).iter().filter(|line| line.starts_with("re ")).count();
    assert_eq!(answered, 1, "six seconds after the first");
}

#[test]
fn messages_of_a_channel_were_gathered_before() {
    let mut world = World::of(Door::Chatwoot, Modality::Text, BotConfig::default(), repeats);
    world.write("hi");
    assert_eq!(lines(&world), ["hello", "hi", "re hi"]);
}

#[test]
fn what_is_written_before_the_conversation_begins_is_answered_after_the_greeting() {
    let (mut core, _told) = World::core(Door::Websocket, Modality::Text, patient(), repeats);
    core.handle(
        Time::ZERO,
        SessionInput::Leg(LegEvent::Text { text: "hi".to_owned().into(), attachments: Vec::new() }),
    );
    core.handle(Time::ZERO, SessionInput::Leg(LegEvent::Answered));
    core.handle(Time::ZERO, SessionInput::Begun);
    let due = core.poll_timeout().unwrap();
    assert_eq!(due, Time::from_millis(1_000));
    core.handle_timeout(due);
    let lines: Vec<_> = core.ledger().entries().iter().map(|entry| entry.heard.reveal().clone()).collect();
    assert_eq!(lines, ["hello", "hi", "re hi"]);
}

#[test]
fn the_timeline_tells_the_story_of_a_barge_in() {
    let mut world = World::new(Door::Sip, polite);
    world.voice(1000, 2000);
    world.until(6000);
    world.hang_up();
    world.until(7000);
    let record = world.record.as_ref().unwrap();
    let utterance = record.ledger[0].utterance;
    let at = |what: TimelineEvent| record.timeline.iter().find(|entry| entry.what == what).map(|entry| entry.at_ms);
    assert_eq!(at(TimelineEvent::Paused { utterance }), Some(1200));
    // Once it is understood: 500 ms of endpointing, 40 of the recognizer.
    assert_eq!(at(TimelineEvent::BargeIn { utterance }), Some(2540));
    assert_eq!(at(TimelineEvent::CallerStartedSpeaking), Some(1000));
    let json = serde_json::to_string(record).unwrap();
    assert_eq!(&serde_json::from_str::<tandem_contract::record::CallRecord>(&json).unwrap(), record);
}

#[test]
fn stored_at_most_once_a_second_and_always_at_the_end() {
    let mut world = World::with(Door::Websocket, Modality::Text, |event, out| {
        if let BrainEvent::Said { epoch, .. } = event {
            out.push(say(epoch, "yes"));
        }
    });
    for n in 0..30 {
        world.until(n * 100);
        world.write("more");
    }
    world.until(10_000);
    let stores = world.when(|effect| matches!(effect, SessionEffect::Store { first: false, .. }));
    assert!(stores.windows(2).all(|pair| pair[1] - pair[0] >= 1000) && stores.len() >= 3, "{stores:?}");
}

#[test]
fn a_late_effect_of_an_interrupted_turn_is_not_acted_on() {
    let mut world = World::new(Door::Sip, |event, out| match event {
        BrainEvent::Heard { interrupted: true, .. } => {
            let (epoch, arguments) = (Epoch(0), serde_json::Value::Null);
            out.push(say(epoch, "as I was saying"));
            out.push(BrainEffect::CallTool { epoch, call: 9, tool: "book".into(), arguments });
        }
        event => polite(event, out),
    });
    world.voice(1000, 2000);
    world.until(9000);
    let said: Vec<_> = world.entries(Speaker::Agent).iter().map(|entry| entry.text.reveal().clone()).collect();
    assert_eq!(said, ["one two three four five six seven eight nine ten", "that is fine"]);
    assert!(world.when(|effect| matches!(effect, SessionEffect::CallTool { .. })).is_empty());
}

#[test]
fn a_transfer_without_news_is_noted_as_timed_out() {
    let mut world = World::new(Door::Sip, |event, out| match event {
        BrainEvent::Started => out.push(BrainEffect::Transfer { target: "sip:desk@example.org".to_owned().into() }),
        BrainEvent::TransferProgress { epoch, status: 408 } => out.push(say(epoch, "nobody there")),
        _ => {}
    });
    world.until(10_000);
    world.give(SessionInput::Leg(LegEvent::TransferProgress { status: 180 }));
    world.until(205_000);
    assert!(world.entries(Speaker::Agent).is_empty());
    world.until(215_000);
    assert_eq!(world.entries(Speaker::Agent)[0].heard.reveal(), "nobody there");
    world.hang_up();
    world.until(216_000);
    let noted = |status| TimelineEvent::Transfer { status };
    let timeline: Vec<_> = world.record.as_ref().unwrap().timeline.iter().map(|entry| entry.what.clone()).collect();
    assert_eq!(timeline[..3], [noted(None), noted(Some(180)), noted(Some(408))]);
}

#[test]
fn an_echo_is_not_asked_to_speak() {
    let mut world = World::new(Door::Sip, |event, out| match event {
        BrainEvent::Started => {
            let listen = Listen { grammar: None, digits: None, silence: Silence::Unlimited };
            out.extend([BrainEffect::Listen(listen), BrainEffect::Echo { on: true }]);
        }
        BrainEvent::NotUnderstood { epoch } => out.push(BrainEffect::Done { epoch }),
        _ => {}
    });
    world.until(60_000);
    world.voice(60_000, 61_000);
    world.until(120_000);
    world.hang_up();
    world.until(121_000);
    let missed = |entry: &TimelineEntry| matches!(entry.what, TimelineEvent::NoInput | TimelineEvent::NoMatch);
    assert!(!world.record.as_ref().unwrap().timeline.iter().any(missed));
}

fn failed(world: &World, error: SpeechError) -> SessionInput {
    SessionInput::Recognizer { recognition: world.recognition, event: RecognizerEvent::Failed(error) }
}

fn speaks(world: &mut World, onset: u64) {
    world.until(onset + 64);
    let (at, onset) = (world.now, Time::from_millis(onset));
    world.give(SessionInput::Media(MediaEvent::SpeechStarted { at, onset }));
}

fn falls_silent(world: &mut World, end: u64) {
    world.until(end + 160);
    let (at, end) = (world.now, Time::from_millis(end));
    world.give(SessionInput::Media(MediaEvent::SpeechEnded { at, end }));
}

#[test]
fn a_busy_recognizer_is_tried_again() {
    let mut world = World::new(Door::Sip, polite);
    speaks(&mut world, 5000);
    let busy = || SpeechError::Busy { engine: "ears".into(), limit: 1 };
    world.give(failed(&world, busy()));
    world.until(5170);
    world.give(failed(&world, busy()));
    falls_silent(&mut world, 6000);
    world.until(9000);
    let started = world.when(|effect| matches!(effect, SessionEffect::StartRecognizer { .. }));
    assert_eq!(started, [5064, 5164, 5270]);
    assert_eq!(world.entries(Speaker::Caller)[0].heard.reveal(), "yes");
    let counted = |effect: &SessionEffect| *effect == SessionEffect::Measure(Measure::RecognizerFailed("busy"));
    assert_eq!(world.when(counted).len(), 2);
}

#[test]
fn a_recognizer_that_cannot_is_told_as_our_fault() {
    let mut world = World::new(Door::Sip, polite);
    speaks(&mut world, 5000);
    world.give(failed(&world, SpeechError::NotSupported { engine: "ears".into(), what: "hear".into() }));
    falls_silent(&mut world, 6000);
    world.until(9000);
    assert_eq!(world.when(|effect| matches!(effect, SessionEffect::StartRecognizer { .. })), [5064]);
    let told = world.told();
    assert!(told.contains(&BrainEvent::NotHeard { epoch: Epoch(1) }), "{told:?}");
    assert!(!told.iter().any(|event| matches!(event, BrainEvent::NotUnderstood { .. })), "{told:?}");
}

#[test]
fn a_flood_of_words_ends_well_and_is_written_seldom() {
    let mut world = World::with(Door::Websocket, Modality::Text, |event, out| {
        if let BrainEvent::Said { epoch, .. } = event {
            out.push(say(epoch, "yes"));
        }
    });
    let long = "word ".repeat(400);
    let mut written = 0;
    while world.record.is_none() {
        world.until(written * 100);
        world.write(&long);
        written += 1;
    }
    let record = world.record.as_ref().unwrap();
    assert_eq!(record.outcome, Outcome::Ended(LegEnd::AgentHungUp));
    assert!(record.ledger.len() < 1100, "{}", record.ledger.len());
    assert_eq!(record.ledger.last().unwrap().text.reveal(), "We have talked for as long as I can. Goodbye.");
    assert!(record.timeline.iter().any(|entry| entry.what == TimelineEvent::LimitReached));
    // 52 s of flood, and each write is about 64 KiB a second long.
    let sizes = world.effects.iter().filter_map(|(_, effect)| match effect {
        SessionEffect::Store { record, .. } => Some(serde_json::to_string(record).unwrap().len()),
        _ => None,
    });
    let (sum, seconds) = (sizes.sum::<usize>(), usize::try_from(world.now.as_millis() / 1000).unwrap());
    assert!(sum < 2 * 64 * 1024 * seconds, "{sum} bytes in {seconds} s");
}

#[test]
fn what_waits_for_the_voice_is_heard_in_its_own_epoch() {
    let mut world = World::new(Door::Sip, |event, out| match event {
        BrainEvent::TransferProgress { epoch, .. } => out.extend([say(epoch, "alpha beta"), say(epoch, "gamma delta")]),
        event => polite(event, out),
    });
    world.until(5000);
    speaks(&mut world, 5000);
    world.give(SessionInput::Leg(LegEvent::TransferProgress { status: 180 }));
    // The next question finds the agent about to speak.
    world.press('1');
    let now = world.now;
    world.give(SessionInput::Media(MediaEvent::SpeechEnded { at: now, end: now }));
    world.until(9000);
    let said: Vec<_> = world.entries(Speaker::Agent).iter().map(|entry| entry.text.reveal().clone()).collect();
    assert_eq!(said[1..], ["alpha beta", "gamma delta", "that is fine"]);
    world.assert_heard_is_played();
}
