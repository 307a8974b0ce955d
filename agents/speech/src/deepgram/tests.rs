//! Nova against a vendor that tells speech from silence by its loudness.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tandem_test_vendors::deepgram::Nova;
use tandem_test_vendors::{Asked, FakeVendor, Heard, Script};

use super::*;
use crate::recognizer_conformance::{self, Subject};
use crate::socket_conformance::{self, SocketVendor, spoken, yes};
use crate::{Recognizer, RecognizerEvent};

/// A partner for each connection; what it hears is told as well.
fn script(asked: &Asked, said: Option<SyncSender<String>>) -> Script {
    let asked = asked.clone();
    Script::socket(move || {
        let (mut nova, said) = (Nova::new(&asked), said.clone());
        move |heard| {
            if let (Heard::Text(text), Some(said)) = (&heard, &said) {
                said.send(text.clone()).unwrap();
            }
            nova.hear(&heard)
        }
    })
}

fn deepgram(url: &str) -> Deepgram {
    let config = DeepgramConfig {
        base_url: format!("{url}/v1"),
        key: Some("KEY".to_owned().into()),
        max_connections: 5,
        ..DeepgramConfig::default()
    };
    Deepgram::new(config).unwrap()
}

/// A vendor that passes on what control messages it gets.
fn overheard() -> (FakeVendor, Receiver<String>) {
    let (said, texts) = sync_channel(64);
    (FakeVendor::answering(move |_, asked| script(asked, Some(said.clone()))).unwrap(), texts)
}

#[tokio::test]
async fn conforms() {
    let fake = FakeVendor::answering(|_, asked| script(asked, None)).unwrap();
    let deepgram = deepgram(&fake.url(""));
    let at = |rate| deepgram.line(rate, "en-US", true);
    recognizer_conformance::run(&Subject { at: &at, yes: &yes(), grammars: false }).await;
    let asked = fake.asked();
    assert_eq!(asked[0].headers["authorization"], "Token KEY");
    assert!(asked[0].path.starts_with("/v1/listen?model=nova-3&language=en-US&encoding=mulaw&sample_rate=8000&"));
}

#[tokio::test]
async fn survives_what_a_vendor_can_do() {
    socket_conformance::run(&SocketVendor {
        line: |url| deepgram(url).line(8_000, "en-US", true),
        script: |asked| script(asked, None),
        setting: KEY_SETTING,
        error: r#"{"type":"Error","variant":"ServerError","description":"no","message":"no"}"#,
    })
    .await;
}

#[tokio::test]
async fn silence_without_an_answer_is_rejected() {
    let fake = FakeVendor::answering(|_, asked| {
        let asked = asked.clone();
        Script::socket(move || {
            let mut nova = Nova::new(&asked);
            nova.answers_silence = false;
            move |heard| nova.hear(&heard)
        })
    })
    .unwrap();
    let line = deepgram(&fake.url("")).line(8_000, "en-US", true);
    assert_eq!(spoken(line.as_ref(), &[0; 4_000]).await, RecognizerEvent::Rejected);
    assert!(matches!(spoken(line.as_ref(), &yes()).await, RecognizerEvent::Final { .. }));
    assert_eq!(fake.asked().len(), 1, "it is the same socket");
}

#[tokio::test]
async fn a_silent_line_is_kept_and_a_dropped_one_says_farewell() {
    let (fake, texts) = overheard();
    let line = deepgram(&fake.url("")).line(8_000, "en-US", true);
    assert!(matches!(spoken(line.as_ref(), &yes()).await, RecognizerEvent::Final { .. }));
    assert_eq!(texts.recv().unwrap(), r#"{"type":"Finalize"}"#);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    tokio::time::resume();
    let text = tokio::task::spawn_blocking(move || (texts.recv().unwrap(), texts)).await.unwrap();
    assert_eq!(text.0, r#"{"type":"KeepAlive"}"#);
    drop(line);
    let text = tokio::task::spawn_blocking(move || text.1.recv().unwrap()).await.unwrap();
    assert_eq!(text, r#"{"type":"CloseStream"}"#);
}

#[tokio::test]
async fn a_node_has_so_many_connections() {
    let fake = FakeVendor::answering(|_, asked| script(asked, None)).unwrap();
    let deepgram = deepgram(&fake.url(""));
    let mut lines: Vec<_> = (0..5).map(|_| deepgram.line(8_000, "en-US", true)).collect();
    for line in &lines {
        assert!(matches!(spoken(line.as_ref(), &yes()).await, RecognizerEvent::Final { .. }));
    }
    let one_more = deepgram.line(8_000, "en-US", true);
    let busy = spoken(one_more.as_ref(), &yes()).await;
    assert!(matches!(&busy, RecognizerEvent::Failed(crate::SpeechError::Busy { limit: 5, .. })), "{busy:?}");
    // A call ends: its place is free as soon as its farewell is said.
    lines.pop();
    loop {
        match spoken(one_more.as_ref(), &yes()).await {
            RecognizerEvent::Failed(crate::SpeechError::Busy { .. }) => tokio::task::yield_now().await,
            last => {
                assert!(matches!(last, RecognizerEvent::Final { .. }), "{last:?}");
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_line_has_one_rate() {
    let fake = FakeVendor::answering(|_, asked| script(asked, None)).unwrap();
    let line = deepgram(&fake.url("")).line(8_000, "en-US", true);
    let request = crate::RecognizeRequest { grammar: crate::Grammar::Open, rate: 16_000, language: "en".to_owned() };
    let error = Recognizer::listen(line.as_ref(), request).unwrap_err();
    assert_eq!(error.to_string(), "deepgram cannot take audio of 16000 Hz on a line of 8000 Hz");
}
