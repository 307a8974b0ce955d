//! Nova against a vendor that tells speech from silence by its loudness.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::json;
use tandem_media::codec;
use tandem_media::leg::Codec;
use tandem_test_vendors::{Asked, FakeVendor, Heard, Script, Step};

use super::*;
use crate::recognizer_conformance::{self, Subject};
use crate::socket_conformance::{self, SocketVendor, spoken, yes};
use crate::{Recognizer, RecognizerEvent};

/// Mean magnitude from which a frame is speech.
const LOUD: u32 = 300;
/// Milliseconds of speech that are a word.
const WORD_MS: u64 = 100;

/// What `/v1/listen` does with one connection: any speech is a "yes".
struct Listen {
    mu_law: bool,
    rate: u64,
    /// Samples since the beginning, of this segment's beginning, and of speech in it.
    heard: u64,
    segment: u64,
    loud: u64,
    told: bool,
    /// Whether `Finalize` is answered where there was nothing but silence.
    answers_silence: bool,
}

impl Listen {
    fn new(asked: &Asked) -> Self {
        let value = |name: &str| {
            let query = asked.path.split_once('?').map_or("", |(_, query)| query);
            query.split('&').find_map(|pair| pair.strip_prefix(name)).map(str::to_owned)
        };
        let rate = value("sample_rate=").unwrap().parse().unwrap();
        let mu_law = value("encoding=").unwrap() == "mulaw";
        Self { mu_law, rate, heard: 0, segment: 0, loud: 0, told: false, answers_silence: true }
    }

    fn hear(&mut self, heard: &Heard) -> Vec<Step> {
        match heard {
            Heard::Opened => Vec::new(),
            Heard::Binary(bytes) => self.listen(bytes),
            Heard::Text(text) => match text.as_str() {
                r#"{"type":"Finalize"}"# => {
                    let silent = !self.spoke();
                    let answer = self.result(true, true);
                    (self.segment, self.loud, self.told) = (self.heard, 0, false);
                    if silent && !self.answers_silence { Vec::new() } else { vec![answer] }
                }
                r#"{"type":"KeepAlive"}"# => Vec::new(),
                r#"{"type":"CloseStream"}"# => {
                    let metadata = json!({ "type": "Metadata", "transaction_key": "deprecated", "channels": 1 });
                    vec![Step::Send(metadata.to_string()), Step::Close(1000, String::new())]
                }
                other => panic!("{other}"),
            },
        }
    }

    fn listen(&mut self, bytes: &[u8]) -> Vec<Step> {
        let mut samples = Vec::new();
        match self.mu_law {
            true => codec::decode(Codec::Pcmu, bytes, &mut samples),
            false => samples.extend(bytes.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two))),
        }
        self.heard += samples.len() as u64;
        let sum: u32 = samples.iter().map(|sample| u32::from(sample.unsigned_abs())).sum();
        if sum.checked_div(samples.len() as u32).unwrap_or(0) >= LOUD {
            self.loud += samples.len() as u64;
        }
        if self.spoke() && !std::mem::replace(&mut self.told, true) {
            return vec![self.result(false, false)];
        }
        Vec::new()
    }

    fn spoke(&self) -> bool {
        self.loud * 1000 >= WORD_MS * self.rate
    }

    fn result(&self, is_final: bool, from_finalize: bool) -> Step {
        let seconds = |samples: u64| samples as f64 / self.rate as f64;
        let (start, end) = (seconds(self.segment), seconds(self.heard));
        let word = json!({ "word": "yes", "start": start, "end": end, "confidence": 0.98, "punctuated_word": "yes" });
        let (text, words) = if self.spoke() { ("yes", vec![word]) } else { ("", Vec::new()) };
        let said = json!({ "transcript": text, "confidence": 0.98, "words": words });
        let message = json!({ "type": "Results", "channel_index": [0, 1], "duration": end - start, "start": start,
            "is_final": is_final, "speech_final": false, "from_finalize": from_finalize,
            "channel": { "alternatives": [said] } });
        Step::Send(message.to_string())
    }
}

/// A partner for each connection; what it hears is told as well.
fn script(asked: &Asked, said: Option<SyncSender<String>>) -> Script {
    let asked = asked.clone();
    Script::socket(move || {
        let (mut listen, said) = (Listen::new(&asked), said.clone());
        move |heard| {
            if let (Heard::Text(text), Some(said)) = (&heard, &said) {
                said.send(text.clone()).unwrap();
            }
            listen.hear(&heard)
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
    let at = |rate| deepgram.line(rate, "en-US");
    recognizer_conformance::run(&Subject { at: &at, yes: &yes(), grammars: false }).await;
    let asked = fake.asked();
    assert_eq!(asked[0].headers["authorization"], "Token KEY");
    assert!(asked[0].path.starts_with("/v1/listen?model=nova-3&language=en-US&encoding=mulaw&sample_rate=8000&"));
}

#[tokio::test]
async fn survives_what_a_vendor_can_do() {
    socket_conformance::run(&SocketVendor {
        line: |url| deepgram(url).line(8_000, "en-US"),
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
            let mut listen = Listen { answers_silence: false, ..Listen::new(&asked) };
            move |heard| listen.hear(&heard)
        })
    })
    .unwrap();
    let line = deepgram(&fake.url("")).line(8_000, "en-US");
    assert_eq!(spoken(line.as_ref(), &[0; 4_000]).await, RecognizerEvent::Rejected);
    assert!(matches!(spoken(line.as_ref(), &yes()).await, RecognizerEvent::Final { .. }));
    assert_eq!(fake.asked().len(), 1, "it is the same socket");
}

#[tokio::test]
async fn a_silent_line_is_kept_and_a_dropped_one_says_farewell() {
    let (fake, texts) = overheard();
    let line = deepgram(&fake.url("")).line(8_000, "en-US");
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
    let mut lines: Vec<_> = (0..5).map(|_| deepgram.line(8_000, "en-US")).collect();
    for line in &lines {
        assert!(matches!(spoken(line.as_ref(), &yes()).await, RecognizerEvent::Final { .. }));
    }
    let one_more = deepgram.line(8_000, "en-US");
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
    let line = deepgram(&fake.url("")).line(8_000, "en-US");
    let request = crate::RecognizeRequest { grammar: crate::Grammar::Open, rate: 16_000, language: "en".to_owned() };
    let error = Recognizer::listen(line.as_ref(), request).unwrap_err();
    assert_eq!(error.to_string(), "deepgram cannot take audio of 16000 Hz on a line of 8000 Hz");
}
