use tandem_speech_engines::flite::{FliteVoice, FliteVoiceName};

use super::*;
use crate::RecognizerInput;
use crate::catalog;

/// "yes" by flite at 8 kHz: 400 ms of silence, the word, some silence.
fn yes() -> Option<Vec<i16>> {
    spoken("yes")
}

fn spoken(text: &str) -> Option<Vec<i16>> {
    let Ok(voice) = FliteVoice::load(FliteVoiceName::Rms) else {
        println!("SKIPPED-PEER flite");
        return None;
    };
    let speech = voice.synthesize(text);
    let mut audio = vec![0; 3200];
    audio.extend(tandem_media::resample::resample(&speech.samples, speech.rate, 8000).unwrap());
    audio.resize(audio.len() + 2400, 0);
    Some(audio)
}

fn recognizer(threads: usize) -> Option<PocketsphinxRecognizer> {
    let started = PocketsphinxRecognizer::start(threads);
    if let Err(error) = &started {
        println!("SKIPPED-PEER pocketsphinx ({error})");
    }
    started.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let (Some(recognizer), Some(yes)) = (recognizer(1), yes()) else { return };
    let at = move |_| Arc::new(recognizer.clone()) as Arc<dyn Recognizer>;
    let subject = crate::recognizer_conformance::Subject { at: &at, yes: &yes, grammars: true };
    crate::recognizer_conformance::run(&subject).await;
}

async fn hear(recognizer: &PocketsphinxRecognizer, grammar: &Grammar, text: &str) -> Option<RecognizerEvent> {
    let request = RecognizeRequest { grammar: grammar.clone(), rate: 8000, language: "en".to_owned() };
    let audio = spoken(text)?;
    let mut recognition = recognizer.listen(request).unwrap();
    for frame in audio.chunks(160) {
        recognition.audio.send(RecognizerInput::Audio(frame.into())).await.unwrap();
    }
    recognition.audio.send(RecognizerInput::Finish).await.unwrap();
    loop {
        match recognition.events.recv().await.unwrap() {
            RecognizerEvent::Partial { .. } => {}
            last => return Some(last),
        }
    }
}

#[tokio::test]
async fn grammars_of_every_kind() {
    let Some(recognizer) = recognizer(2) else { return };
    let menu = ["opening hours", "book an appointment", "a person"].map(str::to_owned).to_vec();
    let jsgf = "#JSGF V1.0;\ngrammar cards;\npublic <card> = the (ace | ten) of (hearts | clubs);\n";
    let cases = [
        (Grammar::Phrases { phrases: menu }, "Opening hours!", "opening hours"),
        (Grammar::Digits { min: 5, max: 5 }, "five two six oh one", "five two six oh one"),
        (Grammar::Jsgf { source: jsgf.to_owned() }, "the ten of clubs", "the ten of clubs"),
    ];
    for (grammar, said, text) in cases {
        assert!(catalog::check_words(&grammar).unwrap().is_empty());
        assert_eq!(catalog::check_grammar(&grammar), Ok(()));
        let Some(heard) = hear(&recognizer, &grammar, said).await else { return };
        assert!(matches!(&heard, RecognizerEvent::Final { text: heard, .. } if heard == text), "{heard:?}");
        let other = hear(&recognizer, &grammar, "what is the weather like in the mountains today").await;
        assert_eq!(other, Some(RecognizerEvent::Rejected));
    }
}

#[test]
fn grammars_are_checked() {
    if recognizer(1).is_none() {
        return;
    }
    let grammar = Grammar::Phrases { phrases: vec!["qxzzy please".to_owned()] };
    assert_eq!(catalog::check_words(&grammar).unwrap(), ["qxzzy"]);
    let malformed = Grammar::Jsgf { source: "#JSGF V1.0; grammar g; public <g> = (yes;".to_owned() };
    assert!(matches!(catalog::check_grammar(&malformed), Err(SpeechError::NotSupported { .. })));
}
