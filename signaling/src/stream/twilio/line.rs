//! What a far end that buffers has been sent and has not played: the mark and clear rule.
//!
//! A mark comes back when everything before it was played, and also, all at once, when we `clear`. Those that come back before
//! the clear can have been answered were played; later ones say nothing. What was heard then is the last mark plus the time
//! since, at most what was sent. A mark that should have come back and has not is a network that stands still, or a far end
//! that has run dry: then it is the last mark, and the time since counts nothing.
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

/// Frames between two marks of an utterance: 80 ms. A mark costs a message each way; between them the far end's playout is
/// taken to go on in real time, so this bounds what a network that stands still makes wrong.
const FRAMES_PER_MARK: u32 = 4;

/// How late a mark may be without more behind it than a busy network.
const JITTER: Duration = Duration::from_millis(20);

/// Longest round trip that is believed: what was heard at a clear is said within this time of it, as the session waits only a
/// little longer.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(250);

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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    audio: AgentAudio,
    /// When its first sample sounds, as far as we know.
    plays_at: Time,
    /// Whether a mark follows it.
    marked: bool,
}

impl Sent {
    fn over_at(&self) -> Time {
        self.plays_at + duration(self.audio.samples.len())
    }

    /// What of it has sounded by then, and the rest.
    fn split(self, at: Time) -> (u32, Option<AgentAudio>) {
        let Self { audio, plays_at, .. } = self;
        let played = samples(at.since(plays_at)).min(audio.samples.len());
        let offset = audio.offset.saturating_add(u32::try_from(played).unwrap_or(u32::MAX));
        let rest = (played < audio.samples.len()).then(|| AgentAudio {
            offset,
            samples: audio.samples[played..].into(),
            ..audio
        });
        (offset, rest)
    }
}

/// A clear of which marks may still tell what it came upon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Clearing {
    at: Time,
    /// From then on the far end may have answered the clear.
    until: Time,
    /// What marks say that came back since.
    heard: Vec<Played>,
    /// What was on its way, or played, and no mark has come back.
    sent: VecDeque<Sent>,
    /// What did not reach the far end any more.
    behind: VecDeque<AgentAudio>,
}

/// Whether the far end sends marks back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Marks {
    #[default]
    NoneYet,
    Come,
    /// It has been sent as many as it may owe.
    NeverCome,
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
    clearing: Option<Clearing>,
    marks: Marks,
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
        let marked = self.unmarked >= FRAMES_PER_MARK;
        if self.ahead.len() == AHEAD_MAX {
            self.ahead.pop_front();
            if self.marks == Marks::NoneYet {
                self.marks = Marks::NeverCome;
            }
        }
        self.ahead.push_back(Sent { audio, plays_at, marked });
        if !marked {
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

    /// A mark came back. None: it says nothing now (it is of before a clear, or is none of ours).
    pub(super) fn marked(&mut self, now: Time, name: &str) -> Option<Played> {
        let MarkName { clears, utterance, offset } = MarkName::parse(name)?;
        let is_marked = |sent: &Sent| sent.audio.utterance == utterance && end(&sent.audio) == offset;
        if clears != self.clears {
            let of_last = clears.wrapping_add(1) == self.clears;
            let clearing = self.clearing.as_mut().filter(|clearing| of_last && now < clearing.until)?;
            let at = clearing.sent.iter().position(is_marked)?;
            for sent in clearing.sent.drain(..=at) {
                note(&mut clearing.heard, sent.audio.utterance, end(&sent.audio));
            }
            return None;
        }
        let at = self.ahead.iter().position(is_marked)?;
        self.marks = Marks::Come;
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

    /// Everything that was not played is being thrown away, because of this utterance; [`Line::settle`] says what was. Gives
    /// what was not heard of utterances that began after it: nobody silenced them, and they are lost over there too.
    pub(super) fn clear(&mut self, now: Time, utterance: u32) -> Vec<AgentAudio> {
        self.clears = self.clears.wrapping_add(1);
        self.current = None;
        let ahead = std::mem::take(&mut self.ahead);
        let stuck = self.is_stuck(&ahead, now);
        let (sent, newer): (VecDeque<_>, VecDeque<_>) =
            ahead.into_iter().partition(|sent| sent.audio.utterance <= utterance);
        let until = now + self.round_trip.unwrap_or_default().min(ROUND_TRIP_MAX);
        self.clearing = Some(Clearing { at: now, until, heard: Vec::new(), sent, behind: VecDeque::new() });
        newer.into_iter().filter_map(|sent| if stuck { Some(sent.audio) } else { sent.split(now).1 }).collect()
    }

    /// When it will be known what the last clear came upon.
    pub(super) fn settles_at(&self) -> Option<Time> {
        self.clearing.as_ref().map(|clearing| clearing.until)
    }

    /// How much was heard of each utterance that the last clear came upon, as far as it is known now.
    pub(super) fn settle(&mut self, now: Time) -> Vec<Played> {
        let Some(Clearing { at, mut heard, sent, behind, .. }) = self.clearing.take() else { return Vec::new() };
        let at = if self.is_stuck(&sent, now) { Time::ZERO } else { at };
        for sent in sent {
            let (utterance, begins) = (sent.audio.utterance, sent.audio.offset);
            let (offset, rest) = sent.split(at);
            match heard.last_mut().filter(|last| last.utterance == utterance) {
                Some(last) if offset > begins => last.offset = offset,
                Some(_) => {}
                None => heard.push(Played { utterance, offset }),
            }
            self.withheld.extend(rest);
        }
        for audio in behind {
            if heard.iter().all(|played| played.utterance != audio.utterance) {
                heard.push(Played { utterance: audio.utterance, offset: audio.offset });
            }
            self.keep(audio);
        }
        heard
    }

    /// Nothing more will be heard. Gives what was, where a network that stands still held up the rest.
    pub(super) fn lost(&mut self, now: Time) -> Vec<Played> {
        if !self.is_stuck(&self.ahead, now) {
            return Vec::new();
        }
        self.clear(now, u32::MAX);
        self.settle(now)
    }

    /// Whether a mark should have come back by now, and has not.
    fn is_stuck(&self, sent: &VecDeque<Sent>, now: Time) -> bool {
        let ways = match (self.round_trip, self.marks) {
            (_, Marks::NeverCome) => return false,
            (Some(round_trip), _) => round_trip,
            // It is in what we believe of the far end.
            (None, Marks::Come) => Duration::ZERO,
            (None, Marks::NoneYet) => ROUND_TRIP_MAX,
        };
        let next = sent.iter().find(|sent| sent.marked);
        next.is_some_and(|sent| now > sent.over_at() + ways + JITTER)
    }

    /// Audio that did not reach the far end any more: goes behind what was cleared there.
    pub(super) fn withhold(&mut self, audio: AgentAudio) {
        match &mut self.clearing {
            Some(clearing) if clearing.behind.len() < AHEAD_MAX => clearing.behind.push_back(audio),
            Some(_) => {}
            None => self.keep(audio),
        }
    }

    fn keep(&mut self, audio: AgentAudio) {
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

/// It was played to there; in order.
fn note(heard: &mut Vec<Played>, utterance: u32, offset: u32) {
    match heard.last_mut().filter(|last| last.utterance == utterance) {
        Some(last) => last.offset = offset,
        None => heard.push(Played { utterance, offset }),
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
