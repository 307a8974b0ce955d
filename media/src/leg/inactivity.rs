//! When nothing comes from the caller for too long.

use std::time::Duration;

use crate::Time;

/// Says once that nothing came; a packet arms it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inactivity {
    limit: Option<Duration>,
    last: Time,
    told: bool,
}

impl Inactivity {
    pub(super) fn new(now: Time, limit: Option<Duration>) -> Self {
        Self { limit, last: now, told: false }
    }

    pub(super) fn packet(&mut self, now: Time) {
        self.last = now;
        self.told = false;
    }

    /// True once for each period of silence.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        let over = !self.told && self.limit.is_some_and(|limit| now.since(self.last) >= limit);
        self.told |= over;
        over
    }
}
