//! OpenAI's speech, and servers that speak like it: an utterance is a request, its body raw audio at 24 kHz. No times of
//! words: the ledger divides by the audio's length.
//!
//! <https://platform.openai.com/docs/api-reference/audio/createSpeech>

mod client;
mod config;
mod map;
mod wire;

pub use client::OpenAiSpeech;
pub use config::OpenAiSpeechConfig;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;
    use tandem_models::Limits;
    use tandem_test_vendors::{Asked, FakeVendor, Script, Step};

    use super::*;
    use crate::voice_vendor_conformance::{Answer, Vendor};
    use crate::{Voice, voice_conformance};

    /// 60 ms of tone a character, in chunks of 250 ms and a byte: samples are cut in two.
    fn answer(asked: &Asked) -> Vec<Step> {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!((&body["response_format"], &body["voice"]), (&"pcm".into(), &"alloy".into()));
        let samples = body["input"].as_str().unwrap().chars().count() * 60 * 24;
        let sine = |index: usize| ((index as f64 * 0.115).sin() * 9000.0) as i16;
        let bytes: Vec<u8> = (0..samples).flat_map(|index| sine(index).to_le_bytes()).collect();
        bytes.chunks(12_001).map(|part| Step::Binary(part.to_vec())).collect()
    }

    fn voice(base: &str, key: &str, limits: Limits) -> Arc<dyn Voice> {
        let key = Some(key.to_owned().into());
        let config = OpenAiSpeechConfig { base_url: base.to_owned(), key, limits, ..OpenAiSpeechConfig::default() };
        let client = tandem_models::client_builder().build().unwrap();
        OpenAiSpeech::new(client, config).unwrap().voice("").unwrap()
    }

    #[tokio::test]
    async fn conforms() {
        let fake = FakeVendor::answering(|_, asked| Script::Stream { content_type: "audio/pcm", steps: answer(asked) })
            .unwrap();
        voice_conformance::run(voice(&fake.url("/v1"), "k", Limits::default())).await;
        assert_eq!(fake.asked().remove(0).path, "/v1/audio/speech");
    }

    #[tokio::test]
    async fn keeps_to_its_word_when_the_vendor_does_not() {
        crate::voice_vendor_conformance::run(Vendor {
            make: |base, key, limits| voice(&base, key, limits),
            answer: Answer::Http(answer),
            is_audio: |step| matches!(step, Step::Binary(_)),
            key: ("authorization", "Bearer KEY"),
        })
        .await;
    }
}
