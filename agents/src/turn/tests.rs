//! Conversations in virtual time.

use tandem_contract::UtteranceId;
use tandem_contract::bot::TurnPolicy;
use tandem_contract::call::Modality;
use tandem_media::Time;

use super::*;

/// Minimum speech of the detector, and its minimum silence: how late its edges come.
const EDGE_UP: u64 = 64;
const EDGE_DOWN: u64 = 160;

struct Talk {
    machine: TurnMachine,
    /// What was to be done, and when (ms).
    done: Vec<(u64, TurnEffect)>,
}

impl Talk {
    fn new() -> Self {
        Self::with(Modality::Voice, Time::ZERO)
    }

    fn with(modality: Modality, now: Time) -> Self {
        Self { machine: TurnMachine::new(TurnPolicy::default(), modality, now), done: Vec::new() }
    }

    /// The agent speaks an utterance from time zero on.
    fn speaking() -> Self {
        let mut talk = Self::new();
        talk.at(0, TurnInput::PlayoutStarted { utterance: UtteranceId(1), interruptible: true });
        talk
    }

    fn until(&mut self, ms: u64) {
        for _ in 0..50 {
            let Some(due) = self.machine.poll_timeout().filter(|due| *due <= Time::from_millis(ms)) else { return };
            let mut out = Vec::new();
            self.machine.handle_timeout(due, &mut out);
            self.done.extend(out.into_iter().map(|effect| (due.as_millis(), effect)));
        }
        panic!("timers never rest");
    }

    fn at(&mut self, ms: u64, input: TurnInput) {
        self.until(ms);
        let mut out = Vec::new();
        let _ = self.machine.handle(Time::from_millis(ms), input, &mut out);
        self.done.extend(out.into_iter().map(|effect| (ms, effect)));
    }

    /// Voice from `onset` on, as the detector tells it.
    fn voice_on(&mut self, onset: u64) {
        self.at(onset + EDGE_UP, TurnInput::SpeechStarted { onset: Time::from_millis(onset) });
    }

    fn voice_off(&mut self, end: u64) {
        self.at(end + EDGE_DOWN, TurnInput::SpeechEnded { end: Time::from_millis(end) });
    }

    fn of(&self, effect: TurnEffect) -> Vec<u64> {
        self.done.iter().filter(|(_, other)| *other == effect).map(|(at, _)| *at).collect()
    }

    fn state(&self) -> &'static str {
        self.machine.state().name()
    }
}

const CALLER: TurnEffect = TurnEffect::AskBrain { ask: Ask::Caller };
const NOT_UNDERSTOOD: TurnEffect = TurnEffect::AskBrain { ask: Ask::NotUnderstood };
const NOT_HEARD: TurnEffect = TurnEffect::AskBrain { ask: Ask::NotHeard };
const SILENT: TurnEffect = TurnEffect::AskBrain { ask: Ask::Silent };

#[test]
fn a_plain_turn() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    assert_eq!(talk.state(), "caller_speaking");
    talk.voice_off(2000);
    assert_eq!(talk.state(), "endpoint_pending");
    talk.until(2600);
    assert_eq!(talk.of(TurnEffect::FinishRecognition), [2500]);
    talk.at(2600, TurnInput::Understood { words: 3, sense: Sense::Words });
    assert_eq!((talk.state(), talk.of(CALLER)), ("thinking", vec![2600]));
}

#[test]
fn a_short_breath_does_not_end_the_turn() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    talk.voice_off(1500);
    talk.voice_on(1800);
    talk.voice_off(2400);
    talk.until(2900);
    assert_eq!(talk.of(TurnEffect::FinishRecognition), [2900]);
    assert_eq!(talk.of(TurnEffect::OpenRecognition), [1064]);
}

#[test]
fn an_unfinished_answer_is_waited_for() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    talk.at(1400, TurnInput::Partial { words: 2, ending: Ending::Unfinished, sense: Sense::Words });
    talk.voice_off(1500);
    talk.until(9000);
    assert_eq!(talk.of(TurnEffect::FinishRecognition), [4500]);
}

#[test]
fn a_slow_speaker_is_learnt_even_from_turns_that_were_cut() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    // Half sentences, 800 ms apart. Each is taken for a turn, and no answer has begun when the next one comes.
    for n in 0..4 {
        let onset = 1000 + n * 1800;
        talk.voice_on(onset);
        talk.voice_off(onset + 1000);
        talk.at(onset + 1550, TurnInput::Understood { words: 3, sense: Sense::Words });
    }
    assert_eq!(talk.of(TurnEffect::FinishRecognition), [2500, 4300, 6100, 7900]);
    talk.voice_on(8200);
    talk.voice_off(9200);
    talk.until(11_000);
    assert_eq!(talk.of(TurnEffect::FinishRecognition)[4..], [10_200], "a quarter more than their pause");
    // The agent answered: the silence before the caller's next words is none within a turn.
    talk.at(11_000, TurnInput::PlayoutStarted { utterance: UtteranceId(1), interruptible: true });
    talk.at(11_100, TurnInput::PlayoutFinished);
    talk.at(11_100, TurnInput::ReplyDone);
    let known = talk.machine.endpointing.clone();
    talk.voice_on(11_200);
    assert_eq!(talk.machine.endpointing, known);
}

#[test]
fn a_barge_in_pauses_first_and_is_committed_when_it_is_understood() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.until(1199);
    assert_eq!(talk.of(TurnEffect::Pause), Vec::<u64>::new());
    talk.voice_off(2300);
    // The recognizer takes its time.
    talk.at(4900, TurnInput::Understood { words: 3, sense: Sense::Words });
    assert_eq!((talk.of(TurnEffect::Pause), talk.of(TurnEffect::BargeIn)), (vec![1200], vec![4900]));
    assert_eq!((talk.of(CALLER), talk.of(TurnEffect::Resume)), (vec![4900], vec![]));
}

/// The agent speaks, and the caller's voice is on from 1000 on.
fn interrupted() -> Talk {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk
}

#[test]
fn a_long_noise_is_forgiven_as_soon_as_it_is_known_to_be_one() {
    let mut talk = interrupted();
    talk.voice_off(3000);
    talk.at(4200, TurnInput::Rejected);
    assert_eq!((talk.of(TurnEffect::Resume), talk.of(TurnEffect::BargeIn)), (vec![4200], vec![]));
    assert_eq!(talk.state(), "speaking");
}

#[test]
fn a_noise_without_end_is_judged_at_the_limit_and_counts_no_more() {
    let mut talk = interrupted();
    talk.until(7500);
    assert_eq!((talk.of(TurnEffect::FinishRecognition), talk.state()), (vec![7000], "speaking_paused"));
    talk.at(7600, TurnInput::Rejected);
    talk.until(9000);
    assert_eq!((talk.of(TurnEffect::Pause), talk.of(TurnEffect::Resume)), (vec![1200], vec![7600]));

    // It was somebody who speaks on: what they say next is heard too.
    let mut talk = interrupted();
    talk.at(7600, TurnInput::Understood { words: 9, sense: Sense::Words });
    assert_eq!((talk.of(CALLER), talk.of(TurnEffect::OpenRecognition)), (vec![7600], vec![1064, 7600]));
}

#[test]
fn where_nothing_can_be_understood_the_voice_alone_interrupts() {
    for (why, asked) in [(TurnInput::Unheard, NOT_HEARD), (TurnInput::Unmatched, NOT_UNDERSTOOD)] {
        let mut talk = interrupted();
        talk.voice_off(1900);
        talk.at(2500, why);
        assert_eq!((talk.of(TurnEffect::BargeIn), talk.of(asked)), (vec![2500], vec![2500]));
        let mut talk = interrupted();
        talk.voice_off(1600);
        talk.at(2100, why);
        assert_eq!((talk.of(TurnEffect::Resume), talk.of(asked)), (vec![2100], vec![]), "a cough");
        // They speak on: they have the floor.
        let mut talk = interrupted();
        talk.at(7100, why);
        assert_eq!((talk.of(TurnEffect::BargeIn), talk.state()), (vec![7100], "caller_speaking"));
    }
    // The recognizer never answers.
    let mut talk = interrupted();
    talk.voice_off(1900);
    talk.until(9000);
    assert_eq!((talk.of(TurnEffect::BargeIn), talk.of(NOT_HEARD)), (vec![5400], vec![5400]));
}

#[test]
fn fewer_words_than_the_policy_wants_leave_the_agent_the_floor() {
    let word = |sense| TurnInput::Partial { words: 1, ending: Ending::Unknown, sense };
    let policy = |words| TurnPolicy { interruption_words: words, ..TurnPolicy::default() };
    for (least, sense, floor) in [
        (2, Sense::Words, "speaking"),
        (2, Sense::Answer, "thinking"),
        (2, Sense::Interruption, "thinking"),
        (1, Sense::Words, "thinking"),
    ] {
        let machine = TurnMachine::new(policy(least), Modality::Voice, Time::ZERO);
        let mut talk = Talk { machine, done: Vec::new() };
        talk.at(0, TurnInput::PlayoutStarted { utterance: UtteranceId(1), interruptible: true });
        talk.voice_on(1000);
        talk.at(1500, word(sense));
        talk.voice_off(2600);
        talk.at(3200, TurnInput::Understood { words: 1, sense });
        assert_eq!(talk.state(), floor, "{sense:?}");
        assert_eq!(talk.of(CALLER).is_empty(), floor == "speaking", "{sense:?}");
    }
    // To a silent agent one word is as good as any.
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    talk.voice_off(1400);
    talk.at(1950, TurnInput::Understood { words: 1, sense: Sense::Words });
    assert_eq!(talk.of(CALLER), [1950]);
}

#[test]
fn words_commit_before_the_time_does() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.at(1450, TurnInput::Partial { words: 1, ending: Ending::Complete, sense: Sense::Words });
    assert_eq!(talk.state(), "speaking_paused");
    talk.at(1500, TurnInput::Partial { words: 2, ending: Ending::Complete, sense: Sense::Words });
    assert_eq!((talk.of(TurnEffect::BargeIn), talk.state()), (vec![1500], "caller_speaking"));
}

const MURMUR: TurnInput = TurnInput::Partial { words: 2, ending: Ending::Unknown, sense: Sense::Backchannel };
const STOP: TurnInput = TurnInput::Partial { words: 1, ending: Ending::Unknown, sense: Sense::Interruption };

#[test]
fn a_backchannel_takes_no_floor() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.at(1300, MURMUR);
    talk.voice_off(1400);
    assert_eq!((talk.of(TurnEffect::Pause), talk.of(TurnEffect::Resume)), (vec![1200], vec![1560]));
    talk.at(1950, TurnInput::Understood { words: 2, sense: Sense::Backchannel });
    assert_eq!((talk.state(), talk.of(TurnEffect::BargeIn), talk.of(CALLER)), ("speaking", vec![], vec![]));

    // The recognizer gives nothing before its result.
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.voice_off(1400);
    talk.at(1950, TurnInput::Understood { words: 2, sense: Sense::Backchannel });
    assert_eq!((talk.state(), talk.of(TurnEffect::Resume), talk.of(CALLER)), ("speaking", vec![1950], vec![]));

    // Murmurs without end are more than that.
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.at(1300, MURMUR);
    talk.until(4000);
    assert_eq!(talk.of(TurnEffect::BargeIn), [2600]);
}

#[test]
fn a_backchannel_that_goes_on_as_an_objection_is_one() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.at(1300, MURMUR);
    talk.at(1500, TurnInput::Partial { words: 3, ending: Ending::Trailing, sense: Sense::Words });
    assert_eq!((talk.of(TurnEffect::BargeIn), talk.state()), (vec![1500], "caller_speaking"));
}

#[test]
fn a_backchannel_to_a_silent_agent_is_an_answer() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    talk.voice_off(1400);
    talk.at(1950, TurnInput::Understood { words: 2, sense: Sense::Backchannel });
    assert_eq!(talk.of(CALLER), [1950]);
}

#[test]
fn stop_stops_at_once() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.at(1150, STOP);
    assert_eq!((talk.of(TurnEffect::Pause), talk.of(TurnEffect::BargeIn)), (vec![], vec![1150]));
    assert_eq!(talk.state(), "caller_speaking");

    // It was so short that the agent went on already.
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.voice_off(1120);
    talk.at(1300, STOP);
    assert_eq!((talk.of(TurnEffect::BargeIn), talk.state()), (vec![1300], "endpoint_pending"));
    talk.at(1700, TurnInput::Understood { words: 1, sense: Sense::Interruption });
    assert_eq!(talk.of(CALLER), [1700]);

    let mut talk = Talk::new();
    talk.at(0, TurnInput::PlayoutStarted { utterance: UtteranceId(1), interruptible: false });
    talk.voice_on(1000);
    talk.at(1100, STOP);
    assert_eq!(talk.state(), "speaking", "what may not be interrupted is not listened over");
}

#[test]
fn a_short_answer_over_the_prompt_is_an_interruption() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.voice_off(1350);
    assert_eq!(talk.state(), "speaking_paused");
    talk.at(1900, TurnInput::Understood { words: 3, sense: Sense::Words });
    assert_eq!((talk.of(TurnEffect::BargeIn), talk.of(CALLER)), (vec![1900], vec![1900]));
}

#[test]
fn a_cough_is_forgiven() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.voice_off(1300);
    talk.at(1850, TurnInput::Rejected);
    assert_eq!((talk.of(TurnEffect::Pause), talk.of(TurnEffect::Resume)), (vec![1200], vec![1850]));
    assert_eq!((talk.state(), talk.of(TurnEffect::BargeIn)), ("speaking", vec![]));
}

#[test]
fn without_a_result_the_agent_goes_on_after_the_policys_time() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.voice_off(1300);
    talk.until(2500);
    assert_eq!(talk.of(TurnEffect::Resume), [2000]);
    // The recognizer was only slow.
    talk.at(2600, TurnInput::Understood { words: 3, sense: Sense::Words });
    assert_eq!((talk.of(TurnEffect::BargeIn), talk.of(CALLER)), (vec![2600], vec![2600]));
}

#[test]
fn a_click_resumes_as_soon_as_it_is_known_to_be_one() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.voice_off(1120);
    assert_eq!((talk.of(TurnEffect::Pause), talk.of(TurnEffect::Resume)), (vec![1200], vec![1280]));
}

#[test]
fn a_digit_commits_at_once() {
    let mut talk = Talk::speaking();
    talk.at(700, TurnInput::Digit);
    talk.at(700, TurnInput::DigitsDone);
    assert_eq!((talk.of(TurnEffect::BargeIn), talk.of(CALLER)), (vec![700], vec![700]));
}

#[test]
fn what_may_not_be_interrupted_is_not() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::PlayoutStarted { utterance: UtteranceId(1), interruptible: false });
    talk.voice_on(1000);
    talk.at(2000, TurnInput::Digit);
    talk.at(2000, TurnInput::DigitsDone);
    talk.at(3000, TurnInput::PlayoutMoved);
    talk.until(4000);
    assert_eq!(talk.done, [(2000, TurnEffect::Hold)]);
    // The caller still speaks when the agent has finished: now they are listened to.
    talk.at(4000, TurnInput::PlayoutFinished);
    talk.at(4000, TurnInput::ReplyDone);
    assert_eq!((talk.state(), talk.of(TurnEffect::OpenRecognition)), ("caller_speaking", vec![4000]));
}

#[test]
fn silence_is_told_and_told_again() {
    let mut talk = Talk::new();
    talk.at(100, TurnInput::ReplyDone);
    talk.until(6100);
    assert_eq!(talk.of(SILENT), [6100]);
    talk.at(6100, TurnInput::ReplyDone);
    talk.until(12_100);
    assert_eq!(talk.of(SILENT), [6100, 12_100]);
}

#[test]
fn a_listener_of_its_own_pace_has_its_own_silence() {
    let mut talk = Talk::new();
    talk.machine.set_silence(Silence::Limit { ms: 9000 });
    talk.at(0, TurnInput::ReplyDone);
    talk.until(20_000);
    assert_eq!(talk.of(SILENT), [9000]);
}

#[test]
fn a_silence_of_no_length_is_not_told_without_end() {
    let policy = TurnPolicy { silence_timeout_ms: 0, ..TurnPolicy::default() };
    let machine = TurnMachine::new(policy, Modality::Voice, Time::ZERO);
    let mut talk = Talk { machine, done: Vec::new() };
    for turn in 0..3 {
        talk.at(turn * 1000, TurnInput::ReplyDone);
    }
    talk.until(2999);
    assert_eq!(talk.of(SILENT), [1000, 2000]);
}

#[test]
fn who_was_asked_nothing_may_be_silent() {
    let mut talk = Talk::new();
    talk.machine.set_silence(Silence::Unlimited);
    talk.at(0, TurnInput::ReplyDone);
    assert_eq!((talk.machine.poll_timeout(), talk.state()), (None, "listening"));
}

#[test]
fn a_recognizer_that_fails_is_not_the_callers_fault() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    talk.voice_off(1500);
    talk.at(2100, TurnInput::Unheard);
    assert_eq!((talk.of(NOT_HEARD), talk.of(NOT_UNDERSTOOD)), (vec![2100], vec![]));
}

#[test]
fn an_endless_caller_is_cut() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    talk.until(40_000);
    assert_eq!(talk.of(TurnEffect::FinishRecognition), [31_000]);
    // Neither does the recognizer answer.
    assert_eq!((talk.of(TurnEffect::CancelRecognition), talk.of(NOT_HEARD)), (vec![34_000], vec![34_000]));
}

#[test]
fn a_caller_who_goes_on_before_the_result_is_heard_out() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::ReplyDone);
    talk.voice_on(1000);
    talk.voice_off(1500);
    talk.voice_on(2050);
    talk.at(2200, TurnInput::Rejected);
    assert_eq!((talk.state(), talk.of(NOT_UNDERSTOOD)), ("caller_speaking", vec![]));
    assert_eq!(talk.of(TurnEffect::OpenRecognition), [1064, 2200]);
}

#[test]
fn nothing_is_asked_while_a_tool_runs() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::Tools { running: true, awaited: true });
    talk.at(100, TurnInput::DigitsDone);
    assert_eq!(talk.done, [(100, TurnEffect::Hold)]);
    talk.voice_on(1000);
    talk.voice_off(1400);
    talk.at(2000, TurnInput::Understood { words: 3, sense: Sense::Words });
    assert_eq!((talk.of(TurnEffect::Hold), talk.of(CALLER)), (vec![100, 2000], vec![]));
}

#[test]
fn who_only_shows_that_they_listen_waits_on_for_a_tool() {
    let understood = |awaited, sense| {
        let mut talk = Talk::new();
        talk.at(0, TurnInput::Tools { running: false, awaited });
        talk.voice_on(1000);
        talk.voice_off(1400);
        talk.at(2000, TurnInput::Understood { words: 3, sense });
        (talk.of(CALLER), talk.of(TurnEffect::BargeIn))
    };
    assert_eq!(understood(true, Sense::Backchannel), (vec![], vec![]));
    for (awaited, sense) in [(true, Sense::Words), (true, Sense::Interruption), (false, Sense::Backchannel)] {
        assert_eq!(understood(awaited, sense), (vec![2000], vec![2000]), "{sense:?}");
    }
}

#[test]
fn a_lost_reply_is_given_up() {
    let mut talk = Talk::new();
    talk.until(20_000);
    assert_eq!((talk.of(TurnEffect::AbandonReply), talk.state()), (vec![20_000], "listening"));

    let mut talk = Talk::speaking();
    talk.at(5000, TurnInput::PlayoutMoved);
    talk.until(15_000);
    assert_eq!((talk.of(TurnEffect::AbandonReply), talk.state()), (vec![15_000], "listening"));
}

#[test]
fn a_transfer_that_fails_gives_the_brain_the_floor() {
    let mut talk = Talk::new();
    talk.at(0, TurnInput::TransferBegun);
    talk.voice_on(500);
    talk.at(1000, TurnInput::TransferNews { failed: false });
    assert_eq!(talk.state(), "transferring");
    talk.at(2000, TurnInput::TransferNews { failed: true });
    assert_eq!(talk.state(), "thinking");
    talk.at(2000, TurnInput::TransferBegun);
    // It rings, and the wire gives it up after 180 s.
    talk.at(60_000, TurnInput::TransferNews { failed: false });
    talk.until(400_000);
    assert_eq!(talk.of(TurnEffect::AbandonTransfer), [260_000]);
}

#[test]
fn chat_is_answered_in_order() {
    let mut talk = Talk::with(Modality::Text, Time::ZERO);
    talk.at(0, TurnInput::ReplyDone);
    talk.at(1000, TurnInput::Text);
    talk.at(1100, TurnInput::Text);
    assert_eq!(talk.done, [(1000, CALLER), (1100, TurnEffect::Hold)]);
    talk.at(1200, TurnInput::ReplyDone);
    talk.until(1_000_000);
    assert_eq!(talk.of(SILENT), Vec::<u64>::new());
}

#[test]
fn states_inputs_and_effects_survive_serialisation() {
    let mut talk = Talk::speaking();
    talk.voice_on(1000);
    talk.until(1300);
    let json = serde_json::to_string(&talk.machine).unwrap();
    assert_eq!(serde_json::from_str::<TurnMachine>(&json).unwrap(), talk.machine);
    let input = TurnInput::Partial { words: 3, ending: Ending::Complete, sense: Sense::Words };
    let json = serde_json::to_string(&(input, CALLER)).unwrap();
    assert_eq!(serde_json::from_str::<(TurnInput, TurnEffect)>(&json).unwrap(), (input, CALLER));
}
