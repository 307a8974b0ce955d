use std::collections::VecDeque;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const RATE: u32 = 8_000;

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

/// A result with these words, 100 ms each, the first beginning at `start` ms.
fn result(start: u64, end: u64, words: &[&str], flags: (bool, bool)) -> String {
    let second = |ms: u64| ms as f64 / 1000.0;
    let words_at = |(at, word): (usize, &&str)| {
        let from = start + at as u64 * 100;
        json!({ "word": word, "start": second(from), "end": second(from + 100), "confidence": 0.5 })
    };
    let list: Vec<_> = words.iter().enumerate().map(words_at).collect();
    let said = json!({ "transcript": words.join(" "), "confidence": 0.9, "words": list });
    json!({ "type": "Results", "start": second(start), "duration": second(end - start), "is_final": flags.0,
            "from_finalize": flags.1, "channel": { "alternatives": [said] } })
    .to_string()
}

const INTERIM: (bool, bool) = (false, false);
const FINAL: (bool, bool) = (true, false);
const ANSWER: (bool, bool) = (true, true);

struct Bench {
    nova: Nova,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        Self { nova: Nova::new(RATE), now: ms(0) }
    }

    fn put(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        self.nova.handle(self.now, input, &mut out);
        out
    }

    /// Milliseconds of audio.
    fn send(&mut self, length: u64) {
        assert_eq!(self.put(Input::Sent(length as usize * 8)), []);
    }

    fn heard(&mut self, message: &str) -> Vec<Effect> {
        self.put(Input::Heard(message))
    }

    fn at_deadline(&mut self) -> Vec<Effect> {
        self.now = self.nova.deadline().unwrap();
        self.put(Input::Timeout)
    }
}

fn partial(text: &str) -> Vec<Effect> {
    vec![Effect::Tell(RecognizerEvent::Partial { text: text.to_owned() })]
}

fn last(text: &str, confidence: f32) -> Vec<Effect> {
    vec![Effect::Tell(RecognizerEvent::Final { text: text.to_owned(), confidence })]
}

fn rejected() -> Vec<Effect> {
    vec![Effect::Tell(RecognizerEvent::Rejected)]
}

fn finalize() -> Vec<Effect> {
    vec![Effect::Send(FINALIZE), Effect::Ping]
}

#[test]
fn segments_become_one_text() {
    let mut bench = Bench::new();
    assert_eq!(bench.put(Input::Begin), []);
    bench.send(2_000);
    assert_eq!(bench.heard(&result(0, 800, &["what", "time"], INTERIM)), partial("what time"));
    assert_eq!(bench.heard(&result(0, 900, &["what", "time"], INTERIM)), []);
    assert_eq!(bench.heard(&result(0, 1_000, &["what", "time"], FINAL)), []);
    assert_eq!(bench.heard(&result(1_000, 1_500, &["do", "you"], INTERIM)), partial("what time do you"));
    assert_eq!(bench.put(Input::Finish), finalize());
    assert_eq!(bench.put(Input::Finish), []);
    assert_eq!(bench.heard(&result(1_000, 2_000, &["do", "you", "open"], ANSWER)), last("what time do you open", 0.5));
}

#[test]
fn what_is_not_said_is_rejected() {
    let mut bench = Bench::new();
    bench.put(Input::Begin);
    assert_eq!(bench.put(Input::Finish), rejected());
    bench.put(Input::Begin);
    bench.send(500);
    assert_eq!(bench.put(Input::Finish), finalize());
    assert_eq!(bench.heard(&result(0, 500, &[], ANSWER)), rejected());
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for() {
    let mut bench = Bench::new();
    bench.put(Input::Begin);
    bench.send(500);
    bench.heard(&result(0, 400, &["yes"], INTERIM));
    bench.put(Input::Finish);
    bench.put(Input::Alive);
    assert_eq!(bench.at_deadline(), last("yes", 0.5));
    // It comes after all: not for the next one, nor for the next but one.
    bench.put(Input::Begin);
    bench.send(400);
    assert_eq!(bench.heard(&result(0, 500, &["yes"], ANSWER)), []);
    assert_eq!(bench.heard(&result(500, 900, &["no"], INTERIM)), partial("no"));
    bench.put(Input::Finish);
    assert_eq!(bench.heard(&result(0, 500, &["yes"], ANSWER)), []);
    assert_eq!(bench.heard(&result(500, 900, &["no"], ANSWER)), last("no", 0.5));
}

#[test]
fn nobody_at_the_other_end_is_noticed() {
    let mut bench = Bench::new();
    bench.put(Input::Begin);
    bench.send(500);
    bench.put(Input::Finish);
    assert!(matches!(bench.at_deadline().as_slice(), [Effect::Broken(_)]));
    // What was understood before is not lost.
    let mut bench = Bench::new();
    bench.put(Input::Begin);
    bench.send(500);
    bench.heard(&result(0, 400, &["yes"], INTERIM));
    bench.put(Input::Finish);
    assert!(
        matches!(bench.at_deadline().as_slice(), [Effect::Tell(said), Effect::Broken(_)] if [Effect::Tell(said.clone())] == *last("yes", 0.5))
    );
}

#[test]
fn a_result_across_the_border_gives_what_lies_behind_it() {
    let mut bench = Bench::new();
    bench.put(Input::Begin);
    bench.send(300);
    assert_eq!(bench.put(Input::Cancel), [Effect::Send(FINALIZE)]);
    bench.put(Input::Begin);
    bench.send(300);
    assert_eq!(bench.heard(&result(0, 600, &["so", "well", "ah", "yes", "please"], INTERIM)), partial("yes please"));
}

#[test]
fn trouble_is_told() {
    for (message, name) in [
        (r#"{"type":"Error","variant":"InternalError","description":"they said yes"}"#, "InternalError"),
        (r#"{"type":"Results","start":"x"}"#, "no message of Deepgram's"),
        ("hello", "no message of Deepgram's"),
    ] {
        let effects = Bench::new().heard(message);
        assert!(matches!(effects.as_slice(), [Effect::Broken(why)] if why.contains(name) && !why.contains("yes")));
    }
    assert_eq!(Bench::new().heard(r#"{"type":"Metadata","duration":1.0,"channels":1}"#), []);
}

/// Deepgram, as far as it matters: every 200 ms of a recognition's audio hold one word that names the recognition.
#[derive(Default)]
struct Vendor {
    /// Milliseconds of audio.
    heard: u64,
    /// Where the segment begins that is not final yet, and the words in it, each with its beginning.
    segment: u64,
    words: Vec<(u64, String)>,
    /// Messages on their way, each with its arrival. They do not overtake one another.
    sent: VecDeque<(u64, String, usize)>,
}

impl Vendor {
    fn listen(&mut self, recognition: usize, length: u64) {
        for at in (self.heard..self.heard + length).step_by(20) {
            if at % 200 == 0 {
                self.words.push((at, format!("w{recognition}")));
            }
        }
        self.heard += length;
    }

    fn answer(&mut self, now: u64, latency: u64, flags: (bool, bool)) {
        let second = |ms: u64| ms as f64 / 1000.0;
        let word = |(at, word): &(u64, String)| json!({ "word": word, "start": second(*at), "end": second(at + 20), "confidence": 1.0 });
        let list: Vec<_> = self.words.iter().map(word).collect();
        let text = self.words.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(" ");
        let message = json!({ "type": "Results", "start": second(self.segment),
            "duration": second(self.heard - self.segment), "is_final": flags.0, "from_finalize": flags.1,
            "channel": { "alternatives": [{ "transcript": text, "confidence": 1.0, "words": list }] } });
        let earliest = self.sent.back().map_or(0, |(at, ..)| *at);
        let count = if flags.0 { self.words.len() } else { 0 };
        self.sent.push_back((earliest.max(now + latency), message.to_string(), count));
        if flags.0 {
            self.segment = self.heard;
            self.words.clear();
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Begin,
    Send(u64),
    /// A result of its own accord: final or not, so much later.
    Result(bool, u64),
    /// When an answer comes it takes so long; none comes where nothing was left to answer for.
    Finish(u64),
    Cancel(u64),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let latency = || prop_oneof![4 => 0_u64..600, 1 => 600_u64..1_500];
    prop_oneof![
        3 => Just(Act::Begin),
        4 => (1_u64..60).prop_map(|frames| Act::Send(frames * 20)),
        2 => (any::<bool>(), latency()).prop_map(|(last, after)| Act::Result(last, after)),
        2 => latency().prop_map(Act::Finish),
        2 => latency().prop_map(Act::Cancel),
        3 => (0_u64..900).prop_map(Act::Wait),
    ]
}

#[derive(Default)]
struct Play {
    vendor: Vendor,
    now: u64,
    recognition: usize,
    running: bool,
    finishing: bool,
    /// Words in the audio of the running recognition, and those of them that have arrived as final.
    said: usize,
    arrived: usize,
}

impl Play {
    fn put(&mut self, nova: &mut Nova, input: Input<'_>, latency: u64) {
        let mut out = Vec::new();
        nova.handle(ms(self.now), input, &mut out);
        for effect in out {
            match effect {
                Effect::Send(text) => {
                    assert_eq!(text, FINALIZE);
                    if !self.vendor.words.is_empty() {
                        self.vendor.answer(self.now, latency, ANSWER);
                    }
                }
                Effect::Ping => nova.handle(ms(self.now), Input::Alive, &mut Vec::new()),
                Effect::Broken(why) => panic!("{why}"),
                Effect::Tell(event) => self.told(&event),
            }
        }
    }

    fn told(&mut self, event: &RecognizerEvent) {
        assert!(self.running, "{event:?} of a recognition that nobody waits for");
        let ours = format!("w{}", self.recognition);
        let (text, last) = match event {
            RecognizerEvent::Partial { text } => (text.as_str(), false),
            RecognizerEvent::Final { text, confidence } => {
                assert_eq!(*confidence, 1.0);
                (text.as_str(), true)
            }
            RecognizerEvent::Rejected => ("", true),
            other => panic!("{other:?}"),
        };
        assert!(text.split_whitespace().all(|word| word == ours), "{text} in {ours}");
        if last {
            assert!(self.finishing);
            let words = text.split_whitespace().count();
            assert!(words >= self.arrived && words <= self.said, "{words} of {} and {}", self.arrived, self.said);
            (self.running, self.finishing) = (false, false);
        }
    }

    /// Lets the time pass up to `until`: messages arrive and deadlines fall due, in order.
    fn pass(&mut self, nova: &mut Nova, until: u64) {
        loop {
            let message = self.vendor.sent.front().map(|(at, ..)| *at).filter(|at| *at <= until);
            let due = nova.deadline().map(Time::as_millis).filter(|due| *due <= until);
            match (message, due) {
                (Some(at), due) if due.is_none_or(|due| at <= due) => {
                    self.now = self.now.max(at);
                    let Some((_, message, words)) = self.vendor.sent.pop_front() else { return };
                    if message.contains(&format!("\"w{}\"", self.recognition)) && self.running {
                        self.arrived += words.min(self.said - self.arrived);
                    }
                    self.put(nova, Input::Heard(&message), 0);
                }
                (_, Some(due)) => {
                    self.now = self.now.max(due);
                    self.put(nova, Input::Timeout, 0);
                }
                (_, None) => break,
            }
        }
        self.now = until;
    }

    fn act(&mut self, nova: &mut Nova, act: &Act) {
        match *act {
            Act::Begin if !self.running => {
                self.recognition += 1;
                (self.running, self.said, self.arrived) = (true, 0, 0);
                self.put(nova, Input::Begin, 0);
            }
            Act::Send(length) if self.running && !self.finishing => {
                let before = self.vendor.words.len();
                self.vendor.listen(self.recognition, length);
                self.said += self.vendor.words.len() - before;
                self.put(nova, Input::Sent(length as usize * 8), 0);
            }
            Act::Result(last, latency) => self.vendor.answer(self.now, latency, (last, false)),
            Act::Finish(latency) if self.running && !self.finishing => {
                self.finishing = true;
                self.put(nova, Input::Finish, latency);
            }
            Act::Cancel(latency) if self.running => {
                (self.running, self.finishing) = (false, false);
                self.put(nova, Input::Cancel, latency);
            }
            Act::Wait(span) => self.pass(nova, self.now + span),
            Act::Begin | Act::Send(_) | Act::Finish(_) | Act::Cancel(_) => {}
        }
        self.pass(nova, self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Whatever is cancelled, late or unanswered: a recognition tells its own words only, keeps those that have come as
    /// final, and ends once.
    #[test]
    fn words_stay_in_their_recognition(acts in prop::collection::vec(act(), 0..60)) {
        let mut nova = Nova::new(RATE);
        let mut play = Play::default();
        for act in &acts {
            play.act(&mut nova, act);
        }
        let finishing = play.finishing;
        play.pass(&mut nova, play.now + 5_000);
        prop_assert!(!(finishing && play.running), "it ends");
        prop_assert!(nova.deadline().is_none());
    }
}
