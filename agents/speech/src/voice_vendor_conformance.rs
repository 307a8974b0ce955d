//! What every voice of a vendor keeps to when the vendor does not: run against a scripted vendor over a real socket.
//!
//! A vendor gives what its wire looks like; the cases are the same for all.

use std::sync::Arc;
use std::time::Duration;

use tandem_models::Limits;
use tandem_test_vendors::{Asked, FakeVendor, Partner, Script, Step};
use tokio::sync::mpsc;

use crate::{SpeakRequest, SpeechError, Voice, VoiceEvent};

/// What the vendor's own part of the suite has to say.
pub(crate) struct Vendor {
    /// A voice at 8 kHz that asks this server with this key.
    pub(crate) make: fn(base: String, key: &str, limits: Limits) -> Arc<dyn Voice>,
    pub(crate) answer: Answer,
    pub(crate) is_audio: fn(&Step) -> bool,
    /// The header that carries the key, and how.
    pub(crate) key: (&'static str, &'static str),
}

/// How a vendor that is well answers: an utterance's steps, audio in at least two of them.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Socket(fn(&Asked) -> Partner),
    Http(fn(&Asked) -> Vec<Step>),
}

/// What goes wrong with an utterance, before its first audio or behind it.
#[derive(Clone, Debug)]
enum Fault {
    None,
    Before(Vec<Step>),
    Behind(Vec<Step>),
    /// The first audio comes late.
    Late,
}

/// Ample for a machine that does other things too.
const AMPLE: Limits = Limits { first: Duration::from_secs(60), gap: Duration::from_secs(60) };
/// For vendors that never speak: however slow the machine, this passes.
const SHORT: Duration = Duration::from_millis(200);
const KEY: &str = "key-of-the-suite";
const TEXT: &str = "This takes more than one chunk to say.";

fn request(text: &str) -> SpeakRequest {
    SpeakRequest { text: text.to_owned(), rate: 8_000 }
}

impl Vendor {
    fn script(&self, asked: &Asked, fault: Fault) -> Script {
        let is_audio = self.is_audio;
        match self.answer {
            Answer::Http(answer) => {
                let steps = spoil(answer(asked), is_audio, &fault);
                Script::Stream { content_type: "application/octet-stream", steps }
            }
            Answer::Socket(partner) => {
                let asked = asked.clone();
                Script::Socket(Arc::new(move || {
                    let (mut partner, fault) = (partner(&asked), fault.clone());
                    Box::new(move |heard| spoil(partner(heard), is_audio, &fault))
                }))
            }
        }
    }

    /// The n-th connection has the n-th fault, and later ones have none.
    fn with(self: &Arc<Self>, faults: Vec<Fault>) -> FakeVendor {
        let vendor = Arc::clone(self);
        FakeVendor::answering(move |number, asked| {
            vendor.script(asked, faults.get(number).cloned().unwrap_or(Fault::None))
        })
        .unwrap()
    }

    fn always(self: &Arc<Self>, fault: Fault) -> FakeVendor {
        let vendor = Arc::clone(self);
        FakeVendor::answering(move |_, asked| vendor.script(asked, fault.clone())).unwrap()
    }

    fn voice(&self, fake: &FakeVendor, limits: Limits) -> Arc<dyn Voice> {
        (self.make)(fake.url(""), KEY, limits)
    }
}

fn spoil(mut steps: Vec<Step>, is_audio: fn(&Step) -> bool, fault: &Fault) -> Vec<Step> {
    let Some(first) = steps.iter().position(is_audio) else { return steps };
    match fault {
        Fault::None => {}
        Fault::Before(then) => drop(steps.splice(first.., then.clone())),
        Fault::Behind(then) => drop(steps.splice(first + 1.., then.clone())),
        Fault::Late => steps.insert(first, Step::Wait(SHORT)),
    }
    steps
}

/// All events; panics when there is not exactly one last one, at the end.
async fn heard(mut events: mpsc::Receiver<VoiceEvent>) -> Vec<VoiceEvent> {
    let mut all = Vec::new();
    while let Some(event) = tokio::time::timeout(AMPLE.first, events.recv()).await.expect("an event in time") {
        all.push(event);
    }
    let is_last = |event: &VoiceEvent| matches!(event, VoiceEvent::Done | VoiceEvent::Failed(_));
    assert!(all.iter().filter(|event| is_last(event)).count() == 1 && all.last().is_some_and(is_last), "{all:?}");
    all
}

async fn say(voice: &dyn Voice, text: &str) -> Vec<VoiceEvent> {
    heard(voice.speak(request(text)).expect("speaks")).await
}

fn samples(events: &[VoiceEvent]) -> usize {
    events.iter().map(|event| if let VoiceEvent::Audio(samples) = event { samples.len() } else { 0 }).sum()
}

fn error(events: &[VoiceEvent]) -> &SpeechError {
    match events.last() {
        Some(VoiceEvent::Failed(error)) => error,
        _ => panic!("a failure is wanted: {events:?}"),
    }
}

fn may_retry(events: &[VoiceEvent]) -> bool {
    matches!(error(events), SpeechError::Failed { retry: true, .. })
}

pub(crate) async fn run(vendor: Vendor) {
    let vendor = Arc::new(vendor);
    answers(&vendor).await;
    refuses(&vendor).await;
    breaks_off(&vendor).await;
    stands_still(&vendor).await;
    forgets_what_was_dropped(&vendor).await;
    if matches!(vendor.answer, Answer::Socket(_)) {
        a_refused_key_is_not_tried_again(&vendor).await;
    }
}

/// A line that nobody speaks over. Hours pass, as far as it knows.
async fn a_refused_key_is_not_tried_again(vendor: &Arc<Vendor>) {
    let fake = FakeVendor::start([Script::status(401, "{}")]).unwrap();
    let voice = vendor.voice(&fake, AMPLE);
    let mut asked = 0;
    while asked == 0 {
        asked += fake.asked().len();
        tokio::task::yield_now().await;
    }
    // What the line makes of the answer, and what it does then, takes turns of the runtime.
    for _ in 0..200 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::resume();
        tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
    }
    assert!(matches!(error(&say(voice.as_ref(), TEXT).await), SpeechError::Unauthorized { .. }));
    asked += fake.asked().len();
    assert!((2..=3).contains(&asked), "{asked}: at first, when somebody wants to speak, and for the next utterance");
}

async fn answers(vendor: &Arc<Vendor>) {
    let fake = vendor.always(Fault::None);
    let whole = say(vendor.voice(&fake, AMPLE).as_ref(), TEXT).await;
    assert_eq!(whole.last(), Some(&VoiceEvent::Done));
    let asked = fake.asked().remove(0);
    assert_eq!(asked.headers.get(vendor.key.0).unwrap(), &vendor.key.1.replace("KEY", KEY));
    assert!(!asked.path.contains(KEY), "keys stay out of addresses");

    let late = say(vendor.voice(&vendor.always(Fault::Late), AMPLE).as_ref(), TEXT).await;
    assert_eq!((samples(&late), late.last()), (samples(&whole), Some(&VoiceEvent::Done)), "a first byte that is late");
}

type Expected = fn(&SpeechError) -> bool;

async fn refuses(vendor: &Arc<Vendor>) {
    let cases: [(u16, Expected); 6] = [
        (401, |error| matches!(error, SpeechError::Unauthorized { setting, .. } if setting.ends_with("_API_KEY"))),
        (403, |error| matches!(error, SpeechError::Unauthorized { .. })),
        (429, |error| matches!(error, SpeechError::RateLimited { .. })),
        (400, |error| matches!(error, SpeechError::Failed { retry: false, .. })),
        (500, |error| matches!(error, SpeechError::Failed { retry: true, .. })),
        (503, |error| matches!(error, SpeechError::Failed { retry: true, .. })),
    ];
    for (status, expected) in cases {
        let fake = FakeVendor::start([Script::status(status, "{\"error\": \"This takes more\"}")]).unwrap();
        let events = say(vendor.voice(&fake, AMPLE).as_ref(), TEXT).await;
        assert!(expected(error(&events)) && events.len() == 1, "{status}: {events:?}");
        assert!(!error(&events).to_string().contains("This takes"), "words stay out of messages: {events:?}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let events = say((vendor.make)(format!("http://{nobody}"), KEY, AMPLE).as_ref(), TEXT).await;
    assert!(may_retry(&events), "nobody there: {events:?}");
}

async fn breaks_off(vendor: &Arc<Vendor>) {
    let dies = [
        ("dies", vec![Step::Die]),
        ("closes", vec![Step::Close(1011, TEXT.to_owned())]),
        ("talks nonsense", vec![Step::Send("{\"audio\": 7, \"type\": 7".to_owned()), Step::Stall]),
    ];
    // What is sent over HTTP has neither frames nor a form.
    let dies = if matches!(vendor.answer, Answer::Http(_)) { &dies[..1] } else { &dies[..] };
    for (what, steps) in dies {
        let fake = vendor.with(vec![Fault::Behind(steps.clone())]);
        let voice = vendor.voice(&fake, AMPLE);
        let events = say(voice.as_ref(), TEXT).await;
        assert!(may_retry(&events) && samples(&events) > 0, "{what} in the middle: {events:?}");
        assert!(!error(&events).to_string().contains(TEXT), "words stay out of messages: {events:?}");
        let again = say(voice.as_ref(), TEXT).await;
        assert_eq!(again.last(), Some(&VoiceEvent::Done), "{what}, and is well again: {again:?}");

        let fake = vendor.with(vec![Fault::Before(steps.clone())]);
        let events = say(vendor.voice(&fake, AMPLE).as_ref(), TEXT).await;
        assert_eq!(
            events.last(),
            Some(&VoiceEvent::Done),
            "{what} before the first audio: asked once more: {events:?}"
        );
        assert_eq!(samples(&events), samples(&again), "{what}: and heard once");

        let fake = vendor.always(Fault::Before(steps.clone()));
        let events = say(vendor.voice(&fake, AMPLE).as_ref(), TEXT).await;
        assert!(may_retry(&events), "{what} whenever it is asked: {events:?}");
    }
}

async fn stands_still(vendor: &Arc<Vendor>) {
    let silent = |events: &[VoiceEvent]| may_retry(events) && error(events).to_string().contains("nothing for 200 ms");
    let short = Limits { first: SHORT, gap: SHORT };
    let fake = FakeVendor::start([Script::Silence]).unwrap();
    let events = say(vendor.voice(&fake, short).as_ref(), TEXT).await;
    assert!(silent(&events), "a socket that is half open: {events:?}");
    let fake = vendor.always(Fault::Before(vec![Step::Stall]));
    let events = say(vendor.voice(&fake, short).as_ref(), TEXT).await;
    assert!(silent(&events), "a stall before the first audio: {events:?}");
    let fake = vendor.always(Fault::Behind(vec![Step::Stall]));
    let events = say(vendor.voice(&fake, Limits { gap: SHORT, ..AMPLE }).as_ref(), TEXT).await;
    assert!(silent(&events) && samples(&events) > 0, "a stall in the middle: {events:?}");
}

async fn forgets_what_was_dropped(vendor: &Arc<Vendor>) {
    let fake = vendor.always(Fault::None);
    let voice = vendor.voice(&fake, AMPLE);
    let alone = samples(&say(voice.as_ref(), "Short.").await);
    for _ in 0..12 {
        let mut dropped = voice.speak(request(TEXT)).expect("speaks");
        dropped.recv().await.expect("its beginning");
        drop(dropped);
        let events = say(voice.as_ref(), "Short.").await;
        assert_eq!((samples(&events), events.last()), (alone, Some(&VoiceEvent::Done)), "{events:?}");
    }
}
