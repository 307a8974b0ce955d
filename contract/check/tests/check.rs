//! What `check` says of broken bot files: place and message of every finding.

use serde_json::{Value, json};
use tandem_check::{Hearing, Report, Severity};

fn check(text: &str) -> Report {
    tandem_check::check(text, None)
}

fn findings(text: &str, severity: Severity) -> Vec<(String, String)> {
    let report = check(text);
    let found = report.findings.into_iter().filter(|finding| finding.severity == severity);
    found.map(|finding| (finding.pointer, finding.message)).collect()
}

/// Every pair (pointer, part of the message) is found, and no other.
#[track_caller]
fn expect(text: &str, severity: Severity, expected: &[(&str, &str)]) {
    let found = findings(text, severity);
    for (pointer, part) in expected {
        assert!(
            found.iter().any(|(at, message)| at == pointer && message.contains(part)),
            "{pointer} {part}: {found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

fn flow(states: &Value) -> String {
    json!({ "flow": { "start": "a", "states": states } }).to_string()
}

#[track_caller]
fn errors(states: &Value, expected: &[(&str, &str)]) {
    expect(&flow(states), Severity::Error, expected);
}

#[track_caller]
fn warnings(states: &Value, expected: &[(&str, &str)]) {
    expect(&flow(states), Severity::Warning, expected);
}

#[test]
fn bundled_bots_are_clean() {
    let examples = [include_str!("../../../docs/examples/reception.json")];
    let bundled = [include_str!("../../../gateway/bots/demo.json"), include_str!("../../../gateway/bots/echo.json")];
    for bot in bundled.into_iter().chain(examples) {
        let report = check(bot);
        assert!(report.config.is_some() && report.findings.is_empty(), "{report}");
    }
}

#[test]
fn the_example_of_the_guide_is_clean() {
    let guide = include_str!("../../../docs/bots.md");
    let example = guide.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let report = check(example);
    assert!(report.findings.is_empty(), "{report}");
}

#[test]
fn seed_examples_pass_and_say_what_is_not_supported() {
    let chatbot = include_str!("../../tests/seeds/chatbot.json");
    let report = check(chatbot);
    assert!(report.config.is_some(), "{report}");
    let found = findings(chatbot, Severity::NotSupported);
    for pointer in [
        "/database_config",
        "/vector_db_config",
        "/tools_available/0",
        "/tools_needed/0",
        "/integrations/0",
        "/integrations_needed/0",
        "/workflow_features/pii_collection",
        "/workflow_features/human_escalation/triggers/0/condition",
    ] {
        assert!(found.iter().any(|(at, _)| at == pointer), "{pointer}: {found:#?}");
    }
    assert!(!found.iter().any(|(at, _)| at.starts_with("/llm_config")), "{found:#?}");
    let voicebot = include_str!("../../tests/seeds/voicebot.json");
    assert!(check(voicebot).config.is_some());
    let found = findings(voicebot, Severity::NotSupported);
    for pointer in ["/sip_config", "/livekit_config/vad_enabled", "/livekit_config/room_prefix"] {
        assert!(found.iter().any(|(at, _)| at == pointer), "{pointer}: {found:#?}");
    }
    assert!(!found.iter().any(|(at, _)| at == "/tools_available/1"), "book_appointment is built in");
    let settings = include_str!("../../tests/seeds/voice_settings.json");
    let found = findings(settings, Severity::NotSupported);
    assert!(!found.iter().any(|(at, _)| at.contains("stop_speaking_plan")), "{found:#?}");
}

#[test]
fn vendors_that_nobody_knows_are_told() {
    let text = json!({
        "system_prompt": {},
        "llm_config": { "provider": "Google", "model": "x", "fallback": { "provider": "parrot", "model": "y", "parameters": {} } },
        "livekit_config": { "stt_provider": "shell", "stt_model": "x", "tts_provider": "parrot", "tts_model": "x", "tts_voice_id": "y" },
    });
    expect(
        &text.to_string(),
        Severity::NotSupported,
        &[
            ("/llm_config/fallback/provider", "parrot is not known here (openai, anthropic, gemini are)"),
            ("/llm_config/fallback/parameters", "with the parameters of llm_config"),
            ("/livekit_config/stt_provider", "deepgram, openai are connected"),
            ("/livekit_config/stt_model", "stt_provider names"),
            ("/livekit_config/tts_provider", "elevenlabs, cartesia, deepgram, openai are connected"),
            ("/livekit_config/tts_model", "tts_provider names"),
            ("/livekit_config/tts_voice_id", "slt speaks instead"),
        ],
    );
    let known = json!({
        "flow": { "start": "a", "states": { "a": { "hang_up": true } } },
        "livekit_config": { "stt_provider": "openai", "stt_model": "x", "tts_provider": "espeak-ng", "tts_voice_id": "de" },
    });
    expect(&known.to_string(), Severity::NotSupported, &[]);
}

#[test]
fn a_bot_has_one_budget_and_a_tier_that_exists() {
    let text = json!({
        "limits": { "budget_usd_per_day": 0, "budget_usd_per_month": 2.5 },
        "llm_config": { "provider": "tier", "model": "best" },
    });
    expect(
        &text.to_string(),
        Severity::Error,
        &[("/limits/budget_usd_per_day", "nothing could be asked"), ("/limits/budget_usd_per_day", "one budget")],
    );
    expect(&text.to_string(), Severity::NotSupported, &[("/llm_config/model", "cheap, balanced, premium are")]);
    let good =
        json!({ "limits": { "budget_usd_per_day": 2 }, "llm_config": { "provider": "tier", "model": "Premium" } });
    assert!(check(&good.to_string()).findings.is_empty(), "{}", check(&good.to_string()));
}

#[test]
fn syntax_errors_name_line_and_column() {
    expect("{\n  \"flow\": {,\n}", Severity::Error, &[("", "line 2 column 12")]);
}

#[test]
fn the_structure_is_checked_all_at_once() {
    let text = json!({
        "flwo": {},
        "_flow": {},
        "limits": { "max_sessions": "many" },
        "config_metadata": { "config_id": "x", "product_type": "voicebott" },
        "llm_config": { "provider": "openai" },
        "flow": { "start": "a", "states": {
            "a": { "say": 7 },
            "b": { "asks": "yes_no", "goto": "a" },
            "c": { "ask": "yes_nop" },
            "d": { "ask": { "digits": { "length": 4, "mx": 1 } } },
            "e": { "ask": { "choice": { "x": { "say": "x", "key": "12" } } } },
            "f": { "ask": { "digit": { "length": 4 } } },
            "g/h": { "no_input": { "max": 300 } },
        } },
    });
    expect(
        &text.to_string(),
        Severity::Error,
        &[
            ("/flwo", "did you mean \"flow\""),
            ("/limits/max_sessions", "a text stands here; it has to be a whole number"),
            ("/config_metadata/product_type", "did you mean \"voicebot\""),
            ("/llm_config", "the key \"model\" is missing"),
            ("/flow/states/a/say", "a number stands here; it has to be a text or a list"),
            ("/flow/states/b/asks", "did you mean \"ask\""),
            ("/flow/states/c/ask", "did you mean \"yes_no\""),
            ("/flow/states/d/ask/digits/mx", "did you mean \"max\""),
            ("/flow/states/e/ask/choice/x/key", "has to be one character"),
            ("/flow/states/f/ask", "did you mean \"digits\""),
            ("/flow/states/g~1h/no_input/max", "300"),
        ],
    );
}

#[test]
fn names_have_to_exist() {
    errors(
        &json!({
            "a": { "say": "{nmae} or {name}", "ask": "yes_no", "slot": "name", "on": { "yes": "bok", "nope": "book" }, "goto": "book" },
            "book": { "tool": { "name": "book_apointment", "arguments": { "day": "{dya}" }, "on_ok": "a", "on_failed": "@repeat" } },
            "@x": { "say": "hm {", "goto": "a" },
        }),
        &[
            ("/flow/states/a/say", "did you mean \"name\""),
            ("/flow/states/a/on/yes", "did you mean \"book\""),
            ("/flow/states/a/on/nope", "no answer has this value"),
            ("/flow/states/book/tool/name", "did you mean \"book_appointment\""),
            ("/flow/states/book/tool/arguments/day", "nothing fills"),
            ("/flow/states/book/tool/on_failed", "no question to repeat"),
            ("/flow/states/@x", "reserved"),
            ("/flow/states/@x/say", "close it"),
        ],
    );
    expect(r#"{"flow": {"start": "begin", "states": {}}}"#, Severity::Error, &[("/flow/start", "no state \"begin\"")]);
}

#[test]
fn every_state_leads_on() {
    errors(
        &json!({
            "a": { "say": "x", "ask": "yes_no", "on": { "yes": "b" } },
            "b": { "say": "stuck" },
            "c": { "say": "x", "goto": "d" },
            "d": { "tool": { "name": "opening_hours", "on_ok": "a", "on_failed": "c" } },
            "e": { "say": "x", "ask": { "digits": { "length": 3 } } },
            "f": { "say": "x", "hang_up": true, "echo": true },
            "g": { "tool": { "name": "opening_hours", "on_failed": "a" } },
        }),
        &[
            ("/flow/states/a", "\"no\" leads nowhere"),
            ("/flow/states/b", "no way out"),
            ("/flow/states/c", "leads back to itself"),
            ("/flow/states/d", "leads back to itself"),
            ("/flow/states/e", "leads nowhere"),
            ("/flow/states/f", "hang_up and echo at once"),
            ("/flow/states/g/tool", "add on_ok"),
        ],
    );
}

#[test]
fn answers_can_be_told_apart() {
    let option = |say: Value, key: &str| json!({ "say": say, "key": key, "goto": "a" });
    errors(
        &json!({
            "a": { "say": "x", "ask": { "choice": {} } },
            "b": { "say": "x", "ask": { "choice": {
                "x": option(json!(["Same", "other"]), "1"),
                "y": option(json!("same"), "1"),
                "z": option(json!([]), "A"),
            } } },
            "c": { "say": "x", "ask": { "phrases": ["go", "GO", " ."] }, "goto": "a" },
            "d": { "say": "x", "ask": { "digits": { "min": 5, "max": 3 } }, "goto": "a" },
            "e": { "say": "x", "ask": { "digits": { "length": 40 } }, "goto": "a" },
            "f": { "say": "x", "ask": { "digits": { "max": 3 } }, "goto": "a" },
            "g": { "say": ["x", " "], "ask": { "jsgf": "public <x> = y;" }, "goto": "a" },
        }),
        &[
            ("/flow/states/a/ask/choice", "without options"),
            ("/flow/states/b/ask/choice/y/say", "\"same\" is there twice"),
            ("/flow/states/b/ask/choice/y/key", "\"x\" has this key already"),
            ("/flow/states/b/ask/choice/z/say", "empty phrase"),
            ("/flow/states/b/ask/choice/z/key", "0 to 9, * or #"),
            ("/flow/states/c/ask/phrases", "\"GO\" is there twice"),
            ("/flow/states/c/ask/phrases", "empty phrase"),
            ("/flow/states/d/ask/digits", "swap"),
            ("/flow/states/e/ask/digits", "1 to 20"),
            ("/flow/states/f/ask/digits", "how many"),
            ("/flow/states/g/say", "empty prompt"),
            ("/flow/states/g/ask/jsgf", "#JSGF"),
        ],
    );
}

#[test]
fn transfer_targets_are_addresses() {
    let to = |target: &str| json!({ "a": { "transfer": { "target": target } } });
    for good in ["sip:reception@127.0.0.1:5070", "sips:a@b", "tel:+15551234", "sip:example.org"] {
        errors(&to(good), &[]);
    }
    for bad in ["reception", "sip:", "sip:a b@c", "tel:me", "http://x", "sip:@x", ""] {
        errors(&to(bad), &[("/flow/states/a/transfer/target", "no address")]);
    }
}

#[test]
fn what_was_hardly_meant_is_a_warning() {
    let option = json!({ "say": "word" , "goto": "a"});
    let many: serde_json::Map<String, Value> = (0..10)
        .map(|i| {
            let mut option = option.clone();
            option["say"] = format!("word {}", char::from(b'a' + i)).into();
            (format!("o{i}"), option)
        })
        .collect();
    warnings(
        &json!({
            "a": { "ask": { "choice": many } },
            "b": { "say": "x", "again": "x", "hang_up": true, "goto": "a" },
            "c": { "tool": { "name": "opening_hours", "on_ok": "a" } },
            "d": { "say": "x", "ask": { "phrases": ["at 9"] }, "goto": "c" },
        }),
        &[
            ("/flow/states/a", "without saying"),
            ("/flow/states/a/ask/choice/o9", "no key is left"),
            ("/flow/states/b", "nothing leads"),
            ("/flow/states/b/again", "no effect"),
            ("/flow/states/b/goto", "no effect"),
            ("/flow/states/c/tool", "without on_failed"),
            ("/flow/states/d/ask/phrases", "numbers in words"),
            ("/flow/states/c", "nothing leads"),
            ("/flow/states/d", "nothing leads"),
        ],
    );
}

#[test]
fn limits_are_checked_and_the_report_reads_well() {
    let text = r#"{"limits": {"max_sessions": 0}, "turn": {"min_endpointing_ms": 9000}, "llm_config": {"provider": "x", "model": "y"}}"#;
    let report = check(text);
    assert!(report.config.is_none() && report.has_errors());
    let printed = report.to_string();
    assert!(printed.starts_with("error          /limits/max_sessions\n               nobody could call"), "{printed}");
    assert!(printed.ends_with("2 errors, 1 not supported, 0 warnings: the bot cannot run"), "{printed}");
}

#[test]
fn the_report_of_the_guide_is_what_is_printed() {
    let guide = include_str!("../../../docs/bots.md");
    let shown = guide.split("```\n").nth(1).unwrap();
    let text = json!({
        "llm_config": { "provider": "x", "model": "y" },
        "flow": { "start": "menu", "states": {
            "menu": { "say": "x", "ask": { "choice": { "book": { "say": "book", "goto": "bok" } } }, "no_match": { "goto": "book" } },
            "book": { "say": "x", "hang_up": true },
        } },
    });
    assert_eq!(format!("{}\n", check(&text.to_string())), shown);
}

#[test]
fn a_slip_in_one_place_hides_none_in_another() {
    let text = json!({
        "limit": {},
        "limits": { "max_sessions": 0 },
        "llm_config": { "provider": "x", "model": "y" },
        "flow": { "start": "a", "states": {
            "a": { "say": "{code}", "ask": "yes_no", "on": { "yes": "b" }, "goto": "nowhere" },
            "b": { "asks": "yes_no", "goto": "a" },
            "c": { "say": "x", "goto": "b", "no_input": { "max": 9 } },
        } },
    });
    let text = text.to_string();
    expect(
        &text,
        Severity::Error,
        &[
            ("/limit", "no such key"),
            ("/limits/max_sessions", "nobody"),
            ("/flow/states/a/goto", "no state \"nowhere\""),
            ("/flow/states/b/asks", "did you mean \"ask\""),
            ("/flow/states/c/no_input/max", "at most 5"),
        ],
    );
    expect(&text, Severity::NotSupported, &[("/llm_config", "the flow decides")]);
    let no_start = r#"{"flow": {"states": {"a": {"say": "x", "goto": "b"}}, "anywhere": {"x": 1}}}"#;
    expect(
        no_start,
        Severity::Error,
        &[("/flow", "\"start\" is missing"), ("/flow/anywhere/x", "a number"), ("/flow/states/a/goto", "no state")],
    );
    for odd in
        ["[]", "{\"flow\": 1}", "{\"flow\": {\"states\": []}}", "{\"flow\": {\"start\": 1, \"states\": {\"a\": 1}}}"]
    {
        assert!(check(odd).has_errors(), "{odd}");
    }
}

#[test]
fn a_key_that_stands_twice_is_told() {
    let text = r#"{"_note": 1, "_note": 2, "flow": {"start": "a", "states": {
        "a": {"say": "one", "hang_up": true, "say": "two"}, "b/c": {}, "b/c": {}}}, "flow": {"start": "a", "states": {"a": {"hang_up": true}}}}"#;
    expect(
        text,
        Severity::Error,
        &[("/flow/states/a/say", "twice"), ("/flow/states/b~1c", "twice"), ("/flow", "twice")],
    );
}

#[test]
fn times_and_counts_have_bounds() {
    let text = json!({
        "turn": { "silence_timeout_ms": 0, "max_caller_turn_ms": 10, "interruption_words": 3000, "answer_after_ms": 60_000 },
        "voice_settings": { "stop_speaking_plan": { "number_of_words": 5, "voice_seconds": 700, "back_off_seconds": 11 } },
        "system_prompt": { "voice_specific": { "silence_timeout_ms": 2 } },
        "flow": { "start": "a", "no_input": { "after_ms": 1 }, "states": {
            "a": { "say": "x", "ask": { "digits": { "length": 3, "inter_digit_ms": 0 } }, "goto": "@hang_up",
                   "no_input": { "after_ms": 900_000 } },
        } },
    });
    expect(
        &text.to_string(),
        Severity::Error,
        &[
            ("/turn/silence_timeout_ms", "1000 to 600000"),
            ("/turn/max_caller_turn_ms", "1000 to 600000"),
            ("/turn/interruption_words", "0 to 100"),
            ("/voice_settings/stop_speaking_plan/voice_seconds", "0 to 10"),
            ("/voice_settings/stop_speaking_plan/back_off_seconds", "0 to 10"),
            ("/system_prompt/voice_specific/silence_timeout_ms", "1000 to 600000"),
            ("/flow/no_input/after_ms", "1000 to 600000"),
            ("/flow/states/a/no_input/after_ms", "1000 to 600000"),
            ("/flow/states/a/ask/digits/inter_digit_ms", "300 to 30000"),
        ],
    );
}

#[test]
fn lists_of_turn_hold_what_can_be_said() {
    let turn = json!({
        "backchannels": ["aye", "?", "x".repeat(61)],
        "interrupting_phrases": vec!["whoa"; 101],
        "silence_prompts": ["Hello?", "", "x".repeat(61), "a", "b", "c"],
        "greeting_interruptible": false,
        "preemptive_generation": false,
        "failover_filler": "...",
    });
    let model = json!({ "llm_config": { "provider": "openai", "model": "m" }, "turn": turn }).to_string();
    expect(
        &model,
        Severity::Error,
        &[
            ("/turn/backchannels/1", "write words"),
            ("/turn/backchannels/2", "shorten"),
            ("/turn/interrupting_phrases", "leave 100"),
            ("/turn/silence_prompts", "leave 5"),
            ("/turn/silence_prompts/1", "write words"),
            ("/turn/failover_filler", "write words"),
        ],
    );
    expect(&model, Severity::NotSupported, &[]);
    let flow = json!({ "turn": { "silence_prompts": [], "greeting_interruptible": true, "endpointing": "fixed",
        "preemptive_generation": true, "failover_filler": "One moment." },
        "flow": { "start": "a", "states": { "a": { "say": "x", "hang_up": true } } } });
    let places = [
        ("/turn/silence_prompts", "no_input"),
        ("/turn/preemptive_generation", "no model"),
        ("/turn/failover_filler", "no model"),
        ("/turn/greeting_interruptible", "`interruptible`"),
    ];
    expect(&flow.to_string(), Severity::NotSupported, &places);
    expect(r#"{"turn": {"endpointing": "fixd"}}"#, Severity::Error, &[("/turn/endpointing", "did you mean \"fixed\"")]);
}

#[test]
fn wording_has_known_keys_and_words() {
    let wording = json!({ "wording": { "goodbye": "Bye.", "how_else": "?!", "goodby": "Bye.", "sorry": "Oh.", "too_long": "x".repeat(301),
        "one_moment": 3 }, "llm_config": { "provider": "openai", "model": "m" } });
    expect(
        &wording.to_string(),
        Severity::Error,
        &[
            ("/wording/goodby", "did you mean \"goodbye\"?"),
            ("/wording/sorry", "write one of say_again"),
            ("/wording/one_moment", "text"),
            ("/wording/how_else", "write words"),
            ("/wording/too_long", "longer than 300"),
        ],
    );
    let good = json!({ "wording": { "goodbye": "Bye." }, "llm_config": { "provider": "openai", "model": "m" } });
    expect(&good.to_string(), Severity::Error, &[]);
}

/// A recognizer that knows everything but "acme", and grammars that say so.
struct Dictionary;

impl Hearing for Dictionary {
    fn unknown_words(&self, phrase: &str) -> Vec<String> {
        phrase.to_lowercase().split_whitespace().filter(|word| *word == "acme").map(str::to_owned).collect()
    }

    fn accepts_jsgf(&self, source: &str) -> Result<(), String> {
        if source.contains("known") { Ok(()) } else { Err("it cannot use this grammar".to_owned()) }
    }
}

#[test]
fn words_that_the_recognizer_does_not_know_are_told_with_their_place() {
    let mut bot = json!({ "flow": { "start": "a", "anywhere": { "shop": { "say": "Acme shop", "goto": "a" } }, "states": {
        "a": { "say": "x", "ask": { "choice": { "y": { "say": ["acme", "other"], "goto": "b" } } } },
        "b": { "say": "x", "ask": { "phrases": ["word", "go Acme"] }, "goto": "c" },
        "c": { "say": "x", "ask": { "jsgf": "#JSGF V1.0; known" }, "goto": "d" },
        "d": { "say": "x", "ask": { "jsgf": "#JSGF V1.0;" }, "goto": "a" },
    } } });
    let places = |bot: &Value| {
        let found = tandem_check::check(&bot.to_string(), Some(&Dictionary)).findings;
        let about =
            found.into_iter().filter(|f| f.message.contains("no word \"acme\"") || f.message.contains("it cannot"));
        about.map(|finding| (finding.severity, finding.pointer)).collect::<Vec<_>>()
    };
    assert_eq!(
        places(&bot),
        [
            (Severity::Error, "/flow/states/d/ask/jsgf".to_owned()),
            (Severity::Warning, "/flow/anywhere/shop/say".to_owned()),
            (Severity::Warning, "/flow/states/a/ask/choice/y/say/0".to_owned()),
            (Severity::Warning, "/flow/states/b/ask/phrases/1".to_owned()),
        ]
    );
    bot["livekit_config"] = json!({ "stt_provider": "none" });
    assert_eq!(places(&bot), []);
}
