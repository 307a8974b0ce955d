//! `tandem serve`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;
use tandem_contract::ports::StoreError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::SettingsFile;
use crate::models::{self, local};
use crate::node::Node;
use crate::settings::Settings;
use crate::store::replace;
use crate::{banner, logging, telemetry};

#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    settings: SettingsFile,
    /// Write addresses (and a new admin key) to this file as JSON once calls are taken; readable by the owner alone
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Serve {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let settings = self.settings.load()?;
        logging::start(&settings);
        let metrics = telemetry::install().context("cannot set up metrics")?;
        // Listened to before anything else can fail or wait: a signal during the start is not lost.
        let mut signals = Signals::listen()?;
        let node = Box::pin(Node::start(settings, metrics)).await?;
        let mut out = std::io::stdout();
        // Before anything else can fail: it may hold the one sight of the admin key.
        write!(out, "{}", banner::text(&node))?;
        out.flush()?;
        if let Some(path) = &self.ready_file {
            write_ready_file(path, &node)?;
        }
        let took = began.elapsed();
        writeln!(out, "  ready in {:.0} ms", took.as_secs_f64() * 1e3)?;
        out.flush()?;
        let settings = &node.state.settings;
        info!(http = %settings.http.addr, sip = %settings.sip.addr, start_us = took.as_micros(), "ready");
        if let Some(offer) = offer(settings).await {
            out.write_all(offer.as_bytes())?;
            out.flush()?;
        }
        signals.next().await;
        Box::pin(node.drain(signals.next())).await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where no language model is set: what was found on this machine. Looked for once calls are taken: nobody waits for it.
async fn offer(settings: &Settings) -> Option<String> {
    if models::any_is_set(settings) {
        return None;
    }
    let found = local::find(&local::usual(settings.http.addr.port())).await;
    Some(local::offer(&found)).filter(|offer| !offer.is_empty())
}

fn write_ready_file(path: &Path, node: &Node) -> Result<(), StoreError> {
    let settings = &node.state.settings;
    let ready = json!({
        "http": settings.http.addr,
        "sip": settings.sip.addr,
        "pid": std::process::id(),
        "key": node.new_key.as_ref().map(|key| key.reveal()),
    });
    replace(path, format!("{ready}\n").as_bytes())
}

/// SIGTERM and SIGINT mean the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
