//! Any events in any order: no panic, what is heard is what was played, and the session ends when its leg does.

use proptest::prelude::*;
use tandem_contract::call::Door;
use tandem_contract::event::SessionCommand;
use tandem_contract::leg::LegEvent;
use tandem_contract::{Epoch, UtteranceId};
use tandem_media::Time;
use tandem_media::leg::{MediaEvent, Tag};
use tandem_speech::{RecognizerEvent, VoiceEvent};

use super::world::*;
use crate::brain::{BrainEffect, BrainEvent};
use crate::session::input::{RecognitionId, SessionInput};

#[derive(Clone, Debug)]
enum Event {
    Wait(u16),
    Voice(u16),
    VoiceOn,
    VoiceOff,
    Digit(char),
    Text,
    /// What the recognizer will answer from now on.
    Answer(Option<bool>),
    Partial(u8),
    /// A message of an epoch, utterance or recognition that may be over.
    LateVoice(u32, u32),
    LateRecognizer(u32),
    /// News of the line that do not belong to anything.
    Stray(u64),
    Played(u32, u64),
    TransferNews(u16),
    ToolDone(u32),
    Drain,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..2500_u16).prop_map(Event::Wait),
        3 => (50..1500_u16).prop_map(Event::Voice),
        1 => Just(Event::VoiceOn),
        1 => Just(Event::VoiceOff),
        2 => prop::sample::select(vec!['1', '#', '*']).prop_map(Event::Digit),
        1 => Just(Event::Text),
        2 => prop::option::of(any::<bool>()).prop_map(Event::Answer),
        1 => (0..4_u8).prop_map(Event::Partial),
        1 => (0..4_u32, 0..6_u32).prop_map(|(epoch, utterance)| Event::LateVoice(epoch, utterance)),
        1 => (0..5_u32).prop_map(Event::LateRecognizer),
        1 => (100..200_u64).prop_map(Event::Stray),
        1 => (0..6_u32, 0..40_000_u64).prop_map(|(utterance, offset)| Event::Played(utterance, offset)),
        1 => prop::sample::select(vec![100_u16, 180, 200, 486, 603]).prop_map(Event::TransferNews),
        1 => (0..4_u32).prop_map(Event::ToolDone),
        1 => Just(Event::Drain),
    ]
}

/// A brain that does whatever the next of its moods says.
fn moody(moods: Vec<u8>) -> impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send {
    let mut epoch = Epoch(0);
    let mut call = 0;
    let mut moods = moods.into_iter().cycle();
    move |event, out| {
        match event {
            BrainEvent::Said { epoch: new, .. }
            | BrainEvent::NotUnderstood { epoch: new }
            | BrainEvent::Silent { epoch: new }
            | BrainEvent::Digits { epoch: new, .. }
            | BrainEvent::NotHeard { epoch: new }
            | BrainEvent::TransferProgress { epoch: new, .. }
            | BrainEvent::ToolDone { epoch: new, .. } => epoch = new,
            BrainEvent::Heard { .. } => return,
            _ => {}
        }
        let speak = |text: &str, interruptible| BrainEffect::Say { epoch, text: text.to_owned(), interruptible };
        match moods.next().unwrap_or(0) {
            0 => {}
            1 => out.extend([yes_or_no(), speak("alpha beta gamma", true), speak("delta epsilon", true)]),
            2 => out.push(speak("this is important", false)),
            3 => {
                call += 1;
                let arguments = serde_json::Value::Null;
                out.push(BrainEffect::CallTool { epoch, call, tool: "t".into(), arguments });
            }
            4 => out.extend([
                speak("wait here", true),
                BrainEffect::Transfer { target: "sip:x@example.org".to_owned().into() },
            ]),
            5 => out.extend([speak("good bye", true), BrainEffect::HangUp]),
            _ => out.extend([yes_or_no(), speak("one two three four five six", true), BrainEffect::Done { epoch }]),
        }
    }
}

fn apply(world: &mut World, event: &Event) {
    let now = world.now.as_millis();
    match *event {
        Event::Wait(ms) => world.until(now + u64::from(ms)),
        Event::Voice(ms) => world.voice(now, now + u64::from(ms)),
        Event::VoiceOn => {
            world.give(SessionInput::Media(MediaEvent::SpeechStarted {
                at: world.now,
                onset: Time::from_millis(now.saturating_sub(64)),
            }));
        }
        Event::VoiceOff => {
            world.give(SessionInput::Media(MediaEvent::SpeechEnded {
                at: world.now,
                end: Time::from_millis(now.saturating_sub(160)),
            }));
        }
        Event::Digit(digit) => world.press(digit),
        Event::Text => world.write("hello"),
        Event::Answer(answer) => {
            world.answer = answer.map(|understood| match understood {
                true => RecognizerEvent::Final { text: "yes".into(), confidence: 1.0 },
                false => RecognizerEvent::Rejected,
            });
        }
        Event::Partial(words) => {
            let text = "yes ".repeat(words.into());
            late_recognizer(world, 1, RecognizerEvent::Partial { text });
        }
        Event::LateVoice(epoch, utterance) => {
            // Epochs far from the present one.
            let (epoch, utterance) = (Epoch(epoch + 10_000), UtteranceId(utterance));
            for event in [VoiceEvent::Audio(vec![7; 160].into()), VoiceEvent::Done] {
                world.give(SessionInput::Voice { epoch, utterance, event });
            }
        }
        Event::LateRecognizer(number) => {
            late_recognizer(world, number + 10_000, RecognizerEvent::Final { text: "late".into(), confidence: 1.0 });
        }
        Event::Stray(tag) => {
            let (at, tag) = (world.now, Tag(tag));
            world.give(SessionInput::Media(MediaEvent::Started { at, tag }));
            world.give(SessionInput::Media(MediaEvent::Finished { at, tag, offset: 5 }));
        }
        Event::Played(utterance, offset) => {
            world.give(SessionInput::Leg(LegEvent::Played { utterance: UtteranceId(utterance), offset }));
        }
        Event::TransferNews(status) => world.give(SessionInput::Leg(LegEvent::TransferProgress { status })),
        Event::ToolDone(call) => {
            world.give(SessionInput::ToolDone { call, result: Ok(serde_json::Value::Null) });
        }
        Event::Drain => world.give(SessionInput::Command(SessionCommand::Drain { now: false })),
    }
}

fn late_recognizer(world: &mut World, number: u32, event: RecognizerEvent) {
    world.give(SessionInput::Recognizer { recognition: RecognitionId(number), event });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn heard_is_played_and_the_session_ends_with_its_leg(
        events in prop::collection::vec(event(), 0..40),
        moods in prop::collection::vec(0..8_u8, 1..10),
    ) {
        let mut world = World::new(Door::Sip, moody(moods));
        for event in &events {
            apply(&mut world, event);
        }
        world.assert_heard_is_played();
        world.hang_up();
        let now = world.now.as_millis();
        world.until(now + 6000);
        prop_assert!(world.record.is_some());
        world.assert_heard_is_played();
        prop_assert!(world.core.ledger().entries().windows(2).all(|pair| pair[0].utterance < pair[1].utterance));
    }

    /// The same where the far end buffers, plays later, and says how far it was when it is told to be silent.
    #[test]
    fn heard_is_what_the_far_end_played(
        events in prop::collection::vec(event(), 0..40),
        moods in prop::collection::vec(0..8_u8, 1..10),
        delay in 0..4_000_u64,
    ) {
        let mut world = World::new(Door::Websocket, moody(moods));
        world.far_delay = Some(delay);
        // It does not lie.
        for event in events.iter().filter(|event| !matches!(event, Event::Played(..))) {
            apply(&mut world, event);
            world.assert_heard_is_played_there(delay);
        }
        world.hang_up();
        let now = world.now.as_millis();
        world.until(now + 6000);
        prop_assert!(world.record.is_some());
        // Who hung up tells nothing more.
        world.assert_heard_is_played_there(0);
    }

    /// Whatever happened before, a caller who then says nothing is asked for an answer or sent on.
    #[test]
    fn a_conversation_never_hangs(
        events in prop::collection::vec(event(), 0..30),
        moods in prop::collection::vec(0..8_u8, 1..10),
    ) {
        let mut world = World::new(Door::Websocket, moody(moods));
        for event in &events {
            apply(&mut world, event);
        }
        world.give(SessionInput::Media(MediaEvent::SpeechEnded { at: world.now, end: world.now }));
        world.told();
        // A brain may put the caller through again and again: that they were not taken is told to it then.
        let moves = |event: &BrainEvent| {
            matches!(event, BrainEvent::Silent { .. } | BrainEvent::TransferProgress { status: 408, .. })
        };
        let begun = world.now.as_millis();
        // What the caller has pressed ahead comes first, each with a tool that never answers; and then a transfer.
        let moved = (1..=30).any(|n| {
            world.until(begun + n * 20_000);
            world.record.is_some() || world.told().iter().any(moves)
        });
        prop_assert!(moved);
    }
}
