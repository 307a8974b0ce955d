//! The tools of a bot behind the port [`Tools`]: those that are built in, and its own, which its config declares.
//!
//! [`Toolbox`] belongs to the node: the HTTP client with its rule of where requests may go ([`Egress`]), the secrets, and the connections to MCP
//! servers.
//! [`BotTools`] belongs to a session, whose bot's config says what may be called. A crate of its own, because the
//! validator and the clients under it are heavy, and a session needs none of them.

mod arguments;
mod egress;
mod http;
mod mcp;
mod toolbox;

pub use egress::{Egress, Forbidden};
pub use toolbox::{BotTools, NoClient, Toolbox};

/// What no log shows at any level: the MCP SDK's copies of whole messages, which hold callers' words.
pub const LOG_FILTER: &str = "rmcp=off";
