//! What every recognizer over a socket makes of a vendor in trouble. Each implementation's tests run this.

use std::sync::Arc;
use std::time::Duration;

use tandem_test_vendors::{Asked, FakeVendor, Heard, Script, Step};

use crate::{Grammar, Recognition, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput, SpeechError};

/// How long a test waits for an event before it says that there is none.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct SocketVendor {
    /// A line at 8 kHz to the vendor at this address.
    pub(crate) line: fn(&str) -> Arc<dyn Recognizer>,
    /// What a healthy vendor does with a connection: speech is a "yes".
    pub(crate) script: fn(&Asked) -> Script,
    pub(crate) setting: &'static str,
    /// A message that says that something is wrong.
    pub(crate) error: &'static str,
}

pub(crate) async fn run(vendor: &SocketVendor) {
    refusals_are_told(vendor).await;
    a_late_answer_is_an_answer(vendor).await;
    let die: Fault = |_| vec![Step::Die];
    let close: Fault = |_| vec![Step::Close(1011, "NET-0001".to_owned())];
    let garbage: Fault = |_| vec![Step::Send("<html>".to_owned())];
    let error: Fault = |vendor| vec![Step::Send(vendor.error.to_owned())];
    let stall: Fault = |_| vec![Step::Stall];
    for (name, fault) in [("dies", die), ("closes", close), ("garbage", garbage), ("error", error), ("stalls", stall)] {
        one_failure_and_a_new_socket(vendor, name, fault).await;
    }
    an_idle_line_is_dialled_again(vendor).await;
    nobody_answers_the_phone(vendor).await;
}

type Expected<'a> = &'a dyn Fn(&SpeechError) -> bool;
type Fault = fn(&SocketVendor) -> Vec<Step>;

/// A loud tone of 400 ms between silences, mono at 8 kHz.
pub(crate) fn yes() -> Vec<i16> {
    let tone = |n: usize| ((n as f32 * 0.3).sin() * 8_000.0) as i16;
    let loud = 1_600..4_800;
    (0..6_400).map(|n| if loud.contains(&n) { tone(n) } else { 0 }).collect()
}

pub(crate) fn listen(line: &dyn Recognizer) -> Result<Recognition, SpeechError> {
    line.listen(RecognizeRequest { grammar: Grammar::Open, rate: 8_000, language: "en-US".to_owned() })
}

/// The last event after this audio, at 8 kHz.
pub(crate) async fn spoken(line: &dyn Recognizer, audio: &[i16]) -> RecognizerEvent {
    let mut recognition = match listen(line) {
        Ok(recognition) => recognition,
        Err(error) => return RecognizerEvent::Failed(error),
    };
    for frame in audio.chunks(160) {
        // Err: it has ended, and says why below.
        let _ = recognition.audio.send(RecognizerInput::Audio(frame.into())).await;
    }
    let _ = recognition.audio.send(RecognizerInput::Finish).await;
    loop {
        let event = tokio::time::timeout(PATIENCE, recognition.events.recv()).await.expect("an event in time");
        let event = event.expect("ends with an event, not by closing");
        if event.is_last() {
            assert_eq!(recognition.events.recv().await, None, "nothing after the last event");
            return event;
        }
    }
}

/// As the session does: again after a failure that may pass.
async fn spoken_in_the_end(line: &dyn Recognizer) -> RecognizerEvent {
    loop {
        match spoken(line, &yes()).await {
            RecognizerEvent::Failed(SpeechError::Failed { retry: true, .. }) => {}
            last => return last,
        }
    }
}

fn assert_yes(event: &RecognizerEvent) {
    let text = match event {
        RecognizerEvent::Final { text, .. } | RecognizerEvent::EndOfTurn { text, eager: false, .. } => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(text, "yes");
}

async fn refusals_are_told(vendor: &SocketVendor) {
    let setting = vendor.setting;
    let unauthorized =
        |error: &SpeechError| matches!(error, SpeechError::Unauthorized { setting: s, .. } if s == setting);
    let limited = |error: &SpeechError| matches!(error, SpeechError::RateLimited { .. });
    let failed = |error: &SpeechError| matches!(error, SpeechError::Failed { retry: true, .. });
    let refused = |error: &SpeechError| matches!(error, SpeechError::Failed { retry: false, .. });
    let cases: [(u16, Expected<'_>); 5] =
        [(401, &unauthorized), (403, &unauthorized), (429, &limited), (500, &failed), (400, &refused)];
    for (status, expected) in cases {
        let fake = FakeVendor::start([Script::status(status, "{}")]).unwrap();
        let line = (vendor.line)(&fake.url(""));
        // Twice: what the line has learned from the first attempt does not change what is told.
        for _ in 0..2 {
            match spoken(line.as_ref(), &yes()).await {
                RecognizerEvent::Failed(error) => assert!(expected(&error), "{status}: {error:?}"),
                other => panic!("{status}: {other:?}"),
            }
        }
    }
}

/// Later than the audio of the whole utterance, which waits meanwhile.
async fn a_late_answer_is_an_answer(vendor: &SocketVendor) {
    let script = vendor.script;
    let fake = FakeVendor::answering(move |_, asked| {
        let Script::Socket(make) = script(asked) else { panic!("a script of a socket") };
        Script::socket(move || {
            let mut partner = make();
            move |heard| {
                let late = Step::Wait(Duration::from_millis(if heard == Heard::Opened { 300 } else { 0 }));
                std::iter::once(late).chain(partner(heard)).collect()
            }
        })
    })
    .unwrap();
    assert_yes(&spoken((vendor.line)(&fake.url("")).as_ref(), &yes()).await);
}

/// The vendor does something in the middle of the first utterance: it fails once, in a way that allows another attempt, and
/// that one succeeds.
async fn one_failure_and_a_new_socket(vendor: &SocketVendor, name: &str, fault: Fault) {
    let (script, steps) = (vendor.script, fault(vendor));
    let fake = FakeVendor::answering(move |number, asked| {
        if number > 0 {
            return script(asked);
        }
        let steps = steps.clone();
        Script::socket(move || {
            let (steps, mut frames) = (steps.clone(), 0);
            move |heard| {
                frames += usize::from(matches!(heard, Heard::Binary(_)));
                if frames == 10 { steps.clone() } else { Vec::new() }
            }
        })
    })
    .unwrap();
    let line = (vendor.line)(&fake.url(""));
    let first = spoken(line.as_ref(), &yes()).await;
    let failed = matches!(&first, RecognizerEvent::Failed(SpeechError::Failed { retry: true, .. }));
    assert!(failed, "{name}: {first:?}");
    assert_yes(&spoken_in_the_end(line.as_ref()).await);
}

async fn an_idle_line_is_dialled_again(vendor: &SocketVendor) {
    let script = vendor.script;
    let die = || Script::socket(|| |_| vec![Step::Die]);
    let fake = FakeVendor::answering(move |number, asked| if number < 2 { die() } else { script(asked) }).unwrap();
    let line = (vendor.line)(&fake.url(""));
    let dialled = async {
        let mut dialled = 0;
        while dialled < 3 {
            dialled += fake.asked().len();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, dialled).await.expect("it is dialled without being asked for");
    assert_yes(&spoken(line.as_ref(), &yes()).await);
}

/// The upgrade is never answered. Time is virtual: nothing else happens on this line.
async fn nobody_answers_the_phone(vendor: &SocketVendor) {
    let fake = FakeVendor::start([Script::Silence]).unwrap();
    let line = (vendor.line)(&fake.url(""));
    tokio::time::pause();
    let last = spoken(line.as_ref(), &yes()).await;
    tokio::time::resume();
    assert!(matches!(&last, RecognizerEvent::Failed(SpeechError::Failed { .. })), "{last:?}");
}
