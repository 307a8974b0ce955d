//! What a far end that buffers has been sent and has not played: the mark and clear rule.
//!
//! A mark comes back when everything before it was played, and also, all at once, when we `clear`. So marks of before the
//! clear say nothing once it was sent. What was heard then is the last mark before the clear plus the time since, at most
//! what was sent.
//!
//! Times are of our end: a sample "plays" when it would if the network took no time. The clear travels as long as the audio
//! did, so what has played by our clock when we send it is what will have played over there when it arrives. A mark is
//! late by the way there and back; what of that is known (pings measure it) is taken off, and of the rest the far end is
//! taken to be slow: it is never said to have heard more than it has.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

use super::message::RATE;
use crate::stream::audio::AgentAudio;

/// Frames between two marks of an utterance: 200 ms. A mark costs a message each way; between them the far end's playout is
/// taken to go on in real time.
const FRAMES_PER_MARK: u32 = 10;

/// Frames of which no mark has come back, at most: ten seconds. A far end that sends none back is taken at our own word.
const AHEAD_MAX: usize = 500;

/// A name that we gave to a moment of the playout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MarkName {
    /// Number of clears before it.
    clears: u32,
    pub(super) utterance: u32,
    /// Samples of the utterance that were sent before it.
    pub(super) offset: u32,
}

impl fmt::Display for MarkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.clears, self.utterance, self.offset)
    }
}

impl MarkName {
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '.').map(|part| part.parse().ok());
        Some(Self { clears: parts.next()??, utterance: parts.next()??, offset: parts.next()?? })
    }
}

/// How much of an utterance was heard, samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Played {
    pub(super) utterance: u32,
    pub(super) offset: u32,
}

/// What a clear comes upon.
#[derive(Debug)]
pub(super) struct Cleared {
    /// Of each utterance in question: how much of it was heard.
    pub(super) heard: Vec<Played>,
    /// Not heard of utterances that began after the silenced one: nobody silenced them, and they are lost over there too.
    pub(super) newer: Vec<AgentAudio>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    audio: AgentAudio,
    /// When its first sample sounds, as far as we know.
    plays_at: Time,
}

impl Sent {
    fn over_at(&self) -> Time {
        self.plays_at + duration(self.audio.samples.len())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Sent, and not known to be played; in order.
    ahead: VecDeque<Sent>,
    clears: u32,
    /// The utterance that was sent last.
    current: Option<u32>,
    /// Frames of it since its last mark.
    unmarked: u32,
    /// The way there and back, as far as it is known.
    round_trip: Option<Duration>,
    /// Sent, cleared and not played: to be sent again if the utterance goes on.
    withheld: VecDeque<AgentAudio>,
}

impl Line {
    /// A frame has left. A mark is to follow it if one is given.
    pub(super) fn sent(&mut self, now: Time, audio: AgentAudio) -> Option<MarkName> {
        let begins = self.current.replace(audio.utterance) != Some(audio.utterance);
        self.unmarked = if begins { FRAMES_PER_MARK } else { self.unmarked + 1 };
        let (utterance, offset) = (audio.utterance, end(&audio));
        let plays_at = self.ahead.back().map_or(now, |last| last.over_at().max(now));
        if self.ahead.len() == AHEAD_MAX {
            self.ahead.pop_front();
        }
        self.ahead.push_back(Sent { audio, plays_at });
        if self.unmarked < FRAMES_PER_MARK {
            return None;
        }
        self.unmarked = 0;
        Some(MarkName { clears: self.clears, utterance, offset })
    }

    /// A ping was answered after this time.
    pub(super) fn measured(&mut self, round_trip: Duration) {
        // The least is the network's; the rest is somebody's queue.
        self.round_trip = Some(self.round_trip.map_or(round_trip, |known| known.min(round_trip)));
    }

    /// A mark came back. None: it says nothing (it was thrown back by a clear, or is none of ours).
    pub(super) fn marked(&mut self, now: Time, name: &str) -> Option<Played> {
        let MarkName { clears, utterance, offset } = MarkName::parse(name)?;
        let is_marked = |sent: &Sent| sent.audio.utterance == utterance && end(&sent.audio) == offset;
        let at = self.ahead.iter().position(is_marked).filter(|_| clears == self.clears)?;
        let believed = self.ahead.drain(..=at).next_back()?.over_at();
        let now = Time::ZERO + now.since(Time::ZERO + self.round_trip.unwrap_or_default());
        // The far end is later than we believed, or (what a late estimate makes possible) earlier.
        for sent in &mut self.ahead {
            sent.plays_at = match now > believed {
                true => sent.plays_at + now.since(believed),
                false => Time::ZERO + sent.plays_at.since(Time::ZERO).saturating_sub(believed.since(now)),
            };
        }
        Some(Played { utterance, offset })
    }

    /// Everything that was not played is being thrown away, because of this utterance.
    pub(super) fn clear(&mut self, now: Time, utterance: u32) -> Cleared {
        self.clears = self.clears.wrapping_add(1);
        self.current = None;
        let (mut heard, mut newer): (Vec<Played>, Vec<AgentAudio>) = (Vec::new(), Vec::new());
        for Sent { audio, plays_at } in std::mem::take(&mut self.ahead) {
            let played = samples(now.since(plays_at)).min(audio.samples.len());
            let offset = audio.offset.saturating_add(u32::try_from(played).unwrap_or(u32::MAX));
            match heard.last_mut().filter(|last| last.utterance == audio.utterance) {
                Some(last) if played > 0 => last.offset = offset,
                Some(_) => {}
                None => heard.push(Played { utterance: audio.utterance, offset }),
            }
            if played < audio.samples.len() {
                let rest = AgentAudio { offset, samples: audio.samples[played..].into(), ..audio };
                match rest.utterance > utterance {
                    true => newer.push(rest),
                    false => self.withheld.push_back(rest),
                }
            }
        }
        Cleared { heard, newer }
    }

    /// Audio that did not reach the far end any more: goes behind what was cleared there.
    pub(super) fn withhold(&mut self, audio: AgentAudio) {
        if self.withheld.len() < AHEAD_MAX {
            self.withheld.push_back(audio);
        }
    }

    /// The first frame that was not heard of this utterance.
    pub(super) fn withheld(&self, utterance: u32) -> Option<&AgentAudio> {
        self.withheld.iter().find(|audio| audio.utterance == utterance)
    }

    /// What was withheld, if this utterance is a part of it and goes on; else that is void.
    pub(super) fn resume(&mut self, utterance: u32) -> VecDeque<AgentAudio> {
        let withheld = std::mem::take(&mut self.withheld);
        if withheld.iter().any(|audio| audio.utterance == utterance) { withheld } else { VecDeque::new() }
    }
}

fn end(audio: &AgentAudio) -> u32 {
    audio.offset.saturating_add(u32::try_from(audio.samples.len()).unwrap_or(u32::MAX))
}

fn duration(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000_000 / u64::from(RATE))
}

fn samples(duration: Duration) -> usize {
    usize::try_from(duration.as_micros() * u128::from(RATE) / 1_000_000).unwrap_or(usize::MAX)
}
