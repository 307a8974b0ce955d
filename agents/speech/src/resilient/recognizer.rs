//! A recognizer that others stand in for inside the turn. Nothing that was said is lost: who stands in hears the utterance from
//! its beginning, and hears the rest of the conversation too.
//!
//! The task of a conversation
//! - owns who hears at present, and the audio of the utterance that runs;
//! - receives recognitions, one after the other, and their audio;
//! - sends audio to who hears, and its events on; a recognition that nobody can finish gets one `Failed`;
//! - ends when the handle is dropped and no recognition runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tandem_models::breaker::Leave;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use super::{Health, Open, StandIn};
use crate::{EngineInfo, Recognition, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput, SpeechError};

/// The metric of what became of recognitions, by `outcome`.
const REQUESTS: &str = "tandem_recognizer_requests_total";
/// Of an utterance so much is kept for who stands in; of a longer one the end. An answer on the telephone is shorter.
const KEPT_S: usize = 30;
/// So long after the caller's end may their words still be heard a second time. Who waits longer is better asked to repeat them.
const REPEATED_WITHIN: Duration = Duration::from_secs(2);
/// Frames on their way to the task, which keeps them itself: a second and more of 20 ms. Full: the session drops the frame.
const AUDIO_QUEUE: usize = 64;
/// Events that wait for the session. Full: what says only how far the recognition is gets dropped; one place is kept for
/// the last event.
const EVENT_QUEUE: usize = 16;
/// Recognitions that wait for the task. Full: it was asked for so many at once, and says "busy".
const START_QUEUE: usize = 4;

/// A vendor's recognizer for one conversation, and who hears where it fails.
pub struct ResilientRecognizer {
    info: EngineInfo,
    rate: u32,
    starts: mpsc::Sender<Start>,
    /// The audio of the latest recognition: dead as soon as the session has let go of it, though the task may not know yet.
    latest: watch::Sender<Option<mpsc::WeakSender<RecognizerInput>>>,
}

struct Start {
    request: RecognizeRequest,
    audio: mpsc::Receiver<RecognizerInput>,
    events: mpsc::Sender<RecognizerEvent>,
}

impl ResilientRecognizer {
    /// `first` takes audio of `rate` Hz; `health` is its vendor's, shared by all its conversations. `others` stand in, in this
    /// order; with none of them, its own next line hears an utterance from the beginning. Must be called inside a tokio runtime.
    pub fn new(
        first: Arc<dyn Recognizer>,
        rate: u32,
        health: Arc<Health>,
        others: Vec<StandIn<dyn Recognizer>>,
    ) -> Self {
        let info = first.info();
        let (starts, asked) = mpsc::channel(START_QUEUE);
        let tasks = health.tasks.clone();
        let first = Ear { opened: Some(first), open: None, health: Some(health) };
        let others = others.into_iter().map(|StandIn { open, health }| Ear { opened: None, open: Some(open), health });
        tasks.spawn(run(Ears { ears: std::iter::once(first).chain(others).collect(), at: 0 }, asked));
        Self { info, rate, starts, latest: watch::Sender::new(None) }
    }

    fn busy(&self) -> SpeechError {
        SpeechError::Busy { engine: self.info.name.clone(), limit: 1 }
    }
}

impl Recognizer for ResilientRecognizer {
    fn info(&self) -> EngineInfo {
        self.info.clone()
    }

    fn listen(&self, request: RecognizeRequest) -> Result<Recognition, SpeechError> {
        if request.rate != self.rate {
            let what = format!("take audio of {} Hz on a line of {} Hz", request.rate, self.rate);
            return Err(SpeechError::NotSupported { engine: self.info.name.clone(), what });
        }
        if self.latest.borrow().as_ref().is_some_and(|latest| latest.upgrade().is_some()) {
            return Err(self.busy());
        }
        let (audio, audio_rx) = mpsc::channel(AUDIO_QUEUE);
        let (events_tx, events) = mpsc::channel(EVENT_QUEUE);
        self.starts.try_send(Start { request, audio: audio_rx, events: events_tx }).map_err(|_| self.busy())?;
        self.latest.send_replace(Some(audio.downgrade()));
        Ok(Recognition { audio, events })
    }
}

/// One that may hear, once it was needed.
struct Ear {
    opened: Option<Arc<dyn Recognizer>>,
    open: Option<Open<dyn Recognizer>>,
    health: Option<Arc<Health>>,
}

impl Ear {
    fn recognizer(&mut self) -> Option<Arc<dyn Recognizer>> {
        if let Some(open) = self.open.take() {
            self.opened = open();
        }
        self.opened.clone()
    }

    /// `leave`: None where it is asked once more, or though it rests.
    fn count(&self, leave: Option<Leave>, error: Option<&SpeechError>) {
        if let Some(health) = &self.health {
            health.count(REQUESTS, leave.unwrap_or_else(|| health.breaker.admit_resting()), error);
        }
    }
}

struct Ears {
    ears: Vec<Ear>,
    /// Who hears the conversation.
    at: usize,
}

impl Ears {
    /// Whom to ask for an utterance: who hears the conversation, and the others in their order.
    fn order(&self) -> VecDeque<usize> {
        let others = (0..self.ears.len()).filter(|ear| *ear != self.at);
        std::iter::once(self.at).chain(others).collect()
    }

    /// The next of them. Those whose circuit is open come last: a vendor that rests is better than nobody. Nobody else is
    /// asked: one whose rest is over lets one asker through to try it, and that is who then speaks to it.
    fn next(&self, left: &mut VecDeque<usize>, resting: &mut VecDeque<usize>) -> Option<(usize, Option<Leave>)> {
        while let Some(at) = left.pop_front() {
            let Some(health) = &self.ears[at].health else { return Some((at, None)) };
            if let Some(leave) = health.admit() {
                return Some((at, Some(leave)));
            }
            metrics::counter!(REQUESTS, "outcome" => "resting").increment(1);
            resting.push_back(at);
        }
        Some((resting.pop_front()?, None))
    }

    /// The utterance from its beginning. `Err(None)`: this one is not there.
    async fn heard_by(
        &mut self,
        at: usize,
        request: &RecognizeRequest,
        utterance: &mut Utterance,
        leave: Option<Leave>,
    ) -> Result<(), Option<SpeechError>> {
        let ear = &mut self.ears[at];
        let recognizer = ear.recognizer().ok_or(None)?;
        let heard = match recognizer.listen(request.clone()) {
            Ok(recognition) => utterance.heard_by(recognition).await,
            Err(error) => Err(error),
        };
        match heard {
            Ok(counts) => {
                if counts {
                    ear.count(leave, None);
                    self.at = if ear.health.is_some() { at } else { self.at };
                }
                Ok(())
            }
            Err(error) => {
                // What it cannot do is no fault of it.
                if !matches!(error, SpeechError::NotSupported { .. }) {
                    ear.count(leave, Some(&error));
                }
                warn!(recognizer = recognizer.info().name, %error, "a recognizer failed; the utterance is heard again");
                Err(Some(error))
            }
        }
    }
}

async fn run(mut ears: Ears, mut starts: mpsc::Receiver<Start>) {
    while let Some(Start { request, audio, events }) = starts.recv().await {
        let utterance = Utterance::new(request.rate, audio, events);
        hear(&mut ears, request, utterance).await;
    }
}

/// One utterance, by the first that can.
async fn hear(ears: &mut Ears, request: RecognizeRequest, mut utterance: Utterance) {
    let mut last = None;
    // Who hears it a second time, if nobody else can hear such a thing at all.
    let mut second = None;
    let (mut left, mut resting) = (ears.order(), VecDeque::new());
    while let Some((at, mut leave)) = ears.next(&mut left, &mut resting) {
        let mut again = true;
        loop {
            let error = match ears.heard_by(at, &request, &mut utterance, leave.take()).await {
                Ok(()) => return,
                Err(None) => break,
                Err(Some(error)) => error,
            };
            // A socket that died in silence is dialled anew, unless the caller waits already and somebody else can hear.
            let may = std::mem::take(&mut again) && matches!(error, SpeechError::Failed { retry: true, .. });
            let repeated = may && utterance.may_be_repeated(left.is_empty() && resting.is_empty());
            if !matches!(error, SpeechError::NotSupported { .. }) {
                second = (may && !repeated).then_some(at);
            }
            last = last.or(Some(error));
            if !repeated {
                break;
            }
        }
    }
    if let Some(at) = second.filter(|_| utterance.may_be_repeated(true))
        && ears.heard_by(at, &request, &mut utterance, None).await.is_ok()
    {
        return;
    }
    let error = last.unwrap_or_else(|| SpeechError::Unavailable {
        engine: "speech".to_owned(),
        why: "there is nobody to hear".to_owned(),
    });
    utterance.tell(RecognizerEvent::Failed(error));
}

/// What the caller says, kept until it is understood.
struct Utterance {
    audio: mpsc::Receiver<RecognizerInput>,
    events: mpsc::Sender<RecognizerEvent>,
    kept: VecDeque<Arc<[i16]>>,
    /// Samples of them, and at most.
    samples: usize,
    most: usize,
    /// When the caller has finished.
    finished: Option<Instant>,
}

/// What comes next of an utterance.
enum Next {
    /// The session has let go of it.
    Gone,
    Caller(RecognizerInput),
    Recognizer(Option<RecognizerEvent>),
    /// The recognizer takes more.
    Takes,
}

impl Utterance {
    fn new(rate: u32, audio: mpsc::Receiver<RecognizerInput>, events: mpsc::Sender<RecognizerEvent>) -> Self {
        let most = KEPT_S * rate as usize;
        Self { audio, events, kept: VecDeque::new(), samples: 0, most, finished: None }
    }

    /// From its beginning to the last event. Whether it was understood; not, when the session has let go of it.
    async fn heard_by(&mut self, recognition: Recognition) -> Result<bool, SpeechError> {
        let Recognition { audio, mut events } = recognition;
        // Frames that it has, and whether it knows that there are no more.
        let (mut sent, mut told) = (0, false);
        loop {
            let waits = sent < self.kept.len() || (self.finished.is_some() && !told);
            let next = tokio::select! {
                biased;
                () = self.events.closed() => Next::Gone,
                event = events.recv() => Next::Recognizer(event),
                input = self.audio.recv(), if self.finished.is_none() => input.map_or(Next::Gone, Next::Caller),
                permit = audio.reserve(), if waits => match permit {
                    Ok(permit) => {
                        match self.kept.get(sent) {
                            Some(frame) => permit.send(RecognizerInput::Audio(Arc::clone(frame))),
                            None => permit.send(RecognizerInput::Finish),
                        }
                        Next::Takes
                    }
                    // It has ended, and its events say how.
                    Err(_) => Next::Recognizer(events.recv().await),
                },
            };
            match next {
                Next::Gone => return Ok(false),
                Next::Caller(RecognizerInput::Audio(frame)) => sent = sent.saturating_sub(self.keep(frame)),
                Next::Caller(RecognizerInput::Finish) => self.finished = Some(Instant::now()),
                Next::Takes => (sent, told) = (sent + 1, sent == self.kept.len()),
                Next::Recognizer(Some(RecognizerEvent::Failed(error))) => return Err(error),
                Next::Recognizer(Some(event)) => {
                    let last = event.is_last();
                    self.tell(event);
                    if last {
                        return Ok(true);
                    }
                }
                Next::Recognizer(None) => {
                    let why = "it ended without a word".to_owned();
                    return Err(SpeechError::Failed { engine: "the recognizer".to_owned(), why, retry: true });
                }
            }
        }
    }

    /// Whether one that failed may try again. `alone`: nobody else can.
    fn may_be_repeated(&self, alone: bool) -> bool {
        self.finished.is_none_or(|finished| alone && finished.elapsed() < REPEATED_WITHIN)
    }

    /// How many of the oldest frames made place for it.
    fn keep(&mut self, frame: Arc<[i16]>) -> usize {
        self.samples += frame.len();
        self.kept.push_back(frame);
        let mut gone = 0;
        while self.samples > self.most
            && let Some(oldest) = self.kept.pop_front()
        {
            self.samples -= oldest.len();
            gone += 1;
        }
        gone
    }

    fn tell(&self, event: RecognizerEvent) {
        if event.is_last() || self.events.capacity() > 1 {
            // Closed: nobody wants to know.
            let _ = self.events.try_send(event);
        }
    }
}

#[cfg(test)]
#[path = "recognizer_tests.rs"]
mod tests;
