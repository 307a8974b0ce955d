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

    use tandem_models::Limits;
    use tandem_test_vendors::openai::speech;
    use tandem_test_vendors::{FakeVendor, Script, Step};

    use super::*;
    use crate::voice_vendor_conformance::{Answer, Vendor};
    use crate::{Voice, voice_conformance};

    fn voice(base: &str, key: &str, limits: Limits) -> Arc<dyn Voice> {
        let key = Some(key.to_owned().into());
        let config = OpenAiSpeechConfig { base_url: base.to_owned(), key, limits, ..OpenAiSpeechConfig::default() };
        let client = tandem_models::client_builder().build().unwrap();
        OpenAiSpeech::new(client, config).unwrap().voice("").unwrap()
    }

    #[tokio::test]
    async fn conforms() {
        let fake = FakeVendor::answering(|_, asked| Script::Stream { content_type: "audio/pcm", steps: speech(asked) })
            .unwrap();
        voice_conformance::run(voice(&fake.url("/v1"), "k", Limits::default())).await;
        assert_eq!(fake.asked().remove(0).path, "/v1/audio/speech");
    }

    #[tokio::test]
    async fn keeps_to_its_word_when_the_vendor_does_not() {
        crate::voice_vendor_conformance::run(Vendor {
            make: |base, key, limits| voice(&base, key, limits),
            answer: Answer::Http(speech),
            is_audio: |step| matches!(step, Step::Binary(_)),
            key: ("authorization", "Bearer KEY"),
        })
        .await;
    }
}
