//! What every voice keeps to. Each implementation's tests run this.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::{AlignedWord, SpeakRequest, SpeechError, Voice, VoiceEvent};

/// How long a test waits for an event before it says that there is none.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Heard {
    samples: u64,
    words: Vec<AlignedWord>,
    /// Words that came after audio that they lie in.
    late: usize,
}

/// Runs all checks, inside a runtime.
pub(crate) async fn run(voice: Arc<dyn Voice>) {
    names_itself(voice.as_ref());
    for rate in [8000, 16000, 24000, 48000] {
        says_all_words_in_order(voice.as_ref(), rate).await;
    }
    the_same_prompt_twice_is_the_same(voice.as_ref()).await;
    says_nothing_for_nothing(voice.as_ref()).await;
    refuses_what_it_cannot_do(voice.as_ref());
    many_at_once_each_get_all(voice.as_ref()).await;
    dropping_cancels(voice.as_ref()).await;
}

fn request(text: &str, rate: u32) -> SpeakRequest {
    SpeakRequest { text: text.to_owned(), rate }
}

/// Reads to the one last event; panics on anything after it, or on a failure.
async fn listen(mut events: mpsc::Receiver<VoiceEvent>) -> Heard {
    let mut heard = Heard::default();
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("an event in time");
        match event.expect("ends with Done, not by closing") {
            VoiceEvent::Audio(samples) => {
                assert!(!samples.is_empty());
                heard.samples += samples.len() as u64;
            }
            VoiceEvent::Words(words) => {
                heard.late += words.iter().filter(|word| word.end < heard.samples).count();
                heard.words.extend(words);
            }
            VoiceEvent::Done => break,
            VoiceEvent::Failed(error) => panic!("{error}"),
        }
    }
    assert_eq!(events.recv().await, None, "nothing after the last event");
    heard
}

fn names_itself(voice: &dyn Voice) {
    let info = voice.info();
    assert!(!info.name.is_empty() && !info.quality.is_empty());
}

async fn says_all_words_in_order(voice: &dyn Voice, rate: u32) {
    let text = "Welcome to the clinic. You can book an appointment, or ask for a person!";
    let heard = listen(voice.speak(request(text, rate)).expect("speaks")).await;
    let seconds = heard.samples as f64 / f64::from(rate);
    assert!((2.0..15.0).contains(&seconds), "{seconds} s of audio at {rate} Hz");
    assert_eq!(heard.late, 0, "words come before their audio");
    if heard.words.is_empty() {
        return;
    }
    let texts: Vec<&str> = heard.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts.join(" "), text);
    assert!(heard.words.iter().all(|word| word.start < word.end), "{:?}", heard.words);
    assert!(heard.words.windows(2).all(|pair| pair[0].end <= pair[1].start), "{:?}", heard.words);
    assert!(heard.words.last().is_some_and(|word| word.end <= heard.samples));
}

async fn the_same_prompt_twice_is_the_same(voice: &dyn Voice) {
    let first = listen(voice.speak(request("Say this twice.", 8000)).expect("speaks")).await;
    let second = listen(voice.speak(request("Say this twice.", 8000)).expect("speaks")).await;
    assert_eq!((first.samples, &first.words), (second.samples, &second.words));
    assert!(first.samples > 0);
}

async fn says_nothing_for_nothing(voice: &dyn Voice) {
    for text in ["", "   ", "-", "..."] {
        let heard = listen(voice.speak(request(text, 8000)).expect("speaks")).await;
        assert!(heard.words.is_empty());
    }
}

fn refuses_what_it_cannot_do(voice: &dyn Voice) {
    let too_long = "a ".repeat(100_000);
    for request in [request("a", 0), request("a", 1_000_000), request(&too_long, 8000)] {
        assert!(matches!(voice.speak(request), Err(SpeechError::NotSupported { .. })));
    }
}

async fn many_at_once_each_get_all(voice: &dyn Voice) {
    let running: Vec<_> =
        (0..40).map(|_| voice.speak(request("Forty callers hear this.", 8000)).expect("speaks")).collect();
    let mut lengths = Vec::new();
    for events in running {
        lengths.push(listen(events).await.samples);
    }
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]));
}

async fn dropping_cancels(voice: &dyn Voice) {
    for index in 0..10 {
        drop(voice.speak(request(&format!("Nobody hears number {index}. Nor this. Nor that."), 8000)));
    }
    let heard = listen(voice.speak(request("Still here.", 8000)).expect("speaks")).await;
    assert!(heard.samples > 0);
}
