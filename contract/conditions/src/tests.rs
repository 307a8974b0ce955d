use proptest::prelude::*;
use serde_json::json;

use super::*;

fn facts<'a>(slots: &'a serde_json::Value) -> Facts<'a> {
    Facts {
        duration_s: 95,
        not_understood_in_a_row: 2,
        slots,
        state: "book",
        text: "I want a HUMAN now",
        turn_count: 4,
        user_requests_human: true,
        ..Facts::NONE
    }
}

fn holds(source: &str) -> Result<bool, Undecided> {
    let slots = json!({ "day": "monday", "age": 41, "sure": true, "price": 2.5, "none": null });
    Condition::new(source).unwrap_or_else(|error| panic!("{source}: {error}")).holds(&facts(&slots))
}

#[test]
fn conditions_over_what_is_known() {
    for (source, wanted) in [
        ("user_requests_human", true),
        ("emergency_keywords_detected", false),
        ("!emergency_keywords_detected && turn_count > 3", true),
        ("turn_count >= 5 || not_understood_in_a_row == 2", true),
        ("duration_s / 60 > 1", false),
        ("duration_s > 90", true),
        ("text.contains('HUMAN')", true),
        ("text.startsWith(\"I want\") && size(text) < 100", true),
        ("channel == 'voice' && language == 'en-US'", true),
        ("state in ['day', 'book']", true),
        ("slots.day == 'monday' && slots.age > 40 && slots.sure", true),
        ("slots['price'] < 2.0", false),
        ("has(slots.day) && !has(slots.time)", true),
        ("slots.none == null", true),
        ("['a', 'b'].exists(x, x == slots.day)", false),
        ("turn_count > 3 ? user_requests_human : false", true),
    ] {
        assert_eq!(holds(source), Ok(wanted), "{source}");
    }
}

#[test]
fn what_does_not_decide_says_why() {
    assert_eq!(holds("slots.time == 'nine'"), Err(Undecided::NoSuchKey("time".to_owned())));
    assert_eq!(holds("turn_count"), Err(Undecided::NotBoolean));
    for source in ["text > 3", "nothing(text)", "turn_count / 0 > 1", "9223372036854775807 + turn_count > 0"] {
        assert!(matches!(holds(source), Err(Undecided::Failed(_))), "{source}: {:?}", holds(source));
    }
}

#[test]
fn a_callers_words_are_in_no_error() {
    for source in ["text > 3", "text.contains(3)", "text + 1 == 2", "slots[text]", "-text == 1", "text[0] == 'x'"] {
        let Err(error) = holds(source) else { panic!("{source} is decided") };
        assert!(matches!(error, Undecided::NoSuchKey(_)) || !error.to_string().contains("HUMAN"), "{source}: {error}");
    }
}

#[test]
fn the_conditions_of_the_seeds_are_read() {
    for (source, unknown) in [
        ("sentiment_score < 0.3", vec!["sentiment_score"]),
        ("user_requests_human", vec![]),
        ("ai_confidence < 0.5", vec!["ai_confidence"]),
        ("ai_confidence < 0.4", vec!["ai_confidence"]),
        ("patient_requests_doctor", vec!["patient_requests_doctor"]),
        ("emergency_keywords_detected", vec![]),
        ("complexity > 0.7", vec!["complexity"]),
        ("user_satisfied == false", vec!["user_satisfied"]),
        ("[1, 2].all(x, x > y) && text == x", vec!["x", "y"]),
    ] {
        assert_eq!(Condition::new(source).unwrap().unknown(), unknown, "{source}");
    }
    assert_eq!(Condition::new("emergency_keywords_detected").unwrap().words(), ["emergency", "keywords", "detected"]);
}

#[test]
fn what_is_no_condition_is_told_with_its_place() {
    for (source, place) in
        [("turn_count >", (1, 13)), ("", (1, 1)), ("true &&\n  )", (2, 3)), ("a = 1", (1, 3)), ("'open", (1, 1))]
    {
        match Condition::new(source) {
            Err(ConditionError::NotCel { line, column, why }) => {
                assert_eq!((line, column), place, "{source:?}: {why}");
                assert!(!why.is_empty());
            }
            other => panic!("{source:?}: {other:?}"),
        }
    }
}

#[test]
fn what_would_cost_too_much_is_refused() {
    let long = "true || ".repeat(LENGTH_MAX / 8 + 1) + "true";
    assert_eq!(Condition::new(&long).unwrap_err(), ConditionError::TooLong);
    let deep = "(".repeat(100) + "true" + &")".repeat(100);
    let nots = "!".repeat(200) + "true";
    let walks = "[1,2].all(x, [1,2].all(y, x > y))";
    for source in [deep.as_str(), nots.as_str(), walks] {
        assert!(matches!(Condition::new(source), Err(ConditionError::TooMuchWork { .. })), "{source}");
    }
}

proptest! {
    /// Whatever stands in a bot file, and whatever a caller says: an answer or an error, never a panic.
    #[test]
    fn arbitrary_texts_are_refused_or_answered(source in "\\PC{0,60}", said in "\\PC{0,40}") {
        if let Ok(condition) = Condition::new(&source) {
            let _ = (condition.unknown(), condition.holds(&Facts { text: &said, ..Facts::NONE }));
        }
    }

    /// The same, of what is nearly CEL.
    #[test]
    fn expressions_put_together_by_chance_are_refused_or_answered(
        parts in prop::collection::vec(prop::sample::select(vec![
            "text", "turn_count", "slots", "slots.day", "user_requests_human", "unknown", "1", "-1", "0.5", "'a'", "\"", "true",
            "null", "(", ")", "[", "]", "{", "}", ":", "?", ",", ".", "!", "-", "+", "*", "/", "%", "&&", "||", "==", "<", ">=",
            " in ", "has(", "size(", ".map(x, ", ".all(x, ", ".exists(x, ", "x", "\n", "\\", "b'x'", "0xfg", "1e999", "é",
            "9223372036854775808", "Msg{a: 1}", "`a`", "//", "duration('1s')", ".matches('(')", "1u", "int(", "string(",
        ]), 0..24),
        said in "\\PC{0,40}",
    ) {
        if let Ok(condition) = Condition::new(&parts.concat()) {
            let slots = serde_json::json!({ "day": said.as_str() });
            let _ = (condition.unknown(), condition.words(), condition.holds(&facts(&slots)));
        }
    }
}
