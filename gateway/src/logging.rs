//! Logs: structured, to standard error, for people on a terminal and as JSON lines for collectors.

use std::io::IsTerminal as _;

use tandem_signaling::sip;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// Starts logging. A second call in one process changes nothing.
pub fn start(settings: &Settings) {
    let json = match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter(&settings.log)).with_writer(std::io::stderr);
    // An error says that logging runs already.
    let _ = match json {
        true => lines.json().with_span_list(false).try_init(),
        false => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// What was asked for, without the copies of whole messages that the SIP stack and the MCP client make: they hold phone numbers
/// and callers' words, and no setting shows them by accident.
fn filter(asked: &str) -> EnvFilter {
    [sip::LOG_FILTER, tandem_tools::LOG_FILTER].into_iter().fold(EnvFilter::new(asked), |filter, hidden| {
        let library = hidden.split('=').next().unwrap_or_default();
        match hidden.parse() {
            Ok(directive) if !asked.contains(library) => filter.add_directive(directive),
            _ => filter,
        }
    })
}
