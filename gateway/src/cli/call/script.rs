//! When a scripted caller says what. Pure: it is told what happens on the line and when, and asked what is due.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use tandem_media::Time;

use super::super::floor::Floor;

/// What the caller does next, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub when: When,
    pub line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once the other side has spoken and is quiet.
    Politely,
    /// This long after the answer.
    At(Duration),
    /// This long after the caller's line before (or the answer).
    After(Duration),
    /// This long after the other side began its next speech: into its words.
    Interrupting(Duration),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Say(String),
    Wav(PathBuf),
    Dtmf(String),
}

/// The other side is taken to have finished after this much quiet: longer than the pauses between its sentences.
const QUIET: Duration = Duration::from_millis(900);
/// Quiet after the last line that ends the call: a reply may have a thoughtful pause in it.
const END_QUIET: Duration = Duration::from_millis(2_500);

/// The caller's script and what it knows of the line.
#[derive(Clone, Debug)]
pub struct Script {
    steps: VecDeque<Step>,
    answered: Time,
    floor: Floor,
}

/// What the script wants now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    Do(Line),
    /// Nothing before this time, unless something happens.
    Wait(Time),
    /// Nothing at all until something happens.
    Idle,
    /// Everything was said and answered.
    HangUp,
}

impl Script {
    pub fn new(answered: Time, steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), answered, floor: Floor::new(answered) }
    }

    pub fn agent_started(&mut self, now: Time) {
        self.floor.agent_started(now);
    }

    pub fn agent_stopped(&mut self, now: Time) {
        self.floor.agent_stopped(now);
    }

    /// The caller's line is over.
    pub fn line_done(&mut self, now: Time) {
        self.floor.line_done(now);
    }

    /// What to do now. A line that is handed out counts as begun.
    pub fn poll(&mut self, now: Time) -> Due {
        if self.floor.is_caller_talking() {
            return Due::Idle;
        }
        let Some(due) = self.due() else { return Due::Idle };
        if due > now {
            return Due::Wait(due);
        }
        match self.steps.pop_front() {
            None => Due::HangUp,
            Some(step) => {
                self.floor.line_begins();
                Due::Do(step.line)
            }
        }
    }

    /// None: only the other side can bring it on.
    fn due(&self) -> Option<Time> {
        match self.steps.front().map(|step| step.when) {
            Some(When::At(at)) => Some(self.answered + at),
            Some(When::After(wait)) => Some(self.floor.since() + wait),
            Some(When::Interrupting(wait)) => Some(self.floor.in_reply(wait)),
            Some(When::Politely) => self.floor.quiet_for(QUIET),
            None => self.floor.quiet_for(END_QUIET),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: u64) -> Time {
        Time::from_millis(at)
    }

    fn say(when: When) -> Step {
        Step { when, line: Line::Say("x".into()) }
    }

    fn doing() -> Due {
        Due::Do(Line::Say("x".into()))
    }

    #[test]
    fn a_polite_caller_waits_for_the_end_of_the_greeting() {
        let mut script = Script::new(ms(0), vec![say(When::Politely)]);
        assert_eq!(script.poll(ms(0)), Due::Wait(ms(6_000)));
        script.agent_started(ms(200));
        assert_eq!(script.poll(ms(5_000)), Due::Idle);
        script.agent_stopped(ms(5_000));
        script.agent_started(ms(5_300));
        script.agent_stopped(ms(7_000));
        assert_eq!(script.poll(ms(7_000)), Due::Wait(ms(7_900)));
        assert_eq!(script.poll(ms(7_900)), doing());
        assert_eq!(script.poll(ms(8_000)), Due::Idle, "one line at a time");
    }

    #[test]
    fn an_interruption_counts_from_the_next_reply() {
        let mut script = Script::new(
            ms(0),
            vec![say(When::After(Duration::ZERO)), say(When::Interrupting(Duration::from_millis(700)))],
        );
        script.agent_started(ms(0));
        assert_eq!(script.poll(ms(10)), doing());
        script.agent_stopped(ms(300));
        script.line_done(ms(1_000));
        assert_eq!(script.poll(ms(1_000)), Due::Wait(ms(7_000)));
        script.agent_started(ms(1_800));
        assert_eq!(script.poll(ms(1_900)), Due::Wait(ms(2_500)));
        assert_eq!(script.poll(ms(2_500)), doing());
    }

    #[test]
    fn the_call_ends_when_the_last_line_was_answered() {
        let mut script = Script::new(ms(0), vec![say(When::At(Duration::from_millis(50)))]);
        assert_eq!(script.poll(ms(50)), doing());
        script.line_done(ms(500));
        script.agent_started(ms(1_000));
        assert_eq!(script.poll(ms(4_000)), Due::Idle);
        script.agent_stopped(ms(4_000));
        assert_eq!(script.poll(ms(4_000)), Due::Wait(ms(6_500)));
        assert_eq!(script.poll(ms(6_500)), Due::HangUp);
    }

    #[test]
    fn a_silent_other_side_does_not_hold_the_caller_for_ever() {
        let mut script = Script::new(ms(0), vec![say(When::Politely)]);
        assert_eq!(script.poll(ms(6_000)), doing());
        script.line_done(ms(7_000));
        assert_eq!(script.poll(ms(13_000)), Due::HangUp);
    }
}
