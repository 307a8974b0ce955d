//! Scenario files as people write them, rightly and wrongly.

use super::*;

fn file(mode: &str, steps: &str) -> Result<File, String> {
    read(&format!("mode: {mode}\nscenarios:\n  - name: a\n    steps: {steps}\n"))
}

fn steps(text: &str) -> Vec<Step> {
    let steps = file("audio", text).unwrap().scenarios[0].value.steps.clone();
    steps.into_iter().map(|step| step.value).collect()
}

#[test]
fn every_act_is_read() {
    let acts = "[{say: yes}, {play: a.wav}, {press: 4071#}, {press: '0'}, {wait: 1.5s}, {hang_up: true}]";
    let expected = [
        Act::Say("yes".into()),
        Act::Play("a.wav".into()),
        Act::Press("4071#".into()),
        Act::Press("0".into()),
        Act::Wait(Duration::from_millis(1_500)),
        Act::HangUp,
    ];
    assert_eq!(steps(acts).into_iter().filter_map(|step| step.act).collect::<Vec<_>>(), expected);
    let interrupt = &steps("[{interrupt: {after: 800ms, say: stop}}]")[0];
    assert_eq!(
        (&interrupt.act, interrupt.interrupts),
        (&Some(Act::Say("stop".into())), Some(Duration::from_millis(800)))
    );
}

#[test]
fn every_expectation_is_read() {
    let text = "[{expect: [{text: [a, {equals: b}], heard: c, understood: {regex: d}, tool: [{name: e, ok: false}, {name: e, arguments: {day: tuesday, at: {hour: 9}, who: [1, 2]}}], state: f,
        event: barge_in, outcome: transferred, after: 1s, within: 3s, not: {tool: g, state: [h, i]}}, {judge: it is polite}]}]";
    let expect = &steps(text)[0].expect;
    let shown = |all: &[Wanted]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    assert_eq!(
        shown(&expect[0].wanted),
        "text containing \"a\"; text equal to \"b\"; heard containing \"c\"; understood matching /d/; tool e that fails; \
         tool e with {\"day\":\"tuesday\",\"at\":{\"hour\":9},\"who\":[1,2]}; state f; event barge_in; outcome transferred"
    );
    assert_eq!(shown(&expect[0].unwanted), "tool g; state h; state i");
    assert_eq!((expect[0].after, expect[0].within), (Duration::from_secs(1), Duration::from_secs(3)));
    assert_eq!((expect[1].judge.as_deref(), expect[1].within), (Some("it is polite"), WITHIN));
}

#[test]
fn a_wrong_file_is_told_with_its_line_and_what_to_write() {
    for (steps, reason) in [
        ("[{speak: hello}]", "unknown field `speak`"),
        ("[{say: a, press: '1'}]", "a step does one thing"),
        ("[{}]", "a step has one of say"),
        ("[{say: ' '}]", "`wait: 2s` is silence"),
        ("[{press: 12x}]", "are no keys"),
        ("[{press: '123456789012345678901'}]", "at most"),
        ("[{wait: 2}]", "one looks like 2s"),
        ("[{wait: -1s}]", "one looks like 2s"),
        ("[{wait: 1000s}]", "longer than 120 seconds"),
        ("[{hang_up: false}]", "hang_up is true"),
        ("[{interrupt: {after: 1s}}]", "exactly one of say, play"),
        ("[{expect: {tool: {name: a, arguments: b}}}]", "expected mapping"),
        ("[{expect: {within: 2s}}]", "expect text, heard"),
        ("[{expect: {within: 2s, not: {text: a}}}]", "`not` lasts until"),
        ("[{expect: {state: a, after: 3s, within: 2s}}]", "after has to be shorter"),
        ("[{expect: {not: {judge: a}}}]", "`not` takes"),
        ("[{expect: {event: barged_in}}]", "barge_in"),
        ("[{expect: {outcome: hung_up}}]", "caller_hung_up"),
        ("[{say: 'code {code}'}]", "line 4: nothing before catches {code}"),
        ("[]", "line 3: scenario \"a\" has no steps"),
    ] {
        let error = file("audio", steps).unwrap_err();
        assert!(error.contains(reason) && error.contains("line"), "{steps}: {error}");
    }
    let error = file("text", "[{interrupt: {after: 1s, say: a}}]").unwrap_err();
    assert!(error.contains("line 4: play and interrupt are for `mode: audio`"), "{error}");
    assert!(read("scenarios: []").unwrap_err().contains("no scenario"));
    let twice = "scenarios: [{name: a, steps: [{say: b}]}, {name: a, steps: [{say: b}]}]";
    assert!(read(twice).unwrap_err().contains("a name of its own"));
}

#[test]
fn a_caught_name_may_be_said_later() {
    assert!(file("text", r"[{say: a, expect: {text: {regex: '(?<code>\d+)'}}}, {say: 'it is {code}'}]").is_ok());
    assert_eq!(slots("a {b} {c").collect::<Vec<_>>(), ["b"]);
}

#[test]
fn the_names_of_events_and_outcomes_are_those_of_the_record() {
    let events = ["paused", "resumed", "barge_in", "dtmf", "no_input", "no_match", "not_heard", "limit_reached"];
    for name in events.into_iter().chain(["transfer", "escalation"]) {
        let event = &steps(&format!("[{{expect: {{event: {name}}}}}]"))[0].expect[0].wanted[0];
        assert_eq!(event.to_string(), format!("event {name}"));
        let record = serde_json::json!({ "event": name, "utterance": 1, "status": null, "action": "x" });
        let of = Happening::of(&serde_json::from_value(record).unwrap()).unwrap();
        assert_eq!(of.as_str(), name);
    }
}

#[test]
fn arguments_are_expected_in_part() {
    let fits = |expected: &str, called: Value| {
        let text = format!("[{{expect: {{tool: {{name: book, arguments: {expected}}}}}}}]");
        let Wanted::Tool(tool) = steps(&text)[0].expect[0].wanted[0].clone() else { panic!("no tool") };
        assert!(!tool.fits("cancel", true, Some(&called)) && !tool.fits("book", true, None));
        tool.fits("book", true, Some(&called))
    };
    let called =
        || serde_json::json!({ "day": "friday", "seats": 2, "who": { "name": "Ann", "age": 7 }, "at": [9, 10] });
    for expected in ["{}", "{day: friday}", "{seats: 2.0}", "{who: {name: Ann}}", "{at: [9, 10], day: friday}"] {
        assert!(fits(expected, called()), "{expected}");
    }
    for expected in
        ["{day: Friday}", "{seats: '2'}", "{seats: 3}", "{who: Ann}", "{who: {name: Bob}}", "{at: [9]}", "{x: null}"]
    {
        assert!(!fits(expected, called()), "{expected}");
    }
}
