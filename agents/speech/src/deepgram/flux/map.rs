//! Flux's turns as recognitions on one socket.
//!
//! Words have their place in the audio: what lies before a recognition's begin is of an earlier one, though it may be told
//! in the same turn.

use tandem_media::Time;

use super::wire::{FORCE_END_TURN, TurnEvent, TurnInfo, TurnWord};
use crate::RecognizerEvent;
use crate::deepgram::map::{ANSWER_LIMIT, Ending, Said, position, reported, silent, unreadable};
use crate::deepgram::wire::Kind;
use crate::recognizer_line::core::{Effect, Input, StreamCore};

impl Said {
    fn in_turn(turn: &TurnInfo<'_>, begin: f64) -> Self {
        let place = |word: &TurnWord<'_>| Some(f64::midpoint(word.start?, word.end?));
        let ours = |word: &&TurnWord<'_>| place(word).is_none_or(|place| place > begin);
        let words: Vec<_> = turn.words.iter().filter(ours).collect();
        let text = if words.len() == turn.words.len() {
            turn.transcript.trim().to_owned()
        } else {
            words.iter().map(|word| word.word.as_ref()).collect::<Vec<_>>().join(" ")
        };
        Self::new(text, words.iter().map(|word| word.confidence), 1.0)
    }
}

#[derive(Debug)]
struct Utterance {
    /// Samples of the socket before it.
    begin: u64,
    said: Said,
    /// What the session was told last.
    told: String,
    /// The session was told that the turn is probably over.
    eager: bool,
    ending: Option<Ending>,
    /// The end was forced again, on a turn that began late.
    again: bool,
}

#[derive(Debug)]
pub(crate) struct Flux {
    rate: u32,
    /// Samples since the socket was opened.
    sent: u64,
    running: Option<Utterance>,
    /// The turn of a recognition that was given up may be open until then: what has no place in the audio is taken for its.
    stale: Option<Time>,
}

impl Flux {
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate, sent: 0, running: None, stale: None }
    }

    fn begin(&mut self) {
        let (said, told) = Default::default();
        let begin = self.sent;
        self.running = Some(Utterance { begin, said, told, eager: false, ending: None, again: false });
    }

    fn finish(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(running) = self.running.as_mut().filter(|running| running.ending.is_none()) else { return };
        if running.begin == self.sent {
            self.end(out);
            return;
        }
        running.ending = Some(Ending::new(now));
        out.extend([Effect::Send(FORCE_END_TURN), Effect::Ping]);
    }

    fn cancel(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(running) = self.running.take() else { return };
        if running.begin < self.sent {
            out.push(Effect::Send(FORCE_END_TURN));
            self.stale = Some(now + ANSWER_LIMIT);
        }
    }

    fn hear(&mut self, text: &str, out: &mut Vec<Effect>) {
        self.alive();
        if let Err(why) = self.read(text, out) {
            out.push(Effect::Broken(why));
        }
    }

    fn read(&mut self, text: &str, out: &mut Vec<Effect>) -> Result<(), String> {
        let Kind { kind } = serde_json::from_str(text).map_err(unreadable)?;
        match kind.as_ref() {
            "TurnInfo" => self.turn(&serde_json::from_str(text).map_err(unreadable)?, out),
            "Error" => return Err(reported(text)),
            _ => {}
        }
        Ok(())
    }

    fn alive(&mut self) {
        if let Some(ending) = self.running.as_mut().and_then(|running| running.ending.as_mut()) {
            ending.alive = true;
        }
    }

    fn turn(&mut self, turn: &TurnInfo<'_>, out: &mut Vec<Effect>) {
        let placed = |word: &TurnWord<'_>| word.start.is_some() && word.end.is_some();
        let stale = self.stale.is_some();
        self.stale.take_if(|_| turn.event == TurnEvent::EndOfTurn);
        if stale && !turn.words.iter().all(placed) {
            return;
        }
        let Some(running) = &mut self.running else { return };
        let said = Said::in_turn(turn, position(running.begin, self.rate));
        if said.text.is_empty() {
            return;
        }
        running.said = said;
        match turn.event {
            TurnEvent::StartOfTurn | TurnEvent::Update => running.partial(out),
            TurnEvent::EagerEndOfTurn => running.eager_end(turn.end_of_turn_confidence, out),
            TurnEvent::TurnResumed => running.resumed(out),
            TurnEvent::EndOfTurn => self.end_of_turn(turn.end_of_turn_confidence, out),
            TurnEvent::Other => {}
        }
        self.force_again(out);
    }

    /// The turn began after its end was forced.
    fn force_again(&mut self, out: &mut Vec<Effect>) {
        if let Some(running) = self.running.as_mut().filter(|running| running.ending.is_some() && !running.again) {
            running.again = true;
            out.push(Effect::Send(FORCE_END_TURN));
        }
    }

    fn end_of_turn(&mut self, confidence: f32, out: &mut Vec<Effect>) {
        if self.running.as_ref().is_some_and(|running| running.ending.is_some()) {
            self.end(out);
        } else if let Some(running) = self.running.take() {
            let (text, confidence) = (running.said.text, confidence.clamp(0.0, 1.0));
            out.push(Effect::Tell(RecognizerEvent::EndOfTurn { text, confidence, eager: false }));
        }
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.stale.take_if(|until| *until <= now);
        let Some(running) = self.running.as_ref() else { return };
        let Some(ending) = running.ending.filter(|ending| ending.due <= now) else { return };
        let nothing = running.said.text.is_empty();
        // Its turn may begin even now, without a word for the next one.
        self.stale = Some(now + ANSWER_LIMIT);
        if ending.alive || !nothing {
            self.end(out);
        }
        if !ending.alive {
            out.push(silent());
        }
    }

    fn end(&mut self, out: &mut Vec<Effect>) {
        if let Some(running) = self.running.take() {
            out.push(Effect::Tell(running.said.into_last_event()));
        }
    }
}

impl Utterance {
    fn partial(&mut self, out: &mut Vec<Effect>) {
        if self.ending.is_none() && self.told != self.said.text {
            self.told.clone_from(&self.said.text);
            out.push(Effect::Tell(RecognizerEvent::Partial { text: self.told.clone() }));
        }
    }

    fn eager_end(&mut self, confidence: f32, out: &mut Vec<Effect>) {
        if self.ending.is_none() {
            self.eager = true;
            self.told.clone_from(&self.said.text);
            let (text, confidence) = (self.told.clone(), confidence.clamp(0.0, 1.0));
            out.push(Effect::Tell(RecognizerEvent::EndOfTurn { text, confidence, eager: true }));
        }
    }

    fn resumed(&mut self, out: &mut Vec<Effect>) {
        if self.ending.is_none() && std::mem::take(&mut self.eager) {
            out.push(Effect::Tell(RecognizerEvent::TurnResumed));
        }
        self.partial(out);
    }
}

impl StreamCore for Flux {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Opened => *self = Self::new(self.rate),
            Input::Begin => self.begin(),
            Input::Sent(samples) => self.sent += samples as u64,
            Input::Finish => self.finish(now, out),
            Input::Cancel => self.cancel(now, out),
            Input::Heard(text) => self.hear(text, out),
            Input::Alive => self.alive(),
            Input::Timeout => self.timeout(now, out),
        }
    }

    fn deadline(&self) -> Option<Time> {
        let ending = self.running.as_ref().and_then(|running| running.ending).map(|ending| ending.due);
        ending.into_iter().chain(self.stale).min()
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
