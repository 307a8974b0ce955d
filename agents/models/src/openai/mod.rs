//! OpenAI's chat completions, and all that speak like it: vLLM, Ollama, llama.cpp, gateways.
//!
//! <https://platform.openai.com/docs/api-reference/chat/create>
//!
//! Models of OpenAI's own that would think first are told not to where they can be, and to think little where they cannot.

mod client;
mod config;
mod map;
mod wire;

pub use client::OpenAi;
pub use config::OpenAiConfig;

#[cfg(test)]
mod tests {
    use tandem_test_vendors::openai::{REFUSAL, call, failure, greeting};

    use super::*;
    use crate::conformance::{self, Vendor};

    #[tokio::test]
    async fn it_is_a_language_model() {
        conformance::run(&Vendor {
            make: |base, key, limits| {
                let key = Some(key.to_owned().into());
                let config = OpenAiConfig { base_url: format!("{base}/v1"), key, model: "m".into(), limits };
                Box::new(OpenAi::new(crate::client_builder().build().unwrap(), config).unwrap())
            },
            greeting: greeting(),
            until_first: 2,
            call: call(),
            failure: failure(),
            refusal: REFUSAL,
            path: "/v1/chat/completions",
            headers: &[("authorization", "Bearer KEY")],
        })
        .await;
    }
}
