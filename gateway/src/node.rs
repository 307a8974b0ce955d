//! A node: all parts made, wired and bound; and their end, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::serve::{Listener, ListenerExt as _};
use futures_util::FutureExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use socket2::SockRef;
use tandem_agents::brain::Abilities;
use tandem_agents::{session, tools as agent_tools};
use tandem_check::Finding;
use tandem_contract::bot::BotConfig;
use tandem_contract::event::SessionCommand;
use tandem_contract::{NodeId, Private, SessionId};
use tandem_media::time::Clock;
use tandem_media::worker::{Worker, WorkerSettings};
use tandem_signaling::sip::{IncomingCall, SipDoor, SipError, SipSettings};
use tandem_tools::Toolbox;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::admission::Registry;
use crate::bots::{self, BrokenFile, FileBots};
use crate::channels::Channels;
use crate::doors::resumable::Resumable;
use crate::doors::{self, twilio::Tickets};
use crate::engines::{self, Engines};
use crate::http;
use crate::models::{Models, budgets};
use crate::settings::{Settings, load};
use crate::state::{About, Access, AppState, Chats, Parts};
use crate::store::calls::FileCalls;
use crate::store::key::Keys;
use crate::store::{FolderLock, make_folder, spending};
use crate::tls::{Certificates, TlsListener};
use crate::tools;

/// How long a session may take to say goodbye to its wire and its record once it has to end now.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long each of the other parts may take to close. What takes longer is dropped with the process.
const CLOSING: Duration = Duration::from_secs(2);
/// How often histograms are folded into their buckets, so that they do not grow between scrapes.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Bytes that the kernel may hold for a client that does not read. Linux doubles it: one second of a WebSocket's audio. Audio
/// in there counts as sent; more would be a ledger that claims what nobody got.
const SEND_BUFFER: usize = 16 * 1024;

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
    /// Opens engines, sockets and files, in this order; what a first start leaves behind, its key above all, comes last:
    /// a start that fails has shown no key to anybody. Who calls meanwhile waits in the sockets.
    ///
    /// # Errors
    /// What could not be opened.
    pub async fn start(mut settings: Settings, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let data = settings.data.dir.clone();
        // Reads dictionaries and voices while files and sockets are opened.
        let speech_settings = settings.clone();
        let engines = tokio::task::spawn_blocking(move || Engines::open(&speech_settings));
        make_folder(&data)?;
        let lock = FolderLock::take(&data)?;
        let known_keys = Keys::read(&data).context(BROKEN_KEYS)?;
        let certificates = Certificates::open(&settings.tls)?;
        let listener = listen(&settings).await?;
        settings.http.addr = listener.local_addr()?;
        let sip_close = CancellationToken::new();
        let (door, incoming) = open_sip(&settings, &sip_close).await?;
        settings.sip.addr = door.local_addr();
        if known_keys.is_none() {
            bots::write_bundled(&data)?;
        }
        let (bots, broken_bots) = FileBots::load(&data)?;
        bots.report(&broken_bots);
        let voicebots = bots.voicebots().cloned().collect();
        let (calls, call_log) = FileCalls::open(&data, SessionId::new(NodeId(settings.node.id)))?;
        let clock = Clock::new();
        let ports = settings.rtp.ports;
        let worker = Worker::start(clock, WorkerSettings { rtp_ports: ports.first..=ports.last })
            .context("cannot start the media worker")?;
        let tools = tools::open(&settings, Arc::new(agent_tools::builtin(&data)?))?;
        let (tasks, http_close) = (TaskTracker::new(), CancellationToken::new());
        equip(&bots, &tools, &settings, &tasks, &http_close);
        let (models, alerts) = Models::open(&settings)?;
        budgets::idle(&settings).iter().for_each(|idle| warn!("a budget does less than it says: {idle}"));
        let accounts = spending::path_in(&data);
        models.costs.restore(spending::read(&accounts).context(BROKEN_ACCOUNTS)?);
        let channels = Channels::open(&settings)?;
        let installed = Arc::new(engines.await??);
        let (keys, new_key) = match known_keys {
            Some(keys) => (keys, None),
            None => Keys::create(&data).map(|(keys, key)| (keys, Some(key)))?,
        };
        let state = AppState::new(Parts {
            registry: Registry::new(settings.node.max_sessions),
            router: Arc::new(bots),
            calls,
            access: Access { keys, tickets: Tickets::default() },
            chats: Chats { resumable: Resumable::default(), channels },
            clock,
            tasks,
            run_session: Arc::new(|setup| session::run(setup).map(|record| record.outcome).boxed()),
            brain: Arc::new(engines::brain),
            about: About { engines: installed.parts(&models), metrics },
            models: Arc::new(models),
            speech: {
                let installed = Arc::clone(&installed);
                Arc::new(move |config, rate| installed.speech(config, rate))
            },
            tools,
            worker,
            settings,
        });
        state.tasks.spawn(doors::sip::serve(state.clone(), incoming, sip_close.clone()));
        rehearse(&state, installed, voicebots, http_close.clone());
        state.chats.channels.catch_up(&state).await;
        state.tasks.spawn(state.models.costs.keep(accounts, alerts, http_close.clone()));
        serve_http(&state, listener, certificates, &http_close)?;
        Ok(Self { state, new_key, broken_bots, door, sip_close, http_close, call_log, _lock: lock })
    }

    /// Ends the node: refuses new sessions, waits for the running ones up to the drain limit (or until `hurry`), ends
    /// what is left, then closes doors, worker and call log.
    pub async fn drain(self, hurry: impl Future<Output = ()>) {
        let registry = &self.state.registry;
        let limit = self.state.settings.node.drain_limit();
        info!(sessions = registry.active(), limit_s = limit.as_secs(), "draining");
        registry.start_draining();
        self.state.chats.channels.close();
        tokio::select! {
            _ = registry.idle_within(limit) => {}
            () = hurry => info!("told twice: running sessions end now"),
        }
        if registry.active() > 0 {
            self.state.chats.channels.cut_off();
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

/// What to do, before the error says what is wrong with the file.
const BROKEN_KEYS: &str =
    "the API's keys cannot be read (without the file, the next start makes a new key and the old ones are void)";

/// The same.
const BROKEN_ACCOUNTS: &str = "what models have cost cannot be read (without the file, budgets begin anew)";

async fn listen(settings: &Settings) -> anyhow::Result<TcpListener> {
    let addr = settings.http.addr;
    TcpListener::bind(addr).await.with_context(|| no_socket("HTTP", addr, "http.addr"))
}

async fn open_sip(
    settings: &Settings,
    close: &CancellationToken,
) -> anyhow::Result<(SipDoor, mpsc::Receiver<IncomingCall>)> {
    let addr = settings.sip.addr;
    let sip = SipSettings { addr, ..SipSettings::default() };
    SipDoor::open(sip, close.clone()).await.map_err(|error| match error {
        SipError::Bind { source, .. } => anyhow::Error::new(source).context(no_socket("SIP", addr, "sip.addr")),
        error => anyhow::Error::new(error).context("cannot open the SIP door"),
    })
}

fn no_socket(what: &str, addr: SocketAddr, key: &str) -> String {
    let (variable, ip) = (load::variable(key), addr.ip());
    format!(
        "cannot listen for {what} on {addr}; set {variable} or {key} to another address ({}: a free port)",
        SocketAddr::new(ip, 0)
    )
}

/// Has every bot's opening spoken once, while nobody waits for it.
fn rehearse(state: &AppState, engines: Arc<Engines>, voicebots: Vec<Arc<BotConfig>>, close: CancellationToken) {
    let models = Arc::clone(&state.models);
    state.tasks.spawn(close.run_until_cancelled_owned(async move {
        for config in voicebots {
            let abilities = Abilities { model: models.answer_for(&config), ..Abilities::default() };
            if let Some(voice) = engines.rehearsed(&config) {
                engines::rehearse(&config, abilities, &*voice).await;
            }
        }
    }));
}

/// Connects to the MCP servers of all bots, which nobody waits for, and says in the log which tools cannot work.
fn equip(bots: &FileBots, tools: &Toolbox, settings: &Settings, tasks: &TaskTracker, close: &CancellationToken) {
    for (bot, config) in bots.configs() {
        for Finding { pointer, message, .. } in tools::unset(config, settings) {
            warn!(%bot, pointer, message, "a bot's tool cannot work");
        }
        for Finding { pointer, message, .. } in budgets::idle_of(config, settings) {
            warn!(%bot, pointer, message, "a bot's budget does less than it says");
        }
        let told = tools::tell_absent(bot.clone(), tools.of(config));
        tasks.spawn(close.clone().run_until_cancelled_owned(told));
    }
}

fn serve_http(
    state: &AppState,
    listener: TcpListener,
    certificates: Option<Certificates>,
    http_close: &CancellationToken,
) -> anyhow::Result<()> {
    let router = http::router(state);
    let listener = listener.tap_io(|socket| {
        if let Err(error) = for_live_audio(socket) {
            debug!(%error, "a connection keeps the system's buffers");
        }
    });
    match certificates {
        None => drop(state.tasks.spawn(serve(listener, router, http_close.clone()))),
        Some(certificates) => {
            let listener = TlsListener::new(listener, certificates.server()?);
            state.tasks.spawn(serve(listener, router, http_close.clone()));
            state.tasks.spawn(certificates.keep(http_close.clone()));
        }
    }
    let (metrics, http_close) = (state.about.metrics.clone(), http_close.clone());
    state.tasks.spawn(async move {
        let mut tick = tokio::time::interval(METRICS_UPKEEP);
        while http_close.run_until_cancelled(tick.tick()).await.is_some() {
            metrics.run_upkeep();
        }
    });
    Ok(())
}

async fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L, router: Router, close: CancellationToken) {
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(close.cancelled_owned()).await {
        warn!(%error, "the HTTP server has ended");
    }
}

/// A frame goes out when it is due, and what a client does not read stays where it can still be dropped.
fn for_live_audio(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_send_buffer_size(SEND_BUFFER)
}

#[cfg(test)]
#[path = "node_tests.rs"]
pub(crate) mod tests;
