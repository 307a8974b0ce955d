//! When the worker wakes. Polling alone counts in whole milliseconds and rounds up; a timer of the kernel that is polled like a
//! socket wakes within some 50 us.

use std::io;
use std::time::Duration;

use mio::Registry;

use super::shell::TIMER;
use crate::Time;

#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct Timer {
    fd: rustix::fd::OwnedFd,
    /// What the timer is set to.
    armed: Option<Time>,
}

#[cfg(target_os = "linux")]
impl Timer {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        use rustix::fd::AsRawFd;
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut mio::unix::SourceFd(&fd.as_raw_fd()), TIMER, mio::Interest::READABLE)?;
        Ok(Self { fd, armed: None })
    }

    /// Sees to it that the poll ends at `due`; the time-out to poll with.
    pub(super) fn arm(&mut self, now: Time, due: Option<Time>) -> Option<Duration> {
        let due = due?;
        let left = due.since(now);
        if left.is_zero() {
            return Some(left);
        }
        if self.armed != Some(due) && self.set(left).is_err() {
            return Some(left);
        }
        self.armed = Some(due);
        None
    }

    /// The timer ran out.
    pub(super) fn ran_out(&mut self) {
        self.armed = None;
    }

    /// Setting the timer also forgets that it had run out, so it is never read.
    fn set(&self, left: Duration) -> rustix::io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let value = Timespec { tv_sec, tv_nsec: left.subsec_nanos().into() };
        let spec = Itimerspec { it_interval: never, it_value: value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec).map(drop)
    }
}

/// Elsewhere the poll's own time-out serves: up to a millisecond late.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(super) fn new(_registry: &Registry) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn ran_out(&mut self) {}

    pub(super) fn arm(&mut self, now: Time, due: Option<Time>) -> Option<Duration> {
        due.map(|due| due.since(now))
    }
}
