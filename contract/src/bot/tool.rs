//! The words of a bot's own tools.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::Integration;

/// What `timeout_ms` may say. Above it the turn machine would take the agent for lost; below it no server answers.
pub const TOOL_TIMEOUT_MS: RangeInclusive<u32> = 100..=15_000;
/// A caller who hears nothing for longer wonders.
pub const TOOL_TIMEOUT_DEFAULT_MS: u32 = 5_000;
/// What `say_after_ms` may say. After a longer silence nobody waits for a word.
pub const SAY_AFTER_MS: RangeInclusive<u32> = 0..=10_000;
/// `{secret:NAME}` in a header.
pub const SECRET: &str = "secret:";

/// Tools that a model has, or may have, whatever its bot says.
pub const GIVEN_TOOLS: [&str; 3] = ["hang_up", "transfer", "send_dtmf"];

/// RFC 9110 section 9.3, RFC 5789.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    Get,
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// Whether the arguments go into its query, for want of a body.
    pub fn has_no_body(self) -> bool {
        matches!(self, Self::Get | Self::Delete)
    }
}

/// The names in a template that stand for something: `{name}`. Other braces are braces.
pub fn blanks(template: &str) -> impl Iterator<Item = &str> {
    let closed = template.split('{').skip(1).filter_map(|part| part.split_once('}'));
    closed.map(|(name, _)| name).filter(|name| is_blank(name))
}

/// Whether this between braces stands for something.
pub fn is_blank(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || ['_', '-', '.', ':'].contains(&c))
}

impl Integration {
    /// Whether it is an MCP server, whose tools the bot gets.
    pub fn is_mcp(&self) -> bool {
        self.r#type.as_deref() == Some("mcp")
    }
}
