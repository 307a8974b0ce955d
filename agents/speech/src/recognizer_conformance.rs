//! What every recognizer keeps to. Each implementation's tests run this.

use std::sync::Arc;
use std::time::Duration;

use crate::{Grammar, Recognition, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput, SpeechError};

/// How long a test waits for an event before it says that there is none.
const PATIENCE: Duration = Duration::from_secs(120);

/// Speech that says "yes", mono at 8 kHz, with some silence around it.
pub(crate) async fn run(recognizer: Arc<dyn Recognizer>, yes: &[i16]) {
    let info = recognizer.info();
    assert!(!info.name.is_empty() && !info.quality.is_empty());
    hears_what_the_grammar_holds(recognizer.as_ref(), yes).await;
    rejects_silence(recognizer.as_ref()).await;
    ends_after_finish_with_no_audio(recognizer.as_ref()).await;
    takes_other_rates(recognizer.as_ref(), yes).await;
    refuses_what_it_cannot_do(recognizer.as_ref());
    says_busy_and_recovers_when_dropped(recognizer.as_ref(), yes).await;
}

fn yes_or_no(rate: u32) -> RecognizeRequest {
    let phrases = ["yes", "no"].map(str::to_owned).to_vec();
    RecognizeRequest { grammar: Grammar::Phrases { phrases }, rate, language: "en-US".to_owned() }
}

async fn push(recognition: &Recognition, audio: &[i16], rate: u32) {
    for frame in audio.chunks(rate as usize / 50) {
        recognition.audio.send(RecognizerInput::Audio(frame.into())).await.expect("listens");
    }
}

/// The last event; panics when there is none, or anything after it.
async fn end(mut recognition: Recognition) -> RecognizerEvent {
    let _ = recognition.audio.send(RecognizerInput::Finish).await;
    loop {
        let event = tokio::time::timeout(PATIENCE, recognition.events.recv()).await.expect("an event in time");
        match event.expect("ends with an event, not by closing") {
            RecognizerEvent::Partial { text } => assert!(!text.is_empty()),
            last => {
                assert_eq!(recognition.events.recv().await, None, "nothing after the last event");
                return last;
            }
        }
    }
}

fn assert_yes(event: &RecognizerEvent) {
    let RecognizerEvent::Final { text, confidence } = event else { panic!("{event:?}") };
    assert_eq!(text, "yes");
    assert!((0.0..=1.0).contains(confidence));
}

async fn hears_what_the_grammar_holds(recognizer: &dyn Recognizer, yes: &[i16]) {
    let recognition = recognizer.listen(yes_or_no(8000)).expect("listens");
    push(&recognition, yes, 8000).await;
    assert_yes(&end(recognition).await);
}

async fn rejects_silence(recognizer: &dyn Recognizer) {
    let recognition = recognizer.listen(yes_or_no(8000)).expect("listens");
    push(&recognition, &[0; 8000], 8000).await;
    assert_eq!(end(recognition).await, RecognizerEvent::Rejected);
}

async fn ends_after_finish_with_no_audio(recognizer: &dyn Recognizer) {
    let recognition = recognizer.listen(yes_or_no(8000)).expect("listens");
    assert_eq!(end(recognition).await, RecognizerEvent::Rejected);
}

async fn takes_other_rates(recognizer: &dyn Recognizer, yes: &[i16]) {
    for rate in [16_000u32, 24_000, 48_000] {
        // Each sample held: what a sound card makes of a telephone line.
        let held: Vec<i16> = yes.iter().flat_map(|&s| std::iter::repeat_n(s, rate as usize / 8000)).collect();
        let recognition = recognizer.listen(yes_or_no(rate)).expect("listens");
        push(&recognition, &held, rate).await;
        assert_yes(&end(recognition).await);
    }
}

fn refuses_what_it_cannot_do(recognizer: &dyn Recognizer) {
    let nonsense = RecognizeRequest { language: "xx".to_owned(), ..yes_or_no(8000) };
    let no_rate = yes_or_no(0);
    let no_phrases = RecognizeRequest { grammar: Grammar::Phrases { phrases: Vec::new() }, ..yes_or_no(8000) };
    for request in [nonsense, no_rate, no_phrases] {
        assert!(matches!(recognizer.listen(request), Err(SpeechError::NotSupported { .. })));
    }
}

async fn says_busy_and_recovers_when_dropped(recognizer: &dyn Recognizer, yes: &[i16]) {
    let mut running = Vec::new();
    let busy = loop {
        match recognizer.listen(yes_or_no(8000)) {
            Ok(recognition) => running.push(recognition),
            Err(error) => break error,
        }
        assert!(running.len() < 10_000, "never busy");
    };
    // One that an earlier case gave up may still be on its way out.
    let SpeechError::Busy { engine, limit } = busy else { panic!("{busy:?}") };
    assert!(engine == recognizer.info().name && (1..=limit).contains(&running.len()), "{limit} and {}", running.len());
    for recognition in &running {
        push(recognition, &yes[..yes.len() / 2], 8000).await;
    }
    // One of them goes on to the end; the others are dropped in the middle.
    let last = running.pop().expect("one runs");
    drop(running);
    push(&last, &yes[yes.len() / 2..], 8000).await;
    assert_yes(&end(last).await);
    let free = async {
        while let Err(error) = recognizer.listen(yes_or_no(8000)) {
            assert!(matches!(error, SpeechError::Busy { .. }));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("a dropped recognition frees its place");
}
