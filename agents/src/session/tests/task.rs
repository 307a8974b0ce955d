//! The task itself, with channels and the runtime's clock; it waits for events, never for time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tandem_contract::bot::{BotConfig, TurnBlock};
use tandem_contract::call::{Accept, CallOffer, Door, Modality};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::ports::{CallLog, StoreError, ToolCall, ToolError, Tools};
use tandem_contract::record::{CallRecord, Outcome};
use tandem_contract::{BotName, ConfigVersion, Epoch, NodeId, Private, SessionId};
use tandem_media::Time;
use tandem_media::time::Clock;
use tandem_speech::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};
use tokio::sync::{broadcast, mpsc};
use tokio::task::{JoinSet, yield_now};

use super::world::say;
use crate::brain::{Brain, BrainEffect, BrainEvent};
use crate::session::{Before, SessionSetup, SignalingLeg, SpeechSet, run};

struct Parrot;

impl Brain for Parrot {
    fn handle(&mut self, _: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        match event {
            BrainEvent::Started => out.push(say(Epoch(0), "hello")),
            BrainEvent::Said { epoch, .. } => {
                let arguments = Value::Null;
                out.push(BrainEffect::CallTool { epoch, call: 1, tool: "answer".into(), arguments });
            }
            BrainEvent::ToolDone { epoch, result: Ok(answer), .. } => out.push(say(epoch, &answer.to_string())),
            _ => {}
        }
    }
}

struct Mute;

impl Voice for Mute {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: "mute".into(), quality: "silence".into() }
    }

    fn speak(&self, _: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        Err(SpeechError::Unavailable { engine: "mute".into(), why: "it never speaks".into() })
    }
}

struct FortyTwo;

impl Tools for FortyTwo {
    fn call(&self, _: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
        async { Ok(Value::from(42)) }.boxed()
    }
}

/// Tells the test of every write. Bounded: the test reads them all.
struct Diary(mpsc::Sender<(bool, CallRecord)>);

impl Diary {
    fn write(&self, first: bool, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        let diary = self.0.clone();
        async move {
            let _ = diary.send((first, record)).await;
            Ok(())
        }
        .boxed()
    }
}

impl CallLog for Diary {
    fn begin(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.write(true, record)
    }

    fn update(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.write(false, record)
    }

    fn read(&self, _: SessionId) -> BoxFuture<'static, Result<Option<CallRecord>, StoreError>> {
        async { Ok(None) }.boxed()
    }
}

async fn text(commands: &mut mpsc::Receiver<LegCommand>) -> String {
    match commands.recv().await {
        Some(LegCommand::Text { text, .. }) => text.into_inner(),
        other => panic!("no text but {other:?}"),
    }
}

/// The agent's words between the two marks of its work.
async fn reply(commands: &mut mpsc::Receiver<LegCommand>) -> String {
    assert_eq!(commands.recv().await, Some(LegCommand::Typing { on: true }));
    let reply = text(commands).await;
    assert_eq!(commands.recv().await, Some(LegCommand::Typing { on: false }));
    reply
}

/// Messages are answered at once.
fn at_once() -> BotConfig {
    let turn = TurnBlock { message_wait_ms: Some(0), ..TurnBlock::default() };
    BotConfig { turn: Some(turn), ..BotConfig::default() }
}

/// What the far ends of a chat hold.
struct Ends {
    sent: mpsc::Receiver<LegCommand>,
    wire: mpsc::Sender<LegEvent>,
    _commands: mpsc::Sender<SessionCommand>,
    stored: mpsc::Receiver<(bool, CallRecord)>,
    watcher: broadcast::Receiver<SessionEvent>,
}

fn chat() -> (SessionSetup, Ends) {
    let bot = BotName::new("demo").unwrap();
    let (leg_commands, sent) = mpsc::channel(8);
    let (wire, leg_events) = mpsc::channel(8);
    let (_commands, commands) = mpsc::channel(1);
    let (diary, stored) = mpsc::channel(64);
    let watch = broadcast::Sender::new(64);
    let watcher = watch.subscribe();
    let offer = CallOffer {
        session: SessionId::new(NodeId(1)),
        door: Door::Websocket,
        modality: Modality::Text,
        bot: bot.clone(),
        caller: Private::new("someone".into()),
    };
    let setup = SessionSetup {
        offer,
        accept: Accept { bot, version: ConfigVersion(1), config: Arc::new(at_once()) },
        before: Before { session: Some(SessionId::new(NodeId(1))), lines: Vec::new() },
        leg: SignalingLeg { commands: leg_commands, events: leg_events },
        media: None,
        speech: SpeechSet { recognizer: None, voice: Arc::new(Mute), language: "en-US".into() },
        brain: Box::new(Parrot),
        model: None,
        tools: Arc::new(FortyTwo),
        log: Arc::new(Diary(diary)),
        clock: Clock::new(),
        commands,
        watch,
    };
    (setup, Ends { sent, wire, _commands, stored, watcher })
}

#[tokio::test]
async fn a_chat_from_hello_to_the_stored_record() {
    let (setup, mut ends) = chat();
    let earlier = setup.before.session;
    let caller = async {
        ends.wire.send(LegEvent::Answered).await.unwrap();
        assert_eq!(reply(&mut ends.sent).await, "hello");
        ends.wire.send(LegEvent::Text { text: "how many?".to_owned().into(), attachments: Vec::new() }).await.unwrap();
        assert_eq!(reply(&mut ends.sent).await, "42");
        ends.wire.send(LegEvent::Ended { reason: LegEnd::CallerHungUp }).await.unwrap();
    };
    let (record, ()) = tokio::join!(run(setup), caller);
    assert_eq!(record.outcome, Outcome::Ended(LegEnd::CallerHungUp));
    assert_eq!((record.ledger.len(), record.continues), (3, earlier));
    let (first, begun) = ends.stored.recv().await.unwrap();
    assert!(first && begun.outcome == Outcome::InProgress && begun.ledger.is_empty());
    let mut last = None;
    while let Ok((_, record)) = ends.stored.try_recv() {
        last = Some(record);
    }
    assert_eq!(last, Some(record));
    let mut ended = false;
    while let Ok(event) = ends.watcher.try_recv() {
        ended = matches!(event, SessionEvent::Ended { .. });
    }
    assert!(ended);
}

/// Its last timer has fired and it sets no other: a timer that is over must not be waited for again, which returns at once.
#[tokio::test(start_paused = true)]
async fn a_chat_in_which_nobody_writes_takes_no_time_of_the_processor() {
    let (setup, mut ends) = chat();
    let (polls, mut session) = (Arc::new(AtomicUsize::new(0)), Box::pin(run(setup)));
    let counted = Arc::clone(&polls);
    let mut task = JoinSet::new();
    task.spawn(std::future::poll_fn(move |context| {
        counted.fetch_add(1, Ordering::Relaxed);
        session.poll_unpin(context)
    }));
    ends.wire.send(LegEvent::Answered).await.unwrap();
    assert_eq!(reply(&mut ends.sent).await, "hello");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(ends.stored.recv().await.unwrap().0);
    let (first, stored) = ends.stored.recv().await.unwrap();
    assert!(!first && stored.ledger.len() == 1, "the timer of the record has fired");
    for _ in 0..10 {
        yield_now().await;
    }
    let before = polls.load(Ordering::Relaxed);
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(polls.load(Ordering::Relaxed), before);
    ends.wire.send(LegEvent::Ended { reason: LegEnd::CallerHungUp }).await.unwrap();
    assert_eq!(task.join_next().await.unwrap().unwrap().outcome, Outcome::Ended(LegEnd::CallerHungUp));
}
