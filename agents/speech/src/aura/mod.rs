//! Deepgram's voices, Aura: an utterance is a request, its body raw audio at the leg's rate. No times of words: the ledger
//! divides by the audio's length.
//!
//! <https://developers.deepgram.com/reference/text-to-speech/speak-request>

mod client;
mod config;
mod map;
mod wire;

pub use client::Aura;
pub use config::AuraConfig;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_models::Limits;
    use tandem_test_vendors::deepgram::speech;
    use tandem_test_vendors::{FakeVendor, Script, Step};

    use super::*;
    use crate::voice_vendor_conformance::{Answer, Vendor};
    use crate::{SpeakRequest, SpeechError, Voice, voice_conformance};

    fn voice(base: &str, key: &str, limits: Limits) -> Arc<dyn Voice> {
        let key = Some(key.to_owned().into());
        let config = AuraConfig { base_url: base.to_owned(), key, limits, ..AuraConfig::default() };
        Aura::new(tandem_models::client_builder().build().unwrap(), config).unwrap().voice("").unwrap()
    }

    #[tokio::test]
    async fn conforms() {
        let fake = FakeVendor::answering(|_, asked| Script::Stream { content_type: "audio/l16", steps: speech(asked) })
            .unwrap();
        let voice = voice(&fake.url("").replace("http:", "ws:"), "k", Limits::default());
        voice_conformance::run(Arc::clone(&voice)).await;
        let path = "/v1/speak?model=aura-2-thalia-en&encoding=linear16&sample_rate=8000&container=none";
        assert_eq!(fake.asked().remove(0).path, path);
        let long = SpeakRequest { text: "a ".repeat(1_500), rate: 8_000 };
        assert!(
            matches!(voice.speak(long), Err(SpeechError::NotSupported { .. })),
            "the vendor takes 2,000 characters"
        );
    }

    #[tokio::test]
    async fn keeps_to_its_word_when_the_vendor_does_not() {
        crate::voice_vendor_conformance::run(Vendor {
            make: |base, key, limits| voice(&base, key, limits),
            answer: Answer::Http(speech),
            is_audio: |step| matches!(step, Step::Binary(_)),
            key: ("authorization", "Token KEY"),
        })
        .await;
    }
}
