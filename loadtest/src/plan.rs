//! What each caller will send, fixed by a seed before the first packet leaves: same seed, same packets.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tandem_media::emulator::SplitMix;

use crate::hearing::is_loud;

/// What callers say: mu-law, 8 kHz. Spoken by flite's voice rms (loudest sample at -3 dBFS).
pub const CLIPS: [&[u8]; 3] = [
    include_bytes!("../speech/clip1.ulaw"),
    include_bytes!("../speech/clip2.ulaw"),
    include_bytes!("../speech/clip3.ulaw"),
];

/// Mu-law samples in a 20 ms frame at 8 kHz.
const FRAME: usize = 160;
/// A mu-law sample of silence.
const SILENCE: u8 = 0xff;
/// Before the first line the agent greets.
const GREETING: Duration = Duration::from_secs(4);
/// After a line the agent's answer is let finish...
const FULL_TURN: Duration = Duration::from_secs(9);
/// ...or is interrupted, every second time, about two seconds into it.
const SHORT_TURN: Duration = Duration::from_secs(5);
/// Callers don't speak in step: each line comes up to this much later.
const SPREAD_MS: u64 = 500;
/// Bytes of an RTP packet that carries a frame.
const PACKET: usize = 12 + FRAME;

/// One line of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// First frame of it, counted from the caller's first frame.
    pub first: u64,
    /// Frames that it lasts.
    pub frames: u64,
    /// Index into [`CLIPS`].
    pub clip: usize,
    /// Frame in which its first sound is: speech synthesis begins and ends with silence.
    pub voice_first: u64,
    /// Frame in which its last sound is.
    pub voice_last: u64,
}

impl Line {
    fn new(first: u64, clip: usize) -> Self {
        let frames = CLIPS[clip].as_chunks::<FRAME>().0;
        let voiced = |frame: &[u8; FRAME]| is_loud(frame);
        let lead = frames.iter().position(voiced).unwrap_or(0) as u64;
        let tail = frames.iter().rposition(voiced).unwrap_or(frames.len()) as u64;
        Self { first, frames: frames.len() as u64, clip, voice_first: first + lead, voice_last: first + tail }
    }

    pub fn end(&self) -> u64 {
        self.first + self.frames
    }
}

/// One caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPlan {
    pub ssrc: u32,
    pub first_sequence: u16,
    pub first_timestamp: u32,
    pub lines: Vec<Line>,
    /// Frames that the caller sends before it hangs up.
    pub frames: u64,
}

/// Plans of all callers of a run.
pub fn plans(seed: u64, calls: usize, length: Duration) -> Vec<CallPlan> {
    let mut random = SplitMix::new(seed);
    (0..calls).map(|_| CallPlan::new(&mut random, length)).collect()
}

impl CallPlan {
    fn new(random: &mut SplitMix, length: Duration) -> Self {
        let frames = frames_in(length);
        let mut lines = Vec::new();
        let mut at = GREETING;
        for turn in 0_u64.. {
            let first = frames_in(at + Duration::from_millis(random.next() % SPREAD_MS));
            let clip = usize::try_from(random.next() % CLIPS.len() as u64).unwrap_or(0);
            let line = Line::new(first, clip);
            if line.end() + frames_in(SHORT_TURN) > frames {
                break;
            }
            lines.push(line);
            at += if turn % 2 == 0 { SHORT_TURN } else { FULL_TURN };
        }
        let word = |random: &mut SplitMix| (random.next() >> 32) as u32;
        let (ssrc, first_timestamp, sequence) = (word(random), word(random), word(random));
        Self { ssrc, first_sequence: (sequence & 0xffff) as u16, first_timestamp, lines, frames }
    }

    /// The line that a frame belongs to.
    pub fn line_at(&self, frame: u64) -> Option<&Line> {
        self.lines.iter().find(|line| (line.first..line.end()).contains(&frame))
    }

    /// The RTP packet (RFC 3550 section 5.1) of a frame: PCMU, marker on the first packet of each line.
    pub fn packet(&self, frame: u64) -> [u8; PACKET] {
        let mut packet = [SILENCE; PACKET];
        let marker = if self.lines.iter().any(|line| line.first == frame) { 0x80 } else { 0 };
        let count = frame as u32;
        packet[0] = 0x80;
        packet[1] = marker;
        packet[2..4].copy_from_slice(&self.first_sequence.wrapping_add(count as u16).to_be_bytes());
        let timestamp = self.first_timestamp.wrapping_add(count.wrapping_mul(FRAME as u32));
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        if let Some(line) = self.line_at(frame) {
            let start = (frame - line.first) as usize * FRAME;
            packet[12..].copy_from_slice(&CLIPS[line.clip][start..start + FRAME]);
        }
        packet
    }
}

/// SHA-256 over all packets of all callers, in order: two runs with the same fingerprint sent the same.
pub fn fingerprint(plans: &[CallPlan]) -> String {
    let mut hash = Sha256::new();
    for plan in plans {
        for frame in 0..plan.frames {
            hash.update(plan.packet(frame));
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn frames_in(length: Duration) -> u64 {
    length.as_millis() as u64 / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_sends_the_same() {
        let minute = Duration::from_secs(60);
        let first = plans(7, 3, minute);
        assert_eq!(fingerprint(&first), fingerprint(&plans(7, 3, minute)));
        assert_ne!(fingerprint(&first), fingerprint(&plans(8, 3, minute)));
        assert_ne!(first[0], first[1]);
    }

    #[test]
    fn a_minute_holds_barge_ins_and_whole_turns() {
        let plan = &plans(1, 1, Duration::from_secs(60))[0];
        let pauses: Vec<u64> = plan.lines.windows(2).map(|pair| (pair[1].first - pair[0].end()) * 20).collect();
        assert!(plan.lines.len() >= 6, "{pauses:?}");
        assert!(pauses.iter().any(|ms| *ms < 4_000) && pauses.iter().any(|ms| *ms > 6_000), "{pauses:?}");
    }

    #[test]
    fn sequence_and_timestamp_wrap() {
        let plan = CallPlan {
            ssrc: 1,
            first_sequence: u16::MAX,
            first_timestamp: u32::MAX - 100,
            lines: Vec::new(),
            frames: 2,
        };
        assert_eq!(&plan.packet(1)[2..8], &[0, 0, 0, 0, 0, 59]);
    }
}
