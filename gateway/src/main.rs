//! The binary `tandem`.

mod admission;
mod answer;
mod api;
mod banner;
mod bots;
mod channels;
mod cli;
mod doors;
mod earlier;
mod engines;
mod health;
mod http;
mod logging;
mod models;
mod node;
mod public_errors;
mod settings;
mod state;
mod store;
mod telemetry;
mod tls;
mod tools;

use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;

fn main() -> ExitCode {
    let matches = cli::Cli::command().get_matches();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let code = runtime.block_on(cli::run(matches)).unwrap_or_else(|error| fail(&error));
    // Blocking engines may still be at work; nobody waits for what they would say.
    runtime.shutdown_background();
    code
}

/// Tells what went wrong, with its causes, in one line.
fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "tandem: {error:#}");
    ExitCode::FAILURE
}
