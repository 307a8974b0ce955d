//! Every state has a way out that needs nobody: each combination of state, hearing and what else the machine knows is
//! left within its bound when nothing more happens. That no other combination is reached is for `properties` to try.

use std::time::Duration;

use tandem_contract::UtteranceId;
use tandem_contract::bot::TurnPolicy;
use tandem_contract::call::Modality;
use tandem_media::Time;

use super::hearing::RESULT_LIMIT;
use super::speaking::WORDLESS_LIMIT;
use super::*;

const NOW: Time = Time::from_millis(100_000);
const UTTERANCE: UtteranceId = UtteranceId(1);

/// Longest stay in each state when nothing happens any more. None: whose end is not ours to decide.
fn bound(machine: &TurnMachine) -> Option<Duration> {
    let policy = machine.policy();
    match machine.state() {
        TurnState::Transferring { .. } => Some(Duration::from_secs(200)),
        // The far end's own timers end a call that it holds, and a chat that its reader left.
        _ if machine.is_held() => None,
        TurnState::Listening { keying: true, .. } => Some(Duration::from_secs(60)),
        TurnState::Listening { .. } if machine.is_chat() || machine.is_heard_there() => None,
        TurnState::Listening { .. } => machine.silence_limit(),
        TurnState::CallerSpeaking { .. } => Some(policy.max_caller_turn()),
        TurnState::EndpointPending { .. } => Some(policy.max_endpointing() + RESULT_LIMIT),
        TurnState::Thinking { .. } => Some(Duration::from_secs(20)),
        TurnState::Speaking { .. } => Some(Duration::from_secs(10)),
        TurnState::SpeakingPaused { .. } => Some(WORDLESS_LIMIT + RESULT_LIMIT),
        TurnState::Ended => None,
    }
}

/// What can be the case together. A voice that is on is not quiet; a turn that may be over is being recognized.
pub(super) fn is_possible(machine: &TurnMachine) -> bool {
    let quiet = matches!(machine.hearing, Hearing::Open { quiet: Some(_), .. });
    let open = matches!(machine.hearing, Hearing::Open { .. });
    let edges = !open || quiet == machine.voice.is_none();
    edges
        && match machine.state {
            TurnState::EndpointPending { .. } => quiet || matches!(machine.hearing, Hearing::Finishing { .. }),
            TurnState::Speaking { interruptible: false, .. }
            | TurnState::Transferring { .. }
            | TurnState::Listening { .. }
            | TurnState::Ended => machine.hearing == Hearing::Closed,
            _ => true,
        }
}

fn states() -> Vec<TurnState> {
    let speaking = |interruptible| TurnState::Speaking { utterance: UTTERANCE, interruptible, moved: NOW };
    let paused = |ended| TurnState::SpeakingPaused { utterance: UTTERANCE, onset: NOW, ended };
    vec![
        TurnState::Listening { since: NOW, keying: false },
        TurnState::Listening { since: NOW, keying: true },
        TurnState::CallerSpeaking { onset: NOW },
        TurnState::EndpointPending { onset: NOW, ended: NOW },
        TurnState::Thinking { since: NOW },
        speaking(true),
        speaking(false),
        paused(None),
        paused(Some(NOW)),
        TurnState::Transferring { since: NOW },
        TurnState::Ended,
    ]
}

fn hearings() -> Vec<Hearing> {
    let mut hearings = vec![Hearing::Closed, Hearing::Finishing { since: NOW }];
    for ending in Ending::ALL {
        for sense in [Sense::Words, Sense::Backchannel, Sense::Interruption] {
            for quiet in [None, Some(NOW)] {
                hearings.push(Hearing::Open { quiet, ending, sense });
            }
        }
    }
    hearings
}

/// All that there is to know, in every combination.
fn machines() -> Vec<TurnMachine> {
    let mut machines = Vec::new();
    for modality in [Modality::Voice, Modality::Text] {
        for silence in [Silence::Policy, Silence::Limit { ms: 30_000 }, Silence::Unlimited] {
            for (tools, held, heard_there) in
                [(false, false, false), (true, false, false), (false, true, false), (false, false, true)]
            {
                let mut machine = TurnMachine::new(TurnPolicy::default(), modality, NOW);
                machine.set_silence(silence);
                let mut none = Vec::new();
                let _ = machine.handle(NOW, TurnInput::Tools { running: tools, awaited: tools }, &mut none);
                let _ = machine.handle(NOW, TurnInput::Held { on: held }, &mut none);
                let _ = machine.handle(NOW, TurnInput::HeardThere { on: heard_there }, &mut none);
                for state in states() {
                    for hearing in hearings() {
                        for voice in [None, Some(NOW)] {
                            let mut machine = machine.clone();
                            (machine.state, machine.hearing, machine.voice) = (state, hearing, voice);
                            machines.push(machine);
                        }
                    }
                }
            }
        }
    }
    machines
}

/// States as the bounds tell them apart.
fn place(machine: &TurnMachine) -> (&'static str, bool) {
    (machine.state().name(), matches!(machine.state(), TurnState::Listening { keying: true, .. }))
}

/// Lets time pass until the state is another, and tells how long that took.
fn leave(mut machine: TurnMachine) -> Option<Duration> {
    let from = place(&machine);
    for _ in 0..20 {
        let due = machine.poll_timeout()?;
        let mut effects = Vec::new();
        machine.handle_timeout(due, &mut effects);
        // A question to the brain is a way out too: it has the floor, and a new bound.
        if place(&machine) != from || effects.iter().any(|effect| matches!(effect, TurnEffect::AskBrain { .. })) {
            return Some(due.since(NOW));
        }
    }
    panic!("the timers of {machine:?} do not rest");
}

#[test]
fn every_state_is_left_within_its_bound() {
    let machines: Vec<TurnMachine> = machines().into_iter().filter(is_possible).collect();
    assert!(machines.len() > 2_000, "{}", machines.len());
    for machine in machines {
        let Some(bound) = bound(&machine) else { continue };
        let left = leave(machine.clone());
        assert!(left.is_some_and(|after| after <= bound), "{left:?} of {bound:?}: {machine:?}");
    }
}

/// What has no bound is listed: whoever waits in it waits for a caller who was asked nothing, writes, speaks by way of a far
/// end that hears them by itself, or holds the call.
#[test]
fn only_waits_for_the_caller_have_no_bound() {
    for machine in machines().into_iter().filter(is_possible) {
        let silent = machine.poll_timeout().is_none();
        let asked_nothing = matches!(machine.state(), TurnState::Listening { keying: false, .. })
            && (machine.is_chat() || machine.is_heard_there() || machine.silence_limit().is_none());
        let expected = machine.is_held() || asked_nothing || *machine.state() == TurnState::Ended;
        assert!(!silent || expected, "nothing leads out of {machine:?}");
    }
}
