//! After an interruption the agent leaves the caller a moment: `turn.back_off_ms`.
//!
//! The reply is made and spoken meanwhile; only its audio waits, so that the moment costs no more than itself.

use tandem_media::Time;
use tandem_media::leg::MediaCommand;

use super::core::SessionCore;
use super::input::SessionEffect;

/// How long the line stays the caller's after an interruption, and what waits for that.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    /// None: nobody was interrupted since the agent last began to speak.
    until: Option<Time>,
    /// Audio for the line, in order. It would else wait in the playout queue: as much of it as the voice makes.
    held: Vec<MediaCommand>,
}

impl BackOff {
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.until.filter(|_| !self.held.is_empty())
    }
}

impl SessionCore {
    /// The agent was interrupted: by a caller who still speaks, or who fell silent just now.
    pub(super) fn back_off(&mut self, now: Time) {
        let since = self.ears.ended.unwrap_or(now);
        self.output.back_off.until = Some(since + self.turn.policy().back_off());
    }

    /// The caller fell silent, and the agent has not begun to speak since it was interrupted.
    pub(super) fn prolong_back_off(&mut self, end: Time) {
        if let Some(until) = &mut self.output.back_off.until {
            *until = (*until).max(end + self.turn.policy().back_off());
        }
    }

    /// Audio of the agent.
    pub(super) fn send_audio(&mut self, now: Time, command: MediaCommand) {
        let back_off = &mut self.output.back_off;
        if back_off.until.is_some_and(|until| until > now) {
            back_off.held.push(command);
        } else {
            self.back_off_timeout(now);
            self.out(SessionEffect::Media(command));
        }
    }

    pub(super) fn back_off_timeout(&mut self, now: Time) {
        if self.output.back_off.deadline().is_some_and(|until| until <= now) {
            for command in std::mem::take(&mut self.output.back_off.held) {
                self.out(SessionEffect::Media(command));
            }
        }
    }
}
