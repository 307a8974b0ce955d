//! The utterances of one line: which wait, which run in which context of the vendor's, what is to be sent, and what becomes of
//! them when the vendor fails. Time is what has passed since the line was made.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_models::Limits;
use tokio::sync::mpsc;

use super::speaking::{Halt, Outlet, Source, Speaking};
use super::words::Piece;
use crate::{SpeakRequest, SpeechError, VoiceEvent};

/// What a vendor's message says. It borrows from the message: most of it is audio.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said<'a> {
    /// None: it is of the line as a whole; or of the one utterance, on a line that carries no more.
    pub(crate) context: Option<&'a str>,
    /// Base64.
    pub(crate) audio: &'a str,
    pub(crate) pieces: Vec<Piece<'a>>,
    /// The context says no more.
    pub(crate) last: bool,
    pub(crate) error: Option<Problem>,
}

/// What a vendor says is wrong: its code for it, never its words, which may quote ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Unauthorized,
    RateLimited,
    /// Asking again does not help.
    Refused(String),
    Failed(String),
}

/// A vendor's protocol, pure.
pub(crate) trait Protocol: Send + 'static {
    /// Contexts that one connection carries at once.
    const CONTEXTS: usize;

    fn source(&self) -> Source;
    /// Says all of `text` in a new context.
    fn speak(&self, context: &str, text: &str, out: &mut Vec<String>);
    /// Nobody listens to the context any more.
    fn cancel(&self, context: &str) -> Option<String>;
    /// Sent while nothing is said, so that the vendor keeps the connection.
    fn keep_alive(&self) -> Option<String>;
    /// Sent before the connection is closed.
    fn goodbye(&self) -> Option<String>;
    /// Gives what the message says to `taker`.
    ///
    /// # Errors
    /// What is wrong with it, without its content.
    fn read(&self, message: &str, taker: &mut dyn FnMut(Said<'_>)) -> Result<(), String>;
}

/// For messages: "elevenlabs", and what holds its key.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) name: String,
    pub(crate) setting: &'static str,
}

impl Engine {
    pub(crate) fn failed(&self, why: impl Into<String>, retry: bool) -> SpeechError {
        SpeechError::Failed { engine: self.name.clone(), why: why.into(), retry }
    }

    fn problem(&self, problem: Problem) -> SpeechError {
        let engine = self.name.clone();
        match problem {
            Problem::Unauthorized => SpeechError::Unauthorized { engine, setting: self.setting.to_owned() },
            Problem::RateLimited => SpeechError::RateLimited { engine },
            Problem::Refused(why) => SpeechError::Failed { engine, why, retry: false },
            Problem::Failed(why) => SpeechError::Failed { engine, why, retry: true },
        }
    }

    fn silent(&self, limit: Duration) -> SpeechError {
        self.failed(format!("it said nothing for {} ms", limit.as_millis()), true)
    }
}

#[derive(Debug)]
struct Utterance {
    /// The vendor's name for it; another one when it is sent again.
    context: String,
    text: String,
    /// None: nobody listens, and what the vendor still says of it is thrown away.
    speaking: Option<Speaking>,
    /// When it was first asked for, or last heard of.
    since: Duration,
    /// Whether the vendor has been asked.
    sent: bool,
    /// Connections that were lost under it before it began.
    losses: u8,
}

impl Utterance {
    fn has_begun(&self) -> bool {
        self.speaking.as_ref().is_some_and(Speaking::has_begun)
    }

    fn is_unheard(&self) -> bool {
        self.speaking.as_ref().is_none_or(Speaking::is_unheard)
    }

    /// Whether it counts that it waits: while there is a connection, what was never sent waits for other utterances.
    fn is_timed(&self, open: bool) -> bool {
        self.sent || !open
    }

    fn fail(self, error: &SpeechError) {
        if let Some(speaking) = self.speaking {
            speaking.fail(error.clone());
        }
    }

    /// A connection was lost before it began: once it is tried again, where that may help.
    fn survives(&mut self, error: &SpeechError) -> bool {
        self.losses += 1;
        matches!(error, SpeechError::Failed { retry: true, .. }) && self.losses <= 1 && !self.is_unheard()
    }
}

pub(crate) struct Contexts<P> {
    protocol: P,
    engine: Engine,
    limits: Limits,
    open: bool,
    /// In the order asked for. Bounded by the line's queue.
    waiting: VecDeque<Utterance>,
    /// At most `P::CONTEXTS`.
    running: Vec<Utterance>,
    /// Contexts made, for their names.
    made: u64,
    /// When the vendor last said anything.
    heard: Duration,
    /// To be sent.
    out: Vec<String>,
}

impl<P: Protocol> Contexts<P> {
    pub(crate) fn new(protocol: P, engine: Engine, limits: Limits) -> Self {
        let (waiting, running, out) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { protocol, engine, limits, open: false, waiting, running, made: 0, heard: Duration::ZERO, out }
    }

    pub(crate) fn protocol(&self) -> &P {
        &self.protocol
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Messages to send, oldest first.
    pub(crate) fn outgoing(&mut self) -> std::vec::Drain<'_, String> {
        self.out.drain(..)
    }

    /// Whether somebody waits for a connection.
    pub(crate) fn wants_connection(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether anybody still listens to anything.
    pub(crate) fn is_heard(&self) -> bool {
        self.waiting.iter().chain(&self.running).any(|utterance| !utterance.is_unheard())
    }

    /// Whether the vendor is at work.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.running.is_empty()
    }

    pub(crate) fn speak(&mut self, now: Duration, request: SpeakRequest, outlet: Outlet) {
        let source = self.protocol.source();
        match Speaking::new(source, &request, outlet) {
            Ok(speaking) => {
                let (text, speaking) = (request.text, Some(speaking));
                let context = String::new();
                self.waiting.push_back(Utterance { context, text, speaking, since: now, sent: false, losses: 0 });
                self.fill(now);
            }
            // The outlet tells of it: rates that no resampler has were refused before.
            Err(error) => tracing::error!(%error, "no resampler"),
        }
    }

    pub(crate) fn opened(&mut self, now: Duration) {
        (self.open, self.heard) = (true, now);
        self.fill(now);
    }

    /// Sends what waits, as far as the vendor has room.
    fn fill(&mut self, now: Duration) {
        while self.open && self.running.len() < P::CONTEXTS {
            let Some(mut utterance) = self.waiting.pop_front() else { return };
            if utterance.is_unheard() {
                continue;
            }
            self.made += 1;
            utterance.context = self.made.to_string();
            self.protocol.speak(&utterance.context, &utterance.text, &mut self.out);
            if !utterance.sent {
                // It may have waited for others to end; that is no fault of the vendor's.
                (utterance.since, utterance.sent) = (now, true);
            }
            self.running.push(utterance);
        }
    }

    /// There is no connection, or no longer.
    pub(crate) fn lost(&mut self, now: Duration, error: &SpeechError) {
        let was_open = std::mem::take(&mut self.open);
        self.out.clear();
        // What waits has lost nothing when others' connection is lost: it is sent over the next.
        let waiting = std::mem::take(&mut self.waiting);
        let (kept, tried) = if was_open { (waiting, VecDeque::new()) } else { (VecDeque::new(), waiting) };
        for mut utterance in std::mem::take(&mut self.running).into_iter().chain(tried) {
            if !utterance.has_begun() && utterance.survives(error) {
                self.waiting.push_back(utterance);
            } else {
                utterance.fail(error);
            }
        }
        // It waited for others until now, and waits for a connection from now on.
        let waits =
            |utterance: Utterance| if utterance.sent { utterance } else { Utterance { since: now, ..utterance } };
        self.waiting.extend(kept.into_iter().map(waits));
    }

    /// # Errors
    /// When the connection is of no more use.
    pub(crate) fn take(&mut self, now: Duration, message: &str) -> Result<(), SpeechError> {
        self.heard = now;
        let Self { protocol, engine, running, out, .. } = self;
        let mut taken = Ok(());
        let mut freed = false;
        let read = protocol.read(message, &mut |said| {
            let at = match said.context {
                Some(context) => running.iter().position(|running| running.context == context),
                None if P::CONTEXTS == 1 && said.error.is_none() => running.len().checked_sub(1),
                None => None,
            };
            match (at, said.error) {
                (Some(at), Some(problem)) => {
                    running.remove(at).fail(&engine.problem(problem));
                    freed = true;
                }
                (None, Some(problem)) if said.context.is_none() => taken = Err(engine.problem(problem)),
                (Some(at), None) => {
                    running[at].since = now;
                    if let Some(halt) = heard(&mut running[at], said.audio, &said.pieces) {
                        out.extend(protocol.cancel(&running[at].context));
                        cut(&mut running[at], halt);
                    }
                    if said.last {
                        running.remove(at).speaking.into_iter().for_each(Speaking::finish);
                        freed = true;
                    }
                }
                // Late words of what is over, and news that concern nobody.
                (None, _) => {}
            }
        });
        read.map_err(|why| self.engine.failed(format!("it sent what is not its protocol ({why})"), true))?;
        if freed {
            self.fill(now);
        }
        taken
    }

    /// When [`Contexts::expire`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let running = self.running.iter().map(|utterance| utterance.since + self.limit(utterance));
        let waiting = self.waiting.iter().filter(|utterance| utterance.is_timed(self.open));
        let waiting = waiting.map(|utterance| utterance.since + self.limits.first);
        running.chain(waiting).min()
    }

    fn limit(&self, utterance: &Utterance) -> Duration {
        if utterance.has_begun() { self.limits.gap } else { self.limits.first }
    }

    /// Ends what the vendor took too long for.
    ///
    /// # Errors
    /// When nothing at all came in that time: the connection is of no more use.
    pub(crate) fn expire(&mut self, now: Duration) -> Result<(), SpeechError> {
        let mut index = 0;
        let mut silent = None;
        while let Some(utterance) = self.running.get(index) {
            let limit = self.limit(utterance);
            if utterance.since + limit > now {
                index += 1;
                continue;
            }
            let error = self.engine.silent(limit);
            silent = silent.or_else(|| (self.heard + limit <= now).then(|| error.clone()));
            self.out.extend(self.protocol.cancel(&utterance.context));
            self.running.remove(index).fail(&error);
        }
        let (late, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|utterance: &Utterance| {
            utterance.is_timed(self.open) && utterance.since + self.limits.first <= now
        });
        self.waiting = waiting;
        let late: VecDeque<Utterance> = late;
        late.into_iter().for_each(|utterance| utterance.fail(&self.engine.silent(self.limits.first)));
        silent.map_or(Ok(()), Err)?;
        self.fill(now);
        Ok(())
    }
}

/// Why the utterance goes no further.
fn heard(utterance: &mut Utterance, audio: &str, pieces: &[Piece<'_>]) -> Option<Halt> {
    let speaking = utterance.speaking.as_mut()?;
    if speaking.is_unheard() {
        return Some(Halt::Unheard);
    }
    if audio.is_empty() && pieces.is_empty() {
        return None;
    }
    speaking.base64(audio, pieces).err()
}

/// Its context stays taken until the vendor says that it is over, since the vendor counts it until then.
fn cut(utterance: &mut Utterance, halt: Halt) {
    let Some(speaking) = utterance.speaking.take() else { return };
    if let Halt::Broken(why) = halt {
        speaking.fail_with(&why, false);
    }
}

/// The events of an utterance that has nothing to say.
pub(crate) fn nothing(engine: &str) -> mpsc::Receiver<VoiceEvent> {
    let (outlet, events) = Outlet::open(engine);
    outlet.end(VoiceEvent::Done);
    events
}

#[cfg(test)]
#[path = "contexts_tests.rs"]
mod tests;
