//! Tools that run: what is called, and what comes of it.

use serde_json::Value;
use tandem_contract::Private;
use tandem_contract::record::TimelineEvent;
use tandem_media::Time;

use super::core::SessionCore;
use super::farewell::Life;
use super::input::SessionEffect;
use crate::brain::{BrainEvent, ToolFailure};

/// A tool that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) call: u32,
    pub(super) name: String,
    /// For the record. None: what is pressed, which may be somebody's number.
    pub(super) arguments: Option<Private<Value>>,
}

impl SessionCore {
    pub(super) fn call_tool(&mut self, call: u32, tool: String, arguments: Value) {
        if self.floor.begin_tool(call, &tool, Some(arguments.clone().into())) {
            self.out(SessionEffect::CallTool { call, tool, arguments });
        }
    }

    /// A tool has acted, whatever the caller did meanwhile: its result belongs to the present epoch.
    pub(super) fn tool_done(&mut self, now: Time, call: u32, result: Result<Value, ToolFailure>) {
        let Some(at) = self.floor.tools.iter().position(|running| running.call == call) else { return };
        let Running { name, arguments, .. } = self.floor.tools.remove(at);
        let arguments = arguments.filter(|arguments| self.story.has_room(arguments));
        self.note(now, TimelineEvent::Tool { name, ok: result.is_ok(), arguments });
        if self.life == Life::Running {
            let epoch = self.epoch;
            self.think(now, BrainEvent::ToolDone { epoch, call, result });
        }
    }
}
