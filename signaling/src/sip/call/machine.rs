//! The machine of an answered call: requests, commands and timers in, effects out (RFC 3261 sections 13 to 15,
//! RFC 3264, RFC 3515). It reads no clock and owns no socket.
//!
//! A call is `Unconfirmed` from our 200 to its ACK, then `Confirmed`, then `Over`. A call that we made starts confirmed.

use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_media::leg::RtpRemote;

use crate::sdp::{self, LocalSession, SdpError};
use crate::sip::body::{self, ReferProgress};

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// The ACK of our 200 came, with its body.
    Acked {
        body: Vec<u8>,
    },
    /// A CANCEL overtook our 200.
    Cancelled,
    /// 64*T1 without an ACK, of the INVITE or of a re-INVITE.
    Unacknowledged,
    /// A request within the dialog, in order.
    Request(InDialog),
    Command(LegCommand),
    /// Nobody holds the leg any more.
    Abandoned,
    /// The final status of our REFER.
    ReferAnswered {
        status: u16,
    },
    /// The far end said nothing about the transfer for too long.
    TransferTimedOut,
    /// The door closes.
    Drained,
}

/// What a machine needs to know of a request within a dialog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InDialog {
    pub method: Method,
    pub content_type: Option<String>,
    /// `Event`, for NOTIFY.
    pub event: Option<String>,
    pub subscription_state: Option<String>,
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    Bye,
    /// A re-INVITE.
    Invite,
    Update,
    Info,
    Options,
    Notify,
    /// A method that we know and do not take within a call.
    Other,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Answer the request that was just handed in.
    Reply {
        status: u16,
        content: ReplyContent,
    },
    Bye,
    Refer {
        to: Private<String>,
    },
    /// Expect [`Input::TransferTimedOut`] after [`super::task::TRANSFER_LIMIT`].
    WatchTransfer,
    Media(RtpRemote),
    /// `Ended` is the last effect of a machine.
    Event(LegEvent),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplyContent {
    Empty,
    /// A session description.
    Sdp(String),
    /// The methods and bodies that we take (200 to OPTIONS, 405, 415).
    Capabilities,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// RFC 3261 section 15: before the ACK the callee must not send BYE.
    Unconfirmed {
        hang_up: Option<LegEnd>,
    },
    Confirmed,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Transfer {
    Idle,
    /// REFER is out.
    Asked,
    /// 202: the far end calls the target and will tell.
    Accepted,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    phase: Phase,
    transfer: Transfer,
    /// None until the far end has said where its audio goes.
    media: Option<RtpRemote>,
    local: LocalSession,
    /// The last description that we sent: a new one gets a new version (RFC 3264 section 8).
    described: String,
    /// Our offer is out and the answer comes with an ACK.
    offered: bool,
}

impl Call {
    /// A call that we answer; `described` is the description in the 200. `media` is none after a delayed offer.
    pub fn answering(media: Option<RtpRemote>, local: LocalSession, described: String) -> Self {
        let offered = media.is_none();
        let phase = Phase::Unconfirmed { hang_up: None };
        Self { phase, transfer: Transfer::Idle, media, local, described, offered }
    }

    /// A call that we made and that was answered.
    pub fn called(media: RtpRemote, local: LocalSession, described: String) -> Self {
        Self { phase: Phase::Confirmed, ..Self::answering(Some(media), local, described) }
    }

    pub fn media(&self) -> Option<RtpRemote> {
        self.media
    }

    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Takes an input; the effects are to be carried out in order.
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        if self.is_over() {
            return self.handle_late(input);
        }
        match input {
            Input::Acked { body } => self.acked(&body),
            Input::Cancelled => self.end(LegEnd::Cancelled),
            Input::Unacknowledged => self.hang_up_now(LegEnd::WireLost),
            Input::Request(request) => self.request(&request),
            Input::Command(command) => self.command(command),
            Input::Abandoned => self.hang_up(LegEnd::AgentHungUp),
            Input::ReferAnswered { status } => self.refer_answered(status),
            Input::TransferTimedOut => self.transfer_failed(408),
            Input::Drained => self.hang_up_now(LegEnd::Drained),
        }
    }

    /// After the end only their requests still want an answer: BYE crossed with BYE is 200, all else 481.
    fn handle_late(&self, input: Input) -> Vec<Effect> {
        match input {
            Input::Request(request) if request.method == Method::Bye => vec![reply(200)],
            Input::Request(_) => vec![reply(481)],
            _ => Vec::new(),
        }
    }

    fn acked(&mut self, body: &[u8]) -> Vec<Effect> {
        let answered = match self.take_answer(body) {
            Ok(media) => media,
            Err(_) => return self.hang_up_now(LegEnd::WireLost),
        };
        let Phase::Unconfirmed { hang_up } = self.phase else {
            // The ACK of a re-INVITE.
            return answered.into_iter().collect();
        };
        self.phase = Phase::Confirmed;
        let mut effects: Vec<Effect> = answered.into_iter().collect();
        match hang_up {
            Some(reason) => effects.extend(self.hang_up_now(reason)),
            None => effects.push(Effect::Event(LegEvent::Answered)),
        }
        effects
    }

    /// The answer to an offer of ours, in an ACK.
    fn take_answer(&mut self, body: &[u8]) -> Result<Option<Effect>, SdpError> {
        if !self.offered {
            return Ok(None);
        }
        let agreed = sdp::read_answer(body)?;
        self.offered = false;
        Ok(self.set_media(agreed.remote))
    }

    fn set_media(&mut self, media: RtpRemote) -> Option<Effect> {
        if self.media.replace(media) == Some(media) {
            return None;
        }
        Some(Effect::Media(media))
    }

    fn request(&mut self, request: &InDialog) -> Vec<Effect> {
        match request.method {
            Method::Bye => self.bye(),
            Method::Invite => self.reoffer(request, true),
            Method::Update => self.reoffer(request, false),
            Method::Info => Self::info(request),
            Method::Options => vec![capabilities(200)],
            Method::Notify => self.notify(request),
            Method::Other => vec![capabilities(405)],
        }
    }

    fn bye(&mut self) -> Vec<Effect> {
        // Who accepted a transfer and then leaves has left for the target, whether or not the last NOTIFY got through.
        let reason = if self.transfer == Transfer::Accepted { LegEnd::Transferred } else { LegEnd::CallerHungUp };
        let mut effects = vec![reply(200)];
        effects.extend(self.end(reason));
        effects
    }

    /// A re-INVITE or an UPDATE (RFC 3261 section 14.2, RFC 3311 section 5.2). A bad one is refused and the call lives on.
    fn reoffer(&mut self, request: &InDialog, may_be_empty: bool) -> Vec<Effect> {
        if request.body.is_empty() {
            return if may_be_empty { self.delayed_reoffer() } else { vec![reply(200)] };
        }
        if !body::is(request.content_type.as_deref(), sdp::CONTENT_TYPE) {
            return vec![capabilities(415)];
        }
        let Ok(agreed) = sdp::negotiate(&request.body) else { return vec![reply(488)] };
        let described = self.describe(|local| sdp::answer(&agreed, local));
        let media = self.set_media(agreed.remote);
        let mut effects = vec![Effect::Reply { status: 200, content: ReplyContent::Sdp(described) }];
        effects.extend(media);
        effects
    }

    /// A re-INVITE without an offer asks for ours; the answer comes with its ACK.
    fn delayed_reoffer(&mut self) -> Vec<Effect> {
        self.offered = true;
        let described = self.describe(sdp::offer);
        vec![Effect::Reply { status: 200, content: ReplyContent::Sdp(described) }]
    }

    /// Writes a description, under a new version if it says something new.
    fn describe(&mut self, write: impl Fn(LocalSession) -> String) -> String {
        let same = write(self.local);
        if same == self.described {
            return same;
        }
        self.local.version += 1;
        self.described = write(self.local);
        self.described.clone()
    }

    /// Digits by INFO; an empty INFO is a keepalive of old proxies.
    fn info(request: &InDialog) -> Vec<Effect> {
        if request.body.is_empty() {
            return vec![reply(200)];
        }
        match body::dtmf(request.content_type.as_deref(), &request.body) {
            Some(digit) => vec![reply(200), Effect::Event(LegEvent::Dtmf { digit })],
            None => vec![capabilities(415)],
        }
    }

    /// NOTIFYs of our REFER (RFC 3515 section 2.4.4), told on.
    fn notify(&mut self, request: &InDialog) -> Vec<Effect> {
        let about_refer = request.event.as_deref().is_some_and(|event| body::is(Some(event), "refer"));
        if !about_refer || self.transfer == Transfer::Idle {
            return vec![reply(if about_refer { 481 } else { 489 })];
        }
        let mut effects = vec![reply(200)];
        match body::refer_progress(&request.body, request.subscription_state.as_deref()) {
            ReferProgress::Going(status) => effects.push(progress(status)),
            ReferProgress::Final(status @ 200..300) => {
                effects.push(progress(status));
                effects.extend(self.hang_up_now(LegEnd::Transferred));
            }
            ReferProgress::Final(status) => effects.extend(self.transfer_failed(status)),
        }
        effects
    }

    fn command(&mut self, command: LegCommand) -> Vec<Effect> {
        match command {
            LegCommand::HangUp => self.hang_up(LegEnd::AgentHungUp),
            LegCommand::Transfer { target } => self.transfer(target),
            // Buffered audio and text are matters of WebSocket wires; RTP is never buffered at the far end.
            LegCommand::Clear { .. } | LegCommand::Text { .. } => Vec::new(),
            LegCommand::Piece { .. } | LegCommand::Typing { .. } => Vec::new(),
            LegCommand::Speak { .. } | LegCommand::ReplyEnds => Vec::new(),
        }
    }

    fn transfer(&mut self, to: Private<String>) -> Vec<Effect> {
        if self.transfer != Transfer::Idle || self.phase != Phase::Confirmed {
            return vec![progress(491)];
        }
        self.transfer = Transfer::Asked;
        vec![Effect::Refer { to }, Effect::WatchTransfer]
    }

    fn refer_answered(&mut self, status: u16) -> Vec<Effect> {
        match (self.transfer, status) {
            (Transfer::Asked, 200..300) => {
                self.transfer = Transfer::Accepted;
                Vec::new()
            }
            (Transfer::Asked, _) => self.transfer_failed(status),
            // A NOTIFY may overtake the 202 and finish the transfer.
            _ => Vec::new(),
        }
    }

    fn transfer_failed(&mut self, status: u16) -> Vec<Effect> {
        if self.transfer == Transfer::Idle {
            return Vec::new();
        }
        self.transfer = Transfer::Idle;
        vec![progress(status)]
    }

    /// Before the ACK the BYE has to wait for it.
    fn hang_up(&mut self, reason: LegEnd) -> Vec<Effect> {
        match &mut self.phase {
            Phase::Unconfirmed { hang_up } => {
                hang_up.get_or_insert(reason);
                Vec::new()
            }
            _ => self.hang_up_now(reason),
        }
    }

    fn hang_up_now(&mut self, reason: LegEnd) -> Vec<Effect> {
        let mut effects = vec![Effect::Bye];
        effects.extend(self.end(reason));
        effects
    }

    fn end(&mut self, reason: LegEnd) -> Vec<Effect> {
        self.phase = Phase::Over;
        vec![Effect::Event(LegEvent::Ended { reason })]
    }
}

const fn reply(status: u16) -> Effect {
    Effect::Reply { status, content: ReplyContent::Empty }
}

const fn capabilities(status: u16) -> Effect {
    Effect::Reply { status, content: ReplyContent::Capabilities }
}

const fn progress(status: u16) -> Effect {
    Effect::Event(LegEvent::TransferProgress { status })
}
