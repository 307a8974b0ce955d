use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_media::codec;
use tandem_media::leg::Codec;
use tandem_models::Limits;
use tandem_test_vendors::{Asked, FakeVendor, Heard, Partner, Script, Step};

use super::*;
use crate::voice_vendor_conformance::{Answer, Vendor};
use crate::{Voice, voice_conformance};

/// Cartesia as it documents itself: 60 ms of tone a character, the times of a chunk's words before it.
fn fake(asked: &Asked) -> Partner {
    assert!(asked.path.starts_with("/tts/websocket?cartesia_version=20"), "{asked:?}");
    Box::new(|heard| match heard {
        Heard::Text(text) => answer(&serde_json::from_str(&text).unwrap()),
        Heard::Opened | Heard::Binary(_) => Vec::new(),
    })
}

fn answer(message: &Value) -> Vec<Step> {
    let Some(text) = message["transcript"].as_str() else { return Vec::new() };
    let (context, format) = (&message["context_id"], &message["output_format"]);
    let rate = format["sample_rate"].as_u64().unwrap() as usize;
    let mut steps = Vec::new();
    let mut at = 0;
    for word in text.split_whitespace() {
        let (start, end) = (at as f64 * 0.06, (at + word.chars().count()) as f64 * 0.06);
        let bare: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
        let times = json!({ "words": [bare], "start": [start], "end": [end] });
        steps.push(json!({ "type": "timestamps", "context_id": context, "word_timestamps": times }));
        let length = word.chars().count() + 1;
        let data = STANDARD.encode(tone(length * rate * 6 / 100, rate, format["encoding"] == "pcm_mulaw"));
        steps.push(json!({ "type": "chunk", "data": data, "done": false, "status_code": 206, "context_id": context }));
        at += length;
    }
    steps.push(json!({ "type": "done", "done": true, "status_code": 206, "context_id": context }));
    steps.into_iter().map(|step| Step::Send(step.to_string())).collect()
}

fn tone(samples: usize, rate: usize, mu_law: bool) -> Vec<u8> {
    let sine = |index: usize| ((index as f64 * 2765.0 / rate as f64).sin() * 9000.0) as i16;
    let samples: Vec<i16> = (0..samples).map(sine).collect();
    let mut bytes = Vec::new();
    match mu_law {
        true => codec::encode(Codec::Pcmu, &samples, &mut bytes),
        false => bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
    }
    bytes
}

fn line(base: &str, key: &str, limits: Limits, rate: u32) -> Arc<dyn Voice> {
    let key = Some(key.to_owned().into());
    let config = CartesiaConfig { base_url: base.to_owned(), key, limits, ..CartesiaConfig::default() };
    Cartesia::new(config).unwrap().line("", rate, Some("en-US")).unwrap()
}

#[tokio::test]
async fn conforms() {
    let fake = FakeVendor::answering(|_, asked| {
        let asked = asked.clone();
        Script::Socket(Arc::new(move || fake(&asked)))
    })
    .unwrap();
    for rate in [8_000, 24_000] {
        voice_conformance::run(line(&fake.url(""), "k", Limits::default(), rate)).await;
    }
}

#[tokio::test]
async fn keeps_to_its_word_when_the_vendor_does_not() {
    crate::voice_vendor_conformance::run(Vendor {
        make: |base, key, limits| line(&base, key, limits, 8_000),
        answer: Answer::Socket(fake),
        is_audio: |step| matches!(step, Step::Send(text) if text.contains("\"chunk\"")),
        key: ("x-api-key", "KEY"),
    })
    .await;
}
