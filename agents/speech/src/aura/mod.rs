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

    use serde_json::Value;
    use tandem_models::Limits;
    use tandem_test_vendors::{Asked, FakeVendor, Script, Step};

    use super::*;
    use crate::voice_vendor_conformance::{Answer, Vendor};
    use crate::{SpeakRequest, SpeechError, Voice, voice_conformance};

    /// 60 ms of tone a character at the rate that was asked for, in chunks of 250 ms.
    fn answer(asked: &Asked) -> Vec<Step> {
        let rate: usize = asked.path.split("sample_rate=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let samples = body["text"].as_str().unwrap().chars().count() * 60 * rate / 1000;
        let sine = |index: usize| ((index as f64 * 2765.0 / rate as f64).sin() * 9000.0) as i16;
        let bytes: Vec<u8> = (0..samples).flat_map(|index| sine(index).to_le_bytes()).collect();
        bytes.chunks(rate / 2).map(|part| Step::Binary(part.to_vec())).collect()
    }

    fn voice(base: &str, key: &str, limits: Limits) -> Arc<dyn Voice> {
        let key = Some(key.to_owned().into());
        let config = AuraConfig { base_url: base.to_owned(), key, limits, ..AuraConfig::default() };
        Aura::new(tandem_models::client_builder().build().unwrap(), config).unwrap().voice("").unwrap()
    }

    #[tokio::test]
    async fn conforms() {
        let fake = FakeVendor::answering(|_, asked| Script::Stream { content_type: "audio/l16", steps: answer(asked) })
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
            answer: Answer::Http(answer),
            is_audio: |step| matches!(step, Step::Binary(_)),
            key: ("authorization", "Token KEY"),
        })
        .await;
    }
}
