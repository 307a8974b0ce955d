use proptest::prelude::*;
use tandem_models::Limits;
use tokio::sync::mpsc;

use super::*;
use crate::line::pcm::Encoding;
use crate::line::words::Base;

/// A protocol as plain as can be: `context audio`, `context end`, `context error`, `error`.
struct Plain;

impl Protocol for Plain {
    const CONTEXTS: usize = 2;

    fn source(&self) -> Source {
        Source { encoding: Encoding::Linear, rate: 8_000, base: Base::Chunk }
    }

    fn speak(&self, context: &str, text: &str, out: &mut Vec<String>) {
        out.push(format!("{context} {text}"));
    }

    fn cancel(&self, context: &str) -> Option<String> {
        Some(format!("{context} cancel"))
    }

    fn keep_alive(&self) -> Option<String> {
        None
    }

    fn goodbye(&self) -> Option<String> {
        None
    }

    fn read(&self, message: &str, taker: &mut dyn FnMut(Said<'_>)) -> Result<(), String> {
        let wrong = || Problem::Failed("it is wrong".to_owned());
        let said = match message.split_once(' ') {
            Some((context, "end")) => Said { context: Some(context), last: true, ..Said::default() },
            Some((context, "error")) => Said { context: Some(context), error: Some(wrong()), ..Said::default() },
            Some((context, audio)) => Said { context: Some(context), audio, ..Said::default() },
            None if message == "error" => Said { error: Some(wrong()), ..Said::default() },
            None => return Err("no blank".to_owned()),
        };
        taker(said);
        Ok(())
    }
}

const LIMITS: Limits = Limits { first: Duration::from_secs(8), gap: Duration::from_secs(5) };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Line(Contexts<Plain>);

impl Line {
    fn new() -> Self {
        let engine = Engine { name: "plain".to_owned(), setting: "PLAIN_API_KEY" };
        Self(Contexts::new(Plain, engine, LIMITS))
    }

    fn open() -> Self {
        let mut line = Self::new();
        line.0.opened(at(0));
        line
    }

    fn speak(&mut self, now: u64, text: &str) -> mpsc::Receiver<VoiceEvent> {
        let (outlet, events) = Outlet::open("plain");
        self.0.speak(at(now), SpeakRequest { text: text.to_owned(), rate: 8_000 }, outlet);
        events
    }

    fn sent(&mut self) -> Vec<String> {
        self.0.outgoing().collect()
    }

    fn take(&mut self, now: u64, message: &str) {
        self.0.take(at(now), message).unwrap();
    }

    fn broken(&self) -> SpeechError {
        self.0.engine().failed("the connection broke off", true)
    }
}

fn drain(events: &mut mpsc::Receiver<VoiceEvent>) -> Vec<VoiceEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn audio(sample: i16) -> VoiceEvent {
    VoiceEvent::Audio(vec![sample].into())
}

fn why(events: &mut mpsc::Receiver<VoiceEvent>) -> String {
    match drain(events).pop() {
        Some(VoiceEvent::Failed(error)) => error.to_string(),
        other => panic!("a failure is wanted: {other:?}"),
    }
}

#[test]
fn several_run_at_once_and_the_others_wait_for_their_place() {
    let mut line = Line::open();
    let (mut one, mut two, mut three) = (line.speak(0, "a"), line.speak(0, "b"), line.speak(0, "c"));
    assert_eq!(line.sent(), ["1 a", "2 b"]);
    for message in ["2 AgA=", "1 AQA=", "7 BwA=", "1 end"] {
        line.take(1, message);
    }
    assert_eq!(line.sent(), ["3 c"]);
    line.take(2, "3 AwA=");
    line.take(2, "1 AQA=");
    line.take(2, "2 end");
    line.take(2, "3 end");
    assert_eq!(drain(&mut one), [audio(1), VoiceEvent::Done]);
    assert_eq!(drain(&mut two), [audio(2), VoiceEvent::Done]);
    assert_eq!(drain(&mut three), [audio(3), VoiceEvent::Done]);
}

#[test]
fn what_nobody_hears_is_cancelled_once_and_keeps_its_place_until_it_is_over() {
    let mut line = Line::open();
    let one = line.speak(0, "a");
    let _two = line.speak(0, "b");
    let _three = line.speak(0, "c");
    line.sent();
    drop(one);
    line.take(1, "1 AQA=");
    line.take(1, "1 AQA=");
    assert_eq!(line.sent(), ["1 cancel"]);
    line.take(1, "1 end");
    assert_eq!(line.sent(), ["3 c"]);
}

#[test]
fn what_has_not_begun_is_asked_for_once_more_and_in_order() {
    let mut line = Line::open();
    let (mut one, mut two, mut three) = (line.speak(0, "a"), line.speak(0, "b"), line.speak(0, "c"));
    line.take(1, "1 AQA=");
    line.sent();
    let error = line.broken();
    line.0.lost(at(2), &error);
    assert_eq!(drain(&mut one), [audio(1), VoiceEvent::Failed(error.clone())]);
    assert!(line.0.wants_connection());
    line.0.opened(at(2));
    assert_eq!(line.sent(), ["3 b", "4 c"]);
    line.0.lost(at(2), &error);
    assert_eq!(drain(&mut two), [VoiceEvent::Failed(error.clone())], "it was lost twice");
    line.0.opened(at(3));
    assert_eq!(line.sent(), ["5 c"]);
    line.take(3, "5 AwA=");
    line.take(3, "5 end");
    assert_eq!(drain(&mut three), [audio(3), VoiceEvent::Done]);
}

#[test]
fn a_refused_connection_is_tried_once_more_where_that_may_help() {
    let mut line = Line::new();
    let mut one = line.speak(0, "a");
    let error = line.broken();
    line.0.lost(at(2), &error);
    assert!(line.0.wants_connection());
    line.0.lost(at(2), &error);
    assert_eq!(drain(&mut one), [VoiceEvent::Failed(error)]);

    let mut two = line.speak(1, "b");
    let unauthorized = SpeechError::Unauthorized { engine: "plain".into(), setting: "PLAIN_API_KEY".into() };
    line.0.lost(at(2), &unauthorized);
    assert_eq!(drain(&mut two), [VoiceEvent::Failed(unauthorized)]);
    assert!(!line.0.wants_connection());
}

#[test]
fn silence_is_ended_at_its_limit_and_not_before() {
    let mut line = Line::open();
    let mut one = line.speak(0, "a");
    let mut two = line.speak(0, "b");
    let mut three = line.speak(0, "c");
    assert_eq!(line.0.deadline(), Some(at(8)));
    line.take(6, "1 AQA=");
    line.take(7, "2 AgA=");
    assert_eq!(line.0.deadline(), Some(at(11)));
    assert_eq!(line.0.expire(at(10)), Ok(()));
    line.sent();
    assert_eq!(line.0.expire(at(11)), Ok(()), "the other one was heard of since");
    assert_eq!(why(&mut one), "plain failed: it said nothing for 5000 ms");
    assert_eq!(line.sent(), ["1 cancel", "3 c"], "it waited for a place, which is not the vendor's silence");
    let dead = line.0.expire(at(19)).unwrap_err();
    assert_eq!(dead.to_string(), "plain failed: it said nothing for 5000 ms");
    assert_eq!(
        (why(&mut two), why(&mut three)),
        (dead.to_string(), "plain failed: it said nothing for 8000 ms".into())
    );
    assert_eq!(line.0.deadline(), None);
}

#[test]
fn what_waits_for_a_connection_waits_as_long_as_for_the_first_audio() {
    let mut line = Line::new();
    let mut one = line.speak(1, "a");
    assert_eq!(line.0.deadline(), Some(at(9)));
    assert_eq!(line.0.expire(at(9)), Ok(()));
    assert_eq!(why(&mut one), "plain failed: it said nothing for 8000 ms");
    assert!(!line.0.wants_connection());
}

#[test]
fn an_error_is_its_own_context_s_alone() {
    let mut line = Line::open();
    let (mut one, mut two) = (line.speak(0, "a"), line.speak(0, "b"));
    line.take(1, "1 error");
    assert_eq!(why(&mut one), "plain failed: it is wrong");
    assert_eq!(drain(&mut two), []);
    assert!(line.0.take(at(1), "error").is_err(), "without a context it is the connection's");
    assert!(line.0.take(at(1), "nonsense").is_err());
}

#[test]
fn audio_that_is_none_ends_the_utterance() {
    let mut line = Line::open();
    let mut one = line.speak(0, "a");
    line.take(1, "1 ???");
    assert!(why(&mut one).contains("no base64"));
    let mut two = line.speak(1, "b");
    line.take(1, "2 end");
    assert_eq!(why(&mut two), "plain failed: it sent no audio");
}

#[derive(Clone, Debug)]
enum Happening {
    Speak,
    /// The session drops the n-th utterance.
    Forget(usize),
    /// The vendor says this of the n-th context.
    Say(u64, &'static str),
    Open,
    Lost,
    /// So many seconds pass.
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => Just(Happening::Speak),
        1 => (0..12_usize).prop_map(Happening::Forget),
        8 => (0..16_u64, prop::sample::select(vec!["AQA=", "", "end", "error", "?"])).prop_map(|(context, word)| {
            Happening::Say(context, word)
        }),
        2 => Just(Happening::Open),
        1 => Just(Happening::Lost),
        1 => (0..6_u64).prop_map(Happening::Pass),
    ]
}

proptest! {
    /// Whatever the vendor, the network and the session do: each utterance hears of its end, once, and of nothing after it;
    /// and no more contexts run than the vendor carries.
    #[test]
    fn every_utterance_ends_once(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut line = Line::new();
        let (mut now, mut open) = (0, false);
        let mut utterances = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Speak => utterances.push(Some(line.speak(now, "a"))),
                Happening::Forget(index) => drop(utterances.get_mut(index).and_then(Option::take)),
                Happening::Say(context, word) if open => {
                    if line.0.take(at(now), &format!("{context} {word}")).is_err() {
                        open = false;
                        line.0.lost(at(now), &line.broken());
                    }
                }
                Happening::Open if !open => {
                    open = true;
                    line.0.opened(at(now));
                }
                Happening::Lost => {
                    open = false;
                    line.0.lost(at(now), &line.broken());
                }
                Happening::Pass(seconds) => {
                    now += seconds;
                    if line.0.expire(at(now)).is_err() {
                        open = false;
                        line.0.lost(at(now), &line.broken());
                    }
                    prop_assert!(line.0.deadline().is_none_or(|due| due > at(now)), "what is due has been done");
                }
                Happening::Say(..) | Happening::Open => {}
            }
            prop_assert!(line.0.running.len() <= Plain::CONTEXTS);
        }
        // A refusal that no retry helps, twice: of the connection that is there, and of the next.
        let refused = SpeechError::RateLimited { engine: "plain".to_owned() };
        line.0.lost(at(now), &refused);
        line.0.lost(at(now), &refused);
        prop_assert!(!line.0.is_heard() && !line.0.wants_connection() && line.0.deadline().is_none());
        for mut events in utterances.into_iter().flatten() {
            let all = drain(&mut events);
            let is_last = |event: &VoiceEvent| matches!(event, VoiceEvent::Done | VoiceEvent::Failed(_));
            prop_assert_eq!(all.iter().filter(|event| is_last(event)).count(), 1, "{:?}", all);
            prop_assert!(all.last().is_some_and(is_last));
        }
    }
}
