//! One RTP stream's payloads, in order, at the right moment.

use std::time::Duration;

use super::delay::Lateness;
use super::sequence::{Place, Sequence};
use crate::Time;
use crate::leg::Codec;

/// Packets kept: 1.28 s at 20 ms. A stream that is further ahead of its playout loses its oldest packets.
const SLOTS: u64 = 64;

/// The longest payload kept: 120 ms of G.711, the longest packet that RFC 3551 lets a receiver expect (200 ms) being rare.
const MAX_PAYLOAD: usize = 960;

/// Concealed slots, 200 ms, after which a stream without packets is a pause and no underrun.
const MAX_HELD: u32 = 10;

/// Slots with a frame too many before two quiet frames are merged, and before any two are: 100 ms and 200 ms.
const SURPLUS_QUIET: u32 = 5;
const SURPLUS_ANY: u32 = 10;

/// Mean magnitude below which a frame is quiet whatever was before: about -50 dBFS.
const QUIET: u32 = 100;

/// What a jitter buffer must know of the stream.
#[derive(Clone, Copy, Debug)]
pub struct JitterSettings {
    /// Timestamp units per second.
    pub clock_hz: u32,
    /// Bounds of the adaptive delay.
    pub min_delay: Duration,
    pub max_delay: Duration,
    /// Mean magnitude of a payload's samples (0 to 32,767), to merge frames where that is not heard.
    pub loudness: fn(&[u8]) -> u32,
}

impl JitterSettings {
    /// G.711 on a telephone line: 10 to 300 ms.
    pub fn g711(codec: Codec) -> Self {
        Self {
            clock_hz: crate::codec::RATE,
            min_delay: Duration::from_millis(10),
            max_delay: Duration::from_millis(300),
            loudness: match codec {
                Codec::Pcmu => |payload| crate::codec::loudness(Codec::Pcmu, payload),
                Codec::Pcma => |payload| crate::codec::loudness(Codec::Pcma, payload),
            },
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    Queued,
    /// Its turn is over: its slot was concealed.
    Late,
    /// It is here already, or was played.
    Duplicate,
    /// Its sequence number is far from the stream's. Not kept; if its successor comes next the stream restarts there.
    Jump,
    /// The second packet after a jump: everything before was thrown away, this one is queued.
    Restarted,
    /// Longer than any telephone packet.
    Oversize,
}

/// What a slot of 20 ms plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled<'a> {
    Frame(&'a [u8]),
    /// Two frames to be overlap-added into the time of one: the delay shrinks.
    Merge(&'a [u8], &'a [u8]),
    /// Something should be here and is not: conceal.
    Lost,
    /// Nothing is expected: before the start, in a pause of discontinuous transmission (RFC 3389), in an event (RFC 4733).
    Empty,
}

/// Counts since the buffer was made; a reset keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets given up: their slot was concealed and later ones were played. Some of them may have come `late`.
    pub lost: u64,
    pub late: u64,
    pub duplicate: u64,
    /// Packets of the right stream that were refused: jumps and oversize.
    pub refused: u64,
    /// Packets thrown away because the buffer was full.
    pub skipped: u64,
    /// Slots for which `Lost` was answered.
    pub concealed: u64,
    /// Slots for which two frames were merged.
    pub merged: u64,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    /// Extended sequence number; 0 marks a free place.
    seq: u64,
    /// Extended timestamp.
    ts: i64,
    /// False: the packet only fills its place in the sequence.
    audio: bool,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was played yet.
    New,
    /// Packets are kept back until the delay is reached, after a pause.
    Filling,
    Playing,
}

/// What a slot does, before payloads are borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Play,
    Merge,
    /// The next packet is given up.
    GiveUp,
    /// Conceal, and wait for the next packet.
    Hold,
    Nothing,
}

/// The ordered, delayed packets of one RTP stream. 64 places, about 14 KB with 20 ms of G.711 in each.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    settings: JitterSettings,
    kept: Vec<Kept>,
    sequence: Sequence,
    lateness: Lateness,
    phase: Phase,
    /// Extended sequence number and timestamp of the next frame to play; 0 before the first packet.
    next: u64,
    next_ts: i64,
    /// Which of the 128 numbers before `next` have come, the latest in bit 0.
    come: u128,
    /// Slots concealed without giving up a packet, since the last frame.
    held: u32,
    /// Slots in a row that had a frame too many.
    surplus: u32,
    /// Smoothed loudness of the stream.
    loudness: u32,
    /// The last packet said that no audio follows.
    silent: bool,
    stats: JitterStats,
}

impl JitterBuffer {
    pub fn new(settings: JitterSettings) -> Self {
        Self {
            kept: vec![Kept::default(); SLOTS as usize],
            sequence: Sequence::new(i64::from(settings.clock_hz / 50)),
            lateness: Lateness::new(settings.clock_hz, settings.min_delay, settings.max_delay),
            settings,
            phase: Phase::New,
            next: 0,
            next_ts: 0,
            come: 0,
            held: 0,
            surplus: 0,
            loudness: 0,
            silent: false,
            stats: JitterStats::default(),
        }
    }

    /// Forgets the stream: its SSRC changed, or it starts anew. Counts stay.
    pub fn reset(&mut self) {
        let stats = self.stats;
        *self = Self::new(self.settings);
        self.stats = stats;
    }

    /// Takes an audio packet. `ts` is in units of the clock, `payload` one frame of any length up to 960 bytes.
    pub fn insert(&mut self, now: Time, seq: u16, ts: u32, payload: &[u8]) -> Inserted {
        if payload.len() > MAX_PAYLOAD {
            self.stats.refused += 1;
            return Inserted::Oversize;
        }
        self.place(now, (seq, ts), Some(payload))
    }

    /// Takes note of a packet of the stream that carries no audio of the codec: comfort noise, a telephone event. Without
    /// it the number would count as lost. Silence, not concealment, follows it.
    pub fn insert_other(&mut self, now: Time, seq: u16, ts: u32) -> Inserted {
        self.place(now, (seq, ts), None)
    }

    /// What to play in the slot that begins at `now`. Called every 20 ms (every frame length of the stream).
    pub fn pull(&mut self, now: Time) -> Pulled<'_> {
        match self.decide(now) {
            Step::Nothing => Pulled::Empty,
            Step::Hold => {
                self.held += 1;
                self.stats.concealed += 1;
                Pulled::Lost
            }
            Step::GiveUp => {
                self.give_up();
                self.stats.concealed += 1;
                Pulled::Lost
            }
            Step::Play => {
                let at = self.take();
                Pulled::Frame(&self.kept[at].payload)
            }
            Step::Merge => {
                let (first, second) = (self.take(), self.take());
                self.surplus = 0;
                self.stats.merged += 1;
                Pulled::Merge(&self.kept[first].payload, &self.kept[second].payload)
            }
        }
    }

    /// The delay that the jitter of the last second asks for.
    pub fn target(&self) -> Duration {
        Duration::from_micros(self.lateness.target_us().unsigned_abs())
    }

    /// How long the next frame will have waited, were it played at `now`, compared with the fastest packet. None before the
    /// first packet and in a pause.
    pub fn delay(&self, now: Time) -> Option<Duration> {
        let playing = self.phase == Phase::Playing;
        playing.then(|| Duration::from_micros(self.lateness.behind(now, self.next_ts).max(0).unsigned_abs()))
    }

    pub const fn stats(&self) -> JitterStats {
        self.stats
    }

    fn place(&mut self, now: Time, (seq, ts): (u16, u32), payload: Option<&[u8]>) -> Inserted {
        let mut restarted = false;
        let (number, time) = loop {
            match self.sequence.place(seq, ts) {
                Place::At { seq, ts } => break (seq, ts),
                Place::Jump => {
                    self.stats.refused += 1;
                    return Inserted::Jump;
                }
                Place::Restart => {
                    self.reset();
                    restarted = true;
                }
            }
        };
        match self.admit(number, time) {
            Ok(()) => {}
            Err(Inserted::Late) => {
                self.stats.late += 1;
                self.lateness.observe(now, time);
                return Inserted::Late;
            }
            Err(refusal) => {
                self.stats.duplicate += 1;
                return refusal;
            }
        }
        if payload.is_some() {
            self.lateness.observe(now, time);
        }
        let at = index(number);
        let kept = &mut self.kept[at];
        kept.seq = number;
        kept.ts = time;
        kept.audio = payload.is_some();
        kept.payload.clear();
        kept.payload.extend_from_slice(payload.unwrap_or_default());
        if restarted { Inserted::Restarted } else { Inserted::Queued }
    }

    /// Whether the packet of this number may be kept; moves the window so that it fits.
    fn admit(&mut self, number: u64, time: i64) -> Result<(), Inserted> {
        if self.next == 0 {
            self.next = number;
            self.next_ts = time;
        }
        if number < self.next {
            let before = self.next - number;
            if self.phase == Phase::New && self.sequence.newest() - number < SLOTS {
                self.next = number;
                self.next_ts = time;
                return Ok(());
            }
            let known = before <= 128 && self.come & (1 << (before - 1)) != 0;
            if known {
                return Err(Inserted::Duplicate);
            }
            if before <= 128 {
                self.come |= 1 << (before - 1);
            }
            return Err(Inserted::Late);
        }
        while number >= self.next + SLOTS {
            if self.kept[index(self.next)].seq == self.next {
                self.stats.skipped += 1;
                self.take();
            } else {
                self.give_up();
            }
        }
        if self.kept[index(number)].seq == number { Err(Inserted::Duplicate) } else { Ok(()) }
    }

    fn decide(&mut self, now: Time) -> Step {
        // Each turn of the loop passes a number, and the numbers kept are bounded.
        loop {
            if self.next == 0 {
                return Step::Nothing;
            }
            let Some(kept) = self.held_at(self.next) else {
                match self.decide_missing(now) {
                    Some(step) => return step,
                    None => continue,
                }
            };
            if !kept.audio {
                self.take();
                self.silent = true;
                continue;
            }
            return self.decide_present(now, kept.ts);
        }
    }

    /// The next packet is here: play it now?
    fn decide_present(&mut self, now: Time, ts: i64) -> Step {
        let behind = self.lateness.behind(now, ts);
        let due = behind >= self.lateness.target_us();
        // Neighbours in sequence with a hole in time: the sender was silent, so the delay may be set afresh.
        let pause = ts - self.next_ts >= self.sequence.frame();
        if (self.phase != Phase::Playing || pause) && !due {
            return Step::Nothing;
        }
        self.phase = Phase::Playing;
        self.count_surplus(behind);
        if self.may_merge() { Step::Merge } else { Step::Play }
    }

    /// The next packet is not here. None: its number was passed, look again.
    fn decide_missing(&mut self, now: Time) -> Option<Step> {
        if self.sequence.newest() < self.next {
            return Some(self.decide_empty());
        }
        let target = self.lateness.target_us();
        if self.phase != Phase::Playing {
            // The first that is here decides; what is missing before it was lost in the pause.
            let first = (self.next..=self.sequence.newest()).find_map(|seq| self.held_at(seq));
            let due = first.is_some_and(|kept| self.lateness.behind(now, kept.ts) >= target);
            if !due {
                return Some(Step::Nothing);
            }
            self.give_up();
            return None;
        }
        if self.lateness.behind(now, self.next_ts) < target {
            return Some(Step::Hold);
        }
        if self.held > 0 {
            // This one's time has been concealed already.
            self.held -= 1;
            self.give_up();
            return None;
        }
        Some(Step::GiveUp)
    }

    fn decide_empty(&mut self) -> Step {
        if self.phase == Phase::Playing && (self.silent || self.held >= MAX_HELD) {
            self.phase = Phase::Filling;
        }
        if self.phase == Phase::Playing { Step::Hold } else { Step::Nothing }
    }

    fn count_surplus(&mut self, behind: i64) {
        let frame = self.lateness.micros(self.sequence.frame());
        let surplus = behind - self.lateness.target_us() >= frame;
        self.surplus = if surplus { self.surplus + 1 } else { 0 };
    }

    fn may_merge(&self) -> bool {
        if self.surplus < SURPLUS_QUIET {
            return false;
        }
        let pair = (self.held_at(self.next), self.held_at(self.next + 1));
        let (Some(first), Some(second)) = pair else { return false };
        let neighbours = second.audio && second.ts - first.ts <= self.sequence.frame();
        neighbours && (self.surplus >= SURPLUS_ANY || (self.is_quiet(first) && self.is_quiet(second)))
    }

    fn is_quiet(&self, kept: &Kept) -> bool {
        (self.settings.loudness)(&kept.payload) <= QUIET.max(self.loudness / 4)
    }

    /// Moves past the next packet, which is here. Its payload stays readable at the index returned.
    fn take(&mut self) -> usize {
        let at = index(self.next);
        let kept = &mut self.kept[at];
        kept.seq = 0;
        if kept.audio {
            self.next_ts = kept.ts + self.sequence.frame();
            let loudness = (self.settings.loudness)(&kept.payload);
            self.loudness = (self.loudness * 15 + loudness) / 16;
            self.silent = false;
        }
        self.next += 1;
        self.come = self.come << 1 | 1;
        self.held = 0;
        at
    }

    fn give_up(&mut self) {
        self.next += 1;
        self.next_ts += self.sequence.frame();
        self.come <<= 1;
        self.stats.lost += 1;
    }

    fn held_at(&self, seq: u64) -> Option<&Kept> {
        let kept = &self.kept[index(seq)];
        (kept.seq == seq).then_some(kept)
    }
}

const fn index(seq: u64) -> usize {
    (seq % SLOTS) as usize
}
