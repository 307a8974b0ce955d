//! Flux against a vendor that tells speech from silence by its loudness.

use tandem_test_vendors::FakeVendor;
use tandem_test_vendors::deepgram::Flux;

use crate::deepgram::{Deepgram, DeepgramConfig, FluxConfig, KEY_SETTING};
use crate::recognizer_conformance::{self, Subject};
use crate::socket_conformance::{self, SocketVendor, listen, yes};
use crate::{RecognizerEvent, RecognizerInput};

fn flux(url: &str) -> Deepgram {
    let config = DeepgramConfig {
        base_url: url.to_owned(),
        key: Some("KEY".to_owned().into()),
        model: "flux-general-en".to_owned(),
        flux: FluxConfig { eager_eot_threshold: Some(0.5), ..FluxConfig::default() },
        ..DeepgramConfig::default()
    };
    Deepgram::new(config).unwrap()
}

#[tokio::test]
async fn conforms() {
    let fake = FakeVendor::answering(|_, asked| Flux::script(asked)).unwrap();
    let deepgram = flux(&fake.url(""));
    let at = |rate| deepgram.line(rate, "en-US", true);
    recognizer_conformance::run(&Subject { at: &at, yes: &yes(), grammars: false }).await;
    let asked = fake.asked();
    assert_eq!(asked[0].headers["authorization"], "Token KEY");
    let path = "/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000&eager_eot_threshold=0.5";
    assert_eq!(asked[0].path, path);
}

#[tokio::test]
async fn survives_what_a_vendor_can_do() {
    socket_conformance::run(&SocketVendor {
        line: |url| flux(url).line(8_000, "en-US", true),
        script: Flux::script,
        setting: KEY_SETTING,
        error: r#"{"type":"Error","sequence_id":1,"code":"INTERNAL_SERVER_ERROR","description":"no"}"#,
    })
    .await;
}

#[tokio::test]
async fn its_own_end_of_a_turn_is_told() {
    let fake = FakeVendor::answering(|_, asked| Flux::script(asked)).unwrap();
    let line = flux(&fake.url("")).line(8_000, "en-US", true);
    let mut audio = yes();
    audio.resize(audio.len() + 8_000, 0);
    for _ in 0..2 {
        let mut recognition = listen(line.as_ref()).unwrap();
        for frame in audio.chunks(160) {
            recognition.audio.send(RecognizerInput::Audio(frame.into())).await.unwrap();
        }
        // Without being asked to finish.
        let mut told = Vec::new();
        while let Some(event) = recognition.events.recv().await {
            told.push(event);
        }
        let text = || "yes".to_owned();
        let eager = RecognizerEvent::EndOfTurn { text: text(), confidence: 0.6, eager: true };
        let last = RecognizerEvent::EndOfTurn { text: text(), confidence: 0.9, eager: false };
        assert_eq!(told, [RecognizerEvent::Partial { text: text() }, eager, last]);
    }
    assert_eq!(fake.asked().len(), 1, "it is the same socket");
}
