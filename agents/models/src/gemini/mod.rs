//! Google's Gemini API.
//!
//! <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/gemini-api/docs/function-calling>

mod client;
mod config;
mod map;
mod wire;

pub use client::Gemini;
pub use config::GeminiConfig;

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use serde_json::{Value, json};
    use tandem_test_vendors::gemini::{REFUSAL, call, chunk, failure, greeting};
    use tandem_test_vendors::{FakeVendor, Script};

    use super::*;
    use crate::conformance::{self, Vendor};
    use crate::{Completion, LanguageModel as _, Limits, Message, ModelError, ModelEvent, SetupError};

    fn model(base: String, key: &str, limits: Limits) -> Gemini {
        let key = Some(key.to_owned().into());
        let config = GeminiConfig { base_url: base, key, model: "gemini-3.8-flash".into(), limits };
        Gemini::new(crate::client_builder().build().unwrap(), config).unwrap()
    }

    #[tokio::test]
    async fn it_is_a_language_model() {
        conformance::run(&Vendor {
            make: |base, key, limits| Box::new(model(base, key, limits)),
            greeting: greeting(),
            until_first: 1,
            call: call(),
            failure: failure(),
            refusal: REFUSAL,
            path: "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
            headers: &[("x-goog-api-key", "KEY")],
        })
        .await;
    }

    /// Gemini 3 refuses a call that comes back without the signature it was made with.
    #[tokio::test]
    async fn a_signature_comes_back_with_its_call() {
        let call = json!({ "functionCall": { "id": "f1", "name": "hours", "args": {} }, "thoughtSignature": "c2ln" });
        let answers = [chunk(call, Some("STOP")), chunk(json!({ "text": "From nine." }), Some("STOP"))];
        let vendor = FakeVendor::start(answers.map(|answer| Script::sent(&[answer]))).unwrap();
        let model = model(vendor.url(""), "k", Limits::default());
        let mut asked = Completion { messages: vec![Message::user("When?".to_owned())], ..Completion::default() };
        let events: Vec<_> = model.complete(asked.clone()).collect().await;
        let [ModelEvent::Progress, ModelEvent::ToolCall { call }, ..] = events.as_slice() else {
            panic!("no call: {events:?}")
        };
        asked.messages.push(Message::Assistant { text: String::new().into(), calls: vec![call.clone()] });
        asked.messages.push(Message::Tool { call: call.id.clone(), result: "{\"from\":9}".to_owned().into() });
        let _: Vec<_> = model.complete(asked).collect().await;
        let again: Value = serde_json::from_str(&vendor.asked()[1].body).unwrap();
        let function_call = json!({ "id": "f1", "name": "hours", "args": {} });
        assert_eq!(
            again["contents"][1]["parts"],
            json!([{ "functionCall": function_call, "thoughtSignature": "c2ln" }])
        );
    }

    #[tokio::test]
    async fn a_wrong_key_is_told_from_a_wrong_request() {
        let body = r#"{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
                       "details": [{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}}"#;
        let vendor = FakeVendor::start([Script::status(400, body)]).unwrap();
        let events: Vec<_> =
            model(vendor.url(""), "k", Limits::default()).complete(Completion::default()).collect().await;
        let error = ModelError::Unauthorized { vendor: "gemini".into(), setting: "GEMINI_API_KEY".into() };
        assert_eq!(events, [ModelEvent::Failed { error }]);
    }

    #[test]
    fn a_model_that_would_change_the_address_is_refused() {
        for model in ["", "../../v1/keys", "a:b", "a?b"] {
            let config = GeminiConfig {
                base_url: GeminiConfig::BASE_URL.into(),
                key: None,
                model: model.into(),
                limits: Limits::default(),
            };
            let refused = Gemini::new(crate::client_builder().build().unwrap(), config);
            assert!(matches!(refused.err(), Some(SetupError::Model { .. })), "{model}");
        }
    }
}
