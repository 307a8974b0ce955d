//! How a session begins and ends.

use std::time::Duration;

use tandem_contract::bot::Wording;
use tandem_contract::leg::{LegCommand, LegEnd};
use tandem_contract::record::{Outcome, TimelineEvent};
use tandem_media::Time;
use tandem_media::leg::{LegStats, MediaCommand};
use tracing::warn;

use super::commit::Cut;
use super::core::SessionCore;
use super::input::SessionEffect;
use super::output::Terminal;
use crate::turn::{TurnInput, TurnState};
use crate::wording::Words;

/// Longest wait for the record's first write once the leg was answered: a slow disk must not keep a caller in silence.
const BEGIN_LIMIT: Duration = Duration::from_secs(2);

/// Longest wait for a wire to say that it has ended after we hung up: a BYE that is never answered (RFC 3261 timer F is
/// 32 s; nobody listens to us that long).
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Longest wait for the worker's last offset and statistics. It answers on its next slot, 20 ms later.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// The life of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Waits for the leg to be answered and the record to exist.
    Opening {
        answered: bool,
        begun: bool,
        until: Option<Time>,
    },
    Running,
    /// We hung up; the wire has not ended yet.
    Leaving {
        until: Time,
        reason: LegEnd,
    },
    /// The wire has ended; the worker has not closed the leg yet.
    Closing {
        until: Time,
        reason: LegEnd,
    },
    Over,
}

impl Life {
    pub(super) fn opening() -> Self {
        Self::Opening { answered: false, begun: false, until: None }
    }

    pub(super) fn deadline(self) -> Option<Time> {
        match self {
            Self::Opening { until, .. } => until,
            Self::Leaving { until, .. } | Self::Closing { until, .. } => Some(until),
            Self::Running | Self::Over => None,
        }
    }
}

impl SessionCore {
    pub(super) fn answered(&mut self, now: Time) {
        if let Life::Opening { begun, .. } = self.life {
            self.open(now, true, begun);
        }
    }

    pub(super) fn begun(&mut self, now: Time) {
        if let Life::Opening { answered, .. } = self.life {
            self.open(now, answered, true);
        }
    }

    fn open(&mut self, now: Time, answered: bool, begun: bool) {
        if answered && begun {
            self.start(now);
        } else {
            let until = answered.then(|| now + BEGIN_LIMIT);
            self.life = Life::Opening { answered, begun, until };
        }
    }

    /// Nobody talks as long as a record may be, so it is a machine or a joke. The ledger is not cut instead: it is the
    /// truth about the whole conversation.
    pub(super) fn end_when_full(&mut self, now: Time) {
        let transferring = matches!(self.turn.state(), TurnState::Transferring { .. });
        if self.life != Life::Running || !self.ledger.is_full() || self.output.is_ending() || transferring {
            return;
        }
        warn!("the conversation has reached the limit of its record; it ends");
        self.note(now, TimelineEvent::LimitReached);
        self.forget_question();
        let words = Words::new(&self.story.facts.accept.config);
        self.say(now, words.of(Wording::TooLong), false);
        self.output.end_with(Terminal::HangUp);
        self.drive(now, TurnInput::BrainWorks);
    }

    /// Hangs up, for this reason.
    pub(super) fn leave(&mut self, now: Time, reason: LegEnd) {
        if !matches!(self.life, Life::Opening { .. } | Life::Running) {
            return;
        }
        self.fall_silent(now);
        self.out(SessionEffect::Leg(LegCommand::HangUp));
        self.life = Life::Leaving { until: now + LEAVE_LIMIT, reason };
    }

    /// The wire is gone. Why we hung up counts more than that we did.
    pub(super) fn leg_ended(&mut self, now: Time, reason: LegEnd) {
        let reason = match self.life {
            Life::Opening { .. } | Life::Running => {
                self.fall_silent(now);
                reason
            }
            Life::Leaving { reason, .. } => reason,
            Life::Closing { .. } | Life::Over => return,
        };
        if !self.output.media_gone {
            self.out(SessionEffect::Media(MediaCommand::Close));
        }
        self.life = Life::Closing { until: now + CLOSE_LIMIT, reason };
    }

    /// Nobody speaks from here on.
    fn fall_silent(&mut self, now: Time) {
        if self.life == Life::Running {
            self.drive(now, TurnInput::LegEnded);
        }
        self.cut_output(now, Cut::Farewell);
        self.keep_letters();
    }

    pub(super) fn media_closed(&mut self, now: Time, stats: &LegStats) {
        self.story.media(stats);
        self.media_lost(now);
    }

    pub(super) fn media_lost(&mut self, now: Time) {
        self.output.media_gone = true;
        self.leave(now, LegEnd::WireLost);
    }

    pub(super) fn life_timeout(&mut self, now: Time) {
        if self.life.deadline().is_none_or(|due| due > now) {
            return;
        }
        match self.life {
            Life::Opening { .. } => self.start(now),
            Life::Leaving { reason, .. } => self.leg_ended(now, reason),
            Life::Closing { .. } => self.output.media_gone = true,
            Life::Running | Life::Over => {}
        }
    }

    /// The last thing: once nothing more can be learned, the record is final.
    pub(super) fn settle_life(&mut self, now: Time) {
        let Life::Closing { reason, .. } = self.life else { return };
        if !self.output.media_gone {
            return;
        }
        self.settle_closings(now);
        self.end_tools(now);
        self.life = Life::Over;
        let record = self.story.record(now, &self.ledger, Outcome::Ended(reason));
        self.out(SessionEffect::End(record));
    }
}
