//! Every pair of a state and an input, and what comes of it. `table.txt` is the frozen answer, reviewed by eye.

use tandem_contract::UtteranceId;
use tandem_contract::bot::TurnPolicy;
use tandem_contract::call::Modality;
use tandem_media::Time;

use super::*;

const NOW: Time = Time::from_millis(10_000);
const ONSET: Time = Time::from_millis(9_500);
const ENDED: Time = Time::from_millis(9_800);
const UTTERANCE: UtteranceId = UtteranceId(1);

fn inputs() -> Vec<(&'static str, TurnInput)> {
    vec![
        ("speech started", TurnInput::SpeechStarted { onset: NOW }),
        ("speech ended", TurnInput::SpeechEnded { end: NOW }),
        ("two words", TurnInput::Partial { words: 2, ending: Ending::Complete, sense: Sense::Words }),
        ("understood", TurnInput::Understood { words: 3, sense: Sense::Words }),
        ("understood: a word", TurnInput::Understood { words: 1, sense: Sense::Words }),
        ("understood: an answer", TurnInput::Understood { words: 1, sense: Sense::Answer }),
        ("backchannel", TurnInput::Partial { words: 2, ending: Ending::Unknown, sense: Sense::Backchannel }),
        ("stop", TurnInput::Partial { words: 1, ending: Ending::Unknown, sense: Sense::Interruption }),
        ("understood: backchannel", TurnInput::Understood { words: 2, sense: Sense::Backchannel }),
        ("rejected", TurnInput::Rejected),
        ("unheard", TurnInput::Unheard),
        ("unmatched", TurnInput::Unmatched),
        ("playout started", TurnInput::PlayoutStarted { utterance: UTTERANCE, interruptible: true }),
        ("playout moved", TurnInput::PlayoutMoved),
        ("playout finished", TurnInput::PlayoutFinished),
        ("digit", TurnInput::Digit),
        ("digits done", TurnInput::DigitsDone),
        ("text", TurnInput::Text),
        ("brain works", TurnInput::BrainWorks),
        ("tools run", TurnInput::Tools { running: true, awaited: true }),
        ("reply done", TurnInput::ReplyDone),
        ("transfer begun", TurnInput::TransferBegun),
        ("transfer fails", TurnInput::TransferNews { failed: true }),
        ("interrupted", TurnInput::Interrupted),
        ("held", TurnInput::Held { on: true }),
        ("heard there", TurnInput::HeardThere { on: true }),
        ("leg ended", TurnInput::LegEnded),
    ]
}

fn machine(state: TurnState, voice: Option<Time>, hearing: Hearing) -> TurnMachine {
    let mut machine = TurnMachine::new(TurnPolicy::default(), Modality::Voice, NOW);
    machine.state = state;
    machine.voice = voice;
    machine.hearing = hearing;
    machine
}

fn states() -> Vec<(&'static str, TurnMachine)> {
    let quiet = Hearing::Open { quiet: Some(ENDED), ending: Ending::Unknown, sense: Sense::Words };
    let speaking = |interruptible| TurnState::Speaking { utterance: UTTERANCE, interruptible, moved: NOW };
    let paused = |ended| TurnState::SpeakingPaused { utterance: UTTERANCE, onset: ONSET, ended };
    let mut awaiting = machine(TurnState::Thinking { since: NOW }, Some(ONSET), Hearing::BEGUN);
    awaiting.awaits = true;
    vec![
        ("listening", machine(TurnState::Listening { since: NOW, keying: false }, None, Hearing::Closed)),
        ("listening, keying", machine(TurnState::Listening { since: NOW, keying: true }, None, Hearing::Closed)),
        ("caller speaking", machine(TurnState::CallerSpeaking { onset: ONSET }, Some(ONSET), Hearing::BEGUN)),
        ("endpoint pending", machine(TurnState::EndpointPending { onset: ONSET, ended: ENDED }, None, quiet)),
        (
            "endpoint pending, finishing",
            machine(
                TurnState::EndpointPending { onset: ONSET, ended: ENDED },
                None,
                Hearing::Finishing { since: ENDED },
            ),
        ),
        ("thinking", machine(TurnState::Thinking { since: NOW }, None, Hearing::Closed)),
        ("thinking, caller speaks", machine(TurnState::Thinking { since: NOW }, Some(ONSET), Hearing::BEGUN)),
        ("thinking, a tool is awaited, caller speaks", awaiting),
        ("speaking", machine(speaking(true), None, Hearing::Closed)),
        ("speaking, caller speaks", machine(speaking(true), Some(NOW), Hearing::BEGUN)),
        ("speaking, uninterruptible", machine(speaking(false), None, Hearing::Closed)),
        ("paused, caller speaks", machine(paused(None), Some(ONSET), Hearing::BEGUN)),
        ("paused, caller silent", machine(paused(Some(ENDED)), None, quiet)),
        ("transferring", machine(TurnState::Transferring { since: NOW }, None, Hearing::Closed)),
        ("ended", machine(TurnState::Ended, None, Hearing::Closed)),
    ]
}

fn table() -> String {
    let mut lines = Vec::new();
    for (name, machine) in states() {
        lines.push(format!("[{name}]"));
        for (what, input) in inputs() {
            let mut after = machine.clone();
            let mut effects = Vec::new();
            let taken = after.handle(NOW, input, &mut effects);
            let effects: Vec<String> = effects.iter().map(|effect| format!("{effect:?}")).collect();
            let outcome = match taken {
                Ok(()) => format!("{}; {}", after.state().name(), effects.join(", ")),
                Err(reason) => format!("ignored: {reason:?}"),
            };
            lines.push(format!("{what}: {}", outcome.trim_end_matches("; ")));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

#[test]
fn every_pair_is_listed() {
    let table = table();
    let frozen = include_str!("table.txt");
    assert!(table.trim() == frozen.trim(), "the table is now:\n{table}");
}

#[test]
fn what_is_ignored_has_no_effect_and_changes_no_state() {
    for (name, machine) in states() {
        for (what, input) in inputs() {
            let mut after = machine.clone();
            let mut effects = Vec::new();
            if after.handle(NOW, input, &mut effects).is_err() {
                assert_eq!((&effects, after.state()), (&Vec::new(), machine.state()), "{name}, {what}");
            }
        }
    }
}
