use proptest::prelude::*;
use serde_json::json;

use tandem_contract::attachment::PictureFormat;

use super::*;
use crate::http::Limits;

fn config(model: &str) -> GeminiConfig {
    GeminiConfig { base_url: GeminiConfig::BASE_URL.into(), key: None, model: model.into(), limits: Limits::default() }
}

fn asked() -> Completion {
    let call = |id: &str, signature: Option<&str>| ToolCall {
        id: id.into(),
        name: "hours".into(),
        arguments: json!({ "day": "monday" }).into(),
        signature: signature.map(|signature| signature.to_owned().into()),
    };
    let tool = |name: &str, parameters: Value| ToolSpec { name: name.into(), description: name.into(), parameters };
    let calls = |calls: Vec<ToolCall>| Message::Assistant { text: String::new().into(), calls };
    let result = |id: &str, result: &str| Message::Tool { call: id.into(), result: result.to_owned().into() };
    Completion {
        messages: vec![
            Message::System { text: "You are a clinic.".into() },
            Message::user("When?".to_owned()),
            calls(vec![call("f1", Some("c2ln")), call("f2", None)]),
            result("f1", "{\"from\":9}"),
            result("f2", "[8]"),
            calls(vec![call("of_another_vendor", None)]),
            result("of_another_vendor", "closed"),
        ],
        tools: vec![
            tool("hours", json!({ "type": "object", "properties": { "day": { "type": "string" } } })),
            tool("person", json!({ "type": "object", "properties": {} })),
        ],
        max_tokens: Some(100),
        temperature: Some(0.5),
        top_p: Some(0.9),
        payer: None,
        tier: None,
    }
}

fn written(model: &str) -> Value {
    serde_json::to_value(request(&config(model), &asked())).unwrap()
}

/// The caller shows two pictures.
fn shown() -> Completion {
    let picture = |format, base64: &str| Picture { format, base64: tandem_contract::Private::new(base64.into()) };
    let pictures = vec![picture(PictureFormat::Png, "iVBORw0KGgo="), picture(PictureFormat::Jpeg, "/9j/4AAQ")];
    let messages = vec![Message::User { text: "What is this?".to_owned().into(), pictures }];
    Completion { messages, ..Completion::default() }
}

/// <https://ai.google.dev/gemini-api/docs/image-understanding>
#[test]
fn a_picture_is_inline_data() {
    let asked = shown();
    let written = serde_json::to_value(request(&config("gemini-2.5-flash"), &asked)).unwrap();
    let wanted = json!([{ "role": "user", "parts": [
        { "inlineData": { "mimeType": "image/png", "data": "iVBORw0KGgo=" } },
        { "inlineData": { "mimeType": "image/jpeg", "data": "/9j/4AAQ" } },
        { "text": "What is this?" },
    ] }]);
    assert_eq!(written["contents"], wanted);
}

#[test]
fn a_request_is_written_as_the_reference_says() {
    let args = json!({ "day": "monday" });
    let wanted = json!({
        "systemInstruction": { "parts": [{ "text": "You are a clinic." }] },
        "contents": [
            { "role": "user", "parts": [{ "text": "When?" }] },
            { "role": "model", "parts": [
                { "functionCall": { "id": "f1", "name": "hours", "args": args }, "thoughtSignature": "c2ln" },
                { "functionCall": { "id": "f2", "name": "hours", "args": args } },
            ] },
            { "role": "user", "parts": [
                { "functionResponse": { "id": "f1", "name": "hours", "response": { "from": 9 } } },
                { "functionResponse": { "id": "f2", "name": "hours", "response": { "output": [8] } } },
            ] },
            { "role": "model", "parts": [{
                "functionCall": { "id": "of_another_vendor", "name": "hours", "args": args },
                "thoughtSignature": "skip_thought_signature_validator",
            }] },
            { "role": "user", "parts": [{
                "functionResponse": { "id": "of_another_vendor", "name": "hours", "response": { "output": "closed" } },
            }] },
        ],
        "tools": [{ "functionDeclarations": [
            { "name": "hours", "description": "hours", "parametersJsonSchema":
                { "type": "object", "properties": { "day": { "type": "string" } } } },
            { "name": "person", "description": "person" },
        ] }],
        "generationConfig": { "maxOutputTokens": 4_196, "thinkingConfig": { "thinkingLevel": "low" } },
    });
    assert_eq!(written("gemini-3.8-flash"), wanted);
}

#[test]
fn each_generation_gets_what_it_accepts() {
    let old = written("gemini-2.5-flash");
    assert_eq!(
        old["generationConfig"],
        json!({ "maxOutputTokens": 100, "temperature": 0.5, "topP": 0.9, "thinkingConfig": { "thinkingBudget": 0 } })
    );
    let call = |at: usize| &old["contents"][at]["parts"][0];
    assert_eq!(call(1)["functionCall"], json!({ "name": "hours", "args": { "day": "monday" } }), "it knows no ids");
    assert_eq!(call(3)["thoughtSignature"], Value::Null, "and wants no signature");
    for (model, thinking) in [
        ("gemini-2.5-pro", json!({ "thinkingBudget": 128 })),
        ("gemini-3.1-pro-preview", json!({ "thinkingLevel": "low" })),
        ("gemini-3.5-flash-lite", Value::Null),
        ("gemma-4", Value::Null),
    ] {
        assert_eq!(written(model)["generationConfig"]["thinkingConfig"], thinking, "{model}");
    }
}

fn answer(chunks: &[Value]) -> Result<Vec<ModelEvent>, Fault> {
    let (mut assembly, mut out) = (Assembly::after(&asked().messages), Vec::new());
    for chunk in chunks {
        assembly.take(&chunk.to_string(), &mut out)?;
    }
    assembly.end(&mut out).map_err(Fault::Malformed)?;
    Ok(out)
}

fn parts(parts: Value, finish: Value) -> Value {
    json!({ "candidates": [{ "content": { "parts": parts, "role": "model" }, "finishReason": finish }] })
}

#[test]
fn calls_thoughts_and_figures_are_read() {
    let tokens = |output: u64| {
        json!({ "promptTokenCount": 500, "cachedContentTokenCount": 400,
        "candidatesTokenCount": output, "thoughtsTokenCount": 30, "totalTokenCount": 530 + output })
    };
    let mut first = parts(json!([{ "text": "Hm.", "thought": true }, { "text": "One moment." }]), Value::Null);
    first["usageMetadata"] = tokens(3);
    let calls = json!([
        { "functionCall": { "name": "hours", "args": { "day": "monday" } }, "thoughtSignature": "c2ln" },
        { "functionCall": { "id": "f9", "name": "person" } },
    ]);
    let mut last = parts(calls, json!("STOP"));
    last["usageMetadata"] = tokens(9);
    let call = |id: &str, name: &str, arguments: Value, signature: Option<&str>| ModelEvent::ToolCall {
        call: ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: signature.map(|signature| signature.to_owned().into()),
        },
    };
    assert_eq!(
        answer(&[first, last]).unwrap(),
        [
            ModelEvent::Text { text: "One moment.".to_owned().into() },
            call("call_4", "hours", json!({ "day": "monday" }), Some("c2ln")),
            call("f9", "person", json!({}), None),
            ModelEvent::Usage { usage: Usage { input: 500, cached_input: 400, output: 39 } },
            ModelEvent::Done { finish: Finish::ToolCalls },
        ]
    );
}

#[test]
fn reasons_to_stop_are_told_apart() {
    for (reason, finish) in [
        ("STOP", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::Filtered),
        ("PROHIBITED_CONTENT", Finish::Filtered),
        ("OF_TOMORROW", Finish::Stop),
    ] {
        // Without content, as Google sends it where nothing more is said.
        let chunk = json!({ "candidates": [{ "finishReason": reason }] });
        assert_eq!(answer(&[chunk]).unwrap(), [ModelEvent::Done { finish }], "{reason}");
    }
    let blocked = json!({ "promptFeedback": { "blockReason": "SAFETY" } });
    assert_eq!(answer(&[blocked]).unwrap(), [ModelEvent::Done { finish: Finish::Filtered }]);
}

#[test]
fn what_is_wrong_with_an_answer_is_told() {
    let error =
        |code: u16, status: &str| json!({ "error": { "code": code, "status": status, "message": "overloaded" } });
    let malformed = |why: &str| Fault::Malformed(why.to_owned());
    for (chunk, fault) in [
        (error(429, "RESOURCE_EXHAUSTED"), Fault::RateLimited),
        (error(403, "PERMISSION_DENIED"), Fault::Unauthorized),
        (error(400, "INVALID_ARGUMENT"), Fault::Refused { code: "INVALID_ARGUMENT".into() }),
        (error(503, "UNAVAILABLE"), Fault::Failed { code: "UNAVAILABLE".into() }),
        (parts(json!([{ "text": "Hel" }]), Value::Null), malformed("the answer ended before its finishReason")),
        (parts(json!([]), json!("MALFORMED_FUNCTION_CALL")), malformed("the model slipped: MALFORMED_FUNCTION_CALL")),
        (
            parts(json!([{ "functionCall": { "name": "hours", "args": [1] } }]), json!("STOP")),
            malformed("the arguments of a tool call are no JSON object"),
        ),
    ] {
        assert_eq!(answer(&[chunk]).unwrap_err(), fault);
    }
}

proptest! {
    /// What the model said comes out in its order, however it is spread over parts and chunks.
    #[test]
    fn words_come_out_as_they_came(chunks in prop::collection::vec(prop::collection::vec(".{0,20}", 0..4), 0..6)) {
        let texts = |chunk: &Vec<String>| parts(chunk.iter().map(|text| json!({ "text": text })).collect(), Value::Null);
        let mut sent: Vec<_> = chunks.iter().map(texts).collect();
        sent.push(parts(json!([]), json!("STOP")));
        let said: String = answer(&sent).unwrap().iter().filter_map(|event| match event {
            ModelEvent::Text { text } => Some(text.reveal().clone()),
            _ => None,
        }).collect();
        prop_assert_eq!(said, chunks.concat().concat());
    }

    /// Nothing that a vendor may send is worse than a fault.
    #[test]
    fn garbage_is_a_fault(data in prop::collection::vec("[^{]{0,60}", 0..6), key in "[a-zA-Z]{0,20}") {
        let (mut assembly, mut out) = (Assembly::default(), Vec::new());
        for data in data.iter().filter(|data| !data.trim().starts_with('[')) {
            prop_assert!(assembly.take(data, &mut out).is_err());
        }
        let _ = assembly.take(&json!({ key: [{}] }).to_string(), &mut out);
        prop_assert!(assembly.end(&mut out).is_err());
        prop_assert!(out.is_empty());
    }
}
