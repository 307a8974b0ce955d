//! Over real sockets: a vendor that dies, and one that hears.

use std::sync::atomic::{AtomicUsize, Ordering};

use tandem_test_vendors::deepgram::Nova;
use tandem_test_vendors::{FakeVendor, Heard, Script, Step};

use super::*;
use crate::deepgram::{Deepgram, DeepgramConfig};
use crate::recognizer_conformance::{self, Subject};
use crate::socket_conformance::{listen, spoken, yes};

fn line(base_url: String, rate: u32) -> Arc<dyn Recognizer> {
    let config = DeepgramConfig { base_url, ..DeepgramConfig::default() };
    Deepgram::new(config).unwrap().line(rate, "en-US", true)
}

fn well() -> FakeVendor {
    FakeVendor::answering(|_, asked| Nova::script(asked)).unwrap()
}

/// Dies after so many frames of each connection.
fn dying(frames: usize) -> FakeVendor {
    FakeVendor::start([Script::socket(move || {
        let mut left = frames;
        move |heard| match heard {
            Heard::Binary(_) if left == 0 => vec![Step::Die],
            Heard::Binary(_) => {
                left -= 1;
                Vec::new()
            }
            Heard::Opened | Heard::Text(_) => Vec::new(),
        }
    })])
    .unwrap()
}

/// How often the second is opened, and the recognizer.
fn both(first: &FakeVendor, second: &FakeVendor, health: Arc<Health>) -> (Arc<AtomicUsize>, ResilientRecognizer) {
    let opened = Arc::new(AtomicUsize::new(0));
    let (count, second) = (Arc::clone(&opened), second.url(""));
    let open: Open<dyn Recognizer> = Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Some(line(second.clone(), 8_000))
    });
    let others = vec![StandIn { open, health: Some(Arc::default()) }];
    (opened, ResilientRecognizer::new(line(first.url(""), 8_000), 8_000, health, others))
}

fn is_yes(event: &RecognizerEvent) -> bool {
    matches!(event, RecognizerEvent::Final { text, .. } if text == "yes")
}

#[tokio::test]
async fn conforms() {
    let vendor = well();
    let at = |rate| {
        let (second, health) = (vendor.url(""), Arc::default());
        let open: Open<dyn Recognizer> = Box::new(move || Some(line(second.clone(), rate)));
        let others = vec![StandIn { open, health: None }];
        Arc::new(ResilientRecognizer::new(line(vendor.url(""), rate), rate, health, others)) as Arc<dyn Recognizer>
    };
    recognizer_conformance::run(&Subject { at: &at, yes: &yes(), grammars: false }).await;
    assert_eq!(vendor.asked().len(), 4, "one line a rate: nobody had to stand in");
}

/// The caller finishes when somebody has heard the word.
async fn heard_and_finished(recognizer: &dyn Recognizer) -> RecognizerEvent {
    let mut recognition = listen(recognizer).unwrap();
    for frame in yes().chunks(160) {
        recognition.audio.send(RecognizerInput::Audio(frame.into())).await.unwrap();
    }
    assert_eq!(recognition.events.recv().await, Some(RecognizerEvent::Partial { text: "yes".to_owned() }));
    recognition.audio.send(RecognizerInput::Finish).await.unwrap();
    recognition.events.recv().await.unwrap()
}

/// The stand-in hears the word that the dead vendor took with it: it was said before the socket died.
#[tokio::test]
async fn what_was_said_to_a_vendor_that_died_is_heard_by_the_other() {
    let (first, second) = (dying(38), well());
    let (opened, recognizer) = both(&first, &second, Arc::default());
    assert!(is_yes(&heard_and_finished(&recognizer).await));
    assert_eq!(first.asked().len(), 2, "it is dialled once more before another hears");
    // And the rest of the conversation. The line to the dead one is open again, and nobody speaks on it.
    assert!(is_yes(&spoken(&recognizer, &yes()).await));
    assert_eq!((second.asked().len(), opened.load(Ordering::Relaxed)), (1, 1));
}

/// Hears answers of a grammar, and is asked for free speech.
struct OfGrammars;

impl Recognizer for OfGrammars {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: "of grammars".to_owned(), quality: "none".to_owned() }
    }

    fn listen(&self, _: RecognizeRequest) -> Result<Recognition, SpeechError> {
        Err(SpeechError::NotSupported { engine: self.info().name, what: "hear free speech".to_owned() })
    }
}

/// Alone, or before one that cannot hear such a thing. The first line dies in the middle of the utterance, or when it is asked
/// what it has understood.
#[tokio::test]
async fn what_was_said_to_a_line_that_died_is_heard_by_the_next() {
    for (at_the_end, alone) in [(false, true), (true, true), (false, false), (true, false)] {
        let dies = move |frames: usize, heard: &Heard| match heard {
            Heard::Binary(_) => frames == 38 && !at_the_end,
            Heard::Text(_) => at_the_end,
            Heard::Opened => false,
        };
        let vendor = FakeVendor::answering(move |number, asked| match number {
            0 => Script::socket(move || {
                let mut frames = 0;
                move |heard| {
                    frames += usize::from(matches!(heard, Heard::Binary(_)));
                    if dies(frames, &heard) { vec![Step::Die] } else { Vec::new() }
                }
            }),
            _ => Nova::script(asked),
        })
        .unwrap();
        let refuses: StandIn<dyn Recognizer> = StandIn { open: Box::new(|| Some(Arc::new(OfGrammars))), health: None };
        let others = if alone { Vec::new() } else { vec![refuses] };
        let recognizer = ResilientRecognizer::new(line(vendor.url(""), 8_000), 8_000, Arc::default(), others);
        assert!(is_yes(&spoken(&recognizer, &yes()).await), "{at_the_end} {alone}");
        assert_eq!(vendor.asked().len(), 2);
    }
}

/// Each of its requests is one silence of eight seconds: the caller is better asked again.
#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_not_heard_again() {
    let (_, audio) = mpsc::channel(1);
    let (events, _) = mpsc::channel(2);
    let mut utterance = Utterance::new(8_000, audio, events);
    assert!(utterance.may_be_repeated(false), "the caller speaks yet");
    utterance.finished = Some(Instant::now());
    assert!(utterance.may_be_repeated(true) && !utterance.may_be_repeated(false));
    tokio::time::advance(REPEATED_WITHIN).await;
    assert!(!utterance.may_be_repeated(true));
}

#[tokio::test]
async fn a_socket_that_died_in_silence_is_dialled_anew() {
    let first = FakeVendor::answering(|number, asked| match number {
        0 => Script::socket(|| |heard| if matches!(heard, Heard::Binary(_)) { vec![Step::Die] } else { Vec::new() }),
        _ => Nova::script(asked),
    })
    .unwrap();
    let (opened, recognizer) = both(&first, &well(), Arc::default());
    assert!(is_yes(&heard_and_finished(&recognizer).await));
    assert_eq!((first.asked().len(), opened.load(Ordering::Relaxed)), (2, 0));
}

#[tokio::test]
async fn a_vendor_that_refuses_is_not_asked_twice_and_then_left_alone() {
    let (first, second) = (FakeVendor::start([Script::status(401, "{}")]).unwrap(), well());
    let health = Arc::<Health>::default();
    for _ in 0..5 {
        let (_, recognizer) = both(&first, &second, Arc::clone(&health));
        assert!(is_yes(&spoken(&recognizer, &yes()).await));
    }
    assert!(health.admit().is_none(), "five conversations were enough to know");
    let (opened, recognizer) = both(&first, &second, Arc::clone(&health));
    assert!(is_yes(&spoken(&recognizer, &yes()).await));
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

/// A vendor whose rest is over is tried by who speaks to it, not by who has another ear already.
#[tokio::test]
async fn who_is_heard_by_another_does_not_use_up_the_trial() {
    let (refusing, first, second) = (FakeVendor::start([Script::status(401, "{}")]).unwrap(), well(), well());
    let hour = Duration::from_secs(3_600);
    let began = std::time::Instant::now().checked_sub(hour).unwrap();
    let health = Arc::new(Health { began, ..Health::default() });
    let (_, elsewhere) = both(&refusing, &second, Arc::clone(&health));
    assert!(is_yes(&spoken(&elsewhere, &yes()).await));
    // It failed for others too, an hour ago.
    (0..5).for_each(|_| health.breaker.admit_resting().failed(Duration::ZERO));
    assert!(is_yes(&spoken(&elsewhere, &yes()).await));
    let (opened, recognizer) = both(&first, &second, Arc::clone(&health));
    assert!(is_yes(&spoken(&recognizer, &yes()).await));
    assert_eq!(opened.load(Ordering::Relaxed), 0, "the first hears");
}

#[tokio::test]
async fn who_is_heard_by_nobody_is_told_the_first_reason() {
    let (first, second) = (dying(0), FakeVendor::start([Script::status(401, "{}")]).unwrap());
    let (_, recognizer) = both(&first, &second, Arc::default());
    let last = spoken(&recognizer, &yes()).await;
    assert!(matches!(last, RecognizerEvent::Failed(SpeechError::Failed { retry: true, .. })), "{last:?}");
}

#[tokio::test]
async fn of_a_long_utterance_the_end_is_kept() {
    let (_, audio) = mpsc::channel(1);
    let (events, _) = mpsc::channel(2);
    let mut utterance = Utterance::new(8_000, audio, events);
    let gone: usize = (0..31).map(|_| utterance.keep(Arc::from([0i16; 8_000].as_slice()))).sum();
    assert_eq!((gone, utterance.kept.len(), utterance.samples), (1, 30, 30 * 8_000));
}
