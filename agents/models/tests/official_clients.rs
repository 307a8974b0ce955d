//! The vendors' own clients against our stand-ins: each reads an answer as the answer that it is, and asks for the same wish
//! as we do. So the stand-ins that everything else is tested with are what the vendors are.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tandem_models::anthropic::{Anthropic, AnthropicConfig};
use tandem_models::gemini::{Gemini, GeminiConfig};
use tandem_models::openai::{OpenAi, OpenAiConfig};
use tandem_models::{Completion, LanguageModel, Limits, Message, ModelEvent, ToolCall, ToolSpec, client_builder};
use tandem_test_support::official::official;
use tandem_test_vendors::{FakeVendor, Script, anthropic, gemini, openai, unlike};

/// What both ask: the scripts of `tests/vendors/python` say the same.
fn asked(parameters: Value) -> Completion {
    let user = |text: &str| Message::user(text.to_owned());
    let agent = |text: &str, calls| Message::Assistant { text: text.to_owned().into(), calls };
    let call = ToolCall {
        id: "call_1".into(),
        name: "hours".into(),
        arguments: json!({ "day": "monday" }).into(),
        signature: None,
    };
    Completion {
        messages: vec![
            Message::System { text: "You are a clinic.".into() },
            user("When are you open?"),
            agent("", vec![call]),
            Message::Tool { call: "call_1".into(), result: "{\"from\":9}".to_owned().into() },
            agent("From nine.", vec![]),
            user("And on Sunday?"),
        ],
        tools: vec![ToolSpec { name: "hours".into(), description: "Opening hours".into(), parameters }],
        max_tokens: Some(100),
        temperature: Some(0.5),
        ..Completion::default()
    }
}

struct Vendor {
    client: &'static str,
    /// Our model, that asks this server.
    ours: fn(String) -> Box<dyn LanguageModel>,
    parameters: Value,
    greeting: Vec<String>,
    call: Vec<String>,
    refused: fn(u16) -> Script,
    /// How the client ends the greeting and the call, and the arguments as it tells them.
    finishes: [&'static str; 2],
    arguments: Value,
    /// The greeting's text and the call's, where it says none.
    silent: Value,
    /// The names of the errors for 401 and 429.
    errors: [&'static str; 2],
    /// Keys that the client spells otherwise, and how we spell them.
    spelled: &'static [(&'static str, &'static str)],
    /// Where we are known to differ.
    differs: &'static [&'static str],
}

/// Whether the client reads the greeting, the call and the refusals as what they are, and asks as we do.
async fn agree(vendor: Vendor) -> anyhow::Result<()> {
    let scripts =
        [Script::sent(&vendor.greeting), Script::sent(&vendor.call), (vendor.refused)(401), (vendor.refused)(429)];
    let fake = FakeVendor::start(scripts)?;
    let cases = ["chat", "chat", "refused", "refused"];
    let Some(told) = official(vendor.client, &fake.url(""), &cases)? else { return Ok(()) };
    let mut theirs = fake.asked().remove(0);
    for (spelled, ours) in vendor.spelled {
        theirs.body = theirs.body.replace(spelled, ours);
    }

    let [greeting, call] = vendor.finishes;
    assert_eq!(told[0], json!({ "text": "Good morning.", "calls": [], "usage": [12, 3], "finish": greeting }));
    let calls = json!([["hours", vendor.arguments]]);
    assert_eq!(told[1], json!({ "text": vendor.silent, "calls": calls, "usage": [12, 3], "finish": call }));
    let refused = [(vendor.errors[0], 401), (vendor.errors[1], 429)];
    assert_eq!(told[2..], refused.map(|(error, status)| json!({ "error": error, "status": status })));

    let fake = FakeVendor::start([Script::sent(&vendor.greeting)])?;
    let events: Vec<_> = (vendor.ours)(fake.url("")).complete(asked(vendor.parameters)).collect().await;
    assert!(matches!(events.last(), Some(ModelEvent::Done { .. })), "{events:?}");
    assert_eq!(unlike(&fake.asked()[0], &theirs), vendor.differs);
    Ok(())
}

fn no_parameters() -> Value {
    json!({ "type": "object", "properties": {} })
}

#[tokio::test]
async fn openai_is_openai() {
    agree(Vendor {
        client: "openai",
        ours: |base| {
            let key = Some("KEY".to_owned().into());
            let config =
                OpenAiConfig { base_url: format!("{base}/v1"), key, model: "m".into(), limits: Limits::default() };
            Box::new(OpenAi::new(client_builder().build().unwrap(), config).unwrap())
        },
        parameters: no_parameters(),
        greeting: openai::greeting(),
        call: openai::call(),
        refused: openai::refused,
        finishes: ["stop", "tool_calls"],
        arguments: json!("{\"day\":\"monday\"}"),
        silent: Value::Null,
        errors: ["AuthenticationError", "RateLimitError"],
        spelled: &[],
        differs: &[],
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn anthropic_is_anthropic() {
    agree(Vendor {
        client: "anthropic",
        ours: |base| {
            let key = Some("KEY".to_owned().into());
            let (model, limits) = ("claude-opus-5".into(), Limits::default());
            let config = AnthropicConfig { base_url: base, key, model, limits };
            Box::new(Anthropic::new(client_builder().build().unwrap(), config).unwrap())
        },
        parameters: no_parameters(),
        greeting: anthropic::greeting(),
        call: anthropic::call(),
        refused: anthropic::refused,
        finishes: ["end_turn", "tool_use"],
        arguments: json!({ "day": "monday" }),
        silent: json!(""),
        errors: ["AuthenticationError", "RateLimitError"],
        spelled: &[],
        // Both are in the reference. The newer version takes no `temperature`, which older models are asked with.
        differs: &[
            "headers/anthropic-version: ours \"2023-06-01\", theirs \"2026-10-21\"",
            "headers/x-api-key is ours alone: \"KEY\"",
        ],
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn gemini_is_gemini() {
    agree(Vendor {
        client: "gemini",
        ours: |base| {
            let key = Some("KEY".to_owned().into());
            let (model, limits) = ("gemini-2.5-flash".into(), Limits::default());
            let config = GeminiConfig { base_url: base, key, model, limits };
            Box::new(Gemini::new(client_builder().build().unwrap(), config).unwrap())
        },
        parameters: json!({ "type": "object", "properties": { "day": { "type": "string" } } }),
        greeting: gemini::greeting(),
        call: gemini::call(),
        refused: gemini::refused,
        finishes: ["STOP", "STOP"],
        arguments: json!({ "day": "monday" }),
        silent: json!(""),
        errors: ["ClientError", "ClientError"],
        // JSON of protocol buffers has two spellings of a name, and servers take both.
        spelled: &[("parameters_json_schema", "parametersJsonSchema"), ("thinking_budget", "thinkingBudget")],
        differs: &[],
    })
    .await
    .unwrap();
}
