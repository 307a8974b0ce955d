//! One connection of Twilio's ConversationRelay as a state machine: the same inputs and effects as the other doors'.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_media::Time;

use super::message::{self, Heard, RelaySetup};
use super::spoken::{News, Spoken};
use crate::stream::core::{Closing, FAREWELL_LIMIT, IDLE_LIMIT, PING_AFTER, START_WITHIN, StreamEffect, StreamInput};
use crate::stream::error::StreamError;
use crate::stream::message::TEXT_MAX;
use crate::stream::pace::Pace;
use crate::stream::twilio::core::on_digit;

/// Messages that may wait for a socket that takes none. More is a far end that does not read: the connection ends.
const WAITING_MAX: usize = 256;
/// While Twilio speaks, the session is told so at least this often: it gives up a playout that stands still for 10 s.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

type Effect = StreamEffect<RelaySetup>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    AwaitingSetup,
    Starting,
    Running,
    /// The leg has ended; the session writes its record. `end` was sent: Twilio closes.
    Farewell {
        since: Time,
    },
    Over,
}

/// What goes to Twilio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "out", rename_all = "snake_case")]
pub enum RelayOut {
    Text {
        text: Private<String>,
    },
    /// A WebSocket ping (RFC 6455 section 5.5.2): a caller may be silent for long, a far end that is there answers.
    Ping,
    Close {
        closing: Closing,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayCore {
    state: State,
    connected: Time,
    heard_from: Time,
    pinged: Time,
    pace: Pace,
    spoken: Spoken,
    told: Time,
    /// At most `WAITING_MAX`.
    outbox: VecDeque<RelayOut>,
    /// Twilio was given texts of a reply that is not whole.
    reply_open: bool,
    /// Twilio has thrown everything away, and the session does not know it yet: texts are of the reply that is over.
    deaf: bool,
    caller: Caller,
    complaints: u64,
}

/// What is known of the caller's voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Caller {
    /// Whether Twilio tells of it. It does if the TwiML asks for it.
    known: bool,
    speaks: bool,
}

impl RelayCore {
    pub fn new(now: Time) -> Self {
        Self {
            state: State::AwaitingSetup,
            connected: now,
            heard_from: now,
            pinged: now,
            pace: Pace::writing(),
            spoken: Spoken::default(),
            told: now,
            outbox: VecDeque::new(),
            reply_open: false,
            deaf: false,
            caller: Caller { known: false, speaks: false },
            complaints: 0,
        }
    }

    pub fn handle(&mut self, now: Time, input: StreamInput, out: &mut Vec<Effect>) {
        if self.state == State::Over {
            return;
        }
        match input {
            StreamInput::Text { frame } => self.on_text(now, &frame, out),
            // Twilio sends none; it may one day.
            StreamInput::Binary { .. } | StreamInput::Heartbeat | StreamInput::Pong => self.heard_from = now,
            StreamInput::Gone { .. } => self.on_gone(out),
            StreamInput::Accepted { .. } => self.on_accepted(out),
            StreamInput::Leg { command } => self.on_command(now, command, out),
            // The session is over; Twilio closes when it has taken `end`.
            StreamInput::Event { .. } | StreamInput::Missed { .. } | StreamInput::Audio { .. } => {}
            StreamInput::SessionGone => self.on_session_gone(),
            // A call is no chat.
            StreamInput::TakenOver => {}
        }
    }

    /// When `handle_timeout` wants to be called, if nothing comes before.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::AwaitingSetup => Some(self.connected + START_WITHIN),
            State::Running => {
                let ping = self.heard_from.max(self.pinged) + PING_AFTER;
                let sign = (!self.spoken.is_over()).then(|| self.told + SIGN_OF_LIFE);
                [Some(ping), Some(self.heard_from + IDLE_LIMIT), sign, self.spoken.deadline()]
                    .into_iter()
                    .flatten()
                    .min()
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
            State::AwaitingSetup => self.problem(StreamError::StartTimeout { seconds: START_WITHIN.as_secs() }, out),
            State::Running => self.running_timeout(now, out),
            State::Farewell { .. } => self.close(Closing::Done),
            State::Starting | State::Over => {}
        }
    }

    fn running_timeout(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.heard_from + IDLE_LIMIT <= now {
            return self.problem(StreamError::Idle { seconds: IDLE_LIMIT.as_secs() }, out);
        }
        if self.heard_from.max(self.pinged) + PING_AFTER <= now {
            self.pinged = now;
            self.outbox.push_back(RelayOut::Ping);
        }
        self.news(now, out, |spoken, news| {
            spoken.timeout(now, news);
            spoken.tell(news);
        });
    }

    /// The next frame for Twilio, which leaves now.
    pub fn poll_send(&mut self) -> Option<RelayOut> {
        self.outbox.pop_front()
    }

    pub fn wants_to_send(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Nothing more will come of this connection once its last frames are sent.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Messages of ours that Twilio did not like.
    pub fn complaints(&self) -> u64 {
        self.complaints
    }

    fn on_text(&mut self, now: Time, frame: &str, out: &mut Vec<Effect>) {
        self.heard_from = now;
        let heard = match message::read(frame) {
            Ok(heard) => heard,
            Err(error) => return self.problem(error, out),
        };
        match (self.state, heard) {
            (State::AwaitingSetup, Heard::Setup(start)) => {
                self.state = State::Starting;
                out.push(StreamEffect::Start { start: *start });
            }
            (_, Heard::Setup(_)) => self.problem(StreamError::StartTwice, out),
            (_, Heard::Complaint) => self.complaints += 1,
            (_, Heard::Other) => {}
            (State::AwaitingSetup, _) => self.problem(StreamError::StartMissing, out),
            (State::Running, heard) => self.on_message(now, heard, out),
            // Said to a session that is not there yet or no more.
            (State::Starting | State::Farewell { .. } | State::Over, _) => {}
        }
    }

    fn on_message(&mut self, now: Time, heard: Heard, out: &mut Vec<Effect>) {
        match heard {
            Heard::Prompt { last: false, .. } => self.caller_speaks(true, out),
            Heard::Prompt { text, last: true } => self.on_prompt(now, &text, out),
            Heard::Digit(digit) => self.on_key(now, &digit, out),
            Heard::Interrupt { heard } => self.on_interrupt(now, &heard, out),
            Heard::Played(piece) => self.news(now, out, |spoken, news| spoken.played(now, piece.reveal(), news)),
            Heard::CallerSpeaks(on) => {
                self.caller.known = true;
                self.caller_speaks(on, out);
            }
            Heard::AgentSpeaks if !self.caller.known => {
                self.caller.known = true;
                self.caller_speaks(false, out);
            }
            // The rest was answered before the state was looked at.
            Heard::AgentSpeaks | Heard::Setup(_) | Heard::Complaint | Heard::Other => {}
        }
    }

    fn on_prompt(&mut self, now: Time, text: &Private<String>, out: &mut Vec<Effect>) {
        self.caller_came(now, out);
        let text: String = text.reveal().trim().chars().take(TEXT_MAX).collect();
        if !text.is_empty() && self.pace.admit_message(now) {
            out.push(StreamEffect::Leg { event: LegEvent::Text { text: text.into(), attachments: Vec::new() } });
        }
    }

    fn on_key(&mut self, now: Time, digit: &str, out: &mut Vec<Effect>) {
        self.caller_came(now, out);
        if self.pace.admit_message(now) {
            on_digit(digit, out);
        }
    }

    /// The caller was heard, and an interruption would have been told before.
    fn caller_came(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.news(now, out, |spoken, news| spoken.not_interrupted(now, news));
        self.caller_speaks(!self.caller.known, out);
    }

    fn on_interrupt(&mut self, now: Time, heard: &Private<String>, out: &mut Vec<Effect>) {
        // Nothing was on: the reply had ended just then.
        if self.spoken.is_over() && !self.reply_open {
            return;
        }
        self.news(now, out, |spoken, news| spoken.interrupted(heard.reveal(), news));
        self.outbox.retain(|waiting| !matches!(waiting, RelayOut::Text { .. }));
        self.reply_open = false;
        self.deaf = true;
        out.push(StreamEffect::Leg { event: LegEvent::Interrupted });
    }

    /// Who is not known to be silent is not hurried.
    fn caller_speaks(&mut self, on: bool, out: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.caller.speaks, on) != on {
            out.push(StreamEffect::Leg { event: LegEvent::CallerSpeaks { on } });
        }
    }

    fn on_accepted(&mut self, out: &mut Vec<Effect>) {
        if self.state == State::Starting {
            self.state = State::Running;
            out.push(StreamEffect::Leg { event: LegEvent::Answered });
            self.caller_speaks(true, out);
        }
    }

    fn on_command(&mut self, now: Time, command: LegCommand, out: &mut Vec<Effect>) {
        if self.state != State::Running {
            return;
        }
        match command {
            LegCommand::Speak { utterance, text, interruptible } if !self.deaf => {
                self.send(message::text(text.reveal(), interruptible), out);
                self.reply_open = true;
                self.news(now, out, |spoken, news| spoken.give(now, utterance, text.reveal(), news));
            }
            LegCommand::ReplyEnds if self.reply_open => {
                self.send(message::last(), out);
                self.reply_open = false;
                self.spoken.reply_ends();
            }
            LegCommand::Clear { .. } => self.deaf = false,
            LegCommand::HangUp => self.leave(now, LegEnd::AgentHungUp, None, out),
            LegCommand::Transfer { target } => match dialed(target.reveal()) {
                Some(target) => self.leave(now, LegEnd::Transferred, Some(&target), out),
                // 416 Unsupported URI Scheme (RFC 3261 section 21.4.14).
                None => out.push(StreamEffect::Leg { event: LegEvent::TransferProgress { status: 416 } }),
            },
            LegCommand::Speak { .. } | LegCommand::ReplyEnds => {}
            // A caller has no screen.
            LegCommand::Text { .. } | LegCommand::Piece { .. } | LegCommand::Typing { .. } => {}
        }
    }

    /// Lets `spoken` learn something, and tells the session what comes of it.
    fn news(&mut self, now: Time, out: &mut Vec<Effect>, learn: impl FnOnce(&mut Spoken, &mut Vec<News>)) {
        let mut news = Vec::new();
        learn(&mut self.spoken, &mut news);
        if !news.is_empty() {
            self.told = now;
        }
        out.extend(news.into_iter().map(|news| {
            let event = match news {
                News::Played(utterance, offset) => LegEvent::Played { utterance, offset },
                News::Finished(utterance) => LegEvent::Finished { utterance },
            };
            StreamEffect::Leg { event }
        }));
    }

    fn send(&mut self, text: String, out: &mut Vec<Effect>) {
        if self.outbox.len() < WAITING_MAX {
            return self.outbox.push_back(RelayOut::Text { text: text.into() });
        }
        self.problem(StreamError::TooSlow { waiting: WAITING_MAX }, out);
    }

    fn on_session_gone(&mut self) {
        match self.state {
            // No close of ours: Twilio closes once it has taken `end`, and the connection is kept a moment for that.
            State::Farewell { .. } => self.state = State::Over,
            State::Over => {}
            State::AwaitingSetup | State::Starting | State::Running => self.close(Closing::SessionLost),
        }
    }

    /// Twilio closes when the call is over.
    fn on_gone(&mut self, out: &mut Vec<Effect>) {
        if matches!(self.state, State::Running | State::Starting) {
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason: LegEnd::CallerHungUp } });
        }
        self.state = State::Over;
    }

    fn leave(&mut self, now: Time, reason: LegEnd, transfer_to: Option<&str>, out: &mut Vec<Effect>) {
        self.send(message::end(transfer_to), out);
        if self.state == State::Running {
            self.state = State::Farewell { since: now };
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason } });
        }
    }

    fn close(&mut self, closing: Closing) {
        self.outbox.push_back(RelayOut::Close { closing });
        self.state = State::Over;
    }

    fn problem(&mut self, error: StreamError, out: &mut Vec<Effect>) {
        if matches!(self.state, State::Running | State::Starting) {
            out.push(StreamEffect::Leg { event: LegEvent::Ended { reason: LegEnd::WireLost } });
        }
        self.close(Closing::Problem { error });
    }
}

/// What `<Dial>` can call: a SIP URI as it is, or a telephone number.
fn dialed(target: &str) -> Option<String> {
    let target = target.trim();
    let (scheme, rest) = target.split_once(':').unwrap_or(("tel", target));
    match scheme.to_ascii_lowercase().as_str() {
        "sip" | "sips" => Some(target.to_owned()).filter(|_| !rest.is_empty()),
        "tel" => {
            let number = rest.split(';').next().unwrap_or_default();
            let number: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
            let digits = number.strip_prefix('+').unwrap_or(&number);
            (!digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())).then_some(number)
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
