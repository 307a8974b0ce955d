//! The tools of this node's bots: made of the settings, and held against them.

use std::sync::Arc;

use anyhow::Context as _;
use reqwest::Url;
use tandem_check::{Finding, Severity};
use tandem_contract::BotName;
use tandem_contract::bot::BotConfig;
use tandem_contract::bot::tool::{SECRET, blanks};
use tandem_contract::ports::{Secrets as _, Tools};
use tandem_tools::{BotTools, Toolbox};
use tracing::warn;

use crate::settings::Settings;

/// The toolbox of a node.
///
/// # Errors
/// When the system gives no HTTP client.
pub fn open(settings: &Settings, builtin: Arc<dyn Tools>) -> anyhow::Result<Toolbox> {
    let secrets = Arc::new(settings.secrets.clone());
    Toolbox::new(builtin, secrets, settings.tools.egress()).context("cannot prepare the tools of bots")
}

/// Where a bot's tools want what the settings do not give: what `check_bot`, which knows no settings, cannot say.
pub fn unset(config: &BotConfig, settings: &Settings) -> Vec<Finding> {
    let egress = settings.tools.egress();
    let mut findings = Vec::new();
    for (pointer, url, wanted) in requests(config) {
        let Ok(url) = Url::parse(url) else { continue };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let mut warn = |pointer: String, message: String| {
            findings.push(Finding { severity: Severity::Warning, pointer, message });
        };
        if let Err(why) = egress.admit(&url) {
            warn(format!("{pointer}{}", wanted.place), why.to_string());
        }
        for (place, name) in wanted.secrets {
            if let Err(why) = settings.secrets.secret(name, host) {
                warn(format!("{pointer}{place}"), why.to_string());
            }
        }
    }
    findings
}

/// Says in the log which tools a bot allows that their MCP servers do not have, once all of its servers have told theirs.
pub async fn tell_absent(bot: BotName, tools: BotTools) {
    tools.listed().await;
    for (server, tool) in tools.absent() {
        warn!(%bot, server, tool, "a bot allows a tool that its MCP server does not have");
    }
}

/// What a request wants of the settings.
struct Wanted<'a> {
    /// Where the URL stands, below the tool's or the server's own place.
    place: &'static str,
    /// Places and names.
    secrets: Vec<(String, &'a str)>,
}

/// The requests of a bot's tools and servers: place, URL and what they want.
fn requests(config: &BotConfig) -> impl Iterator<Item = (String, &str, Wanted<'_>)> {
    let tools = config.tools_available.iter().flatten().enumerate();
    let tools = tools.filter_map(|(index, tool)| {
        let http = tool.http.as_ref()?;
        let headers = http.headers.iter().flatten().flat_map(|(header, value)| {
            let secrets = blanks(value).filter_map(|blank| blank.strip_prefix(SECRET));
            secrets.map(move |secret| (format!("/http/headers/{header}"), secret))
        });
        let wanted = Wanted { place: "/http/url", secrets: headers.collect() };
        Some((format!("/tools_available/{index}"), http.url.as_str(), wanted))
    });
    let servers = config.integrations.iter().flatten().enumerate().filter(|(_, server)| server.is_mcp());
    let servers = servers.filter_map(|(index, server)| {
        let config = server.config.as_ref()?;
        let secrets = config.secret.iter().map(|secret| ("/config/secret".to_owned(), secret.as_str())).collect();
        let wanted = Wanted { place: "/config/endpoint", secrets };
        Some((format!("/integrations/{index}"), config.endpoint.as_deref()?, wanted))
    });
    tools.chain(servers)
}

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tests;
