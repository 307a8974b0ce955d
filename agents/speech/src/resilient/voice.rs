//! Voices that stand in inside the turn. Nothing is said twice: another voice speaks only what was not begun.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tandem_models::breaker::Leave;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::{Health, Open, StandIn};
use crate::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

/// Events on their way from a vendor to a session. Full: the vendor's line waits, and keeps the rest itself.
const EVENTS: usize = 8;

/// So long after it was asked for do vendors, one after the other, have for the first audio; then what is installed here
/// speaks. It is what a single vendor has: a caller who hears nothing for longer hangs up.
const FIRST_WITHIN: Duration = Duration::from_secs(8);
/// With less of it left no further vendor is asked: it could hardly speak in time, and would be paid for nothing.
const WORTH_ASKING: Duration = Duration::from_secs(2);

/// The metric of what became of requests, by `outcome`.
const REQUESTS: &str = "tandem_voice_requests_total";

/// A vendor's voice for one conversation, and who speaks where it fails.
pub struct ResilientVoice {
    info: EngineInfo,
    mouths: Arc<[Mouth]>,
    tasks: TaskTracker,
}

impl ResilientVoice {
    /// `health` is the vendor's, shared by all its voices. `others` stand in, in this order.
    pub fn new(first: Arc<dyn Voice>, health: Arc<Health>, others: Vec<StandIn<dyn Voice>>) -> Self {
        let (info, tasks) = (first.info(), health.tasks.clone());
        let first = Mouth { opened: OnceLock::from(first), open: Box::new(|| None), health: Some(health) };
        let others = others.into_iter().map(|StandIn { open, health }| Mouth { opened: OnceLock::new(), open, health });
        Self { info, mouths: std::iter::once(first).chain(others).collect(), tasks }
    }
}

impl Voice for ResilientVoice {
    fn info(&self) -> EngineInfo {
        self.info.clone()
    }

    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let asked = Instant::now();
        let begun = begin(&self.mouths, 0, &request)?;
        // Behind what is installed here nobody stands.
        if self.mouths[begun.at].health.is_none() {
            return Ok(begun.events);
        }
        let (to, spoken) = mpsc::channel(EVENTS);
        let speaking = Speaking { asked, request, mouths: Arc::clone(&self.mouths), to };
        self.tasks.spawn(speaking.run(begun));
        Ok(spoken)
    }
}

/// One that may speak, once it was needed.
struct Mouth {
    opened: OnceLock<Arc<dyn Voice>>,
    open: Open<dyn Voice>,
    health: Option<Arc<Health>>,
}

impl Mouth {
    /// None: it cannot be had at the moment, and is tried again the next time.
    fn voice(&self) -> Option<&Arc<dyn Voice>> {
        match self.opened.get() {
            Some(voice) => Some(voice),
            None => {
                let voice = (self.open)()?;
                Some(self.opened.get_or_init(|| voice))
            }
        }
    }

    /// Leave to ask it, of which what is installed here needs none. `Err`: its vendor rests.
    fn admit(&self) -> Result<Option<Leave>, ()> {
        let Some(health) = &self.health else { return Ok(None) };
        let leave = health.admit();
        if leave.is_none() {
            metrics::counter!(REQUESTS, "outcome" => "resting").increment(1);
        }
        leave.map(Some).ok_or(())
    }

    fn count(&self, leave: Option<Leave>, error: Option<&SpeechError>) {
        if let (Some(health), Some(leave)) = (&self.health, leave) {
            health.count(REQUESTS, leave, error);
        }
        if let Some(error) = error {
            let voice = self.opened.get().map(|voice| voice.info().name);
            warn!(voice, %error, "a voice failed; another speaks, unless words were heard");
        }
    }
}

/// Who speaks, and what.
struct Begun {
    at: usize,
    events: mpsc::Receiver<VoiceEvent>,
    leave: Option<Leave>,
}

/// The first from `from` on who can.
///
/// # Errors
/// What the first of them said, when nobody can.
fn begin(mouths: &[Mouth], from: usize, request: &SpeakRequest) -> Result<Begun, SpeechError> {
    let mut first = None;
    for (at, mouth) in mouths.iter().enumerate().skip(from) {
        let Ok(leave) = mouth.admit() else { continue };
        let Some(voice) = mouth.voice() else { continue };
        let error = match voice.speak(request.clone()) {
            Ok(events) => return Ok(Begun { at, events, leave }),
            Err(error) => error,
        };
        // What it cannot do is no fault of it.
        if !matches!(error, SpeechError::NotSupported { .. }) {
            mouth.count(leave, Some(&error));
        }
        first = first.or(Some(error));
    }
    let why = || "there is nobody to speak".to_owned();
    Err(first.unwrap_or_else(|| SpeechError::Unavailable { engine: "speech".to_owned(), why: why() }))
}

/// One utterance. Ends with its last event, or when nobody listens any more.
struct Speaking {
    asked: Instant,
    request: SpeakRequest,
    mouths: Arc<[Mouth]>,
    to: mpsc::Sender<VoiceEvent>,
}

impl Speaking {
    /// Words that were announced and not spoken are announced once more where another voice speaks them: the same words, by
    /// its own times.
    async fn run(self, Begun { mut at, mut events, mut leave }: Begun) {
        let (first, mut begun) = (at, false);
        while let Some(event) = self.next(&mut events, at != first && !begun).await {
            let mouth = &self.mouths[at];
            match &event {
                VoiceEvent::Audio(_) if !begun => {
                    begun = true;
                    // Who is interrupted has spoken all the same.
                    leave.iter_mut().for_each(Leave::answers);
                    if mouth.health.is_some() {
                        metrics::histogram!("tandem_voice_first_audio_seconds").record(self.asked.elapsed());
                    }
                }
                VoiceEvent::Done => mouth.count(leave.take(), None),
                VoiceEvent::Failed(error) => {
                    mouth.count(leave.take(), Some(error));
                    // Who has interrupted wants nobody to speak.
                    if !begun
                        && !self.to.is_closed()
                        && let Ok(next) = begin(&self.mouths, self.successor(at), &self.request)
                    {
                        Begun { at, events, leave } = next;
                        continue;
                    }
                }
                VoiceEvent::Audio(_) | VoiceEvent::Words(_) => {}
            }
            if self.to.send(event).await.is_err() {
                return;
            }
        }
    }

    /// `limited`: what does not come in time has failed. The first vendor's time is its own affair.
    async fn next(&self, events: &mut mpsc::Receiver<VoiceEvent>, limited: bool) -> Option<VoiceEvent> {
        if !limited {
            return events.recv().await;
        }
        timeout_at(self.asked + FIRST_WITHIN, events.recv()).await.unwrap_or_else(|_| {
            let why = "it did not speak in what was left of the time".to_owned();
            Some(VoiceEvent::Failed(SpeechError::Failed { engine: "the voice".to_owned(), why, retry: true }))
        })
    }

    /// Whom to ask behind this one: where little time is left, what is installed here.
    fn successor(&self, at: usize) -> usize {
        let late = self.asked.elapsed() + WORTH_ASKING > FIRST_WITHIN;
        let installed = || self.mouths.iter().skip(at + 1).position(|mouth| mouth.health.is_none());
        at + 1 + installed().filter(|_| late).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::AlignedWord;
    use crate::test_voice::TestVoice;

    /// Says a word's beginning, or nothing, and fails.
    struct Breaks {
        after_audio: bool,
        at_once: bool,
        asked: AtomicUsize,
    }

    fn error() -> SpeechError {
        SpeechError::Failed { engine: "breaks".to_owned(), why: "on purpose".to_owned(), retry: true }
    }

    impl Voice for Breaks {
        fn info(&self) -> EngineInfo {
            EngineInfo { name: "breaks".to_owned(), quality: "none".to_owned() }
        }

        fn speak(&self, _: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.at_once {
                return Err(error());
            }
            let (to, events) = mpsc::channel(4);
            if self.after_audio {
                let word = AlignedWord { text: "Good".to_owned(), start: 0, end: 160 };
                to.try_send(VoiceEvent::Words(vec![word])).unwrap();
                to.try_send(VoiceEvent::Audio(Arc::from([1i16; 160].as_slice()))).unwrap();
            }
            to.try_send(VoiceEvent::Failed(error())).unwrap();
            Ok(events)
        }
    }

    fn broken(after_audio: bool, at_once: bool) -> (Arc<Breaks>, ResilientVoice) {
        let first = Arc::new(Breaks { after_audio, at_once, asked: AtomicUsize::new(0) });
        let voice = ResilientVoice::new(first.clone(), Arc::default(), vec![installed()]);
        (first, voice)
    }

    fn installed() -> StandIn<dyn Voice> {
        StandIn { open: Box::new(|| Some(Arc::new(TestVoice::new()))), health: None }
    }

    async fn said(voice: &ResilientVoice) -> (usize, Option<VoiceEvent>) {
        let request = SpeakRequest { text: "Good morning".to_owned(), rate: 8000 };
        let mut events = voice.speak(request).unwrap();
        let (mut samples, mut last) = (0, None);
        while let Some(event) = events.recv().await {
            if let VoiceEvent::Audio(audio) = &event {
                samples += audio.len();
            }
            last = Some(event);
        }
        (samples, last)
    }

    #[tokio::test]
    async fn the_other_voice_says_what_was_not_begun() {
        for at_once in [false, true] {
            let (_, voice) = broken(false, at_once);
            let (samples, last) = said(&voice).await;
            assert!(samples > 2_000 && last == Some(VoiceEvent::Done), "{samples} {last:?}");
        }
    }

    #[tokio::test]
    async fn a_chain_is_asked_in_its_order_and_opened_when_it_is_needed() {
        for at_once in [false, true] {
            let breaks = || Arc::new(Breaks { after_audio: false, at_once, asked: AtomicUsize::new(0) });
            let (first, second, health) = (breaks(), breaks(), Arc::<Health>::default());
            let opened = Arc::new(AtomicUsize::new(0));
            let (next, count) = (Arc::clone(&second), Arc::clone(&opened));
            let open: Open<dyn Voice> = Box::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Some(next.clone())
            });
            let second_vendor = StandIn { open, health: Some(Arc::clone(&health)) };
            let nobody = StandIn { open: Box::new(|| None), health: Some(Arc::default()) };
            let chain = vec![second_vendor, nobody, installed()];
            let voice = ResilientVoice::new(first.clone(), Arc::default(), chain);
            assert_eq!(opened.load(Ordering::Relaxed), 0, "nobody has failed");
            for _ in 0..7 {
                let (samples, last) = said(&voice).await;
                assert!(samples > 2_000 && last == Some(VoiceEvent::Done), "{samples} {last:?}");
            }
            let asked = [&first, &second].map(|voice| voice.asked.load(Ordering::Relaxed));
            assert_eq!((asked, opened.load(Ordering::Relaxed)), ([5, 5], 1), "each has a breaker of its own");
            assert!(health.admit().is_none());
        }
    }

    /// Says what the test makes it say, to who asked.
    struct Led(mpsc::Sender<mpsc::Sender<VoiceEvent>>);

    impl Voice for Led {
        fn info(&self) -> EngineInfo {
            EngineInfo { name: "led".to_owned(), quality: "none".to_owned() }
        }

        fn speak(&self, _: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
            let (to, events) = mpsc::channel(4);
            self.0.try_send(to).unwrap();
            Ok(events)
        }
    }

    /// Two vendors before what is installed, and who asks them.
    fn two_led() -> ([mpsc::Receiver<mpsc::Sender<VoiceEvent>>; 2], ResilientVoice) {
        let (first, one) = mpsc::channel(4);
        let (second, two) = mpsc::channel(4);
        let open: Open<dyn Voice> = Box::new(move || Some(Arc::new(Led(second.clone()))));
        let second = StandIn { open, health: Some(Arc::default()) };
        ([one, two], ResilientVoice::new(Arc::new(Led(first)), Arc::default(), vec![second, installed()]))
    }

    fn good_morning(voice: &ResilientVoice) -> mpsc::Receiver<VoiceEvent> {
        voice.speak(SpeakRequest { text: "Good morning".to_owned(), rate: 8000 }).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_chain_has_the_time_of_one_vendor() {
        // When the first has failed, and whether the second is asked then.
        for (failed, second) in [(5, true), (7, false)] {
            let ([mut one, mut two], voice) = two_led();
            let began = Instant::now();
            let mut events = good_morning(&voice);
            let stalled = one.recv().await.unwrap();
            tokio::time::advance(Duration::from_secs(failed)).await;
            stalled.send(VoiceEvent::Failed(error())).await.unwrap();
            let most = if second { FIRST_WITHIN } else { Duration::from_secs(failed) };
            let heard = timeout_at(began + most + Duration::from_millis(100), events.recv()).await.expect("in time");
            assert!(matches!(heard, Some(VoiceEvent::Audio(_) | VoiceEvent::Words(_))), "{heard:?}");
            assert_eq!(two.try_recv().is_ok(), second);
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_for_what_nobody_hears() {
        let ([mut one, mut two], voice) = two_led();
        drop(good_morning(&voice));
        one.recv().await.unwrap().send(VoiceEvent::Failed(error())).await.unwrap();
        voice.tasks.close();
        voice.tasks.wait().await;
        assert!(two.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_vendor_that_was_busy_once_is_asked_again() {
        let (next, mut asked) = mpsc::channel(4);
        let tries = AtomicUsize::new(0);
        let open: Open<dyn Voice> = Box::new(move || match tries.fetch_add(1, Ordering::Relaxed) {
            0 => None,
            _ => Some(Arc::new(Led(next.clone()))),
        });
        let first = Arc::new(Breaks { after_audio: false, at_once: true, asked: AtomicUsize::new(0) });
        let second = StandIn { open, health: Some(Arc::default()) };
        let voice = ResilientVoice::new(first, Arc::default(), vec![second, installed()]);
        assert_eq!(said(&voice).await.1, Some(VoiceEvent::Done), "what is installed speaks");
        let mut events = good_morning(&voice);
        asked.try_recv().unwrap().send(VoiceEvent::Done).await.unwrap();
        assert_eq!(events.recv().await, Some(VoiceEvent::Done));
    }

    #[tokio::test]
    async fn what_was_begun_is_not_said_twice() {
        let (_, voice) = broken(true, false);
        assert_eq!(said(&voice).await, (160, Some(VoiceEvent::Failed(error()))));
    }

    #[tokio::test]
    async fn a_vendor_that_keeps_failing_is_left_alone() {
        let (first, voice) = broken(false, true);
        for _ in 0..20 {
            assert!(said(&voice).await.0 > 2_000);
        }
        assert_eq!(first.asked.load(Ordering::Relaxed), 5, "the breaker opens after five failures");
    }

    #[tokio::test]
    async fn who_is_barged_in_on_in_its_trial_is_well() {
        let hour = Duration::from_secs(3_600);
        let began = std::time::Instant::now().checked_sub(hour).unwrap();
        let health = Arc::new(Health { began, ..Health::default() });
        // An hour ago.
        (0..5).for_each(|_| health.breaker.admit_resting().failed(Duration::ZERO));
        let second = Arc::new(Breaks { after_audio: false, at_once: true, asked: AtomicUsize::new(0) });
        let stands_in = Arc::clone(&second);
        let open: Open<dyn Voice> = Box::new(move || Some(stands_in.clone()));
        let stand_in = StandIn { open, health: None };
        let voice = ResilientVoice::new(Arc::new(TestVoice::new()), Arc::clone(&health), vec![stand_in]);
        let mut barged_in = voice.speak(SpeakRequest { text: "Good morning".to_owned(), rate: 8000 }).unwrap();
        while !matches!(barged_in.recv().await.unwrap(), VoiceEvent::Audio(_)) {}
        assert_eq!(said(&voice).await.1, Some(VoiceEvent::Done), "from its first sound on");
        drop(barged_in);
        assert_eq!(said(&voice).await.1, Some(VoiceEvent::Done));
        assert_eq!(second.asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn it_is_a_voice() {
        let voice = ResilientVoice::new(Arc::new(TestVoice::new()), Arc::default(), vec![installed()]);
        crate::voice_conformance::run(Arc::new(voice)).await;
    }
}
