use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_media::codec;
use tandem_media::leg::Codec;
use tandem_models::Limits;
use tandem_test_vendors::{Asked, FakeVendor, Heard, Partner, Script, Step};

use super::*;
use crate::voice_vendor_conformance::{Answer, Vendor};
use crate::{SpeakRequest, SpeechError, Voice, VoiceEvent, voice_conformance};

/// The deadline of what does not come, not a speed.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the fake says of a character, and of a chunk, milliseconds.
const CHARACTER: usize = 60;
const CHUNK: usize = 250;

/// ElevenLabs as it documents itself: a tone of 60 ms a character, in chunks of 250 ms.
struct Fake {
    rate: usize,
    mu_law: bool,
    texts: HashMap<String, String>,
}

fn fake(asked: &Asked) -> Partner {
    let format = asked.path.split("output_format=").nth(1).unwrap().split('&').next().unwrap();
    let (kind, rate) = format.split_once('_').unwrap();
    let mut fake = Fake { rate: rate.parse().unwrap(), mu_law: kind == "ulaw", texts: HashMap::new() };
    Box::new(move |heard| match heard {
        Heard::Text(text) => fake.take(&serde_json::from_str(&text).unwrap()),
        Heard::Opened | Heard::Binary(_) => Vec::new(),
    })
}

/// The socket of one utterance.
fn single(asked: &Asked) -> Partner {
    assert!(asked.path.contains("/stream-input?"), "{asked:?}");
    let (mut partner, mut ended) = (fake(asked), false);
    Box::new(move |heard| {
        let Heard::Text(text) = heard else { return Vec::new() };
        assert!(!std::mem::take(&mut ended), "nothing follows the end of the text: {text}");
        let mut message: Value = serde_json::from_str(&text).unwrap();
        assert!(message.get("context_id").is_none(), "{text}");
        message["context_id"] = "only".into();
        ended = message["text"] == "";
        if ended {
            message["close_context"] = true.into();
        }
        let mut steps = partner(Heard::Text(message.to_string()));
        for step in &mut steps {
            if let Step::Send(text) = step {
                let mut message: Value = serde_json::from_str(text).unwrap();
                message.as_object_mut().unwrap().remove("contextId");
                *text = message.to_string();
            }
        }
        steps.extend(ended.then(|| Step::Close(1000, String::new())));
        steps
    })
}

impl Fake {
    fn take(&mut self, message: &Value) -> Vec<Step> {
        if message.get("close_socket").is_some() {
            return vec![Step::Close(1000, String::new())];
        }
        let Some(context) = message.get("context_id").and_then(Value::as_str) else { return Vec::new() };
        if message.get("close_context").is_some() {
            let text = self.texts.remove(context).unwrap();
            return self.speak(context, text.strip_prefix(' ').unwrap());
        }
        let text = message["text"].as_str().unwrap();
        assert!(text.ends_with(' '), "the vendor wants a blank at the end");
        assert!(self.texts.contains_key(context) || text == " ", "a context is opened by a blank");
        self.texts.entry(context.to_owned()).or_default().push_str(text);
        Vec::new()
    }

    fn speak(&self, context: &str, text: &str) -> Vec<Step> {
        let characters: Vec<char> = text.chars().collect();
        let whole = characters.len() * CHARACTER;
        let mut steps = Vec::new();
        for begins in (0..whole).step_by(CHUNK) {
            let ends = (begins + CHUNK).min(whole);
            let within = (begins.div_ceil(CHARACTER)..characters.len()).take_while(|at| at * CHARACTER < ends);
            let within: Vec<usize> = within.collect();
            let alignment = json!({
                "chars": within.iter().map(|&at| characters[at].to_string()).collect::<Vec<_>>(),
                "charStartTimesMs": within.iter().map(|at| at * CHARACTER - begins).collect::<Vec<_>>(),
                "charDurationsMs": vec![CHARACTER; within.len()],
            });
            let alignment = if within.is_empty() { Value::Null } else { alignment };
            let audio = STANDARD.encode(self.tone(begins, ends));
            let other = json!({ "chars": ["x", "y"], "charStartTimesMs": [0, 1], "charDurationsMs": [1, 1] });
            let message = json!({ "audio": audio, "isFinal": null, "alignment": alignment,
                                  "normalizedAlignment": other, "contextId": context });
            steps.push(Step::Send(message.to_string()));
        }
        steps.push(Step::Send(json!({ "audio": null, "isFinal": true, "contextId": context }).to_string()));
        steps
    }

    fn tone(&self, begins: usize, ends: usize) -> Vec<u8> {
        let at = |ms: usize| ms * self.rate / 1000;
        let sine = |index: usize| ((index as f64 * 2765.0 / self.rate as f64).sin() * 9000.0) as i16;
        let samples: Vec<i16> = (at(begins)..at(ends)).map(sine).collect();
        let mut bytes = Vec::new();
        match self.mu_law {
            true => codec::encode(Codec::Pcmu, &samples, &mut bytes),
            false => bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
        }
        bytes
    }
}

fn vendor(config: ElevenLabsConfig) -> ElevenLabs {
    ElevenLabs::new(config).unwrap()
}

fn config(base_url: String, limits: Limits) -> ElevenLabsConfig {
    ElevenLabsConfig { base_url, limits, ..ElevenLabsConfig::default() }
}

fn well() -> FakeVendor {
    FakeVendor::answering(|_, asked| {
        let asked = asked.clone();
        Script::Socket(std::sync::Arc::new(move || fake(&asked)))
    })
    .unwrap()
}

#[tokio::test]
async fn conforms() {
    let fake = well();
    for rate in [8_000, 24_000] {
        let voice = vendor(config(fake.url("/v1"), Limits::default())).line("", rate, Some("en-US")).unwrap();
        voice_conformance::run(voice).await;
    }
    let asked = fake.asked().remove(0);
    let voice = ElevenLabsConfig::VOICE;
    assert!(asked.path.starts_with(&format!("/v1/text-to-speech/{voice}/multi-stream-input?model_id=")), "{asked:?}");
}

#[tokio::test]
async fn keeps_to_its_word_when_the_vendor_does_not() {
    crate::voice_vendor_conformance::run(Vendor {
        make: |base, key, limits| {
            let key = Some(key.to_owned().into());
            vendor(ElevenLabsConfig { key, ..config(base, limits) }).line("", 8_000, None).unwrap()
        },
        answer: Answer::Socket(fake),
        is_audio: |step| matches!(step, Step::Send(text) if text.contains("\"audio\":\"")),
        key: ("xi-api-key", "KEY"),
    })
    .await;
}

fn in_singles(config: ElevenLabsConfig) -> std::sync::Arc<dyn Voice> {
    vendor(ElevenLabsConfig { socket: Socket::Single, ..config }).line("", 8_000, Some("en-US")).unwrap()
}

fn well_in_singles() -> FakeVendor {
    FakeVendor::answering(|_, asked| {
        let asked = asked.clone();
        Script::Socket(std::sync::Arc::new(move || single(&asked)))
    })
    .unwrap()
}

#[tokio::test]
async fn a_socket_for_each_utterance_conforms() {
    let fake = well_in_singles();
    voice_conformance::run(in_singles(config(fake.url("/v1"), Limits::default()))).await;
}

#[tokio::test]
async fn a_socket_for_each_utterance_keeps_to_its_word_when_the_vendor_does_not() {
    crate::voice_vendor_conformance::run(Vendor {
        make: |base, key, limits| {
            let key = Some(key.to_owned().into());
            in_singles(ElevenLabsConfig { key, ..config(base, limits) })
        },
        answer: Answer::Socket(single),
        is_audio: |step| matches!(step, Step::Send(text) if text.contains("\"audio\":\"")),
        key: ("xi-api-key", "KEY"),
    })
    .await;
}

/// Also where the node may have no second connection: then it is dialled when it is needed.
#[tokio::test]
async fn the_socket_of_the_next_utterance_is_dialled_while_one_is_spoken() {
    for (max_connections, dialled) in [(10, 3), (1, 2)] {
        let fake = well_in_singles();
        let voice = in_singles(ElevenLabsConfig { max_connections, ..config(fake.url(""), Limits::default()) });
        for text in ["Room 20.", "Good day."] {
            let (words, _) = words(voice.as_ref(), text).await;
            let said: Vec<_> = words.into_iter().map(|(word, ..)| word).collect();
            assert_eq!(said.join(" "), text);
        }
        let mut asked = 0;
        let all = async {
            while asked < dialled {
                asked += fake.asked().len();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("it is dialled ahead");
        assert_eq!(asked, dialled);
    }
}

/// All of a node's connections are taken: who speaks keeps their own between two utterances, and beyond an interruption.
#[tokio::test]
async fn a_conversation_keeps_its_place_from_socket_to_socket() {
    let fake = well_in_singles();
    let limited = ElevenLabsConfig { max_connections: 1, ..config(fake.url(""), Limits::default()) };
    let node = vendor(ElevenLabsConfig { socket: Socket::Single, ..limited });
    let voice = node.line("", 8_000, None).unwrap();
    for interrupted in [false, true, false] {
        if interrupted {
            let request = SpeakRequest { text: "I could go on and on.".to_owned(), rate: 8_000 };
            voice.speak(request).unwrap().recv().await.unwrap();
        } else {
            words(voice.as_ref(), "Good day.").await;
        }
        // Until its connection is closed, and after.
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(matches!(node.line("", 8_000, None).map(drop), Err(SpeechError::Busy { limit: 1, .. })));
        }
    }
    drop(voice);
    let free = async {
        while node.line("", 8_000, None).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("its place is free again");
}

/// The vendor stands still in the middle of what nobody listens to any more.
#[tokio::test]
async fn who_interrupts_an_utterance_does_not_wait_for_its_socket() {
    let fake = FakeVendor::answering(|number, asked| {
        let asked = asked.clone();
        Script::Socket(std::sync::Arc::new(move || {
            let mut partner = single(&asked);
            Box::new(move |heard| {
                let mut steps = partner(heard);
                if number == 0 && steps.len() > 1 {
                    steps.truncate(1);
                    steps.push(Step::Stall);
                }
                steps
            })
        }))
    })
    .unwrap();
    let patient = Limits { first: PATIENCE * 2, gap: PATIENCE * 2 };
    let voice = in_singles(config(fake.url(""), patient));
    let mut interrupted = voice.speak(SpeakRequest { text: "I could go on and on.".to_owned(), rate: 8_000 }).unwrap();
    interrupted.recv().await.unwrap();
    drop(interrupted);
    let next = tokio::time::timeout(PATIENCE, words(voice.as_ref(), "Good day.")).await.expect("at once");
    assert_eq!(next.0.len(), 2);
}

/// The words of an utterance, and how much audio there was.
async fn words(voice: &dyn Voice, text: &str) -> (Vec<(String, u64, u64)>, u64) {
    let mut events = voice.speak(SpeakRequest { text: text.to_owned(), rate: 8_000 }).unwrap();
    let (mut words, mut samples) = (Vec::new(), 0);
    loop {
        match events.recv().await.unwrap() {
            VoiceEvent::Audio(audio) => samples += audio.len() as u64,
            VoiceEvent::Words(more) => words.extend(more.into_iter().map(|word| (word.text, word.start, word.end))),
            VoiceEvent::Done => return (words, samples),
            VoiceEvent::Failed(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn words_stand_where_they_are_said() {
    let fake = well();
    let voice = vendor(config(fake.url(""), Limits::default())).line("", 8_000, None).unwrap();
    let (words, samples) = words(voice.as_ref(), "  Room 20,\n\"please\".").await;
    let at = |characters: u64| characters * 480;
    assert_eq!(samples, at(19), "with the blank at the end");
    assert_eq!(
        words,
        [("Room".to_owned(), 0, at(4)), ("20,".to_owned(), at(5), at(7)), ("\"please\".".to_owned(), at(10), at(16)),]
    );
}

#[tokio::test]
async fn the_socket_is_there_before_the_first_word_and_told_when_it_is_over() {
    let (told, hears) = std::sync::mpsc::channel();
    let fake = FakeVendor::answering(move |_, asked| {
        let (asked, told) = (asked.clone(), told.clone());
        Script::Socket(std::sync::Arc::new(move || {
            let (mut partner, told) = (fake(&asked), told.clone());
            Box::new(move |heard| {
                told.send(heard.clone()).unwrap();
                partner(heard)
            })
        }))
    })
    .unwrap();
    let voice = vendor(config(fake.url(""), Limits::default())).line("", 8_000, None).unwrap();
    let hears = tokio::task::spawn_blocking(move || {
        assert_eq!(hears.recv(), Ok(Heard::Opened));
        hears
    })
    .await
    .unwrap();
    words(voice.as_ref(), "Good day.").await;
    drop(voice);
    let texts: Vec<Heard> = tokio::task::spawn_blocking(move || {
        let goodbye = |heard: &Heard| *heard == Heard::Text("{\"close_socket\":true}".to_owned());
        let mut texts = Vec::new();
        while !texts.last().is_some_and(goodbye) {
            texts.push(hears.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        texts
    })
    .await
    .unwrap();
    assert_eq!(texts.len(), 4, "opened, text, closed, goodbye: {texts:?}");
}

#[tokio::test]
async fn a_node_has_so_many_connections() {
    let fake = well();
    let node = vendor(ElevenLabsConfig { max_connections: 1, ..config(fake.url(""), Limits::default()) });
    let first = node.line("", 8_000, None).unwrap();
    assert!(matches!(node.line("", 8_000, None).map(drop), Err(SpeechError::Busy { limit: 1, .. })));
    words(first.as_ref(), "Still here.").await;
    assert!(matches!(node.line("../x", 8_000, None).map(drop), Err(SpeechError::NotSupported { .. })));
}

#[tokio::test]
async fn an_error_of_the_vendor_is_told_as_what_it_means() {
    for (error, retry) in [("quota_exceeded", false), ("internal_error", true)] {
        let fake = FakeVendor::start([Script::socket(move || {
            move |heard| match heard {
                Heard::Text(_) => {
                    vec![Step::Send(json!({ "message": "no", "error": error, "code": 1011 }).to_string())]
                }
                Heard::Opened | Heard::Binary(_) => Vec::new(),
            }
        })])
        .unwrap();
        let voice = vendor(config(fake.url(""), Limits::default())).line("", 8_000, None).unwrap();
        let mut events = voice.speak(SpeakRequest { text: "Hello.".to_owned(), rate: 8_000 }).unwrap();
        let why = format!("it says {error}");
        let failed = SpeechError::Failed { engine: "elevenlabs".to_owned(), why, retry };
        assert_eq!(events.recv().await, Some(VoiceEvent::Failed(failed)));
    }
}
