//! Sequence numbers and timestamps of one stream without their wraps (RFC 3550 appendix A.1).

/// A sequence number further ahead is a jump...
const MAX_DROPOUT: u16 = 3000;

/// ... and so is one further back.
const MAX_MISORDER: u16 = 100;

/// The extended number of a stream's first packet counts from here, so that packets before it stay above zero.
const ORIGIN: u64 = 1 << 16;

/// A timestamp step longer than this between neighbours (120 ms at 8 kHz) is a pause and not the length of a frame.
const MAX_FRAME: i64 = 960;

/// Where a packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Extended sequence number and timestamp.
    At { seq: u64, ts: i64 },
    /// Far from the stream.
    Jump,
    /// The second packet in a row after a jump: the stream goes on there.
    Restart,
}

#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// Highest extended sequence number seen, 0 before the first, and the timestamp that came with it.
    newest: u64,
    newest_ts: i64,
    after_jump: Option<u16>,
    /// Timestamp units of a frame: the step between neighbours, once seen twice in a row.
    frame: i64,
    last_step: i64,
}

impl Sequence {
    /// `frame`: timestamp units of a frame until the stream shows its own.
    pub(super) const fn new(frame: i64) -> Self {
        Self { newest: 0, newest_ts: 0, after_jump: None, frame, last_step: 0 }
    }

    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) const fn frame(&self) -> i64 {
        self.frame
    }

    pub(super) fn place(&mut self, seq: u16, ts: u32) -> Place {
        if self.newest == 0 {
            self.newest = ORIGIN + u64::from(seq);
            self.newest_ts = i64::from(ts);
            return Place::At { seq: self.newest, ts: self.newest_ts };
        }
        let ahead = seq.wrapping_sub(self.newest as u16);
        let far = (MAX_DROPOUT..=u16::MAX - MAX_MISORDER).contains(&ahead);
        if far {
            if self.after_jump == Some(seq) {
                return Place::Restart;
            }
            self.after_jump = Some(seq.wrapping_add(1));
            return Place::Jump;
        }
        self.after_jump = None;
        let ts = self.newest_ts + i64::from(ts.wrapping_sub(self.newest_ts as u32) as i32);
        if ahead < MAX_DROPOUT {
            if ahead == 1 {
                self.learn(ts - self.newest_ts);
            }
            self.newest += u64::from(ahead);
            if ahead > 0 {
                self.newest_ts = ts;
            }
            return Place::At { seq: self.newest, ts };
        }
        Place::At { seq: self.newest - u64::from(ahead.wrapping_neg()), ts }
    }

    fn learn(&mut self, step: i64) {
        if step == self.last_step && (1..=MAX_FRAME).contains(&step) {
            self.frame = step;
        }
        self.last_step = step;
    }
}
