//! What every recognizer keeps to. Each implementation's tests run this.

use std::sync::Arc;
use std::time::Duration;

use crate::{Grammar, Recognition, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput, SpeechError};

/// How long a test waits for an event before it says that there is none.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the cases have to know of the one that they run on.
pub(crate) struct Subject<'a> {
    /// One that takes audio of this rate: the same for all of them, or one for each.
    pub(crate) at: &'a dyn Fn(u32) -> Arc<dyn Recognizer>,
    /// Speech that says "yes", mono at 8 kHz, with some silence around it.
    pub(crate) yes: &'a [i16],
    /// Grammars and languages are its own. Otherwise they are a matter of its configuration, and none is refused.
    pub(crate) grammars: bool,
}

pub(crate) async fn run(subject: &Subject<'_>) {
    let (recognizer, yes) = ((subject.at)(8000), subject.yes);
    let recognizer = recognizer.as_ref();
    let info = recognizer.info();
    assert!(!info.name.is_empty() && !info.quality.is_empty());
    hears_what_the_grammar_holds(recognizer, yes).await;
    rejects_silence(recognizer).await;
    ends_after_finish_with_no_audio(recognizer).await;
    takes_other_rates(subject).await;
    refuses_what_it_cannot_do(recognizer, subject.grammars);
    says_busy_and_recovers_when_dropped(recognizer, yes).await;
    follows_one_that_was_dropped(recognizer, yes).await;
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
            RecognizerEvent::Partial { text } | RecognizerEvent::EndOfTurn { text, eager: true, .. } => {
                assert!(!text.is_empty());
            }
            RecognizerEvent::TurnResumed => {}
            last => {
                assert_eq!(recognition.events.recv().await, None, "nothing after the last event");
                return last;
            }
        }
    }
}

fn assert_yes(event: &RecognizerEvent) {
    let (RecognizerEvent::Final { text, confidence } | RecognizerEvent::EndOfTurn { text, confidence, eager: false }) =
        event
    else {
        panic!("{event:?}")
    };
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

async fn takes_other_rates(subject: &Subject<'_>) {
    for rate in [16_000u32, 24_000, 48_000] {
        // Each sample held: what a sound card makes of a telephone line.
        let held: Vec<i16> = subject.yes.iter().flat_map(|&s| std::iter::repeat_n(s, rate as usize / 8000)).collect();
        let recognizer = (subject.at)(rate);
        let recognition = recognizer.listen(yes_or_no(rate)).expect("listens");
        push(&recognition, &held, rate).await;
        assert_yes(&end(recognition).await);
    }
}

fn refuses_what_it_cannot_do(recognizer: &dyn Recognizer, grammars: bool) {
    let nonsense = RecognizeRequest { language: "xx".to_owned(), ..yes_or_no(8000) };
    let no_rate = yes_or_no(0);
    let no_phrases = RecognizeRequest { grammar: Grammar::Phrases { phrases: Vec::new() }, ..yes_or_no(8000) };
    let no_grammars = if grammars { vec![nonsense, no_phrases] } else { Vec::new() };
    for request in no_grammars.into_iter().chain([no_rate]) {
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

/// The session gives one up and begins the next in the same breath: nothing of the first is in the second.
async fn follows_one_that_was_dropped(recognizer: &dyn Recognizer, yes: &[i16]) {
    let first = recognizer.listen(yes_or_no(8000)).expect("listens");
    push(&first, yes, 8000).await;
    drop(first);
    let second = recognizer.listen(yes_or_no(8000)).expect("listens at once");
    push(&second, &[0; 4800], 8000).await;
    assert_eq!(end(second).await, RecognizerEvent::Rejected);
}
