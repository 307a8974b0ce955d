use serde_json::json;

use super::*;

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

/// A message about a turn; words are given with the ms at which each begins, and last 100 ms.
fn turn(event: &str, words: &[(u64, &str)]) -> String {
    let second = |ms: u64| ms as f64 / 1000.0;
    let word = |(at, word): &(u64, &str)| json!({ "word": word, "confidence": 0.5, "start": second(*at), "end": second(at + 100) });
    let text = words.iter().map(|(_, word)| *word).collect::<Vec<_>>().join(" ");
    let list: Vec<_> = words.iter().map(word).collect();
    json!({ "type": "TurnInfo", "event": event, "turn_index": 0, "transcript": text, "words": list,
            "audio_window_start": 0.0, "audio_window_end": 1.0, "end_of_turn_confidence": 0.75 })
    .to_string()
}

struct Bench {
    flux: Flux,
    now: Time,
}

impl Bench {
    /// With a recognition that has had so many milliseconds of audio.
    fn running(length: usize) -> Self {
        let mut bench = Self { flux: Flux::new(8_000), now: ms(0) };
        bench.begin(length);
        bench
    }

    fn begin(&mut self, length: usize) {
        assert_eq!(self.put(Input::Begin), []);
        assert_eq!(self.put(Input::Sent(length * 8)), []);
    }

    fn put(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        self.flux.handle(self.now, input, &mut out);
        out
    }

    fn heard(&mut self, event: &str, words: &[(u64, &str)]) -> Vec<Effect> {
        self.put(Input::Heard(&turn(event, words)))
    }

    fn at_deadline(&mut self) -> Vec<Effect> {
        self.now = self.flux.deadline().unwrap();
        self.put(Input::Timeout)
    }
}

fn partial(text: &str) -> Effect {
    Effect::Tell(RecognizerEvent::Partial { text: text.to_owned() })
}

fn end_of_turn(text: &str, eager: bool) -> Effect {
    Effect::Tell(RecognizerEvent::EndOfTurn { text: text.to_owned(), confidence: 0.75, eager })
}

fn last(text: &str) -> Effect {
    Effect::Tell(RecognizerEvent::Final { text: text.to_owned(), confidence: 0.5 })
}

const ASKED: [Effect; 2] = [Effect::Send(FORCE_END_TURN), Effect::Ping];

#[test]
fn a_turn_that_flux_ends() {
    let mut bench = Bench::running(2_000);
    assert_eq!(bench.put(Input::Heard(r#"{"type":"Connected","request_id":"r","sequence_id":0}"#)), []);
    assert_eq!(bench.heard("Update", &[]), []);
    assert_eq!(bench.heard("StartOfTurn", &[(100, "book")]), [partial("book")]);
    assert_eq!(bench.heard("Update", &[(100, "book")]), []);
    assert_eq!(bench.heard("EagerEndOfTurn", &[(100, "book"), (300, "it")]), [end_of_turn("book it", true)]);
    let resumed = bench.heard("TurnResumed", &[(100, "book"), (300, "it"), (900, "today")]);
    assert_eq!(resumed, [Effect::Tell(RecognizerEvent::TurnResumed), partial("book it today")]);
    let whole = [(100, "book"), (300, "it"), (900, "today")];
    assert_eq!(bench.heard("EagerEndOfTurn", &whole), [end_of_turn("book it today", true)]);
    assert_eq!(bench.heard("EndOfTurn", &whole), [end_of_turn("book it today", false)]);
    assert_eq!(bench.put(Input::Finish), []);
    assert_eq!(bench.flux.deadline(), None);
}

#[test]
fn a_turn_that_we_end() {
    let mut bench = Bench::running(1_000);
    assert_eq!(bench.heard("StartOfTurn", &[(100, "yes")]), [partial("yes")]);
    assert_eq!(bench.put(Input::Finish), ASKED);
    assert_eq!(bench.heard("EndOfTurn", &[(100, "yes"), (300, "please")]), [last("yes please")]);
}

#[test]
fn a_turn_that_begins_after_its_end() {
    let mut bench = Bench::running(600);
    assert_eq!(bench.put(Input::Finish), ASKED);
    assert_eq!(bench.heard("StartOfTurn", &[(100, "yes")]), [Effect::Send(FORCE_END_TURN)]);
    assert_eq!(bench.heard("Update", &[(100, "yes")]), []);
    assert_eq!(bench.heard("EndOfTurn", &[(100, "yes")]), [last("yes")]);
}

#[test]
fn no_turn_at_all() {
    let mut bench = Bench::running(600);
    bench.put(Input::Finish);
    bench.put(Input::Alive);
    assert_eq!(bench.at_deadline(), [Effect::Tell(RecognizerEvent::Rejected)]);
    let mut bench = Bench::running(600);
    bench.put(Input::Finish);
    assert!(matches!(bench.at_deadline().as_slice(), [Effect::Broken(_)]));
    assert_eq!(Bench::running(0).put(Input::Finish), [Effect::Tell(RecognizerEvent::Rejected)]);
}

#[test]
fn words_of_one_that_was_given_up_are_not_told() {
    let mut bench = Bench::running(1_000);
    assert_eq!(bench.heard("StartOfTurn", &[(100, "stop")]), [partial("stop")]);
    assert_eq!(bench.put(Input::Cancel), [Effect::Send(FORCE_END_TURN)]);
    bench.begin(1_000);
    assert_eq!(bench.heard("Update", &[(100, "stop"), (700, "it")]), []);
    assert_eq!(bench.heard("EndOfTurn", &[(100, "stop"), (700, "it")]), []);
    // The end of it was transcribed later, into the next turn.
    assert_eq!(bench.heard("StartOfTurn", &[(850, "now"), (1_300, "yes")]), [partial("yes")]);
    assert_eq!(bench.put(Input::Finish), ASKED);
    assert_eq!(bench.heard("EndOfTurn", &[(850, "now"), (1_300, "yes")]), [last("yes")]);
}

#[test]
fn without_places_a_turn_is_given_up_as_a_whole() {
    let bare = |event: &str, word: &str| turn(event, &[(0, word)]).replace(r#","start":0.0,"end":0.1"#, "");
    let mut bench = Bench::running(1_000);
    bench.put(Input::Cancel);
    bench.begin(1_000);
    assert_eq!(bench.put(Input::Heard(&bare("Update", "stop"))), []);
    assert_eq!(bench.put(Input::Heard(&bare("EndOfTurn", "stop"))), []);
    assert_eq!(bench.put(Input::Heard(&bare("StartOfTurn", "yes"))), [partial("yes")]);
}

#[test]
fn trouble_is_told() {
    let error = r#"{"type":"Error","sequence_id":1,"code":"INTERNAL_SERVER_ERROR","description":"they said yes"}"#;
    let effects = Bench::running(0).put(Input::Heard(error));
    assert_eq!(effects, [Effect::Broken("it reports an error INTERNAL_SERVER_ERROR".to_owned())]);
    let warning = r#"{"type":"Warning","code":"FORCE_END_TURN_NO_ACTIVE_TURN","description":"d"}"#;
    assert_eq!(Bench::running(0).put(Input::Heard(warning)), []);
}
