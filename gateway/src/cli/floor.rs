//! Whose turn it is, as a scripted caller hears it. Pure: it is told who speaks when, and asked when the caller may.

use std::time::Duration;

use tandem_media::Time;

/// An other side that does not speak is waited for this long before the caller goes on without it.
const PATIENCE: Duration = Duration::from_secs(6);

/// One that works on a reply is waited for this long: above the longest that a model and its tools take.
const WORK_MAX: Duration = Duration::from_secs(60);

/// The line between a caller and an agent.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// End of the caller's line before; the answer if there was none.
    since: Time,
    talking: bool,
    agent: Agent,
    /// It works on what it says next, since then.
    works: Option<Time>,
    /// First speech of the other side after `since`.
    reply: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agent {
    Speaking,
    Quiet(Time),
}

impl Floor {
    pub fn new(answered: Time) -> Self {
        Self { since: answered, talking: false, agent: Agent::Quiet(answered), works: None, reply: None }
    }

    pub fn agent_started(&mut self, now: Time) {
        self.agent = Agent::Speaking;
        if !self.talking && self.reply.is_none() {
            self.reply = Some(now);
        }
    }

    pub fn agent_stopped(&mut self, now: Time) {
        self.agent = Agent::Quiet(now);
    }

    /// The other side works on what it says next, or no longer does.
    pub fn agent_works(&mut self, now: Time, on: bool) {
        self.works = if on { Some(self.works.unwrap_or(now)) } else { None };
    }

    pub fn line_begins(&mut self) {
        self.talking = true;
    }

    /// The caller's line is over.
    pub fn line_done(&mut self, now: Time) {
        self.talking = false;
        self.since = now;
        self.reply = None;
    }

    pub fn is_caller_talking(&self) -> bool {
        self.talking
    }

    /// End of the caller's line before; the answer if there was none.
    pub fn since(&self) -> Time {
        self.since
    }

    /// So long into the other side's next speech.
    pub fn in_reply(&self, wait: Duration) -> Time {
        self.reply.map_or(self.since + PATIENCE, |reply| reply + wait)
    }

    /// When the other side will have been quiet for so long, if it stays so. None: it speaks.
    pub fn quiet_for(&self, wait: Duration) -> Option<Time> {
        let quiet = match (self.agent, self.reply) {
            (Agent::Speaking, _) => return None,
            (Agent::Quiet(from), Some(_)) => from.max(self.since) + wait,
            (Agent::Quiet(_), None) => self.since + PATIENCE,
        };
        Some(self.works.map_or(quiet, |since| quiet.max(since + WORK_MAX)))
    }
}
