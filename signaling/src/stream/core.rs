//! One connection of the WebSocket door as a state machine.
//!
//! Every input may answer with effects for the session and with frames for the client; after each input the shell drains
//! both. Nothing that a client sends can do more than end its own session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_contract::attachment::Attachment;
use tandem_contract::event::SessionEvent;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::{Private, UtteranceId};
use tandem_media::Time;

use super::attachment::{self, ATTACHMENTS_MAX};
use super::audio::{AgentAudio, RATE, decode_caller};
use super::error::StreamError;
use super::message::{AttachmentMessage, ClientMessage, Mode, ServerMessage, Start, Started, TEXT_MAX, Written};
use super::outbox::{Outbox, Outgoing};
use super::pace::{MESSAGES_PER_SECOND, Pace};

/// How long a connection may be silent before `start`. A client knows what it wants when it connects.
pub(super) const START_WITHIN: Duration = Duration::from_secs(5);
/// A client that was silent this long is pinged. Chat users think; their browsers answer for them.
pub(super) const PING_AFTER: Duration = Duration::from_secs(10);
/// A client that was silent this long is gone: two pings were lost.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// The worker, which sends two frames every 40 ms, may have sent two more when the session asked for silence. What comes this
/// soon after a `clear` is taken for no resume: false alarms take longer to be recognised. Where one did not, the next frame
/// gives it out.
pub(super) const STRAGGLERS: Duration = Duration::from_millis(60);
/// Messages of the agent that are kept for a client that comes back: more than anybody misses in the time that a session is kept.
const WRITTEN_MAX: usize = 64;
/// Messages of a client that wait for their session. Full: the next is refused with an error that says so. A session is opened
/// in a moment, and a person has not written so much by then.
const EARLY_MAX: usize = 16;
/// How long the session may take to write its record after its leg ended.
pub(super) const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum StreamInput {
    /// A text frame of the client.
    Text {
        frame: String,
    },
    /// A binary frame of the client.
    Binary {
        frame: Vec<u8>,
    },
    /// A WebSocket ping of the client, or a pong that nobody asked for (RFC 6455 section 5.5.3).
    Heartbeat,
    /// It answers our ping.
    Pong,
    /// The connection is closed (by a close frame) or broken.
    Gone {
        closed: bool,
    },
    /// The client has come back by another connection, and wants its session there.
    TakenOver,
    /// The session that [`StreamEffect::Start`] asked for runs.
    Accepted {
        started: Started,
        /// What the agent wrote before, if the session is one that goes on.
        resumed: Option<Vec<Written>>,
    },
    Leg {
        command: LegCommand,
    },
    Event {
        event: SessionEvent,
    },
    /// The session told more events than the connection took.
    Missed {
        count: u64,
    },
    Audio {
        audio: AgentAudio,
    },
    /// The session is over and tells nothing more.
    SessionGone,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum StreamEffect<S = Start> {
    /// Open a session; `Accepted` is the answer. A refusal ends the connection and needs no input.
    Start {
        start: S,
    },
    Leg {
        event: LegEvent,
    },
    /// Caller audio for the media worker.
    Caller {
        samples: Arc<[i16]>,
    },
    /// The connection of a chat was lost: its session is kept for a client that comes back, or goes to the one that has.
    Park {
        written: Vec<Written>,
    },
}

/// Why the server closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Closing {
    /// The conversation is over.
    Done,
    /// The session ended without a word.
    SessionLost,
    Problem {
        error: StreamError,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    AwaitingStart,
    Starting {
        mode: Mode,
    },
    Running {
        mode: Mode,
    },
    /// The leg has ended; the session writes its record and says goodbye.
    Farewell {
        since: Time,
    },
    Over,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamCore {
    state: State,
    connected: Time,
    heard_from: Time,
    pinged: Time,
    pace: Pace,
    writing: Pace,
    outbox: Outbox,
    /// The utterance that was silenced last, and when.
    cleared: Option<(u32, Time)>,
    /// Caller samples dropped because they came faster than speech.
    flooded: u64,
    /// Chat: what the agent wrote last.
    written: VecDeque<Written>,
    /// What a client that comes back has of it.
    seen: u32,
    /// Said while the session is opened, for when it runs.
    early: Vec<ClientMessage>,
}

impl StreamCore {
    pub fn new(now: Time) -> Self {
        Self {
            state: State::AwaitingStart,
            connected: now,
            heard_from: now,
            pinged: now,
            pace: Pace::speech(RATE),
            writing: Pace::writing(),
            outbox: Outbox::default(),
            cleared: None,
            flooded: 0,
            written: VecDeque::new(),
            seen: 0,
            early: Vec::new(),
        }
    }

    pub fn handle(&mut self, now: Time, input: StreamInput, out: &mut Vec<StreamEffect>) {
        if self.state == State::Over {
            return;
        }
        match input {
            StreamInput::Text { frame } => self.on_text(now, &frame, out),
            StreamInput::Binary { frame } => self.on_binary(now, &frame, out),
            StreamInput::Heartbeat | StreamInput::Pong => self.heard_from = now,
            StreamInput::Gone { closed } => self.on_gone(closed, out),
            StreamInput::TakenOver => self.on_taken_over(out),
            StreamInput::Accepted { started, resumed } => self.on_accepted(now, started, resumed, out),
            StreamInput::Leg { command } => self.on_command(now, command, out),
            StreamInput::Event { event } => self.on_event(event, out),
            StreamInput::Missed { count } => self.problem(StreamError::Missed { count }, out),
            StreamInput::Audio { audio } => self.on_audio(now, audio, out),
            StreamInput::SessionGone => self.on_session_gone(),
        }
    }

    /// When `handle_timeout` wants to be called, if nothing comes before.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::AwaitingStart => Some(self.connected + START_WITHIN),
            State::Running { .. } => {
                let ping = self.heard_from.max(self.pinged) + PING_AFTER;
                Some(ping.min(self.heard_from + IDLE_LIMIT))
            }
            State::Farewell { since } => Some(since + FAREWELL_LIMIT),
            State::Starting { .. } | State::Over => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Time, out: &mut Vec<StreamEffect>) {
        if self.timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.state {
            State::AwaitingStart => self.problem(StreamError::StartTimeout { seconds: START_WITHIN.as_secs() }, out),
            State::Running { .. } if now.since(self.heard_from) >= IDLE_LIMIT => {
                self.problem(StreamError::Idle { seconds: IDLE_LIMIT.as_secs() }, out);
            }
            State::Running { .. } => {
                self.pinged = now;
                self.send(Outgoing::Ping, out);
            }
            State::Farewell { .. } => self.close(Closing::SessionLost),
            State::Starting { .. } | State::Over => {}
        }
    }

    /// The next frame for the client.
    pub fn poll_send(&mut self) -> Option<Outgoing> {
        self.outbox.pop()
    }

    /// Whether `poll_send` has something.
    pub fn wants_to_send(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Nothing more will come of this connection once its last frames are sent.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Agent frames that a slow client never got.
    pub fn frames_dropped(&self) -> u64 {
        self.outbox.dropped()
    }

    /// Caller samples dropped because they came faster than speech.
    pub fn samples_flooded(&self) -> u64 {
        self.flooded
    }

    fn on_text(&mut self, now: Time, frame: &str, out: &mut Vec<StreamEffect>) {
        self.heard_from = now;
        let message = match ClientMessage::parse(frame) {
            Ok(message) => message,
            Err(error) => return self.problem(error, out),
        };
        match (self.state, message) {
            (State::AwaitingStart, ClientMessage::Start(start)) => self.on_start(start, out),
            // Held back they would be many bytes; and who speaks does not show.
            (state, ClientMessage::Text { attachments, .. })
                if !attachments.is_empty() && state != (State::Running { mode: Mode::Text }) =>
            {
                self.problem(StreamError::AttachedElsewhere, out);
            }
            (_, ClientMessage::Ping {}) => self.say(ServerMessage::Pong {}, out),
            (State::AwaitingStart, ClientMessage::Bye {}) => self.close(Closing::Done),
            (State::AwaitingStart, message) => {
                self.problem(StreamError::StartFirst { first: message.kind().to_owned() }, out);
            }
            (_, ClientMessage::Start(_)) => self.problem(StreamError::StartTwice, out),
            (State::Running { .. }, message) => self.on_message(now, message, out),
            (State::Starting { .. }, message) => self.on_early(message, out),
            // Said to a session that is no more: nobody would hear it.
            (State::Farewell { .. } | State::Over, _) => {}
        }
    }

    fn on_start(&mut self, start: Start, out: &mut Vec<StreamEffect>) {
        if let (Mode::Voice, Some(rate)) = (start.mode, start.rate)
            && rate != RATE
        {
            return self.problem(StreamError::Rate { rate }, out);
        }
        if start.mode == Mode::Voice && start.resume.is_some() {
            return self.problem(StreamError::ResumedVoice, out);
        }
        self.seen = start.seen;
        self.state = State::Starting { mode: start.mode };
        out.push(StreamEffect::Start { start });
    }

    /// The client need not wait for `started`.
    fn on_early(&mut self, message: ClientMessage, out: &mut Vec<StreamEffect>) {
        if self.early.len() == EARLY_MAX {
            return self.problem(StreamError::MessagesTooFast { per_second: MESSAGES_PER_SECOND }, out);
        }
        self.early.push(message);
    }

    fn on_message(&mut self, now: Time, message: ClientMessage, out: &mut Vec<StreamEffect>) {
        let person = matches!(message, ClientMessage::Text { .. } | ClientMessage::Dtmf { .. });
        if person && !self.writing.admit_message(now) {
            return self.problem(StreamError::MessagesTooFast { per_second: MESSAGES_PER_SECOND }, out);
        }
        match message {
            ClientMessage::Text { text, attachments } => self.on_chat(text, &attachments, out),
            ClientMessage::Dtmf { digit } => self.on_digit(digit, out),
            ClientMessage::Played { utterance, offset } => {
                let utterance = UtteranceId(utterance);
                out.push(StreamEffect::Leg { event: LegEvent::Played { utterance, offset } });
            }
            ClientMessage::Bye {} => self.leave(now, LegEnd::CallerHungUp, out),
            // Answered before the state is looked at.
            ClientMessage::Start(_) | ClientMessage::Ping {} => {}
        }
    }

    fn on_chat(&mut self, text: Private<String>, attached: &[AttachmentMessage], out: &mut Vec<StreamEffect>) {
        let length = text.reveal().chars().count();
        if (text.reveal().trim().is_empty() && attached.is_empty()) || length > TEXT_MAX {
            return self.problem(StreamError::TextLength, out);
        }
        match attachments(attached) {
            Ok(attachments) => out.push(StreamEffect::Leg { event: LegEvent::Text { text, attachments } }),
            Err(error) => self.problem(error, out),
        }
    }

    fn on_digit(&mut self, digit: String, out: &mut Vec<StreamEffect>) {
        let mut keys = digit.chars();
        match (keys.next().map(|key| key.to_ascii_uppercase()), keys.next()) {
            (Some(digit @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => {
                out.push(StreamEffect::Leg { event: LegEvent::Dtmf { digit } });
            }
            _ => {
                let digit = digit.chars().take(8).collect();
                self.problem(StreamError::Digit { digit }, out);
            }
        }
    }

    fn on_binary(&mut self, now: Time, frame: &[u8], out: &mut Vec<StreamEffect>) {
        self.heard_from = now;
        let mode = match self.state {
            State::Running { mode } | State::Starting { mode } => mode,
            State::AwaitingStart => {
                return self.problem(StreamError::StartFirst { first: "audio".to_owned() }, out);
            }
            // The microphone stops a moment after the goodbye.
            State::Farewell { .. } | State::Over => return,
        };
        match (mode, decode_caller(frame)) {
            (Mode::Text, _) => self.problem(StreamError::AudioInChat { mode }, out),
            (Mode::Voice, Err(error)) => self.problem(error.into(), out),
            (Mode::Voice, Ok(samples)) => self.on_caller_audio(now, samples, out),
        }
    }

    fn on_caller_audio(&mut self, now: Time, samples: Arc<[i16]>, out: &mut Vec<StreamEffect>) {
        let count = samples.len() as u64;
        if self.pace.admit(now, count) {
            if count > 0 {
                out.push(StreamEffect::Caller { samples });
            }
            return;
        }
        let first = self.flooded == 0;
        self.flooded += count;
        if first {
            self.problem(StreamError::TooFast { dropped: count }, out);
        }
    }

    fn on_accepted(&mut self, now: Time, started: Started, resumed: Option<Vec<Written>>, out: &mut Vec<StreamEffect>) {
        let State::Starting { mode } = self.state else { return };
        self.state = State::Running { mode };
        self.say(ServerMessage::Started(started), out);
        match resumed {
            None => out.push(StreamEffect::Leg { event: LegEvent::Answered }),
            Some(written) => {
                let seen = self.seen;
                for Written { utterance, text } in written.iter().filter(|one| one.utterance > seen).cloned() {
                    self.say(ServerMessage::Text { utterance, text }, out);
                }
                self.written = written.into();
            }
        }
        for message in std::mem::take(&mut self.early) {
            // One of them may have been the last.
            if matches!(self.state, State::Running { .. }) {
                self.on_message(now, message, out);
            }
        }
    }

    fn write(&mut self, utterance: u32, text: Private<String>, out: &mut Vec<StreamEffect>) {
        if self.written.len() == WRITTEN_MAX {
            self.written.pop_front();
        }
        self.written.push_back(Written { utterance, text: text.clone() });
        self.say(ServerMessage::Text { utterance, text }, out);
    }

    /// The connection is lost; what becomes of the session.
    fn lose(&mut self, reason: LegEnd, out: &mut Vec<StreamEffect>) {
        let effect = match self.state {
            State::Running { mode: Mode::Text } if reason == LegEnd::WireLost => {
                StreamEffect::Park { written: std::mem::take(&mut self.written).into() }
            }
            State::Running { .. } | State::Starting { .. } => StreamEffect::Leg { event: LegEvent::Ended { reason } },
            State::AwaitingStart | State::Farewell { .. } | State::Over => return,
        };
        out.push(effect);
    }

    fn on_command(&mut self, now: Time, command: LegCommand, out: &mut Vec<StreamEffect>) {
        match command {
            LegCommand::HangUp => self.leave(now, LegEnd::AgentHungUp, out),
            LegCommand::Clear { utterance } => {
                self.cleared = Some((utterance.0, now));
                if !self.outbox.clear(utterance.0) {
                    self.too_slow(out);
                }
                self.tell_withheld(out);
            }
            LegCommand::Text { utterance, text } => self.write(utterance.0, text, out),
            // What is spoken here comes as audio.
            LegCommand::Speak { .. } | LegCommand::ReplyEnds => {}
            LegCommand::Piece { text } => self.say(ServerMessage::TextPart { text }, out),
            LegCommand::Typing { on } => self.say(ServerMessage::Typing { on }, out),
            // A browser can't be sent to a phone number: 501 Not Implemented (RFC 3261 section 21.5.2), so that the
            // flow goes its way for a failed transfer.
            LegCommand::Transfer { .. } => {
                out.push(StreamEffect::Leg { event: LegEvent::TransferProgress { status: 501 } });
            }
        }
    }

    fn on_event(&mut self, event: SessionEvent, out: &mut Vec<StreamEffect>) {
        let ended = matches!(event, SessionEvent::Ended { .. });
        self.say(event.into(), out);
        if ended {
            self.close(Closing::Done);
        }
    }

    fn on_audio(&mut self, now: Time, audio: AgentAudio, out: &mut Vec<StreamEffect>) {
        let straggles =
            self.cleared.is_some_and(|(utterance, at)| utterance == audio.utterance && now.since(at) < STRAGGLERS);
        match self.state {
            State::Running { mode: Mode::Voice } if straggles => {
                self.outbox.hold(audio);
                self.tell_withheld(out);
            }
            State::Running { mode: Mode::Voice } => {
                let utterance = UtteranceId(audio.utterance);
                if self.outbox.push_audio(audio) {
                    out.push(StreamEffect::Leg { event: LegEvent::Released { utterance } });
                }
                self.tell_lost(out);
            }
            // Chat has no audio, and after the goodbye nobody listens.
            State::AwaitingStart | State::Starting { .. } | State::Running { .. } => {}
            State::Farewell { .. } | State::Over => {}
        }
    }

    /// The ledger must not count what the queue has sent and this connection kept.
    fn tell_withheld(&self, out: &mut Vec<StreamEffect>) {
        if let Some(audio) = self.outbox.held() {
            let (utterance, offset) = (UtteranceId(audio.utterance), u64::from(audio.offset));
            out.push(StreamEffect::Leg { event: LegEvent::Withheld { utterance, offset } });
        }
    }

    /// Nor what a slow or lost client never got.
    fn tell_lost(&mut self, out: &mut Vec<StreamEffect>) {
        for (utterance, offset) in self.outbox.take_lost() {
            let (utterance, offset) = (UtteranceId(utterance), u64::from(offset));
            out.push(StreamEffect::Leg { event: LegEvent::Lost { utterance, offset } });
        }
    }

    fn on_session_gone(&mut self) {
        match self.state {
            State::Farewell { .. } => self.close(Closing::Done),
            State::AwaitingStart | State::Starting { .. } | State::Running { .. } => self.close(Closing::SessionLost),
            State::Over => {}
        }
    }

    fn on_gone(&mut self, closed: bool, out: &mut Vec<StreamEffect>) {
        self.outbox.abandon();
        self.tell_lost(out);
        self.lose(if closed { LegEnd::CallerHungUp } else { LegEnd::WireLost }, out);
        self.state = State::Over;
    }

    /// What waits goes the new way, as far as the client has not got it.
    fn on_taken_over(&mut self, out: &mut Vec<StreamEffect>) {
        if self.state == (State::Running { mode: Mode::Text }) {
            self.outbox.abandon();
            self.lose(LegEnd::WireLost, out);
            self.state = State::Over;
            self.problem(StreamError::TakenOver, out);
        }
    }

    fn leave(&mut self, now: Time, reason: LegEnd, out: &mut Vec<StreamEffect>) {
        if matches!(self.state, State::Running { .. }) {
            self.state = State::Farewell { since: now };
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason } });
        }
    }

    fn close(&mut self, closing: Closing) {
        self.outbox.push(Outgoing::Close { closing });
        self.state = State::Over;
    }

    fn say(&mut self, message: ServerMessage, out: &mut Vec<StreamEffect>) {
        self.send(Outgoing::Message { message: Box::new(message) }, out);
    }

    fn send(&mut self, item: Outgoing, out: &mut Vec<StreamEffect>) {
        if !self.outbox.push(item) {
            self.too_slow(out);
        }
    }

    fn too_slow(&mut self, out: &mut Vec<StreamEffect>) {
        let waiting = self.outbox.messages();
        self.outbox.abandon();
        self.tell_lost(out);
        self.problem(StreamError::TooSlow { waiting }, out);
    }

    fn problem(&mut self, error: StreamError, out: &mut Vec<StreamEffect>) {
        let fatal = error.fatal();
        if let StreamError::Idle { .. } = error {
            self.lose(LegEnd::WireLost, out);
        } else if fatal && matches!(self.state, State::Running { .. } | State::Starting { .. }) {
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason: LegEnd::WireLost } });
        }
        self.send(Outgoing::Problem { error: error.clone() }, out);
        if fatal {
            self.close(Closing::Problem { error });
        }
    }
}

/// All of a message, or none.
fn attachments(messages: &[AttachmentMessage]) -> Result<Vec<Attachment>, StreamError> {
    if messages.len() > ATTACHMENTS_MAX {
        return Err(StreamError::Attachments { count: messages.len() });
    }
    let read = |(at, AttachmentMessage { name, r#type, data }): (usize, &AttachmentMessage)| {
        attachment::read_base64(name.reveal(), r#type, data.reveal()).map_err(|why| StreamError::Attachment { at, why })
    };
    messages.iter().enumerate().map(read).collect()
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
