//! Anthropic's messages API.
//!
//! <https://platform.claude.com/docs/en/api/messages>,
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>
//!
//! Models that would think first are told not to where they can be, and to think little where they cannot. Thoughts are not
//! kept: the API takes calls and their results without them.

mod client;
mod config;
mod map;
mod wire;

pub use client::Anthropic;
pub use config::AnthropicConfig;

#[cfg(test)]
mod tests {
    use tandem_test_vendors::anthropic::{REFUSAL, call, failure, greeting};

    use super::*;
    use crate::conformance::{self, Vendor};

    #[tokio::test]
    async fn it_is_a_language_model() {
        conformance::run(&Vendor {
            make: |base, key, limits| {
                let config =
                    AnthropicConfig { base_url: base, key: Some(key.to_owned().into()), model: "m".into(), limits };
                Box::new(Anthropic::new(crate::client_builder().build().unwrap(), config).unwrap())
            },
            greeting: greeting(),
            until_first: 4,
            call: call(),
            failure: failure(),
            refusal: REFUSAL,
            path: "/v1/messages",
            headers: &[("x-api-key", "KEY"), ("anthropic-version", "2023-06-01")],
        })
        .await;
    }
}
