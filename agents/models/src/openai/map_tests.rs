use serde_json::{Value, json};

use tandem_contract::attachment::PictureFormat;

use super::*;
use crate::http::Limits;

fn config(base_url: &str) -> OpenAiConfig {
    OpenAiConfig { base_url: base_url.into(), key: None, model: "m".into(), limits: Limits::default() }
}

fn asked() -> Completion {
    let call = ToolCall {
        id: "c1".into(),
        name: "hours".into(),
        arguments: json!({ "day": "monday" }).into(),
        signature: None,
    };
    Completion {
        messages: vec![
            Message::System { text: "You are a clinic.".into() },
            Message::user("When are you open?".to_owned()),
            Message::Assistant { text: String::new().into(), calls: vec![call] },
            Message::Tool { call: "c1".into(), result: "{\"from\":9}".to_owned().into() },
            Message::Assistant { text: "From nine.".to_owned().into(), calls: vec![] },
        ],
        tools: vec![ToolSpec {
            name: "hours".into(),
            description: "Opening hours".into(),
            parameters: json!({ "type": "object" }),
        }],
        max_tokens: Some(100),
        temperature: Some(0.5),
        top_p: None,
        payer: None,
        tier: None,
    }
}

/// The caller shows two pictures.
fn shown() -> Completion {
    let picture = |format, base64: &str| Picture { format, base64: tandem_contract::Private::new(base64.into()) };
    let pictures = vec![picture(PictureFormat::Png, "iVBORw0KGgo="), picture(PictureFormat::Jpeg, "/9j/4AAQ")];
    let messages = vec![Message::User { text: "What is this?".to_owned().into(), pictures }];
    Completion { messages, ..Completion::default() }
}

/// <https://platform.openai.com/docs/guides/images-vision>
#[test]
fn a_picture_is_a_part_with_a_data_url() {
    let asked = shown();
    let written = serde_json::to_value(request(&config("http://127.0.0.1:1/v1"), &asked)).unwrap();
    let wanted = json!([{ "role": "user", "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } },
        { "type": "image_url", "image_url": { "url": "data:image/jpeg;base64,/9j/4AAQ" } },
    ] }]);
    assert_eq!(written["messages"], wanted);
    assert!(!format!("{asked:?}").contains("iVBOR"));
}

#[test]
fn a_request_is_written_as_the_reference_says() {
    let written = serde_json::to_value(request(&config("http://127.0.0.1:1/v1"), &asked())).unwrap();
    let wanted = json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": "You are a clinic." },
            { "role": "user", "content": "When are you open?" },
            { "role": "assistant", "tool_calls": [
                { "id": "c1", "type": "function", "function": { "name": "hours", "arguments": "{\"day\":\"monday\"}" } },
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": "{\"from\":9}" },
            { "role": "assistant", "content": "From nine." },
        ],
        "tools": [{ "type": "function", "function": {
            "name": "hours", "description": "Opening hours", "parameters": { "type": "object" },
        } }],
        "max_tokens": 100,
        "temperature": 0.5,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    assert_eq!(written, wanted);
}

/// What is asked of a model besides its conversation.
fn wish(base_url: &str, model: &str) -> Value {
    let config = OpenAiConfig { model: model.into(), ..config(base_url) };
    let mut asked = asked();
    asked.top_p = Some(0.9);
    let mut written = serde_json::to_value(request(&config, &asked)).unwrap();
    let fields = written.as_object_mut().unwrap();
    for same in ["model", "messages", "tools", "stream", "stream_options"] {
        fields.remove(same).unwrap();
    }
    written
}

/// <https://developers.openai.com/api/docs/guides/reasoning>
#[test]
fn a_model_that_thinks_is_not_sampled_and_has_room_for_its_thoughts() {
    let sampled = json!({ "max_completion_tokens": 100, "temperature": 0.5, "top_p": 0.9 });
    let told = |effort: &str, limit: u32| json!({ "max_completion_tokens": limit, "reasoning_effort": effort });
    for (model, wanted) in [
        ("gpt-4.1-mini", sampled.clone()),
        ("gpt-4o-2024-08-06", sampled.clone()),
        ("ft:gpt-4.1-mini-2025-04-14:acme::id", sampled),
        ("o3-mini-2025-01-31", told("low", 4_196)),
        ("o4-mini", told("low", 4_196)),
        ("gpt-5", told("minimal", 4_196)),
        ("gpt-5-mini-2025-08-07", told("minimal", 4_196)),
        ("gpt-5.1", told("none", 100)),
        ("gpt-5.4-mini-2026-03-17", told("none", 100)),
        ("gpt-5.6-terra", told("none", 100)),
        ("gpt-6-luna", told("none", 100)),
        ("gpt-6.1-sol", told("low", 4_196)),
        // Which effort they take is not known.
        ("gpt-5-pro", json!({ "max_completion_tokens": 4_196 })),
        ("gpt-7", json!({ "max_completion_tokens": 4_196 })),
    ] {
        assert_eq!(wish(OpenAiConfig::BASE_URL, model), wanted, "{model}");
    }
    for region in ["https://eu.api.openai.com/v1", "https://us.api.openai.com:443/v1/", "https://API.openai.com/v1"] {
        assert_eq!(wish(region, "gpt-5"), told("minimal", 4_196), "{region}");
    }
    for other in
        ["https://myapi.openai.com/v1", "https://api.openai.com.example.org/v1", "https://x.example/api.openai.com/"]
    {
        assert!(wish(other, "gpt-5").get("reasoning_effort").is_none(), "{other}");
    }
    let elsewhere = json!({ "max_tokens": 100, "temperature": 0.5, "top_p": 0.9 });
    for model in ["gpt-5-mini", "o3", "llama3.2"] {
        assert_eq!(wish("http://127.0.0.1:1/v1", model), elsewhere, "a server of one's own: {model}");
    }
}

fn answer(chunks: &[Value]) -> Result<Vec<ModelEvent>, String> {
    let mut assembly = Assembly::default();
    let mut out = Vec::new();
    for chunk in chunks {
        assembly.add_chunk(serde_json::from_value(chunk.clone()).unwrap(), &mut out)?;
    }
    assembly.end(&mut out)?;
    Ok(out)
}

fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn finished(reason: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }], "usage": null })
}

#[test]
fn a_call_in_pieces_is_put_together() {
    let part =
        |arguments: &str| delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": arguments } }] }));
    let events = answer(&[
        delta(json!({ "role": "assistant", "content": null, "tool_calls":
            [{ "index": 0, "id": "c1", "type": "function", "function": { "name": "hours", "arguments": "" } }] })),
        part("{\"day\":"),
        part("\"monday\"}"),
        delta(json!({ "tool_calls": [{ "index": 1, "id": "c2", "function": { "name": "person", "arguments": "" } }] })),
        finished("tool_calls"),
        json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 4,
                "prompt_tokens_details": { "cached_tokens": 3 } } }),
    ]);
    let call = |id: &str, name: &str, arguments: Value| ModelEvent::ToolCall {
        call: ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None },
    };
    let usage = Usage { input: 9, cached_input: 3, output: 4 };
    assert_eq!(
        events.unwrap(),
        [
            ModelEvent::Usage { usage },
            call("c1", "hours", json!({ "day": "monday" })),
            call("c2", "person", json!({})),
            ModelEvent::Done { finish: Finish::ToolCalls },
        ]
    );
}

#[test]
fn whole_calls_without_index_and_id_are_two_calls() {
    // As Ollama and llama.cpp send them; the finish reason of some is "stop".
    let whole = json!({ "function": { "name": "hours", "arguments": "{}" } });
    let events = answer(&[delta(json!({ "tool_calls": [whole, whole] })), finished("stop")]).unwrap();
    let ids = events.iter().filter_map(|event| match event {
        ModelEvent::ToolCall { call } => Some(call.id.as_str()),
        _ => None,
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["call_0", "call_1"]);
    assert_eq!(events.last(), Some(&ModelEvent::Done { finish: Finish::ToolCalls }));
}

#[test]
fn names_that_are_repeated_count_once_and_ids_tell_calls_apart() {
    let piece = |id: &str, arguments: &str| {
        delta(
            json!({ "tool_calls": [{ "index": 0, "id": id, "function": { "name": "hours", "arguments": arguments } }] }),
        )
    };
    let events =
        answer(&[piece("c1", "{\"a\""), piece("c1", ":1}"), piece("c2", "{}"), finished("tool_calls")]).unwrap();
    let calls: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            ModelEvent::ToolCall { call } => {
                Some((call.id.as_str(), call.name.as_str(), call.arguments.reveal().clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(calls, [("c1", "hours", json!({ "a": 1 })), ("c2", "hours", json!({}))]);
    let odd = json!({ "choices": null, "usage": { "prompt_tokens": 1, "completion_tokens": 1 } });
    assert!(answer(&[finished(""), odd]).unwrap_err().contains("finish_reason"));
}

#[test]
fn what_is_wrong_with_an_answer_is_told() {
    let named = |name: &str, arguments: &str| {
        delta(json!({ "tool_calls": [{ "index": 0, "function": { "name": name, "arguments": arguments } }] }))
    };
    for (chunks, why) in [
        (vec![delta(json!({ "content": "Hel" }))], "before its finish_reason"),
        (vec![named("hours", "{\"day\""), finished("tool_calls")], "no JSON object"),
        (vec![named("hours", "[1]"), finished("tool_calls")], "no JSON object"),
        (vec![named("", "{}"), finished("tool_calls")], "without a name"),
    ] {
        let told = answer(&chunks).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
}
