//! Flux against a vendor that tells speech from silence by its loudness.

use serde_json::json;
use tandem_media::codec;
use tandem_media::leg::Codec;
use tandem_test_vendors::{Asked, FakeVendor, Heard, Script, Step};

use crate::deepgram::{Deepgram, DeepgramConfig, FluxConfig, KEY_SETTING};
use crate::recognizer_conformance::{self, Subject};
use crate::socket_conformance::{self, SocketVendor, listen, yes};
use crate::{RecognizerEvent, RecognizerInput};

/// Mean magnitude from which a frame is speech.
const LOUD: u32 = 300;
/// Milliseconds of speech that are a word, and of silence after it that end the turn.
const WORD_MS: u64 = 100;
const PAUSE_MS: u64 = 500;

/// What `/v2/listen` does with one connection: any speech is a "yes".
struct Listen {
    mu_law: bool,
    rate: u64,
    /// Samples since the beginning, and of speech and of silence after it in this turn.
    heard: u64,
    loud: u64,
    quiet: u64,
    turn: u64,
    active: bool,
}

impl Listen {
    fn new(asked: &Asked) -> Self {
        let rates = [8_000, 16_000, 24_000, 48_000];
        let rate = rates.into_iter().find(|rate| asked.path.contains(&format!("sample_rate={rate}"))).unwrap();
        let mu_law = asked.path.contains("encoding=mulaw");
        Self { mu_law, rate, heard: 0, loud: 0, quiet: 0, turn: 0, active: false }
    }

    fn hear(&mut self, heard: &Heard) -> Vec<Step> {
        match heard {
            Heard::Opened => vec![Step::Send(json!({ "type": "Connected", "sequence_id": 0 }).to_string())],
            Heard::Binary(bytes) => self.listen(bytes),
            Heard::Text(text) => match text.as_str() {
                r#"{"type":"ForceEndTurn"}"# if self.active => self.end("manual"),
                r#"{"type":"ForceEndTurn"}"# => Vec::new(),
                // It closes without a status.
                r#"{"type":"CloseStream"}"# => vec![Step::Die],
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
        let length = samples.len() as u64;
        self.heard += length;
        let sum: u32 = samples.iter().map(|sample| u32::from(sample.unsigned_abs())).sum();
        if sum.checked_div(samples.len() as u32).unwrap_or(0) >= LOUD {
            (self.loud, self.quiet) = (self.loud + length, 0);
        } else {
            self.quiet += length;
        }
        if !self.active && self.loud * 1000 >= WORD_MS * self.rate {
            self.active = true;
            return vec![self.info("StartOfTurn", 0.1)];
        }
        if self.active && self.quiet * 1000 >= PAUSE_MS * self.rate {
            let eager = self.info("EagerEndOfTurn", 0.6);
            return std::iter::once(eager).chain(self.end("model")).collect();
        }
        Vec::new()
    }

    fn end(&mut self, trigger: &str) -> Vec<Step> {
        let Step::Send(info) = self.info("EndOfTurn", 0.9) else { unreachable!() };
        let info = info.replace(r#""type":"#, &format!(r#""trigger":"{trigger}","type":"#));
        (self.active, self.loud, self.turn) = (false, 0, self.turn + 1);
        vec![Step::Send(info)]
    }

    fn info(&self, event: &str, confidence: f32) -> Step {
        let seconds = |samples: u64| samples as f64 / self.rate as f64;
        let (start, end) = (seconds(self.heard - self.loud - self.quiet), seconds(self.heard - self.quiet));
        let word = json!({ "word": "yes", "confidence": 0.9, "start": start, "end": end });
        let message = json!({ "type": "TurnInfo", "request_id": "r", "sequence_id": 1, "event": event,
            "turn_index": self.turn, "audio_window_start": 0.0, "audio_window_end": seconds(self.heard),
            "transcript": "yes", "words": [word], "end_of_turn_confidence": confidence });
        Step::Send(message.to_string())
    }
}

fn script(asked: &Asked) -> Script {
    let asked = asked.clone();
    Script::socket(move || {
        let mut listen = Listen::new(&asked);
        move |heard| listen.hear(&heard)
    })
}

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
    let fake = FakeVendor::answering(|_, asked| script(asked)).unwrap();
    let deepgram = flux(&fake.url(""));
    let at = |rate| deepgram.line(rate, "en-US");
    recognizer_conformance::run(&Subject { at: &at, yes: &yes(), grammars: false }).await;
    let asked = fake.asked();
    assert_eq!(asked[0].headers["authorization"], "Token KEY");
    let path = "/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000&eager_eot_threshold=0.5";
    assert_eq!(asked[0].path, path);
}

#[tokio::test]
async fn survives_what_a_vendor_can_do() {
    socket_conformance::run(&SocketVendor {
        line: |url| flux(url).line(8_000, "en-US"),
        script,
        setting: KEY_SETTING,
        error: r#"{"type":"Error","sequence_id":1,"code":"INTERNAL_SERVER_ERROR","description":"no"}"#,
    })
    .await;
}

#[tokio::test]
async fn its_own_end_of_a_turn_is_told() {
    let fake = FakeVendor::answering(|_, asked| script(asked)).unwrap();
    let line = flux(&fake.url("")).line(8_000, "en-US");
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
