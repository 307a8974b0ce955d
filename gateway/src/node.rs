//! A node: all parts made, wired and bound; and their end, in order.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tandem_agents::{session, tools};
use tandem_contract::event::SessionCommand;
use tandem_contract::{NodeId, Private, SessionId};
use tandem_media::time::Clock;
use tandem_media::worker::{Worker, WorkerSettings};
use tandem_signaling::sip::{SipDoor, SipSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admission::Registry;
use crate::bots::{self, BrokenFile, FileBots};
use crate::doors;
use crate::engines::{self, Engines};
use crate::http;
use crate::settings::Settings;
use crate::state::{AppState, Parts};
use crate::store::calls::FileCalls;
use crate::store::key::Keys;
use crate::store::{FolderLock, make_folder};

/// How long a session may take to say goodbye to its wire and its record once it has to end now.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long each of the other parts may take to close. What takes longer is dropped with the process.
const CLOSING: Duration = Duration::from_secs(2);
/// How often histograms are folded into their buckets, so that they do not grow between scrapes.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    pub state: AppState,
    /// The admin key, if this start has made it.
    pub new_key: Option<Private<String>>,
    pub broken_bots: Vec<BrokenFile>,
    door: SipDoor,
    sip_close: CancellationToken,
    http_close: CancellationToken,
    call_log: JoinHandle<()>,
    _lock: FolderLock,
}

impl Node {
    /// Opens files, engines and sockets, in this order: a node that answers is complete.
    ///
    /// # Errors
    /// What could not be opened.
    pub async fn start(mut settings: Settings, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let data = settings.data.dir.clone();
        // Reads dictionaries and voices while files and sockets are opened.
        let engines = tokio::task::spawn_blocking(Engines::detect);
        make_folder(&data)?;
        let lock = FolderLock::take(&data)?;
        let (keys, new_key) = Keys::open(&data)?;
        if new_key.is_some() {
            bots::write_bundled(&data)?;
        }
        let (bots, broken_bots) = FileBots::load(&data)?;
        bots.report(&broken_bots);
        let (calls, call_log) = FileCalls::open(&data, SessionId::new(NodeId(settings.node.id)))?;
        let clock = Clock::new();
        let ports = settings.rtp.ports;
        let worker = Worker::start(clock, WorkerSettings { rtp_ports: ports.first..=ports.last })
            .context("cannot start the media worker")?;
        let listener = TcpListener::bind(settings.http.addr)
            .await
            .with_context(|| format!("cannot listen for HTTP on {}", settings.http.addr))?;
        settings.http.addr = listener.local_addr()?;
        let sip_close = CancellationToken::new();
        let sip = SipSettings { addr: settings.sip.addr, ..SipSettings::default() };
        let (door, incoming) = SipDoor::open(sip, sip_close.clone()).await.context("cannot open the SIP door")?;
        settings.sip.addr = door.local_addr();
        let installed = engines.await?;
        let state = AppState::new(Parts {
            registry: Registry::new(settings.node.max_sessions),
            router: Arc::new(bots),
            calls,
            keys,
            clock,
            tasks: TaskTracker::new(),
            run_session: Arc::new(|setup| session::run(setup).map(|record| record.outcome).boxed()),
            brain: Arc::new(engines::brain),
            engines: installed.parts(),
            speech: Arc::new(move |config| installed.speech(config)),
            tools: Arc::new(tools::builtin(&data)?),
            worker,
            metrics,
            settings,
        });
        let http_close = CancellationToken::new();
        state.tasks.spawn(doors::sip::serve(state.clone(), incoming, sip_close.clone()));
        serve_http(&state, listener, http_close.clone());
        Ok(Self { state, new_key, broken_bots, door, sip_close, http_close, call_log, _lock: lock })
    }

    /// Ends the node: refuses new sessions, waits for the running ones up to the drain limit (or until `hurry`), ends
    /// what is left, then closes doors, worker and call log.
    pub async fn drain(self, hurry: impl Future<Output = ()>) {
        let registry = &self.state.registry;
        let limit = self.state.settings.node.drain_limit();
        info!(sessions = registry.active(), limit_s = limit.as_secs(), "draining");
        registry.start_draining();
        tokio::select! {
            _ = registry.idle_within(limit) => {}
            () = hurry => info!("told twice: running sessions end now"),
        }
        if registry.active() > 0 {
            registry.tell_all(&SessionCommand::Drain { now: true });
            if !registry.idle_within(LAST_WORDS).await {
                warn!(sessions = registry.active(), "sessions did not end in time");
            }
        }
        self.close().await;
    }

    async fn close(self) {
        let Self { state, door, sip_close, http_close, call_log, .. } = self;
        sip_close.cancel();
        let _ = tokio::time::timeout(CLOSING, door.closed()).await;
        http_close.cancel();
        let _ = tokio::time::timeout(CLOSING, state.worker.shutdown()).await;
        let tasks = state.tasks.clone();
        tasks.close();
        // The call log's writer ends with the last clone of the log: those of the state and of the sessions.
        drop(state);
        let _ = tokio::time::timeout(CLOSING, tasks.wait()).await;
        let written = tokio::task::spawn_blocking(move || call_log.join());
        let _ = tokio::time::timeout(CLOSING, written).await;
        info!("drained");
    }
}

fn serve_http(state: &AppState, listener: TcpListener, http_close: CancellationToken) {
    let router = http::router(state);
    let closing = http_close.clone();
    state.tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(closing.cancelled_owned()).await {
            warn!(%error, "the HTTP server has ended");
        }
    });
    let metrics = state.metrics.clone();
    state.tasks.spawn(async move {
        let mut tick = tokio::time::interval(METRICS_UPKEEP);
        while http_close.run_until_cancelled(tick.tick()).await.is_some() {
            metrics.run_upkeep();
        }
    });
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
