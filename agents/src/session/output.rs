//! The agent's speech: text to the voice, audio to the line, and the line's news of it.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_contract::event::SessionEvent;
use tandem_contract::leg::{LegCommand, LegEnd};
use tandem_contract::record::{Stage, TimelineEvent, TurnRecord};
use tandem_contract::{Epoch, Private, UtteranceId};
use tandem_media::Time;
use tandem_media::leg::{MediaCommand, Tag};
use tandem_speech::VoiceEvent;
use tracing::warn;

use super::back_off::BackOff;
use super::commit::Closing;
use super::core::SessionCore;
use super::farewell::Life;
use super::input::{Measure, SessionEffect, tag_of, utterance_of};
use crate::ledger::Playback;
use crate::turn::TurnInput;

/// Silence between the agent's last sample and a hang-up or transfer: the far end's jitter buffer still holds the end of
/// the last word.
const TAIL: Duration = Duration::from_millis(200);

/// Longest wait of a hang-up or transfer for a caller who began to speak when all was said: they are heard out first. A noise
/// must not hold a line that nobody needs.
const HEARD_OUT: Duration = Duration::from_secs(10);

/// How often in a row a voice that broke off is asked for the rest. Where a vendor fails, another voice speaks it.
const BREAKS_MAX: u8 = 2;

/// What a reply ends with, once all of it was played.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Terminal {
    HangUp,
    Transfer(Private<String>),
}

/// It is known how the conversation ends, or leaves us.
#[derive(Debug)]
struct Ending {
    terminal: Terminal,
    /// What is said before it may not be interrupted: it happens whatever the caller says.
    firm: bool,
    /// Known once all speech was played.
    due: Option<Time>,
}

/// Text that waits for the voice: one utterance at a time is spoken, ahead of its playout.
#[derive(Debug)]
struct Waiting {
    /// Of the reply that it belongs to: the caller may have been answered once more meanwhile.
    epoch: Epoch,
    utterance: UtteranceId,
    text: Private<String>,
    interruptible: bool,
}

/// An utterance whose audio goes, or will go, to the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) utterance: UtteranceId,
    pub(super) interruptible: bool,
    pub(super) started: bool,
}

/// The line was asked to be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    onset: Time,
    /// What was on the line when it fell silent, and how much of it had gone out.
    pub(super) silent: Option<(Option<UtteranceId>, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Output {
    waiting: VecDeque<Waiting>,
    /// What the voice speaks now, and in which epoch.
    pub(super) voice: Option<(Epoch, UtteranceId)>,
    /// Utterances in a row that it did not say to their end.
    breaks: u8,
    /// In the order of the line.
    pub(super) lines: Vec<Line>,
    /// Over, but not yet committed.
    pub(super) closing: Vec<Closing>,
    pub(super) pause: Option<Pause>,
    pub(super) back_off: BackOff,
    ending: Option<Ending>,
    /// The worker has closed the leg, or there is none: nothing more is heard of any playout.
    pub(super) media_gone: bool,
    /// The far end, which speaks texts itself, was given some and not told yet that no more belong to them.
    pub(super) reply_open: bool,
}

impl Output {
    /// `rate` in Hz of the leg's audio; none where there is none, and no worker.
    pub(super) fn of(rate: Option<u32>) -> Self {
        Self { media_gone: rate.is_none(), ..Self::default() }
    }

    /// Nothing is to be said or done any more.
    pub(super) fn is_idle(&self) -> bool {
        self.is_silent() && self.ending.is_none()
    }

    pub(super) fn is_silent(&self) -> bool {
        self.waiting.is_empty() && self.voice.is_none() && self.lines.is_empty()
    }

    pub(super) fn end_with(&mut self, terminal: Terminal) {
        let last = self.waiting.back().map(|waiting| waiting.interruptible);
        let last = last.or(self.lines.last().map(|line| line.interruptible));
        self.ending = Some(Ending { terminal, firm: last == Some(false), due: None });
    }

    /// It is known how the conversation ends, or leaves us.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// The caller has more to say. True: a hang-up or a transfer was to come, and does not.
    pub(super) fn interrupt_ending(&mut self) -> bool {
        self.ending.take_if(|ending| !ending.firm).is_some()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let closing = self.closing.iter().map(|closing| closing.until);
        closing.chain(self.back_off.deadline()).min()
    }

    /// The utterance that is on the line, or was last.
    pub(super) fn on_line(&self) -> Option<UtteranceId> {
        self.lines.iter().rev().find(|line| line.started).map(|line| line.utterance)
    }

    pub(super) fn forget_waiting(&mut self) -> Vec<UtteranceId> {
        self.waiting.drain(..).map(|waiting| waiting.utterance).collect()
    }
}

impl SessionCore {
    pub(super) fn say(&mut self, now: Time, text: &str, interruptible: bool) {
        if self.life != Life::Running || text.trim().is_empty() {
            return;
        }
        // Of a brain that asks no model, too.
        self.stages.end(Stage::ModelFirstToken, now);
        let at_ms = self.story.at_ms(now);
        let utterance = self.ledger.open(self.epoch, text, at_ms);
        if self.is_chat() {
            return self.write_to_caller(now, utterance, text);
        }
        if self.is_spoken_there() {
            return self.give_text(utterance, text, interruptible);
        }
        let (epoch, text) = (self.epoch, Private::new(text.to_owned()));
        self.output.waiting.push_back(Waiting { epoch, utterance, text, interruptible });
        self.feed_voice(now);
    }

    /// Chat: what was handed to the wire counts as heard.
    fn write_to_caller(&mut self, now: Time, utterance: UtteranceId, text: &str) {
        let text = Private::new(text.to_owned());
        self.turn_over(now);
        self.out(SessionEffect::Leg(LegCommand::Text { utterance, text: text.clone() }));
        let epoch = self.epoch;
        self.emit(SessionEvent::AgentUtterance { epoch, utterance, text, words: Vec::new(), rate: 0 });
        if let Some(entry) = self.ledger.deliver(utterance) {
            self.committed(now, entry);
        }
    }

    fn feed_voice(&mut self, now: Time) {
        if self.output.voice.is_some() {
            return;
        }
        let Some(Waiting { epoch, utterance, text, interruptible }) = self.output.waiting.pop_front() else { return };
        self.output.voice = Some((epoch, utterance));
        self.output.lines.push(Line { utterance, interruptible, started: false });
        self.stages.end(Stage::FirstClause, now);
        self.out(SessionEffect::StartVoice { epoch, utterance, text });
    }

    pub(super) fn voice_event(&mut self, now: Time, epoch: Epoch, utterance: UtteranceId, event: VoiceEvent) {
        // Late words of a reply that is over.
        if self.output.voice != Some((epoch, utterance)) {
            return;
        }
        let tag = tag_of(epoch, utterance);
        match event {
            VoiceEvent::Audio(samples) => {
                self.stages.end(Stage::VoiceFirstAudio, now);
                self.ledger.push(epoch, utterance, samples.len() as u64);
                self.send_audio(now, MediaCommand::Push { tag, samples });
            }
            VoiceEvent::Words(words) => {
                self.ledger.grow(epoch, utterance, words);
                self.tell_words(epoch, utterance);
            }
            VoiceEvent::Done => self.voice_done(now, tag, true),
            VoiceEvent::Failed(error) => {
                warn!(%error, "the voice failed");
                self.carry_on(now, epoch, utterance);
                self.voice_done(now, tag, false);
            }
        }
    }

    fn voice_done(&mut self, now: Time, tag: Tag, whole: bool) {
        let (epoch, utterance) = utterance_of(tag);
        self.output.breaks = if whole { 0 } else { self.output.breaks.saturating_add(1) };
        self.ledger.finish_audio(epoch, utterance, whole);
        self.send_audio(now, MediaCommand::Finish { tag });
        self.output.voice = None;
        self.tell_words(epoch, utterance);
        self.feed_voice(now);
    }

    /// A voice that broke off in the middle of an utterance is to say the rest, before anything else: half a sentence may mean the
    /// opposite. Utterances are numbered in the order in which they are heard, so those that wait get new numbers.
    fn carry_on(&mut self, now: Time, epoch: Epoch, utterance: UtteranceId) {
        let broken = self.output.lines.iter().find(|line| line.utterance == utterance);
        let Some(interruptible) = broken.map(|line| line.interruptible) else { return };
        let Some(rest) = self.ledger.unspoken(utterance).filter(|_| self.output.breaks < BREAKS_MAX) else { return };
        let at_ms = self.story.at_ms(now);
        let first = Waiting { epoch, utterance, text: rest.into(), interruptible };
        let later = std::mem::take(&mut self.output.waiting);
        for waiting in &later {
            self.ledger.discard(waiting.utterance);
        }
        for waiting in [first].into_iter().chain(later) {
            let utterance = self.ledger.open(waiting.epoch, waiting.text.reveal(), at_ms);
            self.output.waiting.push_back(Waiting { utterance, ..waiting });
        }
    }

    /// The words of an utterance that is on the line, as far as they are placed.
    fn tell_words(&mut self, epoch: Epoch, utterance: UtteranceId) {
        let on_line = self.output.lines.iter().any(|line| line.utterance == utterance && line.started);
        if !on_line {
            return;
        }
        let (Some(text), Some(rate)) = (self.ledger.text(utterance), self.story.facts.rate) else { return };
        let words = self.ledger.words(utterance);
        self.emit(SessionEvent::AgentUtterance { epoch, utterance, text, words, rate });
    }

    pub(super) fn playout_started(&mut self, now: Time, at: Time, tag: Tag) {
        let (epoch, utterance) = utterance_of(tag);
        let at_ms = self.story.at_ms(at);
        self.ledger.started(at, utterance, at_ms);
        self.closing_started(utterance);
        let Some(line) = self.output.lines.iter_mut().find(|line| line.utterance == utterance) else { return };
        line.started = true;
        self.output.back_off = BackOff::default();
        let interruptible = line.interruptible;
        self.note(at, TimelineEvent::AgentStartedSpeaking { utterance });
        self.tell_words(epoch, utterance);
        self.turn_over(at);
        self.drive(now, TurnInput::PlayoutStarted { utterance, interruptible });
    }

    /// The reply has begun: the gap is known.
    fn turn_over(&mut self, at: Time) {
        let story = &self.story;
        let Some(turn) = self.stages.agent_started(at, self.epoch, |time| story.at_ms(time)) else { return };
        // A reader of a chat hears no gap, and what a far end adds that speaks itself is not known: in the metrics of voice
        // their turns would hide those that do.
        if self.has_audio() {
            self.measure_turn(&turn);
        }
        self.story.turn(turn.clone());
        self.emit(SessionEvent::Turn { turn });
    }

    fn measure_turn(&mut self, turn: &TurnRecord) {
        self.measure(Measure::TurnGap(Duration::from_micros(turn.gap_us)));
        for span in &turn.stages {
            self.measure(Measure::Stage(span.stage, Duration::from_micros(span.us)));
        }
    }

    pub(super) fn playout_moved(&mut self, now: Time, tag: Tag, offset: u64) {
        let (_, utterance) = utterance_of(tag);
        self.ledger.carried(utterance, offset);
        if self.output.lines.iter().any(|line| line.utterance == utterance) {
            self.emit(SessionEvent::AgentProgress { utterance, offset });
            self.drive(now, TurnInput::PlayoutMoved);
        }
    }

    pub(super) fn playout_finished(&mut self, now: Time, at: Time, tag: Tag, offset: u64) {
        let (_, utterance) = utterance_of(tag);
        self.ledger.carried(utterance, offset);
        self.closing_finished(utterance, offset);
        let Some(index) = self.output.lines.iter().position(|line| line.utterance == utterance) else { return };
        self.output.lines.remove(index);
        self.note(at, TimelineEvent::AgentStoppedSpeaking { utterance });
        self.close_finished(now, utterance, offset);
        self.patience_begins(now);
        self.drive(now, TurnInput::PlayoutFinished);
    }

    pub(super) fn pause_output(&mut self, now: Time, onset: Time) {
        self.output.pause = Some(Pause { onset, silent: None });
        self.out(SessionEffect::Media(MediaCommand::Pause));
        if let Some(utterance) = self.output.on_line() {
            self.silence_far_end(now, utterance);
        }
    }

    /// The far end throws away what it has buffered, and reports.
    pub(super) fn silence_far_end(&mut self, now: Time, utterance: UtteranceId) {
        if self.ledger.playback() == Playback::Reported {
            self.ledger.stopped(now, utterance);
            self.out(SessionEffect::Leg(LegCommand::Clear { utterance }));
        }
    }

    pub(super) fn playout_paused(&mut self, now: Time, at: Time, tag: Option<Tag>, offset: u64) {
        let utterance = tag.map(|tag| utterance_of(tag).1);
        if let Some(utterance) = utterance {
            self.ledger.carried(utterance, offset);
            self.closing_silent(utterance, offset);
            self.emit(SessionEvent::AgentProgress { utterance, offset });
        }
        let Some(pause) = &mut self.output.pause else { return };
        pause.silent = Some((utterance, offset));
        let onset = pause.onset;
        self.measure(Measure::BargeInPause(at.since(onset)));
        if let Some(utterance) = utterance {
            self.note(at, TimelineEvent::Paused { utterance });
        }
        self.settle_output(now);
    }

    pub(super) fn resume_output(&mut self, now: Time) {
        self.output.pause = None;
        if let Some(utterance) = self.output.on_line() {
            self.ledger.resumed(now, utterance);
            self.note(now, TimelineEvent::Resumed { utterance });
        }
        self.out(SessionEffect::Media(MediaCommand::Resume));
    }

    /// Commits what can be committed, and does what comes after the last word.
    pub(super) fn settle_output(&mut self, now: Time) {
        self.settle_closings(now);
        let done = self.output.is_silent() && self.output.closing.is_empty() && self.life == Life::Running;
        let tail = if self.has_audio() { TAIL } else { Duration::ZERO };
        let Some(ending) = &mut self.output.ending else { return };
        // More is to be said first: the tail begins anew behind it.
        ending.due = if done { ending.due.or(Some(now + tail)) } else { None };
        if self.ending_due().is_none_or(|due| due > now) {
            return;
        }
        match self.output.ending.take().map(|ending| ending.terminal) {
            Some(Terminal::HangUp) => self.leave(now, LegEnd::AgentHungUp),
            Some(Terminal::Transfer(target)) => self.transfer_begun(now, target),
            None => {}
        }
    }

    /// When the conversation ends, or leaves us. Whoever speaks then is not hung up on in the middle of a sentence: it may take
    /// the hang-up back.
    pub(super) fn ending_due(&self) -> Option<Time> {
        let ending = self.output.ending.as_ref()?;
        let waits = !ending.firm && self.turn.hears_caller();
        ending.due.map(|due| if waits { due + HEARD_OUT } else { due })
    }

    pub(super) fn output_timeout(&mut self, now: Time) {
        self.back_off_timeout(now);
        self.settle_output(now);
    }
}
