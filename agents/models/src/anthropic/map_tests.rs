use proptest::prelude::*;
use serde_json::{Value, json};

use tandem_contract::attachment::PictureFormat;

use super::*;
use crate::Message;
use crate::http::Limits;

fn config(model: &str) -> AnthropicConfig {
    AnthropicConfig {
        base_url: AnthropicConfig::BASE_URL.into(),
        key: None,
        model: model.into(),
        limits: Limits::default(),
    }
}

fn asked() -> Completion {
    let call = |id: &str| ToolCall {
        id: id.into(),
        name: "hours".into(),
        arguments: json!({ "day": "monday" }).into(),
        signature: Some("of another vendor".to_owned().into()),
    };
    Completion {
        messages: vec![
            Message::System { text: "You are a clinic.".into() },
            Message::user("When are".to_owned()),
            Message::user("you open?".to_owned()),
            Message::Assistant { text: "One moment.".to_owned().into(), calls: vec![call("c:1"), call("c:2")] },
            Message::Tool { call: "c:1".into(), result: "{\"from\":9}".to_owned().into() },
            Message::Tool { call: "c:2".into(), result: "{\"from\":8}".to_owned().into() },
            Message::Assistant { text: "From nine.".to_owned().into(), calls: vec![] },
            Message::user("Thanks.".to_owned()),
        ],
        tools: vec![ToolSpec {
            name: "hours".into(),
            description: "Opening hours".into(),
            parameters: json!({ "type": "object" }),
        }],
        max_tokens: Some(100),
        temperature: Some(1.5),
        top_p: Some(0.9),
        payer: None,
        tier: None,
    }
}

fn written(model: &str, asked: &Completion) -> Value {
    serde_json::to_value(request(&config(model), asked)).unwrap()
}

/// The caller shows two pictures.
fn shown() -> Completion {
    let picture = |format, base64: &str| Picture { format, base64: tandem_contract::Private::new(base64.into()) };
    let pictures = vec![picture(PictureFormat::Png, "iVBORw0KGgo="), picture(PictureFormat::Jpeg, "/9j/4AAQ")];
    let messages = vec![Message::User { text: "What is this?".to_owned().into(), pictures }];
    Completion { messages, ..Completion::default() }
}

/// <https://docs.anthropic.com/en/docs/build-with-claude/vision>
#[test]
fn a_picture_is_a_block_with_a_base64_source() {
    let source = |kind: &str, data: &str| json!({ "type": "base64", "media_type": kind, "data": data });
    let wanted = json!([{ "role": "user", "content": [
        { "type": "image", "source": source("image/png", "iVBORw0KGgo=") },
        { "type": "image", "source": source("image/jpeg", "/9j/4AAQ") },
        { "type": "text", "text": "What is this?" },
    ] }]);
    assert_eq!(written("claude-haiku-4-5", &shown())["messages"], wanted);
}

#[test]
fn a_request_is_written_as_the_reference_says() {
    let input = json!({ "day": "monday" });
    let wanted = json!({
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "system": [{ "type": "text", "text": "You are a clinic.", "cache_control": { "type": "ephemeral" } }],
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "When are" }, { "type": "text", "text": "you open?" }] },
            { "role": "assistant", "content": [
                { "type": "text", "text": "One moment." },
                { "type": "tool_use", "id": "call_1", "name": "hours", "input": input },
                { "type": "tool_use", "id": "call_2", "name": "hours", "input": input },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "call_1", "content": "{\"from\":9}" },
                { "type": "tool_result", "tool_use_id": "call_2", "content": "{\"from\":8}" },
            ] },
            { "role": "assistant", "content": [{ "type": "text", "text": "From nine." }] },
            { "role": "user", "content": [{ "type": "text", "text": "Thanks." }] },
        ],
        "tools": [{ "name": "hours", "description": "Opening hours", "input_schema": { "type": "object" } }],
        "temperature": 1.0,
        "stream": true,
    });
    assert_eq!(written("claude-haiku-4-5", &asked()), wanted);
}

#[test]
fn each_generation_gets_what_it_accepts() {
    let about = |model: &str| {
        let written = written(model, &asked());
        let word = |pointer: &str| written.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
        (
            written.get("temperature").is_some(),
            word("/thinking/type"),
            word("/output_config/effort"),
            written["max_tokens"].as_u64().unwrap(),
        )
    };
    for (model, takes_temperature, thinking, effort, max_tokens) in [
        ("claude-sonnet-4-5-20250929", true, "-", "-", 100),
        ("claude-opus-4-20250514", true, "-", "-", 100),
        ("claude-opus-4-6", true, "-", "-", 100),
        ("claude-opus-4-8", false, "-", "-", 100),
        ("claude-opus-5", false, "disabled", "low", 100),
        ("claude-sonnet-5-5", false, "between_tools", "low", 4_196),
        ("claude-haiku-5-5", false, "disabled", "low", 100),
        ("claude-opus-5-5", false, "-", "low", 4_196),
        ("claude-of-tomorrow", false, "-", "low", 4_196),
    ] {
        assert_eq!(about(model), (takes_temperature, thinking.into(), effort.into(), max_tokens), "{model}");
    }
    let plain = Completion { top_p: Some(0.9), ..Completion::default() };
    let plain = written("claude-haiku-4-5", &plain);
    assert_eq!((&plain["top_p"], &plain["max_tokens"], &plain["system"]), (&json!(0.9), &json!(1_024), &Value::Null));
}

fn answer(events: &[Value]) -> Result<Vec<ModelEvent>, Fault> {
    let (mut assembly, mut out) = (Assembly::default(), Vec::new());
    for event in events {
        if assembly.take(&event.to_string(), &mut out)? {
            break;
        }
    }
    assembly.end(&mut out).map_err(Fault::Malformed)?;
    Ok(out)
}

fn begun(index: usize, block: Value) -> Value {
    json!({ "type": "content_block_start", "index": index, "content_block": block })
}

fn more(index: usize, delta: Value) -> Value {
    json!({ "type": "content_block_delta", "index": index, "delta": delta })
}

fn ended(reason: &str) -> Value {
    json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 89 } })
}

/// The stream of the reference, with thoughts and a cache.
#[test]
fn thoughts_are_kept_quiet_and_cached_input_is_counted() {
    let events = answer(&[
        json!({ "type": "message_start", "message": { "usage": { "input_tokens": 10, "cache_creation_input_tokens": 5,
                "cache_read_input_tokens": 400, "output_tokens": 2 } } }),
        begun(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
        more(0, json!({ "type": "thinking_delta", "thinking": "Hm." })),
        more(0, json!({ "type": "signature_delta", "signature": "EqQBCg" })),
        json!({ "type": "content_block_stop", "index": 0 }),
        begun(1, json!({ "type": "text", "text": "" })),
        more(1, json!({ "type": "text_delta", "text": "Okay" })),
        begun(2, json!({ "type": "tool_use", "id": "toolu_01", "name": "hours", "input": {} })),
        begun(3, json!({ "type": "tool_use", "id": "toolu_02", "name": "person", "input": {} })),
        more(2, json!({ "type": "input_json_delta", "partial_json": "{\"day\": \"mon" })),
        more(2, json!({ "type": "input_json_delta", "partial_json": "day\"}" })),
        ended("tool_use"),
        json!({ "type": "message_stop" }),
        json!({ "type": "never_read" }),
    ]);
    let call = |id: &str, name: &str, arguments: Value| ModelEvent::ToolCall {
        call: ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None },
    };
    assert_eq!(
        events.unwrap(),
        [
            ModelEvent::Text { text: "Okay".to_owned().into() },
            call("toolu_01", "hours", json!({ "day": "monday" })),
            call("toolu_02", "person", json!({})),
            ModelEvent::Usage { usage: Usage { input: 415, cached_input: 400, output: 89 } },
            ModelEvent::Done { finish: Finish::ToolCalls },
        ]
    );
}

#[test]
fn reasons_to_stop_are_told_apart() {
    for (reason, finish) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("refusal", Finish::Filtered),
    ] {
        assert_eq!(answer(&[ended(reason)]).unwrap().last(), Some(&ModelEvent::Done { finish }), "{reason}");
    }
}

#[test]
fn what_is_wrong_with_an_answer_is_told() {
    let error = |kind: &str| json!({ "type": "error", "error": { "type": kind, "message": "you said Hello?" } });
    let tool = || begun(0, json!({ "type": "tool_use", "id": "t", "name": "hours" }));
    let malformed = |why: &str| Fault::Malformed(why.to_owned());
    for (events, fault) in [
        (vec![error("rate_limit_error")], Fault::RateLimited),
        (vec![error("authentication_error")], Fault::Unauthorized),
        (vec![error("invalid_request_error")], Fault::Refused { code: "invalid_request_error".into() }),
        (vec![error("overloaded_error")], Fault::Failed { code: "overloaded_error".into() }),
        (vec![error("of_tomorrow")], Fault::Failed { code: "of_tomorrow".into() }),
        (vec![tool()], malformed("the answer ended before its stop_reason")),
        (
            vec![tool(), more(0, json!({ "type": "input_json_delta", "partial_json": "[1]" })), ended("tool_use")],
            malformed("the arguments of a tool call are no JSON object"),
        ),
        (
            vec![more(7, json!({ "type": "input_json_delta", "partial_json": "{" }))],
            malformed("arguments of a tool call that never began"),
        ),
    ] {
        assert_eq!(answer(&events).unwrap_err(), fault);
    }
    let many: Vec<_> =
        (0..65).map(|index| begun(index, json!({ "type": "tool_use", "id": "t", "name": "n" }))).collect();
    assert_eq!(answer(&many).unwrap_err(), malformed("more than 64 tool calls"));
}

/// Cuts between characters, as the vendor may.
fn pieces(text: &str, length: usize) -> Vec<String> {
    let characters: Vec<_> = text.chars().collect();
    characters.chunks(length).map(|piece| piece.iter().collect()).collect()
}

proptest! {
    /// However words and arguments are cut, they are the same in the end.
    #[test]
    fn pieces_are_put_together(words in ".{0,40}", value in ".{0,40}", length in 1..9_usize) {
        let arguments = json!({ "value": value });
        let delta = |kind: &str, field: &str, piece: String| json!({ "type": kind, field: piece });
        let mut events = vec![begun(0, json!({ "type": "text", "text": "" }))];
        events.extend(pieces(&words, length).into_iter().map(|piece| more(0, delta("text_delta", "text", piece))));
        events.push(begun(1, json!({ "type": "tool_use", "id": "t", "name": "n", "input": {} })));
        let cut = pieces(&arguments.to_string(), length).into_iter();
        events.extend(cut.map(|piece| more(1, delta("input_json_delta", "partial_json", piece))));
        events.push(ended("tool_use"));
        let events = answer(&events).unwrap();
        let said: String = events.iter().filter_map(|event| match event {
            ModelEvent::Text { text } => Some(text.reveal().as_str()),
            _ => None,
        }).collect();
        prop_assert_eq!(said, words);
        let called = events.iter().find_map(|event| match event {
            ModelEvent::ToolCall { call } => Some(call.arguments.reveal().clone()),
            _ => None,
        });
        prop_assert_eq!(called, Some(arguments));
    }

    /// Nothing that a vendor may send is worse than a fault.
    #[test]
    fn garbage_is_a_fault(data in prop::collection::vec(".{0,60}", 0..6), index in 0..3_usize, kind in "[a-z_]{0,20}") {
        let (mut assembly, mut out) = (Assembly::default(), Vec::new());
        for data in data {
            prop_assert!(assembly.take(&data, &mut out).is_err());
        }
        let _ = assembly.take(&more(index, json!({ "type": kind })).to_string(), &mut out);
        let _ = assembly.take(&json!({ "type": kind, "index": index }).to_string(), &mut out);
        prop_assert!(assembly.end(&mut out).is_err());
        prop_assert!(out.is_empty());
    }
}
