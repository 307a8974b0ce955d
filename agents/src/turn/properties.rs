//! Whatever happens, the conversation moves on.

use proptest::prelude::*;
use tandem_contract::UtteranceId;
use tandem_contract::bot::TurnPolicy;
use tandem_contract::call::Modality;
use tandem_media::Time;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    /// Milliseconds pass.
    Wait(u32),
    Input(TurnInput),
    VoiceOn,
    VoiceOff,
}

fn sense() -> impl Strategy<Value = Sense> {
    prop::sample::select(vec![Sense::Words, Sense::Answer, Sense::Backchannel, Sense::Interruption])
}

fn input() -> impl Strategy<Value = TurnInput> {
    prop_oneof![
        (0..4_u32, prop::sample::select(Ending::ALL.to_vec()), sense())
            .prop_map(|(words, ending, sense)| TurnInput::Partial { words, ending, sense }),
        (0..4_u32, sense()).prop_map(|(words, sense)| TurnInput::Understood { words, sense }),
        Just(TurnInput::Rejected),
        Just(TurnInput::Unheard),
        Just(TurnInput::Unmatched),
        (1..4_u32, any::<bool>())
            .prop_map(|(n, interruptible)| TurnInput::PlayoutStarted { utterance: UtteranceId(n), interruptible }),
        Just(TurnInput::PlayoutMoved),
        Just(TurnInput::PlayoutFinished),
        Just(TurnInput::Digit),
        Just(TurnInput::DigitsDone),
        Just(TurnInput::Text),
        Just(TurnInput::BrainWorks),
        (any::<bool>(), any::<bool>()).prop_map(|(running, awaited)| TurnInput::Tools { running, awaited }),
        Just(TurnInput::ReplyDone),
        Just(TurnInput::TransferBegun),
        any::<bool>().prop_map(|failed| TurnInput::TransferNews { failed }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..1500_u32).prop_map(Event::Wait),
        1 => (1500..40_000_u32).prop_map(Event::Wait),
        2 => Just(Event::VoiceOn),
        2 => Just(Event::VoiceOff),
        6 => input().prop_map(Event::Input),
    ]
}

fn fire(machine: &mut TurnMachine, until: Time) -> Vec<TurnEffect> {
    let mut out = Vec::new();
    for _ in 0..1000 {
        match machine.poll_timeout().filter(|due| *due <= until) {
            Some(due) => machine.handle_timeout(due.max(Time::ZERO), &mut out),
            None => return out,
        }
    }
    panic!("timers never rest in {:?}", machine.state());
}

fn play(events: Vec<Event>) -> (TurnMachine, Time, Vec<TurnEffect>) {
    let mut machine = TurnMachine::new(TurnPolicy::default(), Modality::Voice, Time::ZERO);
    let mut now = Time::ZERO;
    let mut out = Vec::new();
    for event in events {
        let input = match event {
            Event::Wait(ms) => {
                now += std::time::Duration::from_millis(ms.into());
                out.extend(fire(&mut machine, now));
                assert!(watchdog::is_possible(&machine), "{machine:?}");
                continue;
            }
            Event::VoiceOn => TurnInput::SpeechStarted { onset: now - std::time::Duration::from_millis(64) },
            Event::VoiceOff => TurnInput::SpeechEnded { end: now - std::time::Duration::from_millis(160) },
            Event::Input(input) => input,
        };
        let _ = machine.handle(now, input, &mut out);
        assert!(watchdog::is_possible(&machine), "{machine:?}");
        assert!(machine.poll_timeout().is_some(), "no way out of {:?} with {:?}", machine.state(), machine.hearing);
    }
    (machine, now, out)
}

proptest! {
    /// From any state that can be reached, timers alone lead to a question to the brain or a free floor.
    #[test]
    fn some_timer_leads_out_of_every_state(events in prop::collection::vec(event(), 0..60)) {
        let (mut machine, mut now, _) = play(events);
        let mut asked = false;
        for _ in 0..100 {
            let Some(due) = machine.poll_timeout() else { break };
            now = now.max(due);
            let mut out = Vec::new();
            machine.handle_timeout(now, &mut out);
            asked |= out.iter().any(|effect| matches!(effect, TurnEffect::AskBrain { ask: Ask::Silent }));
        }
        prop_assert!(asked, "stuck in {:?} with {:?}", machine.state(), machine.hearing);
    }

    /// Without a voice the caller is heard no longer than the end of a turn and the wait for a result take, whatever a
    /// recognizer streams meanwhile.
    #[test]
    fn who_is_silent_is_soon_heard_no_more(
        events in prop::collection::vec(event(), 0..60), ending in prop::sample::select(Ending::ALL.to_vec()),
    ) {
        let (mut machine, mut now, _) = play(events);
        let _ = machine.handle(now, TurnInput::SpeechEnded { end: now }, &mut Vec::new());
        let limit = now + machine.policy().max_endpointing() + hearing::RESULT_LIMIT;
        while now < limit {
            now += std::time::Duration::from_millis(100);
            fire(&mut machine, now);
            let _ = machine.handle(now, TurnInput::Partial { words: 1, ending, sense: Sense::Words }, &mut Vec::new());
        }
        prop_assert!(!machine.hears_caller(), "{:?} with {:?}", machine.state(), machine.hearing);
    }

    /// A pause is followed by a resume, a commit, or the end; never by another pause.
    #[test]
    fn a_pause_is_always_decided(events in prop::collection::vec(event(), 0..80)) {
        let (_, _, effects) = play(events);
        let mut paused = false;
        for effect in effects {
            match effect {
                TurnEffect::Pause => {
                    prop_assert!(!paused);
                    paused = true;
                }
                TurnEffect::Resume => {
                    prop_assert!(paused);
                    paused = false;
                }
                TurnEffect::BargeIn | TurnEffect::AbandonReply => paused = false,
                _ => {}
            }
        }
    }

    /// Recognitions are opened when none is open, and finished or cancelled when one is.
    #[test]
    fn recognitions_do_not_overlap(events in prop::collection::vec(event(), 0..80)) {
        let mut machine = TurnMachine::new(TurnPolicy::default(), Modality::Voice, Time::ZERO);
        let mut now = Time::ZERO;
        let mut open = false;
        for event in events {
            let mut out = Vec::new();
            match event {
                Event::Wait(ms) => {
                    now += std::time::Duration::from_millis(ms.into());
                    out = fire(&mut machine, now);
                }
                Event::VoiceOn => drop(machine.handle(now, TurnInput::SpeechStarted { onset: now }, &mut out)),
                Event::VoiceOff => drop(machine.handle(now, TurnInput::SpeechEnded { end: now }, &mut out)),
                Event::Input(input) => {
                    let taken = machine.handle(now, input, &mut out);
                    if matches!(input, TurnInput::Understood { .. } | TurnInput::Rejected | TurnInput::Unheard | TurnInput::Unmatched) && taken.is_ok() {
                        prop_assert!(open);
                        open = false;
                    }
                }
            }
            for effect in out {
                match effect {
                    TurnEffect::OpenRecognition => {
                        prop_assert!(!open);
                        open = true;
                    }
                    TurnEffect::FinishRecognition => prop_assert!(open),
                    TurnEffect::CancelRecognition => {
                        prop_assert!(open);
                        open = false;
                    }
                    _ => {}
                }
            }
        }
    }
}
