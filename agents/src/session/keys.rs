//! Keys that the agent presses (RFC 4733): behind its words, one after the other, and then the brain is told.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;
use tandem_media::Time;
use tandem_media::leg::MediaCommand;

use super::core::SessionCore;
use super::input::SessionEffect;
use crate::brain::{Key, ToolFailure};
use crate::turn::{TurnInput, TurnState};

/// The tool's name in the timeline.
const TOOL: &str = "send_dtmf";

/// What the model is told of keys that a transfer left no time for. It is no failure of the tool.
const TRANSFERRED: &str = "transferred";

/// A press and the gap behind it, as the line plays them.
const PRESS: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Calls of the tool, in order; a reply calls few.
    calls: VecDeque<Pressing>,
    /// When the next key is due. None: the agent's words come first.
    next: Option<Time>,
}

#[derive(Debug)]
struct Pressing {
    call: u32,
    left: VecDeque<Key>,
}

impl Keys {
    pub(super) fn are_pressed(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl SessionCore {
    pub(super) fn press_keys(&mut self, call: u32, keys: Vec<Key>) {
        if self.floor.begin_tool(call, TOOL, None) {
            self.floor.keys.calls.push_back(Pressing { call, left: keys.into() });
        }
    }

    /// Nobody hears keys on hold, and whoever a transfer leads to is not meant.
    pub(super) fn keys_due(&self) -> Option<Time> {
        let leaves = matches!(self.turn.state(), TurnState::Transferring { .. });
        self.floor.keys.next.filter(|_| !leaves && !self.turn.is_held())
    }

    /// Presses what is due. True: a call is done, and the brain was told.
    pub(super) fn settle_keys(&mut self, now: Time) -> bool {
        let spoken = self.output.is_idle() && self.output.closing.is_empty();
        if self.floor.keys.next.is_none() && !self.floor.keys.calls.is_empty() && spoken {
            self.floor.keys.next = Some(now);
        }
        while self.keys_due().is_some_and(|due| due <= now) {
            let Some(pressing) = self.floor.keys.calls.front_mut() else {
                self.floor.keys.next = None;
                return false;
            };
            let key = pressing.left.pop_front();
            // However many keys there are: the agent is at work.
            if let TurnState::Thinking { .. } = self.turn.state() {
                self.drive(now, TurnInput::BrainWorks);
            }
            match key {
                Some(Key::Digit { digit }) => {
                    self.floor.keys.next = Some(now + PRESS);
                    self.out(SessionEffect::Media(MediaCommand::Dtmf { digit }));
                }
                Some(Key::Pause) => self.floor.keys.next = Some(now + PAUSE),
                None => {
                    self.floor.keys.next = None;
                    let Some(Pressing { call, .. }) = self.floor.keys.calls.pop_front() else { return false };
                    self.tool_done(now, call, Ok(json!({ "ok": true })));
                    return true;
                }
            }
        }
        false
    }

    /// The line is about to be another's: what was not pressed yet is not.
    pub(super) fn give_up_keys(&mut self, now: Time) {
        let Keys { calls, .. } = std::mem::take(&mut self.floor.keys);
        for Pressing { call, .. } in calls {
            let detail = "the call was being transferred: not all keys were pressed".to_owned();
            self.tool_done(now, call, Err(ToolFailure { code: TRANSFERRED.to_owned(), detail, failed: false }));
        }
    }
}
