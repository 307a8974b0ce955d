use futures_util::StreamExt as _;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, InvalidHeaderValue};
use thiserror::Error;

use super::config::OpenAiConfig;
use super::map::{Assembly, request};
use super::wire::Chunk;
use crate::http::{Endpoint, secret};
use crate::{Completion, LanguageModel, ModelError, ModelEvent, ModelStream};

/// What ends the stream of chunks.
const LAST: &str = "[DONE]";

#[derive(Debug, Error)]
pub enum OpenAiError {
    #[error("OPENAI_API_KEY holds what no HTTP header may hold")]
    Key(#[source] InvalidHeaderValue),
    #[error("{url:?} is no URL of a server")]
    Url {
        url: String,
        #[source]
        source: reqwest::Error,
    },
}

/// A model behind `/v1/chat/completions`.
pub struct OpenAi {
    config: OpenAiConfig,
    endpoint: Endpoint,
    name: String,
}

impl OpenAi {
    /// `client` is shared by all vendors, so that connections stay open between completions.
    ///
    /// # Errors
    /// When no request could ever be sent with this configuration.
    pub fn new(client: Client, config: OpenAiConfig) -> Result<Self, OpenAiError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.key {
            let bearer = format!("Bearer {}", key.reveal()).into();
            secret(&mut headers, AUTHORIZATION, &bearer).map_err(OpenAiError::Key)?;
        }
        let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        let endpoint = Endpoint::new(client, "openai", "OPENAI_API_KEY", url, headers, config.limits)
            .map_err(|source| OpenAiError::Url { url: config.base_url.clone(), source })?;
        let name = format!("openai {}", config.model);
        Ok(Self { config, endpoint, name })
    }
}

impl LanguageModel for OpenAi {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&self, asked: Completion) -> ModelStream {
        let endpoint = self.endpoint.clone();
        // Plain structs with string keys: serde_json has nothing to refuse.
        let body = serde_json::to_value(request(&self.config, &asked)).unwrap_or_default();
        Box::pin(async_stream::stream! {
            let mut chunks = endpoint.clone().events(body);
            let mut answer = Assembly::default();
            while let Some(event) = chunks.next().await {
                let mut out = Vec::new();
                let taken = event.and_then(|event| take(&endpoint, &mut answer, event.data.as_deref(), &mut out));
                if out.is_empty() {
                    yield ModelEvent::Progress;
                }
                for event in out {
                    yield event;
                }
                match taken {
                    Ok(true) => break,
                    Ok(false) => {}
                    // It had said that it was over: only figures can be missing.
                    Err(_) if answer.is_finished() => break,
                    Err(error) => { yield ModelEvent::Failed { error }; return; }
                }
            }
            let mut out = Vec::new();
            if let Err(detail) = answer.end(&mut out) {
                out = vec![ModelEvent::Failed { error: endpoint.malformed(detail) }];
            }
            for event in out {
                yield event;
            }
        })
    }
}

/// Whether this was the last chunk.
fn take(
    endpoint: &Endpoint,
    answer: &mut Assembly,
    data: Option<&str>,
    out: &mut Vec<ModelEvent>,
) -> Result<bool, ModelError> {
    let data = match data.map(str::trim) {
        None | Some("") => return Ok(false),
        Some(LAST) => return Ok(true),
        Some(data) => data,
    };
    let chunk: Chunk = serde_json::from_str(data).map_err(|error| endpoint.malformed(error))?;
    if let Some(error) = chunk.error {
        return Err(endpoint.failed_with(&error.message));
    }
    answer.take(chunk, out).map_err(|detail| endpoint.malformed(detail))?;
    Ok(false)
}
