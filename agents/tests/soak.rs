//! Ten thousand conversations in virtual time leave the memory of the process as it was after the first thousand.
//!
//! Alone in its binary: the memory of other tests would be counted too.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that stumbles fails")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tandem_agents::brain::{Abilities, from_config};
use tandem_agents::session::Before;
use tandem_agents::session::core::SessionCore;
use tandem_agents::session::input::{RecognitionId, SessionEffect, SessionFacts, SessionInput};
use tandem_contract::bot::{BotConfig, strip_comments};
use tandem_contract::call::{Accept, CallOffer, Door, Modality};
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::record::{CallRecord, Speaker};
use tandem_contract::{BotName, ConfigVersion, NodeId, SessionId};
use tandem_media::Time;
use tandem_media::leg::{LegStats, MediaCommand, MediaEvent};
use tandem_media::playout::PlayoutQueue;
use tandem_models::{Finish, ModelEvent};
use tandem_speech::{RecognizerEvent, VoiceEvent};

const DEMO: &str = include_str!("../../gateway/bots/demo.json");
const RATE: u32 = 8000;
const SLOT_MS: u64 = 20;
const SESSIONS: u64 = 10_000;
/// After these the allocator has what it needs.
const WARM_UP: u64 = 1_000;
/// Conversations at a time.
const TOGETHER: u64 = 10;
/// What the process may have grown by: less than 64 bytes for each conversation after the warm-up.
const TOLERANCE_KB: u64 = 512;

/// What a caller does, by milliseconds: all of it over the agent's words or soon after them.
const VOICES: [(u64, u64); 3] = [(400, 1_500), (2_500, 2_800), (3_600, 4_700)];
const HANG_UP_MS: u64 = 6_500;

struct Call {
    core: SessionCore,
    line: PlayoutQueue,
    now: Time,
    recognition: RecognitionId,
    inputs: VecDeque<SessionInput>,
    record: Option<CallRecord>,
}

impl Call {
    fn new(config: &Arc<BotConfig>) -> Self {
        let bot = BotName::new("demo").unwrap();
        let session = SessionId::new(NodeId(1));
        let modality = Modality::Voice;
        let caller = "caller".to_owned().into();
        let offer = CallOffer { session, door: Door::Sip, modality, bot: bot.clone(), caller };
        let accept = Accept { bot, version: ConfigVersion(1), config: config.clone() };
        let facts = SessionFacts { offer, accept, before: Before::default(), rate: Some(RATE), started_at_ms: 0 };
        let brain = from_config(config, modality, Abilities { model: true, ..Abilities::default() }).unwrap();
        let inputs = [SessionInput::Begun, SessionInput::Leg(LegEvent::Answered)].into();
        let (now, recognition) = (Time::ZERO, RecognitionId::default());
        let core = SessionCore::new(now, facts, brain);
        Self { core, line: PlayoutQueue::new(RATE), now, recognition, inputs, record: None }
    }

    fn slot(&mut self) {
        let at = self.now;
        for (onset, end) in VOICES {
            if at == Time::from_millis(onset) {
                self.media(MediaEvent::SpeechStarted { at, onset: at });
            } else if at == Time::from_millis(end) {
                self.media(MediaEvent::SpeechEnded { at, end: at });
            }
        }
        if at == Time::from_millis(HANG_UP_MS) {
            self.inputs.push_back(SessionInput::Leg(LegEvent::Ended { reason: LegEnd::CallerHungUp }));
        }
        self.play();
        self.settle();
        self.now += Duration::from_millis(SLOT_MS);
    }

    fn play(&mut self) {
        let at = self.now;
        let (mut frame, mut spans) = ([0_i16; 160], Vec::new());
        self.line.next_frame(&mut frame, &mut spans);
        for span in spans {
            if span.offset == 0 && span.len > 0 {
                self.media(MediaEvent::Started { at, tag: span.tag });
            }
            if span.end() % 800 == 0 {
                self.media(MediaEvent::Progress { at, tag: span.tag, offset: span.end() });
            }
            if span.last {
                self.media(MediaEvent::Finished { at, tag: span.tag, offset: span.end() });
            }
        }
    }

    /// Until nothing is left to do at this time.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.core.poll_effect() {
                self.perform(effect);
            }
            if let Some(input) = self.inputs.pop_front() {
                self.core.handle(self.now, input);
            } else if self.core.poll_timeout().is_some_and(|due| due <= self.now) {
                self.core.handle_timeout(self.now);
            } else {
                return;
            }
        }
    }

    fn media(&mut self, event: MediaEvent) {
        self.inputs.push_back(SessionInput::Media(event));
    }

    fn perform(&mut self, effect: SessionEffect) {
        match effect {
            SessionEffect::Media(command) => self.command(command),
            SessionEffect::Leg(LegCommand::HangUp) => {
                self.inputs.push_back(SessionInput::Leg(LegEvent::Ended { reason: LegEnd::AgentHungUp }));
            }
            SessionEffect::StartVoice { epoch, utterance, text } => {
                let samples = text.reveal().split_whitespace().count() * 2_400;
                for event in [VoiceEvent::Audio(vec![1000; samples].into()), VoiceEvent::Done] {
                    self.inputs.push_back(SessionInput::Voice { epoch, utterance, event });
                }
            }
            SessionEffect::StartRecognizer { recognition, .. } => {
                self.recognition = recognition;
                self.hear(RecognizerEvent::Partial { text: "opening hours".into() });
            }
            SessionEffect::FinishRecognizer => {
                self.hear(RecognizerEvent::Final { text: "opening hours".into(), confidence: 1.0 });
            }
            SessionEffect::CallTool { call, .. } => {
                let result = Ok(json!({ "text": "from nine to five" }));
                self.inputs.push_back(SessionInput::ToolDone { call, result });
            }
            SessionEffect::StartModel { epoch, .. } => {
                let text = "We are open from nine to five. Is there anything else?".to_owned().into();
                for event in [ModelEvent::Text { text }, ModelEvent::Done { finish: Finish::Stop }] {
                    self.inputs.push_back(SessionInput::Model { epoch, event });
                }
            }
            SessionEffect::End(record) => self.record = Some(*record),
            _ => {}
        }
    }

    fn hear(&mut self, event: RecognizerEvent) {
        self.inputs.push_back(SessionInput::Recognizer { recognition: self.recognition, event });
    }

    fn command(&mut self, command: MediaCommand) {
        let at = self.now;
        match command {
            MediaCommand::Push { tag, samples } => self.line.push(tag, samples).unwrap(),
            MediaCommand::Finish { tag } => self.line.finish(tag),
            MediaCommand::Resume => self.line.resume(),
            MediaCommand::Pause => {
                self.line.pause();
                let (tag, offset) = self.line.cursor().unzip();
                self.media(MediaEvent::Paused { at, tag, offset: offset.unwrap_or(0) });
            }
            MediaCommand::Clear => {
                let (tag, offset) = self.line.clear().unzip();
                self.media(MediaEvent::Cleared { at, tag, offset: offset.unwrap_or(0) });
            }
            MediaCommand::Close => self.media(MediaEvent::Closed { at, stats: LegStats::default() }),
            _ => {}
        }
    }
}

/// The demo's flow, and a bot that a model answers, which leaves callers a moment when they interrupt.
fn bots() -> [Arc<BotConfig>; 2] {
    let mut demo = serde_json::from_str(DEMO).unwrap();
    strip_comments(&mut demo);
    let model = json!({
        "system_prompt": { "role": "A clinic.", "greeting": "Clinic, good morning to you. How can I help you today?" },
        "turn": { "back_off_ms": 700 },
    });
    [demo, model].map(|config| Arc::new(serde_json::from_value(config).unwrap()))
}

/// Resident memory of this process in KiB, as the kernel counts it.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn converse(bots: &[Arc<BotConfig>; 2], sessions: u64) -> (u64, u64) {
    let (mut heard, mut interrupted) = (0, 0);
    for _ in 0..sessions / TOGETHER {
        let mut calls: Vec<Call> = bots.iter().cycle().take(TOGETHER as usize).map(Call::new).collect();
        while calls.iter().any(|call| call.record.is_none()) {
            calls.iter_mut().for_each(Call::slot);
            assert!(calls[0].now < Time::from_millis(2 * HANG_UP_MS), "a conversation did not end");
        }
        for record in calls.into_iter().filter_map(|call| call.record) {
            let agent = || record.ledger.iter().filter(|entry| entry.speaker == Speaker::Agent);
            heard += agent().count() as u64;
            interrupted += agent().filter(|entry| entry.interrupted).count() as u64;
        }
    }
    (heard, interrupted)
}

#[test]
fn ten_thousand_conversations_leave_the_memory_flat() {
    let bots = bots();
    converse(&bots, WARM_UP);
    let before = resident_kb();
    let (heard, interrupted) = converse(&bots, SESSIONS - WARM_UP);
    let after = resident_kb();
    assert!(heard >= 2 * (SESSIONS - WARM_UP) && interrupted >= SESSIONS - WARM_UP, "{heard} {interrupted}");
    assert!(after <= before + TOLERANCE_KB, "{before} KiB after {WARM_UP} conversations, {after} KiB after {SESSIONS}");
    println!("{before} KiB after {WARM_UP} conversations, {after} KiB after {SESSIONS}; {interrupted} interruptions");
}
