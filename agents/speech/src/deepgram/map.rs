//! Nova's recognitions on one socket, one after the other.
//!
//! Positions tell them apart: Deepgram places each result in the audio since the socket was opened, and we know where each
//! recognition began.

use std::time::Duration;

use tandem_media::Time;

use super::wire::{Alternative, FINALIZE, Kind, Problem, Results, Word};
use crate::RecognizerEvent;
use crate::recognizer_line::core::{Effect, Input, StreamCore};

/// How long the answer to `Finalize` (or Flux's `ForceEndTurn`) may take. It comes in some 100 ms and a round trip, or, where nothing was left to
/// answer for, never; the caller waits meanwhile.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_millis(700);
/// How far a result's end may lie beyond the audio that it stands for: rounding, and less than one frame.
const SLACK_S: f64 = 0.01;

/// What was said in one stretch of audio.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) text: String,
    /// Of the confidences of `words`.
    sum: f32,
    words: u16,
}

impl Said {
    /// The part of a result that lies after `begin` seconds.
    fn of(result: &Results<'_>, begin: f64) -> Self {
        let none = Alternative::default();
        let said = result.channel.alternatives.first().unwrap_or(&none);
        let ours = |word: &&Word<'_>| f64::midpoint(word.start, word.end) > begin;
        let words = || said.words.iter().filter(ours);
        let text = if words().count() == said.words.len() {
            said.transcript.trim().to_owned()
        } else {
            let written = |word: &Word<'_>| word.punctuated_word.as_ref().unwrap_or(&word.word).to_string();
            words().map(written).collect::<Vec<_>>().join(" ")
        };
        Self::new(text, words().map(|word| word.confidence), said.confidence)
    }

    /// `otherwise`: the confidence of a text without words.
    pub(super) fn new(text: String, confidences: impl Iterator<Item = f32>, otherwise: f32) -> Self {
        let (sum, words) = confidences.fold((0.0, 0_u16), |(sum, words), one| (sum + one, words.saturating_add(1)));
        match (text.is_empty(), words) {
            (true, _) => Self::default(),
            (false, 0) => Self { text, sum: otherwise, words: 1 },
            (false, words) => Self { text, sum, words },
        }
    }

    fn add(&mut self, other: &Self) {
        if !self.text.is_empty() && !other.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&other.text);
        self.sum += other.sum;
        self.words = self.words.saturating_add(other.words);
    }

    fn plus(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.add(other);
        both
    }

    pub(super) fn into_last_event(self) -> RecognizerEvent {
        if self.text.is_empty() {
            return RecognizerEvent::Rejected;
        }
        let confidence = (self.sum / f32::from(self.words.max(1))).clamp(0.0, 1.0);
        RecognizerEvent::Final { text: self.text, confidence }
    }
}

/// Seconds.
pub(super) fn position(samples: u64, rate: u32) -> f64 {
    samples as f64 / f64::from(rate.max(1))
}

pub(super) fn unreadable(error: serde_json::Error) -> String {
    format!("it sent what is no message of Deepgram's ({error})")
}

pub(super) fn reported(text: &str) -> String {
    let problem: Problem<'_> = serde_json::from_str(text).unwrap_or_default();
    format!("it reports an error {}", problem.name())
}

pub(super) fn silent() -> Effect {
    Effect::Broken(format!("it gave no sign of life in the {} ms after the utterance", ANSWER_LIMIT.as_millis()))
}

#[derive(Debug)]
struct Utterance {
    /// Samples of the socket before it.
    begin: u64,
    finals: Said,
    /// What may still change.
    interim: Said,
    /// What the last partial said.
    told: String,
    ending: Option<Ending>,
}

/// Deepgram was asked for the end of the running recognition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) due: Time,
    /// The other end has given a sign of life since.
    pub(super) alive: bool,
}

impl Ending {
    pub(super) fn new(now: Time) -> Self {
        Self { due: now + ANSWER_LIMIT, alive: false }
    }
}

/// `Finalize` was sent, and nobody waits for the answer: until then, or a while, no result counts that ends before `end`.
#[derive(Clone, Copy, Debug)]
struct Stale {
    until: Time,
    end: u64,
}

#[derive(Debug)]
pub(super) struct Nova {
    rate: u32,
    /// Samples since the socket was opened.
    sent: u64,
    running: Option<Utterance>,
    stale: Option<Stale>,
}

impl Nova {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, sent: 0, running: None, stale: None }
    }

    fn seconds(&self, samples: u64) -> f64 {
        position(samples, self.rate)
    }

    fn opened(&mut self) {
        *self = Self::new(self.rate);
    }

    fn begin(&mut self) {
        let (finals, interim, told) = Default::default();
        self.running = Some(Utterance { begin: self.sent, finals, interim, told, ending: None });
    }

    fn finish(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(running) = self.running.as_mut().filter(|running| running.ending.is_none()) else { return };
        if running.begin == self.sent {
            self.end(out);
            return;
        }
        running.ending = Some(Ending::new(now));
        out.extend([Effect::Send(FINALIZE), Effect::Ping]);
    }

    fn cancel(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(running) = self.running.take() else { return };
        if running.begin == self.sent {
            return;
        }
        if running.ending.is_none() {
            out.push(Effect::Send(FINALIZE));
        }
        self.stale = Some(Stale { until: now + ANSWER_LIMIT, end: self.sent });
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
            "Results" => self.result(&serde_json::from_str(text).map_err(unreadable)?, out),
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

    fn result(&mut self, result: &Results<'_>, out: &mut Vec<Effect>) {
        let end = result.start + result.duration;
        let before = |position: f64| end <= position + SLACK_S;
        if let Some(stale) = self.stale {
            let ours = !before(self.seconds(stale.end));
            if ours || result.from_finalize {
                self.stale = None;
            }
            if !ours {
                return;
            }
        }
        let begin = self.running.as_ref().map_or(0.0, |running| self.seconds(running.begin));
        let Some(running) = self.running.as_mut().filter(|_| !before(begin)) else { return };
        running.take(result, begin, out);
        if result.from_finalize && running.ending.is_some() {
            self.end(out);
        }
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.stale.take_if(|stale| stale.until <= now);
        let Some(ending) = self.running.as_ref().and_then(|running| running.ending).filter(|e| e.due <= now) else {
            return;
        };
        // Its answer may still come, and is not for the next one.
        self.stale = Some(Stale { until: now + ANSWER_LIMIT, end: self.sent });
        let nothing = self.running.as_ref().is_none_or(|running| running.so_far().text.is_empty());
        if ending.alive || !nothing {
            self.end(out);
        }
        if !ending.alive {
            out.push(silent());
        }
    }

    fn end(&mut self, out: &mut Vec<Effect>) {
        if let Some(running) = self.running.take() {
            out.push(Effect::Tell(running.so_far().into_last_event()));
        }
    }
}

impl Utterance {
    fn take(&mut self, result: &Results<'_>, begin: f64, out: &mut Vec<Effect>) {
        let said = Said::of(result, begin);
        if result.is_final {
            self.interim = Said::default();
            self.finals.add(&said);
        } else {
            self.interim = said;
        }
        let text = self.so_far().text;
        if self.ending.is_none() && !text.is_empty() && text != self.told {
            self.told.clone_from(&text);
            out.push(Effect::Tell(RecognizerEvent::Partial { text }));
        }
    }

    fn so_far(&self) -> Said {
        self.finals.plus(&self.interim)
    }
}

impl StreamCore for Nova {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Effect>) {
        match input {
            Input::Opened => self.opened(),
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
        let stale = self.stale.map(|stale| stale.until);
        ending.into_iter().chain(stale).min()
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
