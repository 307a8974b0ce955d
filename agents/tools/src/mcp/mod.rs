//! Tools of MCP servers, which a bot's config names as integrations.

mod answer;
pub(crate) mod listing;
pub(crate) mod server;
