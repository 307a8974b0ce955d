//! A scripted world in virtual time: a line with the real playout queue, a voice whose words are all equally long, a
//! recognizer that answers what the test says, and a brain made of a function.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tandem_contract::attachment::Attachment;
use tandem_contract::bot::{BotConfig, TurnBlock};
use tandem_contract::call::{Accept, CallOffer, Door, Modality};
use tandem_contract::event::SessionEvent;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::record::{CallRecord, LedgerEntry, Speaker};
use tandem_contract::{BotName, ConfigVersion, Epoch, NodeId, Private, SessionId, UtteranceId};
use tandem_media::Time;
use tandem_media::leg::{LegStats, MediaCommand, MediaEvent};
use tandem_media::playout::PlayoutQueue;
use tandem_models::{Completion, ModelEvent};
use tandem_speech::{AlignedWord, Grammar, RecognizerEvent, SpeechError, VoiceEvent};

use crate::brain::{Brain, BrainEffect, BrainEvent, Listen, Prompt};
use crate::session::core::SessionCore;
use crate::session::input::*;
use crate::session::{Before, utterance_of};

pub(super) const RATE: u32 = 8000;
/// Samples of a word: 400 ms.
pub(super) const WORD: u64 = 3200;
const SLOT: Duration = Duration::from_millis(20);
/// Until the voice's first audio.
const VOICE_DELAY: Duration = Duration::from_millis(30);

type Script = Box<dyn FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send>;

/// A brain that is a function.
struct Scripted(Script);

impl Brain for Scripted {
    fn handle(&mut self, _: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        (self.0)(event, out);
    }
}

/// A brain, and what it is told.
struct Watched {
    brain: Box<dyn Brain>,
    told: mpsc::Sender<BrainEvent>,
}

impl Brain for Watched {
    fn handle(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        let _ = self.told.send(event.clone());
        self.brain.handle(now, event, out);
    }

    fn waits_for_tools(&self) -> bool {
        self.brain.waits_for_tools()
    }

    fn foresee(&self, said: &str) -> Option<Prompt> {
        self.brain.foresee(said)
    }
}

/// What a language model answers, and how long after the question each piece of it comes.
type Answers = Box<dyn FnMut(&Completion) -> Vec<(Duration, ModelEvent)>>;

#[derive(Default)]
pub(super) struct FakeModel {
    /// None: a question gets no answer.
    pub(super) script: Option<Answers>,
    /// Questions that it was asked, and the one that it works on.
    asked: u32,
    answering: Option<u32>,
}

#[derive(Default)]
pub(super) struct FakeVoice {
    /// It dies in the midst of this word, counted from zero, of what it says next; once.
    pub(super) breaks_at: Option<u64>,
    pub(super) places_no_words: bool,
}

/// The worker's side of the line.
#[derive(Default)]
struct Worker {
    slot: Time,
    commands: Vec<MediaCommand>,
    /// The far end holds the call: the line stands still.
    held: bool,
}

pub(super) fn say(epoch: Epoch, text: &str) -> BrainEffect {
    BrainEffect::Say { epoch, text: text.to_owned(), interruptible: true }
}

pub(super) fn yes_or_no() -> BrainEffect {
    let grammar = Some(Grammar::Phrases { phrases: vec!["yes".into(), "no".into()] });
    BrainEffect::Listen(Listen { grammar, digits: None, silence: crate::turn::Silence::Policy })
}

/// Greets with ten words, and answers everything with three.
pub(super) fn polite(event: BrainEvent, out: &mut Vec<BrainEffect>) {
    match event {
        BrainEvent::Started => {
            out.extend([yes_or_no(), say(Epoch(0), "one two three four five six seven eight nine ten")])
        }
        BrainEvent::Said { epoch, .. } | BrainEvent::NotUnderstood { epoch } | BrainEvent::Digits { epoch, .. } => {
            out.extend([say(epoch, "that is fine"), BrainEffect::Done { epoch }]);
        }
        _ => {}
    }
}

/// What happens at its time.
enum Later {
    Input(SessionInput),
    /// The recognizer has this of whatever it then listens to.
    Heard(RecognizerEvent),
    /// Of the answer to the n-th question. Those to a question that was given up come too: they are late.
    Model(u32, SessionInput),
}

pub(super) struct World {
    pub(super) core: SessionCore,
    pub(super) now: Time,
    pub(super) effects: Vec<(Time, SessionEffect)>,
    pub(super) record: Option<CallRecord>,
    pub(super) line: PlayoutQueue,
    /// Samples of each utterance that left the line.
    pub(super) sent: BTreeMap<UtteranceId, u64>,
    /// Slots that carried sound, by their time.
    pub(super) sounding: Vec<Time>,
    worker: Worker,
    due: Vec<(Time, Later)>,
    told: mpsc::Receiver<BrainEvent>,
    /// The recognizer's answer to a finished utterance; none: it never answers.
    pub(super) answer: Option<RecognizerEvent>,
    pub(super) recognition: RecognitionId,
    /// Whether the far end reports, and how far behind it plays.
    pub(super) far_delay: Option<u64>,
    pub(super) model: FakeModel,
    pub(super) speaker: FakeVoice,
}

impl World {
    pub(super) fn new(door: Door, script: impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static) -> Self {
        Self::with(door, Modality::Voice, script)
    }

    pub(super) fn with(
        door: Door,
        modality: Modality,
        script: impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static,
    ) -> Self {
        // Messages are answered at once, but in the tests that are about it.
        let turn = TurnBlock { message_wait_ms: Some(0), ..TurnBlock::default() };
        Self::of(door, modality, BotConfig { turn: Some(turn), ..BotConfig::default() }, script)
    }

    pub(super) fn of(
        door: Door,
        modality: Modality,
        config: BotConfig,
        script: impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static,
    ) -> Self {
        Self::by(door, modality, config, Box::new(Scripted(Box::new(script))))
    }

    pub(super) fn by(door: Door, modality: Modality, config: BotConfig, brain: Box<dyn Brain>) -> Self {
        Self::after(Vec::new(), door, modality, config, brain)
    }

    /// A session that continues one with these lines.
    pub(super) fn after(
        before: Vec<LedgerEntry>,
        door: Door,
        modality: Modality,
        config: BotConfig,
        brain: Box<dyn Brain>,
    ) -> Self {
        let (core, told) = Self::core_by(before, door, modality, config, brain);
        let mut world = Self {
            core,
            now: Time::ZERO,
            effects: Vec::new(),
            record: None,
            line: PlayoutQueue::new(RATE),
            sent: BTreeMap::new(),
            sounding: Vec::new(),
            worker: Worker::default(),
            due: Vec::new(),
            told,
            answer: Some(RecognizerEvent::Final { text: "yes".into(), confidence: 1.0 }),
            recognition: RecognitionId::default(),
            far_delay: None,
            model: FakeModel::default(),
            speaker: FakeVoice::default(),
        };
        world.drain();
        world.give(SessionInput::Begun);
        world.give(SessionInput::Leg(LegEvent::Answered));
        world
    }

    /// The core alone, which nobody answered yet, and what its brain is told.
    pub(super) fn core(
        door: Door,
        modality: Modality,
        config: BotConfig,
        script: impl FnMut(BrainEvent, &mut Vec<BrainEffect>) + Send + 'static,
    ) -> (SessionCore, mpsc::Receiver<BrainEvent>) {
        Self::core_by(Vec::new(), door, modality, config, Box::new(Scripted(Box::new(script))))
    }

    fn core_by(
        before: Vec<LedgerEntry>,
        door: Door,
        modality: Modality,
        config: BotConfig,
        brain: Box<dyn Brain>,
    ) -> (SessionCore, mpsc::Receiver<BrainEvent>) {
        let (tell, told) = mpsc::channel();
        let bot = BotName::new("demo").unwrap();
        let session = SessionId::new(NodeId(1));
        let offer = CallOffer { session, door, modality, bot: bot.clone(), caller: Private::new("caller".into()) };
        let accept = Accept { bot, version: ConfigVersion(1), config: Arc::new(config) };
        // Twilio's media streams are for the tests of their core: here it speaks texts itself.
        let rate = (modality == Modality::Voice && door != Door::Twilio).then_some(RATE);
        let before = Before { session: None, lines: before };
        let facts = SessionFacts { offer, accept, before, rate, started_at_ms: 0 };
        let brain = Box::new(Watched { brain, told: tell });
        (SessionCore::new(Time::ZERO, facts, brain), told)
    }

    pub(super) fn give(&mut self, input: SessionInput) {
        self.core.handle(self.now, input);
        self.drain();
    }

    pub(super) fn later(&mut self, after: Duration, input: SessionInput) {
        self.due.push((self.now + after, Later::Input(input)));
    }

    fn drain(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            assert!(self.record.is_none(), "{effect:?} after the end");
            self.effects.push((self.now, effect.clone()));
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: SessionEffect) {
        match effect {
            SessionEffect::Media(command) => self.worker.commands.push(command),
            SessionEffect::Leg(LegCommand::HangUp) => {
                let ended = LegEvent::Ended { reason: LegEnd::AgentHungUp };
                self.later(SLOT, SessionInput::Leg(ended));
            }
            SessionEffect::Leg(LegCommand::Clear { utterance }) => self.report(utterance),
            SessionEffect::StartVoice { epoch, utterance, text } => self.speak(epoch, utterance, text.reveal()),
            SessionEffect::StartRecognizer { recognition, .. } => self.recognition = recognition,
            SessionEffect::FinishRecognizer => {
                if let Some(event) = self.answer.clone() {
                    let recognition = self.recognition;
                    self.later(Duration::from_millis(40), SessionInput::Recognizer { recognition, event });
                }
            }
            SessionEffect::StartModel { epoch, request } => {
                self.ask(&request, |event| SessionInput::Model { epoch, event });
            }
            SessionEffect::AskAhead { ahead, request } => {
                self.ask(&request, |event| SessionInput::Ahead { ahead, event });
            }
            SessionEffect::CancelModel => self.model.answering = None,
            SessionEffect::End(record) => self.record = Some(*record),
            _ => {}
        }
    }

    fn ask(&mut self, request: &Completion, told: impl Fn(ModelEvent) -> SessionInput) {
        let Some(script) = &mut self.model.script else { return };
        assert!(self.model.answering.is_none(), "two questions at a time");
        self.model.asked += 1;
        self.model.answering = Some(self.model.asked);
        for (after, event) in script(request) {
            self.due.push((self.now + after, Later::Model(self.model.asked, told(event))));
        }
    }

    fn report(&mut self, utterance: UtteranceId) {
        let Some(delay) = self.far_delay else { return };
        let offset = self.sent.get(&utterance).copied().unwrap_or(0).saturating_sub(delay);
        self.later(Duration::from_millis(50), SessionInput::Leg(LegEvent::Played { utterance, offset }));
    }

    /// All audio after a short wait; words a little later than the audio they belong to.
    fn speak(&mut self, epoch: Epoch, utterance: UtteranceId, text: &str) {
        let voice = |event| SessionInput::Voice { epoch, utterance, event };
        let mut at = VOICE_DELAY;
        let breaks_at = self.speaker.breaks_at.take();
        for (n, word) in (0..).zip(text.split_whitespace()) {
            if breaks_at == Some(n) {
                let half: Arc<[i16]> = vec![1000; usize::try_from(WORD / 2).unwrap()].into();
                let error = SpeechError::Failed { engine: "voice".into(), why: "on purpose".into(), retry: true };
                self.later(at, voice(VoiceEvent::Audio(half)));
                return self.later(at, voice(VoiceEvent::Failed(error)));
            }
            let samples: Arc<[i16]> = vec![1000; usize::try_from(WORD).unwrap()].into();
            self.later(at, voice(VoiceEvent::Audio(samples)));
            let aligned = AlignedWord { text: word.to_owned(), start: n * WORD, end: (n + 1) * WORD };
            if !self.speaker.places_no_words {
                self.later(at + Duration::from_millis(5), voice(VoiceEvent::Words(vec![aligned])));
            }
            at += Duration::from_millis(25);
        }
        self.later(at, voice(VoiceEvent::Done));
    }

    /// Runs the world up to and including `ms`.
    pub(super) fn until(&mut self, ms: u64) {
        let end = Time::from_millis(ms);
        for _ in 0..1_000_000 {
            let input = self.due.iter().map(|(at, _)| *at).min();
            let timer = self.core.poll_timeout().map(|due| due.max(self.now));
            let next = [Some(self.worker.slot), input, timer].into_iter().flatten().min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            if input == Some(next) {
                let first = self.due.iter().position(|(at, _)| *at == next).unwrap();
                let (_, later) = self.due.remove(first);
                self.give_later(later);
            } else if timer == Some(next) {
                self.core.handle_timeout(next);
                self.drain();
            } else {
                self.next_slot();
            }
        }
        panic!("the world does not get on");
    }

    fn give_later(&mut self, later: Later) {
        let input = match later {
            Later::Input(input) => input,
            Later::Heard(event) => SessionInput::Recognizer { recognition: self.recognition, event },
            Later::Model(number, input) => {
                let (SessionInput::Model { event, .. } | SessionInput::Ahead { event, .. }) = &input else { return };
                if event.is_last() && self.model.answering == Some(number) {
                    self.model.answering = None;
                }
                input
            }
        };
        self.give(input);
    }

    fn next_slot(&mut self) {
        self.worker.slot += SLOT;
        let at = self.now;
        for command in std::mem::take(&mut self.worker.commands) {
            self.command(at, command);
        }
        if self.worker.held {
            return;
        }
        let mut frame = [0_i16; 160];
        let mut spans = Vec::new();
        self.line.next_frame(&mut frame, &mut spans);
        if frame.iter().any(|sample| *sample != 0) {
            self.sounding.push(at);
        }
        for span in spans {
            let (_, utterance) = utterance_of(span.tag);
            if span.len > 0 {
                self.sent.insert(utterance, span.end());
            }
            if span.offset == 0 && span.len > 0 {
                self.give(SessionInput::Media(MediaEvent::Started { at, tag: span.tag }));
            }
            if span.end() % 800 == 0 {
                self.give(SessionInput::Media(MediaEvent::Progress { at, tag: span.tag, offset: span.end() }));
            }
            if span.last {
                self.give(SessionInput::Media(MediaEvent::Finished { at, tag: span.tag, offset: span.end() }));
            }
        }
    }

    fn command(&mut self, at: Time, command: MediaCommand) {
        match command {
            MediaCommand::Push { tag, samples } => drop(self.line.push(tag, samples)),
            MediaCommand::Finish { tag } => self.line.finish(tag),
            MediaCommand::Pause => {
                self.line.pause();
                let (tag, offset) = self.line.cursor().unzip();
                self.give(SessionInput::Media(MediaEvent::Paused { at, tag, offset: offset.unwrap_or(0) }));
            }
            MediaCommand::Resume => self.line.resume(),
            MediaCommand::Clear => {
                let (tag, offset) = self.line.clear().unzip();
                self.give(SessionInput::Media(MediaEvent::Cleared { at, tag, offset: offset.unwrap_or(0) }));
            }
            MediaCommand::Close => {
                self.give(SessionInput::Media(MediaEvent::Closed {
                    at,
                    stats: LegStats { codec: "pcma".into(), ..LegStats::default() },
                }));
            }
            _ => {}
        }
    }

    /// The caller speaks from `onset` to `end` (ms), as the detector tells it.
    pub(super) fn voice(&mut self, onset: u64, end: u64) {
        self.until(onset + 64);
        let (at, onset) = (self.now, Time::from_millis(onset));
        self.give(SessionInput::Media(MediaEvent::SpeechStarted { at, onset }));
        self.until(end + 160);
        let (at, end) = (self.now, Time::from_millis(end));
        self.give(SessionInput::Media(MediaEvent::SpeechEnded { at, end }));
    }

    /// At `ms` the recognizer has this of whatever it then listens to.
    pub(super) fn later_partial(&mut self, ms: u64, text: &str) {
        self.later_heard(ms, RecognizerEvent::Partial { text: text.to_owned() });
    }

    /// At `ms` the recognizer says this of whatever it then listens to.
    pub(super) fn later_heard(&mut self, ms: u64, event: RecognizerEvent) {
        self.due.push((Time::from_millis(ms), Later::Heard(event)));
    }

    /// The far end holds the call, or takes it back.
    pub(super) fn hold(&mut self, on: bool) {
        self.worker.held = on;
        self.give(SessionInput::Media(MediaEvent::Held { at: self.now, on }));
    }

    pub(super) fn press(&mut self, digit: char) {
        self.give(SessionInput::Media(MediaEvent::Dtmf { at: self.now, digit }));
    }

    pub(super) fn write(&mut self, text: &str) {
        self.write_with(text, Vec::new());
    }

    pub(super) fn write_with(&mut self, text: &str, attachments: Vec<Attachment>) {
        self.give(SessionInput::Leg(LegEvent::Text { text: Private::new(text.to_owned()), attachments }));
    }

    pub(super) fn hang_up(&mut self) {
        self.give(SessionInput::Leg(LegEvent::Ended { reason: LegEnd::CallerHungUp }));
    }

    pub(super) fn entries(&self, speaker: Speaker) -> Vec<&LedgerEntry> {
        self.core.ledger().entries().iter().filter(|entry| entry.speaker == speaker).collect()
    }

    pub(super) fn told(&self) -> Vec<BrainEvent> {
        self.told.try_iter().collect()
    }

    pub(super) fn when(&self, wanted: impl Fn(&SessionEffect) -> bool) -> Vec<u64> {
        self.effects.iter().filter(|(_, effect)| wanted(effect)).map(|(at, _)| at.as_millis()).collect()
    }

    pub(super) fn events(&self) -> Vec<&SessionEvent> {
        self.effects
            .iter()
            .filter_map(|(_, effect)| if let SessionEffect::Emit(event) = effect { Some(event) } else { None })
            .collect()
    }

    /// Each agent line says exactly the words that left the line whole.
    pub(super) fn assert_heard_is_played(&self) {
        for entry in self.entries(Speaker::Agent) {
            let sent = self.sent.get(&entry.utterance).copied().unwrap_or(0);
            let whole = usize::try_from(sent / WORD).unwrap();
            let played: Vec<&str> = entry.text.reveal().split_whitespace().take(whole).collect();
            assert_eq!(entry.heard.reveal().split_whitespace().collect::<Vec<_>>(), played, "{}", entry.utterance.0);
        }
        self.assert_all_is_told();
    }

    /// Each agent line says no word that the far end, which is `delay` samples behind when it is silenced, had not played.
    pub(super) fn assert_heard_is_played_there(&self, delay: u64) {
        for entry in self.entries(Speaker::Agent) {
            let sent = self.sent.get(&entry.utterance).copied().unwrap_or(0);
            let played = if entry.interrupted { sent.saturating_sub(delay) } else { sent };
            let whole = usize::try_from(played / WORD).unwrap();
            let played: Vec<&str> = entry.text.reveal().split_whitespace().take(whole).collect();
            let heard: Vec<&str> = entry.heard.reveal().split_whitespace().collect();
            assert!(played.starts_with(&heard), "{heard:?} of {played:?}");
            assert!(!entry.interrupted || delay == 0 || heard == played, "{heard:?} of {played:?}");
        }
        self.assert_all_is_told();
    }

    fn assert_all_is_told(&self) {
        let told: Vec<_> = self.entries(Speaker::Agent).iter().map(|entry| entry.utterance).collect();
        for (utterance, sent) in &self.sent {
            assert!(*sent == 0 || told.contains(utterance) || self.core.ledger().is_open(*utterance));
        }
    }
}
