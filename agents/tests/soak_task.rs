//! Thousands of conversations through the session's task, on the runtime's virtual clock: shell, child tasks, engines,
//! tools, the call log, models with their accounts. When they are over nothing of them is left: no task, no stream, no end of
//! a channel, no open record, no account, no memory.
//!
//! Alone in its binary: the memory of other tests would be counted too. That it bites was tried, with `std::mem::forget`: of a
//! copy of each record (20 MiB more), of a session's outlets at its end (tasks, calls of tools, accounts, ends of channels), of
//! a voice that is interrupted (tasks).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that stumbles fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use tandem_agents::brain::{Abilities, from_config};
use tandem_agents::session::{Before, SessionSetup, SignalingLeg, SpeechSet, run, utterance_of};
use tandem_contract::bot::{BotConfig, strip_comments};
use tandem_contract::call::{Accept, CallOffer, Door, Modality};
use tandem_contract::event::SessionCommand;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::ports::{CallLog, StoreError, ToolCall, ToolError, Tools};
use tandem_contract::record::{CallRecord, Outcome, Speaker};
use tandem_contract::{BotName, ConfigVersion, NodeId, SessionId};
use tandem_media::leg::{LegStats, MediaCommand, MediaEvent};
use tandem_media::playout::PlayoutQueue;
use tandem_media::time::Clock;
use tandem_media::worker::LegHandle;
use tandem_models::bounded::Places;
use tandem_models::budget::Budget;
use tandem_models::price::PriceList;
use tandem_models::resilient::Guarded;
use tandem_models::route::{Chains, Routed, Tier, Tiers};
use tandem_models::spending::{Metered, Organization, Payer, Spending};
use tandem_models::{Completion, Finish, LanguageModel, Message, ModelError, ModelEvent, ModelStream, Usage};
use tandem_speech::{
    EngineInfo, Recognition, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput, SpeakRequest, SpeechError,
    Voice, VoiceEvent,
};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

const DEMO: &str = include_str!("../../gateway/bots/demo.json");
const RATE: u32 = 8000;
const SESSIONS: usize = 7_000;
/// After these the allocator has what it needs.
const WARM_UP: usize = 1_000;
/// Conversations at a time.
const TOGETHER: usize = 20;
/// What the process may have grown by: less than 90 bytes for each conversation after the warm-up.
const TOLERANCE_KB: u64 = 512;
/// Of so many utterances and recognitions one fails, each by its own count.
const VOICE_FAILS: usize = 23;
const EAR_FAILS: usize = 19;
/// Samples of a piece of speech.
const PIECE: usize = 4_800;
/// In which it is made: half of what it lasts, so that callers interrupt a voice that still speaks.
const PACE: Duration = Duration::from_millis(300);

/// By turns: a flow and a model on the telephone, a model in a browser, a model in a chat.
const KINDS: [(Door, Modality, usize); 4] = [
    (Door::Sip, Modality::Voice, 0),
    (Door::Sip, Modality::Voice, 1),
    (Door::Websocket, Modality::Voice, 1),
    (Door::Websocket, Modality::Text, 1),
];

/// The line moves so often, by so many frames of 20 ms.
const TICK: Duration = Duration::from_millis(100);
const FRAMES: usize = 5;
/// What a caller does, by ticks: speaks over the agent's words or soon after them, and hangs up.
const VOICES: [(u32, u32); 3] = [(4, 15), (25, 28), (36, 47)];
const WRITES: [u32; 3] = [3, 12, 40];
const HANG_UP: u32 = 65;

fn info() -> EngineInfo {
    EngineInfo { name: "soak".into(), quality: "none".into() }
}

fn failed() -> SpeechError {
    SpeechError::Failed { engine: "soak".into(), why: "its turn to fail".into(), retry: true }
}

/// Speaks in a task of its own, which ends when nobody listens any more.
#[derive(Default)]
struct Tone {
    spoken: AtomicUsize,
}

impl Voice for Tone {
    fn info(&self) -> EngineInfo {
        info()
    }

    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let (events, spoken) = mpsc::channel(2);
        let fails = self.spoken.fetch_add(1, Ordering::Relaxed).is_multiple_of(VOICE_FAILS);
        let pieces = request.text.split_whitespace().count().div_ceil(2);
        Handle::current().spawn(async move {
            let mut pace = interval(PACE);
            for _ in 0..pieces {
                tokio::select! {
                    _ = pace.tick() => {}
                    () = events.closed() => return,
                }
                let _ = events.send(VoiceEvent::Audio(vec![1_000; PIECE].into())).await;
            }
            let _ = events.send(if fails { VoiceEvent::Failed(failed()) } else { VoiceEvent::Done }).await;
            events.closed().await;
        });
        Ok(spoken)
    }
}

/// Hears the same words each time, in a task of its own, which ends when nobody asks for them any more.
#[derive(Default)]
struct Ear {
    listened: AtomicUsize,
}

impl Recognizer for Ear {
    fn info(&self) -> EngineInfo {
        info()
    }

    fn listen(&self, _: RecognizeRequest) -> Result<Recognition, SpeechError> {
        let ((audio, mut heard), (events, told)) = (mpsc::channel(64), mpsc::channel(4));
        let fails = self.listened.fetch_add(1, Ordering::Relaxed).is_multiple_of(EAR_FAILS);
        Handle::current().spawn(async move {
            let _ = events.send(RecognizerEvent::Partial { text: "opening hours".into() }).await;
            while let Some(input) = heard.recv().await {
                if fails {
                    let _ = events.send(RecognizerEvent::Failed(failed())).await;
                } else if matches!(input, RecognizerInput::Finish) {
                    let _ = events.send(RecognizerEvent::Final { text: "opening hours".into(), confidence: 1.0 }).await;
                }
            }
            events.closed().await;
        });
        Ok(Recognition { audio, events: told })
    }
}

/// Answers, calls a tool, fails, says nothing any more; and knows how many of its answers are being read.
struct Model {
    asked: AtomicUsize,
    streams: Arc<()>,
}

impl LanguageModel for Model {
    fn name(&self) -> &str {
        "soak"
    }

    fn complete(&self, request: Completion) -> ModelStream {
        let text = |text: &str| ModelEvent::Text { text: text.to_owned().into() };
        let usage = ModelEvent::Usage { usage: Usage { input: 100, cached_input: 0, output: 10 } };
        let done = |finish| ModelEvent::Done { finish };
        let failed = |error| vec![ModelEvent::Failed { error }];
        let said =
            vec![text("We are open from nine to five. "), text("Is there anything else?"), usage, done(Finish::Stop)];
        let calls = || {
            let arguments = json!({ "day": "monday" }).into();
            let call =
                tandem_models::ToolCall { id: "c".into(), name: "opening_hours".into(), arguments, signature: None };
            vec![ModelEvent::ToolCall { call }, done(Finish::ToolCalls)]
        };
        let has_result = matches!(request.messages.last(), Some(Message::Tool { .. }));
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (events, falls_silent) = match number % 6 {
            1 if !has_result => (calls(), false),
            2 => (failed(ModelError::Refused { vendor: "soak".into(), detail: "400".into() }), false),
            3 => (vec![ModelEvent::Progress, text("One moment. ")], true),
            4 => (Vec::new(), true),
            _ => (said, false),
        };
        let kept = Arc::clone(&self.streams);
        let silence = stream::pending::<ModelEvent>().take(usize::from(falls_silent));
        Box::pin(stream::iter(events).chain(silence).map(move |event| {
            let _kept = &kept;
            event
        }))
    }
}

/// Each third call never answers, each fourth says no.
#[derive(Default)]
struct Desk {
    called: AtomicUsize,
    running: Arc<()>,
}

impl Tools for Desk {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
        let (number, running) = (self.called.fetch_add(1, Ordering::Relaxed), Arc::clone(&self.running));
        async move {
            let after = if number.is_multiple_of(3) { Duration::from_secs(3600) } else { Duration::from_millis(300) };
            let _ = timeout(after, std::future::pending::<()>()).await;
            drop(running);
            match number % 4 {
                0 => Err(ToolError::Unknown(call.tool)),
                _ => Ok(json!({ "text": "from nine to five" })),
            }
        }
        .boxed()
    }
}

/// Knows how many records were begun and never ended.
#[derive(Default)]
struct Log {
    open: Arc<AtomicUsize>,
    written: AtomicUsize,
}

impl CallLog for Log {
    fn begin(&self, _: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.open.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    }

    fn update(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.written.fetch_add(1, Ordering::Relaxed);
        if record.outcome != Outcome::InProgress {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        async { Ok(()) }.boxed()
    }

    fn read(&self, _: SessionId) -> BoxFuture<'static, Result<Option<CallRecord>, StoreError>> {
        async { Ok(None) }.boxed()
    }
}

/// The far end of one call: a player, a caller, and the wire that they are on.
struct Phone {
    clock: Clock,
    line: PlayoutQueue,
    events: mpsc::Sender<MediaEvent>,
    wire: mpsc::Sender<LegEvent>,
    /// It tells by the wire what it has played.
    reports: bool,
}

impl Phone {
    async fn tell(&self, event: MediaEvent) {
        let _ = self.events.send(event).await;
    }

    async fn tick(&mut self, number: u32) {
        let at = self.clock.at(Instant::now().into_std());
        for (onset, end) in VOICES {
            if number == onset {
                self.tell(MediaEvent::SpeechStarted { at, onset: at }).await;
            } else if number == end {
                self.tell(MediaEvent::SpeechEnded { at, end: at }).await;
            }
        }
        for _ in 0..FRAMES {
            let (mut frame, mut spans) = ([0_i16; 160], Vec::new());
            self.line.next_frame(&mut frame, &mut spans);
            for span in spans {
                if span.offset == 0 && span.len > 0 {
                    self.tell(MediaEvent::Started { at, tag: span.tag }).await;
                }
                if span.end() % 800 == 0 {
                    self.tell(MediaEvent::Progress { at, tag: span.tag, offset: span.end() }).await;
                    self.report(span.tag, span.end()).await;
                }
                if span.last {
                    self.tell(MediaEvent::Finished { at, tag: span.tag, offset: span.end() }).await;
                    self.report(span.tag, span.end()).await;
                }
            }
        }
    }

    async fn write(&self, number: u32) {
        if WRITES.contains(&number) {
            let text = "When are you open?".to_owned().into();
            let _ = self.wire.send(LegEvent::Text { text, attachments: Vec::new() }).await;
        }
    }

    async fn hang_up(&self, reason: LegEnd) {
        let _ = self.wire.send(LegEvent::Ended { reason }).await;
    }

    async fn report(&self, tag: tandem_media::leg::Tag, offset: u64) {
        if self.reports {
            let _ = self.wire.send(LegEvent::Played { utterance: utterance_of(tag).1, offset }).await;
        }
    }

    async fn obey(&mut self, command: MediaCommand) {
        let at = self.clock.at(Instant::now().into_std());
        match command {
            MediaCommand::Push { tag, samples } => self.line.push(tag, samples).unwrap(),
            MediaCommand::Finish { tag } => self.line.finish(tag),
            MediaCommand::Resume => self.line.resume(),
            MediaCommand::Pause => {
                self.line.pause();
                let (tag, offset) = self.line.cursor().unzip();
                self.tell(MediaEvent::Paused { at, tag, offset: offset.unwrap_or(0) }).await;
            }
            MediaCommand::Clear => {
                let (tag, offset) = self.line.clear().unzip();
                self.tell(MediaEvent::Cleared { at, tag, offset: offset.unwrap_or(0) }).await;
            }
            MediaCommand::Close => self.tell(MediaEvent::Closed { at, stats: LegStats::default() }).await,
            _ => {}
        }
    }
}

/// The far ends of one session.
struct Ends {
    phone: Phone,
    to_wire: mpsc::Receiver<LegCommand>,
    to_line: mpsc::Receiver<MediaCommand>,
    orders: mpsc::Sender<SessionCommand>,
}

impl Ends {
    /// How many the session has not let go of.
    fn held(&self) -> usize {
        let Self { phone: Phone { events, wire, .. }, to_wire, to_line, orders } = self;
        let gone = [events.is_closed(), wire.is_closed(), to_wire.is_closed(), to_line.is_closed(), orders.is_closed()];
        gone.iter().filter(|gone| !**gone).count()
    }
}

struct Node {
    bots: [Arc<BotConfig>; 2],
    clock: Clock,
    tiers: Arc<Tiers>,
    spending: Arc<Spending>,
    streams: Arc<()>,
    ear: Arc<Ear>,
    voice: Arc<Tone>,
    desk: Arc<Desk>,
    log: Arc<Log>,
    /// Ends of channels that a session still held when it was over.
    held: AtomicUsize,
    /// Sessions that still had an account when they were over.
    accounts: AtomicUsize,
}

impl Node {
    fn new() -> Self {
        let mut demo = serde_json::from_str(DEMO).unwrap();
        strip_comments(&mut demo);
        let model = json!({
            "system_prompt": { "role": "A clinic.", "greeting": "Clinic, good morning to you. How can I help you today?" },
            "tools_available": [{ "tool_name": "opening_hours", "status": "implemented", "say": "One moment." }],
            "turn": { "back_off_ms": 700, "message_wait_ms": 0 },
        });
        let (spending, _) = Spending::new(PriceList::default(), Arc::new(Duration::default));
        let streams = Arc::new(());
        let model_of_all = Arc::new(Model { asked: AtomicUsize::new(0), streams: Arc::clone(&streams) });
        let metered = Arc::new(Metered::new(model_of_all, Arc::clone(&spending)));
        let balanced = vec![Guarded::new(metered, Places::new(256))];
        let chains = Chains { balanced, ..Chains::default() };
        let tiers = Arc::new(Tiers::new(chains, Duration::from_secs(4), None).unwrap());
        Self {
            bots: [demo, model].map(|config| Arc::new(serde_json::from_value(config).unwrap())),
            clock: Clock::new(),
            tiers,
            spending,
            streams,
            ear: Arc::default(),
            voice: Arc::default(),
            desk: Arc::default(),
            log: Arc::default(),
            held: AtomicUsize::new(0),
            accounts: AtomicUsize::new(0),
        }
    }

    /// A session of this kind, and what is at the far ends of it.
    fn call(&self, (door, modality, bot): (Door, Modality, usize)) -> (SessionSetup, Ends) {
        let (session, config) = (SessionId::new(NodeId(1)), &self.bots[bot]);
        let name = BotName::new("demo").unwrap();
        let payer = Payer { organization: Organization("demo".into()), bot: name.clone(), session };
        let (tiers, spending) = (Arc::clone(&self.tiers), Arc::clone(&self.spending));
        let model = Routed::new(tiers, spending, payer, Tier::Balanced, Budget::default());
        let ((leg_commands, to_wire), (wire, leg_events)) = (mpsc::channel(16), mpsc::channel(64));
        let ((media_commands, to_line), (events, media_events)) = (mpsc::channel(64), mpsc::channel(64));
        let media = LegHandle { commands: media_commands, events: media_events, rate: RATE, haste: None, local: None };
        let (orders, commands) = mpsc::channel(1);
        let (recognizer, voice) = (self.ear.clone(), self.voice.clone());
        let setup = SessionSetup {
            offer: CallOffer { session, door, modality, bot: name.clone(), caller: "caller".to_owned().into() },
            accept: Accept { bot: name, version: ConfigVersion(1), config: Arc::clone(config) },
            before: Before::default(),
            leg: SignalingLeg { commands: leg_commands, events: leg_events },
            media: Some(media).filter(|_| modality == Modality::Voice),
            speech: SpeechSet { recognizer: Some(recognizer), voice, language: "en-US".into() },
            brain: from_config(config, modality, Abilities { model: true, ..Abilities::default() }).unwrap(),
            model: Some(Arc::new(model)),
            tools: self.desk.clone(),
            log: self.log.clone(),
            clock: self.clock,
            commands,
            watch: broadcast::Sender::new(16),
        };
        let (line, reports) = (PlayoutQueue::new(RATE), door == Door::Websocket);
        let phone = Phone { clock: self.clock, line, events, wire, reports };
        (setup, Ends { phone, to_wire, to_line, orders })
    }

    async fn converse(&self, kind: (Door, Modality, usize)) -> CallRecord {
        let (setup, mut ends) = self.call(kind);
        let is_chat = setup.offer.modality == Modality::Text;
        ends.phone.wire.send(LegEvent::Answered).await.unwrap();
        let (mut tick, mut ticks) = (interval(TICK), 0);
        // A task of its own, as in a node: neither end starves the other.
        let mut session = JoinSet::new();
        session.spawn(run(setup));
        loop {
            let Ends { phone, to_wire, to_line, .. } = &mut ends;
            tokio::select! {
                biased;
                Some(record) = session.join_next() => {
                    let record = record.unwrap();
                    self.held.fetch_add(ends.held(), Ordering::Relaxed);
                    self.accounts.fetch_add(usize::from(self.spending.used(record.session).is_some()), Ordering::Relaxed);
                    return record;
                }
                Some(command) = to_line.recv(), if !is_chat => phone.obey(command).await,
                Some(LegCommand::HangUp) = to_wire.recv() => phone.hang_up(LegEnd::AgentHungUp).await,
                _ = tick.tick(), if ticks < HANG_UP => {
                    ticks += 1;
                    match is_chat {
                        false => phone.tick(ticks).await,
                        true => phone.write(ticks).await,
                    }
                    if ticks == HANG_UP {
                        phone.hang_up(LegEnd::CallerHungUp).await;
                    }
                }
            }
        }
    }

    /// In how many of each kind of conversation the agent answered, and in how many it was interrupted.
    async fn converse_all(self: &Arc<Self>, sessions: usize) -> ([usize; KINDS.len()], [usize; KINDS.len()]) {
        let (mut answered, mut interrupted) = ([0; KINDS.len()], [0; KINDS.len()]);
        for batch in 0..sessions / TOGETHER {
            let mut calls = JoinSet::new();
            for number in batch * TOGETHER..(batch + 1) * TOGETHER {
                let node = Arc::clone(self);
                calls.spawn(async move { (number % KINDS.len(), node.converse(KINDS[number % KINDS.len()]).await) });
            }
            for (kind, record) in calls.join_all().await {
                let agent = || record.ledger.iter().filter(|entry| entry.speaker == Speaker::Agent);
                answered[kind] += usize::from(agent().count() > 1);
                interrupted[kind] += usize::from(agent().any(|entry| entry.interrupted));
            }
        }
        (answered, interrupted)
    }

    /// Nothing is left of conversations that are over.
    async fn assert_clean(&self) {
        // What was aborted ends when it is polled next.
        for _ in 0..TOGETHER {
            tokio::task::yield_now().await;
        }
        let [records, ends, accounts] =
            [&self.log.open, &self.held, &self.accounts].map(|count| count.load(Ordering::Relaxed));
        let mut left = vec![
            ("tasks", Handle::current().metrics().num_alive_tasks()),
            ("streams of models", Arc::strong_count(&self.streams) - 2),
            ("calls of tools", Arc::strong_count(&self.desk.running) - 1),
            ("open records", records),
            ("accounts", accounts),
            ("ends of channels", ends),
        ];
        left.retain(|(_, count)| *count > 0);
        assert!(left.is_empty(), "conversations that are over left {left:?}");
    }
}

/// Resident memory of this process in KiB, as the kernel counts it.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn thousands_of_sessions_leave_nothing_behind() {
    let node = Arc::new(Node::new());
    node.converse_all(WARM_UP).await;
    node.assert_clean().await;
    let before = resident_kb();
    let counted = SESSIONS - WARM_UP;
    let (answered, interrupted) = node.converse_all(counted).await;
    let after = resident_kb();
    node.assert_clean().await;
    let tools = node.desk.called.load(Ordering::Relaxed);
    println!(
        "{before} KiB after {WARM_UP} sessions, {after} KiB after {SESSIONS}; of the last were answered {answered:?} and \
         interrupted {interrupted:?}; {tools} calls of tools"
    );
    let half = counted / KINDS.len() / 2;
    assert!(answered.iter().all(|some| *some > half), "{answered:?} were answered");
    assert!(interrupted[..3].iter().all(|some| *some > half), "{interrupted:?} were interrupted");
    assert!(tools > counted / 4, "{tools} calls of tools");
    assert!(after <= before + TOLERANCE_KB, "{before} KiB after {WARM_UP} sessions, {after} KiB after {SESSIONS}");
}
