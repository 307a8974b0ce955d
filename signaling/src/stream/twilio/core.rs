//! One connection of Twilio as a state machine: the same inputs and effects as the native door's.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tandem_contract::UtteranceId;
use tandem_contract::event::SessionEvent;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_media::Time;

use super::line::{Line, Played};
use super::message::{self, Heard, RATE, TwilioStart};
use crate::stream::audio::AgentAudio;
use crate::stream::core::{Closing, FAREWELL_LIMIT, IDLE_LIMIT, START_WITHIN, STRAGGLERS, StreamEffect, StreamInput};
use crate::stream::error::StreamError;
use crate::stream::pace::Pace;

/// Frames of agent audio that may wait for a socket that takes none: 500 ms. What comes on top is dropped, and the ledger
/// is told of the hole.
const WAITING_MAX: usize = 25;

type Effect = StreamEffect<TwilioStart>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    AwaitingStart,
    Starting,
    Running,
    /// The leg has ended; the session writes its record.
    Farewell {
        since: Time,
    },
    Over,
}

/// What goes to Twilio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "out", rename_all = "snake_case")]
pub enum TwilioOut {
    Text {
        text: String,
    },
    /// A WebSocket ping (RFC 6455 section 5.5.2); its answer measures the way there and back.
    Ping,
    Close {
        closing: Closing,
    },
}

/// The same before it is written down: audio counts as sent when it leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "waiting", rename_all = "snake_case")]
enum Waiting {
    Audio { audio: AgentAudio },
    Ping,
    Text { text: String },
    Close { closing: Closing },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwilioCore {
    state: State,
    connected: Time,
    heard_from: Time,
    /// The ping that is not answered yet left then.
    pinged: Option<Time>,
    sid: String,
    pace: Pace,
    line: Line,
    /// At most `WAITING_MAX` of it are audio, but for what goes out again behind a clear, and few are not: a clear for
    /// each pause, and a close.
    outbox: VecDeque<Waiting>,
    /// The utterance that was silenced last, and when.
    cleared: Option<(u32, Time)>,
    /// The utterance with which a ping went out last: the more answers, the better the network is known.
    pinged_with: u32,
    dropped: u64,
    flooded: u64,
}

impl TwilioCore {
    pub fn new(now: Time) -> Self {
        Self {
            state: State::AwaitingStart,
            connected: now,
            heard_from: now,
            pinged: None,
            sid: String::new(),
            pace: Pace::speech(RATE),
            line: Line::default(),
            outbox: VecDeque::new(),
            cleared: None,
            pinged_with: 0,
            dropped: 0,
            flooded: 0,
        }
    }

    pub fn handle(&mut self, now: Time, input: StreamInput, out: &mut Vec<Effect>) {
        if self.state == State::Over {
            return;
        }
        match input {
            StreamInput::Text { frame } => self.on_text(now, &frame, out),
            // Twilio sends none; it may one day.
            StreamInput::Binary { .. } => self.heard_from = now,
            StreamInput::Heartbeat => self.heard_from = now,
            StreamInput::Pong => self.on_pong(now),
            StreamInput::Gone { .. } => self.on_gone(now, out),
            StreamInput::Accepted { .. } => self.on_accepted(out),
            StreamInput::Leg { command } => self.on_command(now, command, out),
            StreamInput::Event { event: SessionEvent::Ended { .. } } => self.close(Closing::Done),
            // Twilio wants to know of nothing else.
            StreamInput::Event { .. } | StreamInput::Missed { .. } => {}
            StreamInput::Audio { audio } => self.on_audio(now, audio, out),
            StreamInput::SessionGone => self.on_session_gone(),
            // A call is no chat.
            StreamInput::TakenOver => {}
        }
    }

    /// When `handle_timeout` wants to be called, if nothing comes before.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::AwaitingStart => Some(self.connected + START_WITHIN),
            // The caller's audio never pauses: who sends none is gone.
            State::Running => {
                let idle = self.heard_from + IDLE_LIMIT;
                Some(self.line.settles_at().map_or(idle, |at| at.min(idle)))
            }
            State::Farewell { since } => Some(since + FAREWELL_LIMIT),
            State::Starting | State::Over => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.state {
            State::AwaitingStart => {
                self.problem(now, StreamError::StartTimeout { seconds: START_WITHIN.as_secs() }, out)
            }
            State::Running if now.since(self.heard_from) >= IDLE_LIMIT => {
                self.problem(now, StreamError::Idle { seconds: IDLE_LIMIT.as_secs() }, out);
            }
            State::Running => self.settle(now, out),
            State::Farewell { .. } => self.close(Closing::SessionLost),
            State::Starting | State::Over => {}
        }
    }

    /// The next frame for Twilio, which leaves now.
    pub fn poll_send(&mut self, now: Time) -> Option<TwilioOut> {
        Some(match self.outbox.pop_front()? {
            Waiting::Text { text } => TwilioOut::Text { text },
            Waiting::Close { closing } => TwilioOut::Close { closing },
            Waiting::Ping => {
                self.pinged = Some(now);
                TwilioOut::Ping
            }
            Waiting::Audio { audio } => {
                let text = message::media(&self.sid, &audio.samples);
                // 0: the caller's own audio, looped.
                if audio.utterance != 0
                    && let Some(name) = self.line.sent(now, audio)
                {
                    self.outbox.push_front(Waiting::Text { text: message::mark(&self.sid, &name) });
                }
                TwilioOut::Text { text }
            }
        })
    }

    pub fn wants_to_send(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Nothing more will come of this connection once its last frames are sent.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Agent frames that a slow socket did not take.
    pub fn frames_dropped(&self) -> u64 {
        self.dropped
    }

    /// Caller samples dropped because they came faster than speech.
    pub fn samples_flooded(&self) -> u64 {
        self.flooded
    }

    fn on_text(&mut self, now: Time, frame: &str, out: &mut Vec<Effect>) {
        self.heard_from = now;
        let heard = match message::read(frame) {
            Ok(heard) => heard,
            Err(error) => return self.problem(now, error, out),
        };
        match (self.state, heard) {
            (State::AwaitingStart, Heard::Start(start)) => {
                self.sid.clone_from(&start.stream_sid);
                self.state = State::Starting;
                out.push(StreamEffect::Start { start: *start });
            }
            (_, Heard::Connected | Heard::Other) => {}
            (State::AwaitingStart, Heard::Stop) => self.close(Closing::Done),
            (State::AwaitingStart, Heard::Media(_) | Heard::Mark(_) | Heard::Digit(_)) => {
                self.problem(now, StreamError::StartMissing, out);
            }
            (_, Heard::Start(_)) => self.problem(now, StreamError::StartTwice, out),
            (State::Running, heard) => self.on_message(now, heard, out),
            // Said to a session that is not there yet or no more.
            (State::Starting | State::Farewell { .. } | State::Over, _) => {}
        }
    }

    fn on_message(&mut self, now: Time, heard: Heard, out: &mut Vec<Effect>) {
        match heard {
            Heard::Media(samples) => self.on_caller_audio(now, samples, out),
            Heard::Mark(name) => {
                if let Some(played) = self.line.marked(now, &name) {
                    out.push(told(played));
                }
            }
            Heard::Digit(digit) => on_digit(&digit, out),
            Heard::Stop => self.leave(now, LegEnd::CallerHungUp, out),
            // Answered before the state is looked at.
            Heard::Connected | Heard::Start(_) | Heard::Other => {}
        }
    }

    fn on_caller_audio(&mut self, now: Time, samples: Vec<i16>, out: &mut Vec<Effect>) {
        let count = samples.len() as u64;
        if !self.pace.admit(now, count) {
            self.flooded += count;
        } else if count > 0 {
            out.push(StreamEffect::Caller { samples: Arc::from(samples) });
        }
    }

    fn on_pong(&mut self, now: Time) {
        self.heard_from = now;
        if let Some(pinged) = self.pinged.take() {
            self.line.measured(now.since(pinged));
        }
    }

    fn on_accepted(&mut self, out: &mut Vec<Effect>) {
        if self.state == State::Starting {
            self.state = State::Running;
            self.outbox.push_back(Waiting::Ping);
            out.push(StreamEffect::Leg { event: LegEvent::Answered });
        }
    }

    fn on_command(&mut self, now: Time, command: LegCommand, out: &mut Vec<Effect>) {
        match command {
            LegCommand::HangUp => self.leave(now, LegEnd::AgentHungUp, out),
            LegCommand::Clear { utterance } => self.clear(now, utterance.0, out),
            // A caller has no screen.
            LegCommand::Text { .. } | LegCommand::Piece { .. } | LegCommand::Typing { .. } => {}
            // What is spoken comes as audio.
            LegCommand::Speak { .. } | LegCommand::ReplyEnds => {}
            // A media stream cannot transfer its call: 501 Not Implemented (RFC 3261 section 21.5.2), so that the flow
            // goes its way for a failed transfer.
            LegCommand::Transfer { .. } => {
                out.push(StreamEffect::Leg { event: LegEvent::TransferProgress { status: 501 } });
            }
        }
    }

    /// Twilio throws away what it has not played, and we keep it, with what has not left yet. Our word may be late: a newer
    /// utterance that has begun before it goes on behind the clear, from its first sample that was not heard.
    fn clear(&mut self, now: Time, utterance: u32, out: &mut Vec<Effect>) {
        self.settle(now, out);
        self.cleared = Some((utterance, now));
        let mut newer = self.line.clear(now, utterance);
        for waiting in std::mem::take(&mut self.outbox) {
            match waiting {
                Waiting::Audio { audio } if audio.utterance > utterance => newer.push(audio),
                Waiting::Audio { audio } => self.line.withhold(audio),
                // Marks of before the clear say nothing any more; a clear twice over does no harm.
                Waiting::Text { .. } => {}
                Waiting::Ping | Waiting::Close { .. } => self.outbox.push_back(waiting),
            }
        }
        self.outbox.push_front(Waiting::Text { text: message::clear(&self.sid) });
        self.outbox.extend(newer.into_iter().map(|audio| Waiting::Audio { audio }));
        if self.line.settles_at().is_some_and(|at| at <= now) {
            self.settle(now, out);
        }
    }

    /// What was heard when the last clear was sent is known, or has to be said.
    fn settle(&mut self, now: Time, out: &mut Vec<Effect>) {
        for played in self.line.settle(now) {
            out.push(told(played));
            self.tell_withheld(played.utterance, out);
        }
    }

    /// Before the leg ends: what a network that stands still holds up was not heard.
    fn settle_at_last(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.settle(now, out);
        out.extend(self.line.lost(now).into_iter().map(told));
    }

    fn tell_withheld(&self, utterance: u32, out: &mut Vec<Effect>) {
        if let Some(audio) = self.line.withheld(utterance) {
            let (utterance, offset) = (UtteranceId(utterance), u64::from(audio.offset));
            out.push(StreamEffect::Leg { event: LegEvent::Withheld { utterance, offset } });
        }
    }

    fn on_audio(&mut self, now: Time, audio: AgentAudio, out: &mut Vec<Effect>) {
        if self.state != State::Running {
            return;
        }
        // The worker had sent it when it was told to be silent.
        let straggles =
            self.cleared.is_some_and(|(utterance, at)| utterance == audio.utterance && now.since(at) < STRAGGLERS);
        if straggles {
            let utterance = audio.utterance;
            self.line.withhold(audio);
            return self.tell_withheld(utterance, out);
        }
        self.settle(now, out);
        let withheld = self.line.resume(audio.utterance);
        if !withheld.is_empty() {
            out.push(StreamEffect::Leg { event: LegEvent::Released { utterance: UtteranceId(audio.utterance) } });
        }
        if self.pinged_with != audio.utterance && self.pinged.is_none() {
            self.pinged_with = audio.utterance;
            self.outbox.push_back(Waiting::Ping);
        }
        let waiting = self.outbox.iter().filter(|item| matches!(item, Waiting::Audio { .. })).count();
        self.outbox.extend(withheld.into_iter().map(|audio| Waiting::Audio { audio }));
        self.send(waiting, audio, out);
    }

    /// `waiting`: frames that the socket has not taken.
    fn send(&mut self, waiting: usize, audio: AgentAudio, out: &mut Vec<Effect>) {
        if waiting < WAITING_MAX {
            return self.outbox.push_back(Waiting::Audio { audio });
        }
        self.dropped += 1;
        let (utterance, offset) = (UtteranceId(audio.utterance), u64::from(audio.offset));
        out.push(StreamEffect::Leg { event: LegEvent::Lost { utterance, offset } });
    }

    fn on_session_gone(&mut self) {
        match self.state {
            State::Farewell { .. } => self.close(Closing::Done),
            State::AwaitingStart | State::Starting | State::Running => self.close(Closing::SessionLost),
            State::Over => {}
        }
    }

    /// Twilio closes when the call is over; `stop` comes before it, but not always.
    fn on_gone(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.settle_at_last(now, out);
        if matches!(self.state, State::Running | State::Starting) {
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason: LegEnd::CallerHungUp } });
        }
        self.state = State::Over;
    }

    fn leave(&mut self, now: Time, reason: LegEnd, out: &mut Vec<Effect>) {
        if self.state == State::Running {
            self.settle_at_last(now, out);
            self.state = State::Farewell { since: now };
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason } });
        }
    }

    /// Ends the stream; Twilio goes on with the TwiML behind it, or hangs up.
    fn close(&mut self, closing: Closing) {
        self.outbox.push_back(Waiting::Close { closing });
        self.state = State::Over;
    }

    fn problem(&mut self, now: Time, error: StreamError, out: &mut Vec<Effect>) {
        self.settle_at_last(now, out);
        if matches!(self.state, State::Running | State::Starting) {
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason: LegEnd::WireLost } });
        }
        self.close(Closing::Problem { error });
    }
}

fn told(Played { utterance, offset }: Played) -> Effect {
    let (utterance, offset) = (UtteranceId(utterance), u64::from(offset));
    StreamEffect::Leg { event: LegEvent::Played { utterance, offset } }
}

pub(super) fn on_digit<S>(digit: &str, out: &mut Vec<StreamEffect<S>>) {
    if let Some(digit @ ('0'..='9' | '*' | '#' | 'A'..='D')) = digit.chars().next().map(|key| key.to_ascii_uppercase())
    {
        out.push(StreamEffect::Leg { event: LegEvent::Dtmf { digit } });
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
