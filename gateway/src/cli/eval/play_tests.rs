//! Scenarios in virtual time: what the node says goes in, what the caller does and what was found comes out.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::scenario::read;
use super::*;

/// A node's side of a play.
struct World {
    play: Play,
    utterance: u32,
}

fn ms(at: u64) -> Time {
    Time::from_millis(at)
}

impl World {
    fn new(mode: Mode, steps: &str) -> Self {
        let text = format!("mode: {}\nscenarios:\n  - name: a\n    steps: {steps}\n", mode.as_str());
        let steps = read(&text).unwrap().scenarios[0].value.steps.clone();
        let mut world = Self { play: Play::new(ms(0), mode, steps), utterance: 0 };
        let session = "0190163d-8694-739b-aea5-966c26f80000";
        world.tell(
            0,
            json!({ "type": "started", "session": session, "bot": "demo", "version": 1, "mode": "text", "rate": 0 }),
        );
        world
    }

    fn tell(&mut self, at: u64, message: Value) {
        self.play.handle(ms(at), serde_json::from_value(message).unwrap());
    }

    fn event(&mut self, at: u64, mut event: Value) {
        event["at_ms"] = json!(at);
        self.tell(at, json!({ "type": "timeline", "entry": event }));
    }

    /// The agent writes a message.
    fn writes(&mut self, at: u64, text: &str) {
        self.begins(at, text);
        self.tell(at, json!({ "type": "text", "utterance": self.utterance, "text": text }));
    }

    /// The agent begins to say something.
    fn begins(&mut self, at: u64, text: &str) {
        self.utterance += 1;
        let utterance = self.utterance;
        self.tell(
            at,
            json!({ "type": "agent_utterance", "epoch": 1, "utterance": utterance, "text": text, "words": [], "rate": 0 }),
        );
        self.event(at, json!({ "event": "agent_started_speaking", "utterance": utterance }));
    }

    fn stops(&mut self, at: u64) {
        self.event(at, json!({ "event": "agent_stopped_speaking", "utterance": self.utterance }));
    }

    fn heard(&mut self, at: u64, text: &str) {
        self.tell(
            at,
            json!({ "type": "committed", "entry": { "utterance": self.utterance, "epoch": 1, "speaker": "agent", "at_ms": at,
                "text": text, "heard": text, "heard_samples": 0, "rate": 0, "interrupted": false } }),
        );
    }

    fn ends(&mut self, at: u64) {
        self.tell(at, json!({ "type": "ended", "outcome": { "kind": "ended", "reason": "agent_hung_up" } }));
    }

    fn poll(&mut self, at: u64) -> Due {
        self.play.poll(ms(at))
    }

    /// The caller writes what it has to: it takes no time.
    #[track_caller]
    fn says(&mut self, at: u64, text: &str) {
        assert_eq!(self.poll(at), Due::Do(Line::Say(text.into())));
        self.play.line_done(ms(at));
    }

    /// Line and what was missed.
    fn missed(self) -> Vec<(u64, String)> {
        let missed = |finding: Finding| match finding.verdict {
            Verdict::Missed(instead) => Some((finding.line, format!("{}; {instead}", finding.what))),
            _ => None,
        };
        self.play.played().findings.into_iter().filter_map(missed).collect()
    }
}

#[test]
fn a_caller_who_writes_waits_until_the_bot_has_finished() {
    let mut world = World::new(Mode::Text, "[{say: hours, expect: {text: [open, else], tool: t}}, {say: 'no'}]");
    assert_eq!(world.poll(0), Due::Wait(ms(6_000)), "a bot that says nothing");
    world.writes(100, "Hello.");
    assert_eq!(world.poll(100), Due::Wait(ms(500)));
    world.says(500, "hours");
    world.event(510, json!({ "event": "tool", "name": "t", "ok": true }));
    world.writes(520, "We are open.");
    assert_eq!(world.poll(520), Due::Wait(ms(10_500)), "one of three is missing");
    world.writes(900, "Anything else?");
    assert_eq!(world.poll(900), Due::Wait(ms(1_300)));
    world.says(1_300, "no");
    world.ends(1_400);
    assert_eq!(world.poll(1_400), Due::Done);
    assert_eq!(world.missed(), []);
}

#[test]
fn a_bot_that_works_on_its_reply_is_waited_for() {
    let mut world = World::new(Mode::Text, "[{say: book, expect: {not: {text: sorry}}}, {say: 'no'}]");
    let typing = |on: bool| json!({ "type": "typing", "on": on });
    world.writes(0, "Hello.");
    world.says(400, "book");
    world.tell(900, typing(true));
    world.writes(1_000, "One moment.");
    assert_eq!(world.poll(1_400), Due::Wait(ms(60_900)), "its tool runs, and no turn is over");
    world.writes(9_000, "I am sorry.");
    world.tell(9_000, typing(false));
    assert_eq!(world.poll(9_000), Due::Wait(ms(9_400)));
    world.says(9_400, "no");
    world.tell(9_900, typing(true));
    assert_eq!(world.poll(69_899), Due::Wait(ms(69_900)), "but not for ever");
    assert_eq!(world.poll(69_900), Due::Done);
    assert_eq!(
        world.missed(),
        [(4, "not: text containing \"sorry\"; there was \"One moment.\", \"I am sorry.\"".to_owned())]
    );
}

#[test]
fn what_comes_too_late_or_too_early_is_missed_and_said_with_what_there_was() {
    let steps = "[{say: a, expect: [{text: late, within: 2s}, {text: early, after: 1s}, {state: s}]}]";
    let mut world = World::new(Mode::Text, steps);
    world.writes(0, "hello");
    world.says(400, "a");
    world.writes(900, "early");
    assert_eq!(world.poll(900), Due::Wait(ms(2_400)));
    world.writes(2_500, "late");
    world.event(2_500, json!({ "event": "flow_state", "state": "t" }));
    assert_eq!(world.poll(10_400), Due::Done);
    assert_eq!(
        world.missed(),
        [
            (4, "text containing \"late\" within 2.0 s; there was \"early\", \"late\"".to_owned()),
            (4, "text containing \"early\" within 10.0 s, not before 1.0 s; there was \"early\", \"late\"".to_owned()),
            (4, "state s within 10.0 s; there was t".to_owned()),
        ]
    );
}

#[test]
fn arguments_that_were_missed_are_said_with_those_that_there_were() {
    let steps = "[{say: a, expect: [{tool: {name: t, ok: true, arguments: {day: friday}}}, {not: {tool: {name: t, arguments: {n: 1}}}}]}]";
    let mut world = World::new(Mode::Text, steps);
    world.writes(0, "hello");
    world.says(400, "a");
    world.event(500, json!({ "event": "tool", "name": "t", "ok": true, "arguments": { "day": "monday", "n": 1 } }));
    world.event(600, json!({ "event": "tool", "name": "t", "ok": false }));
    assert_eq!(world.poll(10_400), Due::Done);
    let there = r#"there was t with {"day":"monday","n":1}, t with arguments that the node did not tell (are they long? is --key given?) (failed)"#;
    assert_eq!(
        world.missed(),
        [
            (4, format!("tool t with {{\"day\":\"friday\"}} that works within 10.0 s; {there}")),
            (4, format!("not: tool t with {{\"n\":1}}; {there}")),
        ]
    );
}

#[test]
fn absence_lasts_until_the_next_act_and_no_longer() {
    let steps = "[{say: a, expect: {not: {text: [b, c]}}}, {say: d}]";
    let mut world = World::new(Mode::Text, steps);
    world.writes(0, "c");
    world.says(400, "a");
    world.writes(600, "b");
    world.says(1_000, "d");
    world.writes(1_100, "c");
    assert_eq!(world.poll(1_500), Due::Done);
    assert_eq!(world.missed(), [(4, "not: text containing \"b\"; there was \"b\"".to_owned())]);
}

#[test]
fn an_interruption_begins_so_long_into_the_speech_and_sees_what_was_heard() {
    let steps = "[{say: a}, {interrupt: {after: 1500ms, say: b}, expect: {heard: one two, event: barge_in, not: {heard: four}}}]";
    let mut world = World::new(Mode::Audio, steps);
    world.begins(100, "hello");
    assert_eq!(world.poll(2_000), Due::Wait(world.play.limit), "it speaks");
    world.stops(2_000);
    assert_eq!(world.poll(2_000), Due::Wait(ms(2_900)));
    world.says(2_900, "a");
    world.begins(3_500, "one two three four");
    assert_eq!(world.poll(3_500), Due::Wait(ms(5_000)));
    assert_eq!(world.poll(5_000), Due::Do(Line::Say("b".into())));
    world.event(5_300, json!({ "event": "barge_in", "utterance": 2 }));
    world.heard(5_300, "one two");
    world.play.line_done(ms(6_000));
    assert_eq!(world.poll(6_000), Due::Wait(ms(12_000)), "the reply is waited for");
    assert_eq!(world.poll(12_000), Due::Done);
    assert_eq!(world.missed(), []);
}

#[test]
fn an_act_after_the_end_is_missed_and_the_rest_left_out() {
    let mut world = World::new(Mode::Text, "[{say: a, expect: {outcome: agent_hung_up}}, {say: b}, {say: c}]");
    world.writes(0, "hello");
    world.says(400, "a");
    world.ends(500);
    assert_eq!(world.poll(500), Due::Done);
    assert_eq!(world.missed(), [(4, "say \"b\"; the conversation was over: agent_hung_up".to_owned())]);
}

#[test]
fn a_wait_moves_the_time_that_counts() {
    let mut world = World::new(Mode::Text, "[{wait: 20s, expect: {event: no_input, within: 5s}}]");
    assert_eq!(world.poll(0), Due::Wait(ms(25_000)));
    world.event(24_000, json!({ "event": "no_input" }));
    assert_eq!(world.poll(24_000), Due::Done, "nobody has said anything for a while");
    assert_eq!(world.missed(), []);
}

#[test]
fn what_a_regex_catches_is_said_later() {
    let steps = r"[{say: a, expect: {text: {regex: 'code (?<code>\d+)'}}}, {say: 'it is {code}'}]";
    let mut world = World::new(Mode::Text, steps);
    world.writes(0, "hello");
    world.says(400, "a");
    world.writes(500, "Your code 4071.");
    world.says(900, "it is 4071");
}

#[test]
fn a_judge_is_asked_of_what_was_heard_until_then() {
    let mut world = World::new(Mode::Text, "[{expect: {judge: polite}}, {say: a}]");
    world.writes(0, "Good morning.");
    world.heard(0, "Good morning.");
    world.says(400, "a");
    world.heard(500, "Later.");
    let question = Verdict::Question { statement: "polite".into(), transcript: "agent: Good morning.\n".into() };
    assert_eq!(world.play.played().findings, [Finding { line: 4, what: "judge: polite".into(), verdict: question }]);
}

#[test]
fn a_refusal_and_a_lost_connection_are_told_once() {
    let mut world = World::new(Mode::Text, "[{say: a}]");
    world.tell(5, json!({ "type": "error", "code": "unknown_bot", "message": "no such bot", "fatal": true }));
    world.play.lost(ms(6), "the node has closed the connection");
    assert_eq!(world.poll(6), Due::Done);
    let missed = world.missed();
    assert_eq!(missed[0], (4, "a conversation; unknown_bot: no such bot".to_owned()));
    assert_eq!(missed.len(), 2, "and the line that could not be said: {missed:?}");
}

#[test]
fn a_bot_that_never_ends_is_left() {
    let mut world = World::new(Mode::Audio, "[{say: a}]");
    world.begins(0, "on and on");
    assert_eq!(world.poll(299_999), Due::Wait(ms(300_000)));
    assert_eq!(world.poll(300_000), Due::Done);
    assert!(world.missed()[0].1.contains("took too long"));
}

proptest! {
    /// Whatever the node says and when, a play ends, and each expectation has exactly one verdict.
    #[test]
    fn every_play_ends_with_a_verdict_each(
        said in proptest::collection::vec((0u64..4_000, 0usize..5), 0..12),
        speaks in any::<bool>(),
    ) {
        let steps = "[{expect: {text: b}}, {say: a, expect: [{text: [b, c], not: {text: d}}, {state: s, within: 1s}]}, {wait: 1s}, {say: e}]";
        let mode = if speaks { Mode::Audio } else { Mode::Text };
        let mut world = World::new(mode, steps);
        let (mut now, mut said) = (0, said.into_iter());
        let done = loop {
            match world.poll(now) {
                Due::Done => break true,
                Due::Do(_) => world.play.line_done(ms(now)),
                Due::Wait(until) => {
                    prop_assert!(until > ms(now), "a wait has an end ahead");
                    let Some((pause, what)) = said.next() else {
                        now = until.since(ms(0)).as_millis() as u64 + 1;
                        continue;
                    };
                    now += pause + 1;
                    match what {
                        0 => world.writes(now, "b c"),
                        1 => world.stops(now),
                        2 => world.event(now, json!({ "event": "flow_state", "state": "s" })),
                        3 => world.begins(now, "d"),
                        _ => world.heard(now, "b"),
                    }
                }
            }
            if now > 400_000 {
                break false;
            }
        };
        prop_assert!(done);
        let findings = world.play.played().findings;
        let settled = findings.iter().filter(|f| f.what.starts_with("text") || f.what.starts_with("state") || f.what.starts_with("not"));
        let expected = if findings.iter().any(|f| f.what.starts_with("say \"a\"")) { 1 } else { 5 };
        prop_assert_eq!(settled.count(), expected);
    }
}
