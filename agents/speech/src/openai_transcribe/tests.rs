use std::sync::Arc;
use std::time::Duration;

use tandem_models::{Limits, client_builder};
use tandem_test_vendors::openai::transcription;
use tandem_test_vendors::{FakeVendor, Script, Step};

use super::*;
use crate::recognizer_conformance::{self, Subject};
use crate::socket_conformance::{spoken, yes};
use crate::{RecognizerEvent, SpeechError};

fn transcribe(url: &str) -> OpenAiTranscribe {
    let limits = Limits { first: Duration::from_millis(500), gap: Duration::from_millis(500) };
    let config = OpenAiTranscribeConfig {
        base_url: format!("{url}/v1/"),
        key: Some("KEY".to_owned().into()),
        max_connections: 5,
        limits,
        ..OpenAiTranscribeConfig::default()
    };
    OpenAiTranscribe::new(client_builder().build().unwrap(), config).unwrap()
}

fn json(steps: Vec<Step>) -> Script {
    Script::Stream { content_type: "application/json", steps }
}

#[tokio::test]
async fn conforms() {
    let fake = FakeVendor::answering(|_, asked| transcription(asked)).unwrap();
    let recognizer = Arc::new(transcribe(&fake.url("")));
    let at = |_| Arc::clone(&recognizer) as Arc<dyn crate::Recognizer>;
    recognizer_conformance::run(&Subject { at: &at, yes: &yes(), grammars: false }).await;
    let asked = &fake.asked()[0];
    assert_eq!(
        (asked.path.as_str(), &asked.headers["authorization"]),
        ("/v1/audio/transcriptions", &"Bearer KEY".parse().unwrap())
    );
    assert!(asked.headers["content-type"].to_str().unwrap().starts_with("multipart/form-data; boundary="));
    assert!(asked.body.contains("name=\"model\"\r\n\r\ngpt-4o-mini-transcribe\r\n"));
    assert!(asked.body.contains("name=\"language\"\r\n\r\nen\r\n"));
}

#[tokio::test]
async fn trouble_is_told() {
    type Expected = fn(&SpeechError) -> bool;
    let passes: Expected = |error| matches!(error, SpeechError::Failed { retry: true, .. });
    let half = || Step::Send(r#"{"text":"#.to_owned());
    let twice: Expected = |error| matches!(error, SpeechError::Failed { retry: false, .. });
    // And how often it is asked.
    let cases: [(Script, usize, Expected); 9] = [
        (
            Script::status(401, "{}"),
            1,
            |e| matches!(e, SpeechError::Unauthorized { setting, .. } if setting == KEY_SETTING),
        ),
        (Script::status(403, "{}"), 1, |e| matches!(e, SpeechError::Unauthorized { .. })),
        (Script::status(429, "{}"), 1, |e| matches!(e, SpeechError::RateLimited { .. })),
        (Script::status(400, "{}"), 1, |e| matches!(e, SpeechError::Failed { retry: false, .. })),
        (Script::status(500, "{}"), 2, twice),
        (Script::Silence, 1, passes),
        (json(vec![half(), Step::Die]), 2, twice),
        (json(vec![half(), Step::Stall]), 1, passes),
        (json(vec![Step::Send("<html>".to_owned())]), 1, passes),
    ];
    for (number, (script, tries, expected)) in cases.into_iter().enumerate() {
        let fake = FakeVendor::answering(move |n, asked| if n < tries { script.clone() } else { transcription(asked) })
            .unwrap();
        let recognizer = transcribe(&fake.url(""));
        match spoken(&recognizer, &yes()).await {
            RecognizerEvent::Failed(error) => assert!(expected(&error), "{number}: {error:?}"),
            other => panic!("{number}: {other:?}"),
        }
        let last = spoken(&recognizer, &yes()).await;
        assert_eq!(last, RecognizerEvent::Final { text: "yes".to_owned(), confidence: 1.0 }, "{number}");
    }
}

#[tokio::test]
async fn an_utterance_is_not_lost_with_one_request() {
    for script in [Script::status(503, "{}"), json(vec![Step::Send(r#"{"text":"#.to_owned()), Step::Die])] {
        let fake =
            FakeVendor::answering(move |n, asked| if n == 0 { script.clone() } else { transcription(asked) }).unwrap();
        let last = spoken(&transcribe(&fake.url("")), &yes()).await;
        assert_eq!(last, RecognizerEvent::Final { text: "yes".to_owned(), confidence: 1.0 });
        let asked = fake.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0].body, asked[1].body, "all of it");
    }
}
