//! The pacing wheel: 20 ms in slots of 1 ms, legs spread evenly over them.

use std::collections::VecDeque;

use crate::Time;
use crate::leg::LegId;

/// Slots of a turn: each leg is served once in 20 ms.
const SLOTS: usize = 20;
/// Slots behind from which turns are skipped. Up to there a leg sends the frame that is due and one that is overdue; what
/// is older never leaves, because a burst would only fill the caller's jitter buffer.
const MAX_BEHIND: u64 = 2 * SLOTS as u64;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The slot of this leg began at `at`.
    Slot { leg: LegId, at: Time },
    /// All legs have missed this many slots.
    Skipped { turns: u32 },
}

/// Slots are counted in milliseconds of the clock, so nothing drifts: a late wake does not move the next slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Wheel {
    slots: [VecDeque<LegId>; SLOTS],
    /// The millisecond whose slot runs next, or is running.
    tick: u64,
    /// Legs of that slot that have been served.
    served: usize,
    legs: usize,
}

impl Wheel {
    /// Puts a leg into the least loaded slot; among equals, the one that comes next.
    pub(super) fn add(&mut self, now: Time, leg: LegId) {
        if self.legs == 0 {
            self.tick = now.as_millis() + 1;
            self.served = 0;
        }
        let next = self.tick + u64::from(self.served > 0);
        let mut best = slot(next);
        for tick in next..next + SLOTS as u64 {
            if self.slots[slot(tick)].len() < self.slots[best].len() {
                best = slot(tick);
            }
        }
        self.slots[best].push_back(leg);
        self.legs += 1;
    }

    pub(super) fn remove(&mut self, leg: LegId) {
        for (index, legs) in self.slots.iter_mut().enumerate() {
            if let Some(at) = legs.iter().position(|&other| other == leg) {
                legs.remove(at);
                self.legs -= 1;
                if index == slot(self.tick) && at < self.served {
                    self.served -= 1;
                }
                return;
            }
        }
    }

    /// The next thing that is due, one a call. None: nothing is due before `timeout`.
    pub(super) fn due(&mut self, now: Time) -> Option<Due> {
        while self.legs > 0 && self.tick <= now.as_millis() {
            let behind = now.as_millis() - self.tick;
            if self.served == 0 && behind >= MAX_BEHIND {
                let turns = behind / SLOTS as u64 - 1;
                self.tick += turns * SLOTS as u64;
                return Some(Due::Skipped { turns: u32::try_from(turns).unwrap_or(u32::MAX) });
            }
            if let Some(&leg) = self.slots[slot(self.tick)].get(self.served) {
                self.served += 1;
                return Some(Due::Slot { leg, at: Time::from_millis(self.tick) });
            }
            self.tick += 1;
            self.served = 0;
        }
        None
    }

    /// When something is due next. None: there are no legs.
    pub(super) fn timeout(&self) -> Option<Time> {
        let unserved = |tick: &u64| {
            let served = if *tick == self.tick { self.served } else { 0 };
            self.slots[slot(*tick)].len() > served
        };
        (self.tick..=self.tick + SLOTS as u64).find(unserved).map(Time::from_millis)
    }

    /// Legs a slot.
    #[cfg(test)]
    pub(super) fn loads(&self) -> Vec<usize> {
        self.slots.iter().map(VecDeque::len).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "less than 20")]
fn slot(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}
