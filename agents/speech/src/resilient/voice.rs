//! A voice that stands in inside the turn. Nothing is said twice: the other voice speaks only what was not begun.

use std::sync::Arc;
use std::time::Instant;

use tandem_models::breaker::Leave;
use tokio::sync::mpsc;
use tracing::warn;

use super::Health;
use crate::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

/// Events on their way from a vendor to a session. Full: the vendor's line waits, and keeps the rest itself.
const EVENTS: usize = 8;

/// The metric of what became of requests, by `outcome`.
const REQUESTS: &str = "tandem_voice_requests_total";

/// A vendor's voice, and who speaks where it fails.
pub struct ResilientVoice {
    first: Arc<dyn Voice>,
    second: Arc<dyn Voice>,
    health: Arc<Health>,
}

impl ResilientVoice {
    /// `health` is the vendor's, shared by all its voices.
    pub fn new(first: Arc<dyn Voice>, second: Arc<dyn Voice>, health: Arc<Health>) -> Self {
        Self { first, second, health }
    }

    /// The other voice, for this and its reason.
    fn stand_in(&self, request: SpeakRequest, error: &SpeechError) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        warn!(voice = self.first.info().name, stands_in = self.second.info().name, %error, "a voice failed");
        self.second.speak(request)
    }
}

impl Voice for ResilientVoice {
    fn info(&self) -> EngineInfo {
        self.first.info()
    }

    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let health = Arc::clone(&self.health);
        let Some(leave) = health.admit() else {
            metrics::counter!(REQUESTS, "outcome" => "resting").increment(1);
            return self.second.speak(request);
        };
        let events = match self.first.speak(request.clone()) {
            Ok(events) => events,
            // What no voice can do is no fault of this one.
            Err(error @ SpeechError::NotSupported { .. }) => return Err(error),
            Err(error) => {
                health.count(REQUESTS, leave, Some(&error));
                return self.stand_in(request, &error);
            }
        };
        let (to, spoken) = mpsc::channel(EVENTS);
        let speaking = Speaking { asked: Instant::now(), request, second: Arc::clone(&self.second), health, to };
        self.health.tasks.spawn(speaking.run(events, leave));
        Ok(spoken)
    }
}

/// One utterance. Ends with its last event, or when nobody listens any more.
struct Speaking {
    asked: Instant,
    request: SpeakRequest,
    second: Arc<dyn Voice>,
    health: Arc<Health>,
    to: mpsc::Sender<VoiceEvent>,
}

impl Speaking {
    async fn run(self, mut events: mpsc::Receiver<VoiceEvent>, leave: Leave) {
        let (mut begun, mut leave) = (false, Some(leave));
        while let Some(event) = events.recv().await {
            match &event {
                VoiceEvent::Audio(_) if !begun => {
                    begun = true;
                    // Who is interrupted has spoken all the same.
                    leave.iter_mut().for_each(Leave::answers);
                    metrics::histogram!("tandem_voice_first_audio_seconds").record(self.asked.elapsed());
                }
                VoiceEvent::Done => self.ended(leave.take(), None),
                VoiceEvent::Failed(error) => {
                    self.ended(leave.take(), Some(error));
                    if !begun {
                        return self.stand_in(event).await;
                    }
                }
                VoiceEvent::Audio(_) | VoiceEvent::Words(_) => {}
            }
            if self.to.send(event).await.is_err() {
                return;
            }
        }
    }

    fn ended(&self, leave: Option<Leave>, error: Option<&SpeechError>) {
        if let Some(leave) = leave {
            self.health.count(REQUESTS, leave, error);
        }
    }

    /// Words that were announced and not spoken are announced once more: the same words, by the other voice's own times.
    async fn stand_in(self, failed: VoiceEvent) {
        warn!(event = ?failed, stands_in = self.second.info().name, "a voice failed before its first sound");
        let Ok(mut events) = self.second.speak(self.request) else {
            let _ = self.to.send(failed).await;
            return;
        };
        while let Some(event) = events.recv().await {
            if self.to.send(event).await.is_err() {
                return;
            }
        }
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
        let voice = ResilientVoice::new(first.clone(), Arc::new(TestVoice::new()), Arc::default());
        (first, voice)
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
        let hour = std::time::Duration::from_secs(3_600);
        let began = Instant::now().checked_sub(hour).unwrap();
        let health = Arc::new(Health { began, ..Health::default() });
        // An hour ago.
        (0..5).for_each(|_| health.breaker.admit_resting().failed(std::time::Duration::ZERO));
        let second = Arc::new(Breaks { after_audio: false, at_once: true, asked: AtomicUsize::new(0) });
        let voice = ResilientVoice::new(Arc::new(TestVoice::new()), second.clone(), Arc::clone(&health));
        let mut barged_in = voice.speak(SpeakRequest { text: "Good morning".to_owned(), rate: 8000 }).unwrap();
        while !matches!(barged_in.recv().await.unwrap(), VoiceEvent::Audio(_)) {}
        assert_eq!(said(&voice).await.1, Some(VoiceEvent::Done), "from its first sound on");
        drop(barged_in);
        assert_eq!(said(&voice).await.1, Some(VoiceEvent::Done));
        assert_eq!(second.asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn it_is_a_voice() {
        let both = || Arc::new(TestVoice::new());
        crate::voice_conformance::run(Arc::new(ResilientVoice::new(both(), both(), Arc::default()))).await;
    }
}
