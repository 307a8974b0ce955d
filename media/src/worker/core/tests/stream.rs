//! Legs of frames.

use std::time::Duration;

use crate::Time;
use crate::leg::{CaptureId, Effect, LegId, MediaCommand, MediaEvent, StreamFrame, StreamLegSetup, Tag};
use crate::worker::core::{CallerAudio, LegInput, WorkerCore};

const LEG: LegId = LegId(0);

struct Door {
    core: WorkerCore,
    now: Time,
    frames: Vec<(Time, StreamFrame)>,
    events: Vec<MediaEvent>,
}

impl Door {
    fn open() -> Self {
        let mut core = WorkerCore::default();
        let setup = StreamLegSetup { rate: 16_000, vad: None, inactivity: Some(Duration::from_secs(2)) };
        core.add_stream(Time::ZERO, &setup).unwrap();
        core.handle_command(Time::ZERO, LEG, MediaCommand::Capture { id: CaptureId(0) });
        Self { core, now: Time::ZERO, frames: Vec::new(), events: Vec::new() }
    }

    fn command(&mut self, command: MediaCommand) {
        self.core.handle_command(self.now, LEG, command);
    }

    fn push(&mut self, tag: u64, len: usize) {
        self.command(MediaCommand::Push { tag: Tag(tag), samples: vec![1; len].into() });
    }

    fn hear(&mut self, samples: &[i16]) {
        self.core.handle_frame(self.now, LEG, &CallerAudio { at: self.now, samples: samples.into() });
    }

    fn drain(&mut self) {
        while let Some(effect) = self.core.effects().pop() {
            match effect {
                Effect::Frame { frame, .. } => self.frames.push((self.now, frame)),
                Effect::Event { event, .. } => self.events.push(event),
                Effect::Transmit { .. } | Effect::Closed { .. } => {}
            }
        }
    }

    fn slots(&mut self, count: u64) {
        for _ in 0..count {
            self.now = self.core.poll_timeout().unwrap();
            while self.core.poll(self.now, |_| None) {}
            self.drain();
        }
    }

    /// Frames sent, by slot.
    fn per_slot(&self) -> Vec<usize> {
        self.frames.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).collect()
    }
}

#[test]
fn two_frames_lead_and_then_two_every_other_slot() {
    let mut door = Door::open();
    door.push(1, 3_200);
    door.slots(20);
    assert_eq!(door.per_slot(), [4, 2, 2, 2]);
    let offsets: Vec<u64> = door.frames.iter().map(|(_, frame)| frame.offset).collect();
    assert_eq!(offsets, (0..10).map(|n| n * 320).collect::<Vec<_>>());
    door.push(1, 320);
    door.slots(1);
    assert_eq!(
        door.frames.last().map(|(_, frame)| frame.offset),
        Some(3_200),
        "the offset stood still while nothing came"
    );
}

#[test]
fn a_frame_belongs_to_one_utterance_and_utterances_butt() {
    let mut door = Door::open();
    door.push(1, 500);
    door.command(MediaCommand::Finish { tag: Tag(1) });
    door.push(2, 460);
    door.command(MediaCommand::Finish { tag: Tag(2) });
    door.slots(5);
    let frames: Vec<_> = door.frames.iter().map(|(_, f)| (f.tag, f.offset, f.samples.len())).collect();
    let (one, two) = (Some(Tag(1)), Some(Tag(2)));
    assert_eq!(frames, [(one, 0, 320), (one, 320, 180), (two, 0, 140), (two, 140, 320)]);
    let finished: Vec<_> = door
        .events
        .iter()
        .filter_map(|event| match event {
            MediaEvent::Finished { tag, offset, .. } => Some((*tag, *offset)),
            _ => None,
        })
        .collect();
    assert_eq!(finished, [(Tag(1), 500), (Tag(2), 460)]);
}

#[test]
fn nothing_leaves_in_a_pause_and_the_client_keeps_its_lead() {
    let mut door = Door::open();
    door.push(1, 32_000);
    door.slots(3);
    door.command(MediaCommand::Pause);
    let before = door.frames.len();
    door.slots(10);
    assert_eq!(door.frames.len(), before);
    assert!(door.events.iter().any(|e| matches!(e, MediaEvent::Paused { tag: Some(Tag(1)), offset: 1_920, .. })));
    door.command(MediaCommand::Resume);
    door.slots(3);
    assert_eq!(door.per_slot(), [4, 2, 2]);
    assert_eq!(door.frames[before].1.offset, 1_920);
    door.command(MediaCommand::Clear);
    door.slots(10);
    assert_eq!(door.frames.len(), before + 2);
    assert!(door.events.iter().any(|e| matches!(e, MediaEvent::Cleared { tag: Some(Tag(1)), offset: 2_560, .. })));
}

#[test]
fn what_is_in_haste_does_not_wait_for_the_slot() {
    let mut door = Door::open();
    door.slots(1);
    let mut inputs = vec![LegInput::Command(MediaCommand::Push { tag: Tag(1), samples: vec![1; 3_200].into() })];
    door.core.hurry(door.now, LEG, |_| inputs.pop());
    door.drain();
    assert_eq!(door.per_slot(), [4]);
    door.core.hurry(door.now, LEG, |_| None);
    door.drain();
    assert_eq!(door.per_slot(), [4], "the client has enough");
    door.slots(2);
    assert_eq!(door.per_slot(), [4, 2], "and its pace stays");
    let mut inputs = vec![LegInput::Command(MediaCommand::Pause)];
    door.core.hurry(door.now, LEG, |_| inputs.pop());
    door.drain();
    let Some(MediaEvent::Paused { at, offset: 1_920, .. }) = door.events.last() else { panic!("{:?}", door.events) };
    assert_eq!(*at, door.now);
}

#[test]
fn a_door_that_closes_in_mid_word_still_says_how_much_was_sent() {
    let mut door = Door::open();
    door.push(1, 32_000);
    door.slots(3);
    door.command(MediaCommand::Clear);
    door.command(MediaCommand::Close);
    door.drain();
    let [.., cleared, closed] = &door.events[..] else { panic!("{:?}", door.events) };
    assert!(matches!(cleared, MediaEvent::Cleared { tag: Some(Tag(1)), offset: 1_920, .. }), "{cleared:?}");
    assert!(matches!(closed, MediaEvent::Closed { .. }), "{closed:?}");
}

#[test]
fn caller_audio_is_cut_to_20_ms_and_told_by_80() {
    let mut door = Door::open();
    for len in [1, 500, 3, 0, 1_000, 96] {
        let samples: Vec<i16> = vec![7; len];
        door.hear(&samples);
    }
    door.core.handle_command(door.now, LEG, MediaCommand::StopCapture);
    door.drain();
    let lengths: Vec<usize> = door
        .events
        .iter()
        .map(|event| match event {
            MediaEvent::Audio { samples, .. } => samples.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [1280, 320]);
}

#[test]
fn a_loop_answers_at_once_and_only_while_nothing_plays() {
    let mut door = Door::open();
    door.command(MediaCommand::Loop { on: true });
    door.hear(&[5; 320]);
    door.drain();
    assert_eq!(door.frames.len(), 1);
    assert_eq!(door.frames[0].1.tag, None);
    door.push(1, 320);
    door.hear(&[5; 320]);
    door.drain();
    assert_eq!(door.frames.len(), 1);
    assert!(door.events.is_empty());
}

#[test]
fn silence_of_the_wire_is_told_once_each_time() {
    let mut door = Door::open();
    door.slots(200);
    door.hear(&[0; 10]);
    door.slots(200);
    let told = door.events.iter().filter(|event| matches!(event, MediaEvent::Inactive { .. })).count();
    assert_eq!(told, 2);
    assert_eq!(door.core.stats(LEG).unwrap().codec, "pcm16");
}
