//! From an utterance to OpenAI's request.

use serde_json::Value;

use super::config::OpenAiSpeechConfig;
use super::wire::Request;
use crate::line::pcm::Encoding;
use crate::line::speaking::Source;
use crate::line::words::Base;

/// What `pcm` is: 16 bit, little endian, 24 kHz, without a header.
pub(super) const SOURCE: Source = Source { encoding: Encoding::Linear, rate: 24_000, base: Base::Utterance };

pub(super) fn request(config: &OpenAiSpeechConfig, voice: &str, text: &str) -> Value {
    let instructions = config.instructions.as_deref();
    let request = Request { model: &config.model, voice, input: text, response_format: "pcm", instructions };
    // Plain structs with string keys: serde_json has nothing to refuse.
    serde_json::to_value(request).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked() {
        let mut config = OpenAiSpeechConfig::default();
        let plain = r#"{"model":"gpt-4o-mini-tts","voice":"alloy","input":"Good day.","response_format":"pcm"}"#;
        assert_eq!(request(&config, "alloy", "Good day.").to_string(), plain);
        config.instructions = Some("Calm.".to_owned());
        assert_eq!(request(&config, "alloy", "Good day.")["instructions"], "Calm.");
    }
}
