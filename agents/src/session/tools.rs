//! Tools that run: what is called, when the brain wants to know that they still run, and what comes of them.

use std::time::Duration;

use serde_json::Value;
use tandem_contract::Private;
use tandem_contract::record::TimelineEvent;
use tandem_media::Time;

use super::core::SessionCore;
use super::farewell::Life;
use super::input::SessionEffect;
use crate::brain::{BrainEvent, ToolFailure};
use crate::turn::TurnState;

/// A tool that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) call: u32,
    pub(super) name: String,
    /// For the record. None: what is pressed, which may be somebody's number.
    pub(super) arguments: Option<Private<Value>>,
    /// The brain is told that it still runs.
    pub(super) watched: Option<Time>,
    /// The caller went on and is answered without it: no reply waits for it.
    pub(super) left: bool,
}

impl Running {
    /// The agent's keys, which are pressed by the session itself.
    fn presses(&self) -> bool {
        self.arguments.is_none()
    }
}

impl SessionCore {
    pub(super) fn call_tool(&mut self, call: u32, tool: String, arguments: Value) {
        if self.floor.begin_tool(call, &tool, Some(arguments.clone().into())) {
            self.out(SessionEffect::CallTool { call, tool, arguments });
        }
    }

    pub(super) fn watch_tool(&mut self, now: Time, call: u32, after_ms: u32) {
        if let Some(running) = self.floor.tools.iter_mut().find(|running| running.call == call) {
            running.watched = Some(now + Duration::from_millis(after_ms.into()));
        }
    }

    /// When the brain is told that a tool still runs. A caller on hold hears nothing of it, and one who speaks, or whose
    /// words are still being recognized, is not talked over.
    pub(super) fn watch_due(&self) -> Option<Time> {
        let hears = !self.turn.is_held() && !self.turn.hears_caller();
        self.floor.tools.iter().filter_map(|running| running.watched).min().filter(|_| hears)
    }

    /// True: the brain was told.
    pub(super) fn settle_watch(&mut self, now: Time) -> bool {
        let Some(due) = self.watch_due().filter(|due| *due <= now) else { return false };
        let watched = self.floor.tools.iter_mut().find(|running| running.watched == Some(due));
        let Some(running) = watched else { return false };
        running.watched = None;
        let (epoch, call) = (self.epoch, running.call);
        self.think(now, BrainEvent::ToolRuns { epoch, call });
        true
    }

    /// Whether what the caller says waits for a tool. Keys that are being pressed are soon done.
    pub(super) fn holds_caller(&self) -> bool {
        self.floor.awaits_tools() && (self.brain.waits_for_tools() || self.floor.keys.are_pressed())
    }

    /// The caller is about to be answered. Whatever still runs does not keep the answer.
    pub(super) fn leave_tools(&mut self) {
        if !self.brain.waits_for_tools() {
            for running in &mut self.floor.tools {
                (running.left, running.watched) = (true, None);
            }
        }
    }

    /// The reply is given up. The brain hears of what acts all the same, unless it waited for it.
    pub(super) fn give_up_tools(&mut self, now: Time) {
        let waits = self.brain.waits_for_tools();
        let goes_on = |running: &Running| running.left || !waits && !running.presses();
        let (left, given_up) = std::mem::take(&mut self.floor.tools).into_iter().partition(goes_on);
        self.floor.tools = left;
        self.note_unended(now, given_up);
        self.leave_tools();
    }

    /// The conversation is over.
    pub(super) fn end_tools(&mut self, now: Time) {
        let tools = std::mem::take(&mut self.floor.tools);
        self.note_unended(now, tools);
    }

    /// Nobody waits for their ends any more, and the record has them all.
    fn note_unended(&mut self, now: Time, tools: Vec<Running>) {
        for running in tools {
            self.note_tool(now, running.name, false, running.arguments);
        }
    }

    fn note_tool(&mut self, now: Time, name: String, ok: bool, arguments: Option<Private<Value>>) {
        let arguments = arguments.filter(|arguments| self.story.has_room(arguments));
        self.note(now, TimelineEvent::Tool { name, ok, arguments });
    }

    /// The floor is free, and what a tool has found that was left running is not told yet. What is asked once another has
    /// answered tells it too.
    pub(super) fn settle_late(&mut self, now: Time) -> bool {
        let listens = matches!(self.turn.state(), TurnState::Listening { keying: false, .. });
        let free = listens && !self.floor.awaits_tools() && self.floor.question.is_none();
        if !free || !std::mem::take(&mut self.floor.late) {
            return false;
        }
        self.epoch = self.epoch.next();
        let epoch = self.epoch;
        self.think(now, BrainEvent::FloorFree { epoch });
        true
    }

    /// A tool has acted, whatever the caller did meanwhile: its result belongs to the present epoch.
    pub(super) fn tool_done(&mut self, now: Time, call: u32, result: Result<Value, ToolFailure>) {
        let Some(at) = self.floor.tools.iter().position(|running| running.call == call) else { return };
        let Running { name, arguments, left, .. } = self.floor.tools.remove(at);
        self.floor.late |= left;
        self.note_tool(now, name, result.is_ok(), arguments);
        if self.life == Life::Running {
            let epoch = self.epoch;
            self.think(now, BrainEvent::ToolDone { epoch, call, result });
        }
    }
}
