//! The task of an answered call.
//!
//! Owns: the dialog and the machine of one call. Receives: commands of the session, requests within the dialog, the
//! fate of its INVITE, reports of its own transactions. Sends: events, media changes, SIP. Ends: with the call.

use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt as _, Method as SipMethod, Request, SipMessage};
use rsipstack::transaction::Transaction;
use tandem_contract::Private;
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_media::leg::RtpRemote;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::machine::{Call, Effect, InDialog, Input, Method};
use crate::sip::dialog::Dialog;
use crate::sip::stack::{Registered, Stack, final_status, via};
use crate::sip::{SipError, SipLeg, refer};

/// How long the far end may take to reach the target of a transfer: timer C of RFC 3261 section 16.6, the longest that
/// a call may ring.
pub const TRANSFER_LIMIT: Duration = Duration::from_secs(180);

/// Commands not yet carried out. Each is carried out at once; a full queue makes the session wait.
const COMMANDS: usize = 16;

/// Events not yet read. A session that leaves this many unread loses digits and progress, never `Ended`.
const EVENTS: usize = 64;

/// Requests within the dialog not yet handled. Full: the request is dropped and the peer repeats it.
const REQUESTS: usize = 16;

/// Reports of our own transactions; there are never more than a REFER, a BYE and some re-INVITEs. Full: they wait.
const REPORTS: usize = 8;

/// The session's end of a call and ours.
pub(crate) struct Ports {
    commands: mpsc::Receiver<LegCommand>,
    events: mpsc::Sender<LegEvent>,
    media: watch::Sender<Option<RtpRemote>>,
}

impl Ports {
    pub fn open(media: Option<RtpRemote>) -> (SipLeg, Self) {
        let (command_tx, commands) = mpsc::channel(COMMANDS);
        let (events, event_rx) = mpsc::channel(EVENTS);
        let (media_tx, media) = watch::channel(media);
        let leg = SipLeg { commands: command_tx, events: event_rx, media };
        (leg, Self { commands, events, media: media_tx })
    }
}

pub(crate) struct CallTask {
    stack: Arc<Stack>,
    dialog: Dialog,
    call: Call,
    ports: Ports,
    /// Room for `Ended`, whatever the session leaves unread.
    ended: Option<mpsc::OwnedPermit<LegEvent>>,
    requests: mpsc::Receiver<Transaction>,
    _registered: Registered,
    report: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    transfer_deadline: Option<Instant>,
    abandoned: bool,
    /// Our BYE is on its way: the dialog still answers until it is over.
    bye_pending: bool,
}

enum Report {
    Input(Input),
    ByeDone,
}

/// What wakes the task.
enum Wake {
    Input(Input),
    Request(Box<Transaction>),
    ByeDone,
}

impl CallTask {
    pub fn new(stack: Arc<Stack>, dialog: Dialog, call: Call, ports: Ports) -> Self {
        let (request_tx, requests) = mpsc::channel(REQUESTS);
        let (report, reports) = mpsc::channel(REPORTS);
        let registered = stack.register(dialog.id(), request_tx);
        let ended = ports.events.clone().try_reserve_owned().ok();
        Self {
            stack,
            dialog,
            call,
            ports,
            ended,
            requests,
            _registered: registered,
            report,
            reports,
            transfer_deadline: None,
            abandoned: false,
            bye_pending: false,
        }
    }

    /// Runs until the call is over and its BYE is answered. `invite` tells the fate of the INVITE that we answered.
    pub async fn run(mut self, invite: Option<oneshot::Receiver<Input>>) {
        let (mut fate, mut waiting) = match invite {
            Some(fate) => (fate, true),
            None => (oneshot::channel().1, false),
        };
        while !self.call.is_over() || self.bye_pending {
            let wake = tokio::select! {
                input = &mut fate, if waiting => {
                    waiting = false;
                    // The INVITE's task never ends without a word, but for a panic in it.
                    Wake::Input(input.unwrap_or(Input::Unacknowledged))
                }
                wake = self.next() => wake,
            };
            match wake {
                Wake::Input(input) => self.handle(input, None).await,
                Wake::Request(transaction) => self.request(*transaction).await,
                Wake::ByeDone => self.bye_pending = false,
            }
        }
    }

    async fn next(&mut self) -> Wake {
        let live = !self.call.is_over();
        let deadline = self.transfer_deadline.filter(|_| live);
        let transfer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(report) = self.reports.recv() => match report {
                Report::Input(input) => Wake::Input(input),
                Report::ByeDone => Wake::ByeDone,
            },
            Some(transaction) = self.requests.recv() => Wake::Request(Box::new(transaction)),
            command = self.ports.commands.recv(), if live && !self.abandoned => match command {
                Some(command) => Wake::Input(Input::Command(command)),
                None => {
                    self.abandoned = true;
                    Wake::Input(Input::Abandoned)
                }
            },
            () = transfer => {
                self.transfer_deadline = None;
                Wake::Input(Input::TransferTimedOut)
            }
            () = self.stack.closing.cancelled(), if live => Wake::Input(Input::Drained),
        }
    }

    async fn request(&mut self, mut transaction: Transaction) {
        if !self.dialog.admit(&transaction.original) {
            let response = self.stack.response(&transaction.original, 500, None);
            transaction.respond(response).await.ok();
            return;
        }
        let input = Input::Request(in_dialog(&transaction.original));
        self.handle(input, Some(transaction)).await;
    }

    async fn handle(&mut self, input: Input, mut transaction: Option<Transaction>) {
        for effect in self.call.handle(input) {
            match effect {
                Effect::Reply { status, content } => {
                    if let Some(transaction) = transaction.take() {
                        self.reply(transaction, status, content).await;
                    }
                }
                Effect::Bye => self.bye(),
                Effect::Refer { to } => self.refer(&to),
                Effect::WatchTransfer => self.transfer_deadline = Some(Instant::now() + TRANSFER_LIMIT),
                Effect::Media(media) => {
                    self.ports.media.send_replace(Some(media));
                }
                Effect::Event(event) => self.tell(event),
            }
        }
    }

    fn tell(&mut self, event: LegEvent) {
        match (&event, self.ended.take()) {
            (LegEvent::Ended { .. }, Some(permit)) => {
                permit.send(event);
            }
            (_, permit) => {
                self.ended = permit;
                if self.ports.events.try_send(event).is_err() {
                    tracing::debug!("a leg event found no reader");
                }
            }
        }
    }

    async fn reply(&self, mut transaction: Transaction, status: u16, content: super::machine::ReplyContent) {
        let mut response = self.stack.reply(&transaction.original, status, content);
        let invite = transaction.original.method == SipMethod::Invite;
        if invite && status < 300 {
            response.headers.push(Header::Contact(format!("<{}>", self.dialog.contact()).into()));
        }
        if let Err(error) = transaction.respond(response).await {
            tracing::debug!(%error, "sip response not sent");
        }
        if invite {
            let report = self.report.clone();
            self.stack.tasks.spawn(await_ack(transaction, (status < 300).then_some(report)));
        }
    }

    fn bye(&mut self) {
        let Some(transaction) = self.client(SipMethod::Bye, |_| {}) else { return };
        self.bye_pending = true;
        let report = self.report.clone();
        self.stack.tasks.spawn(async move {
            final_status(transaction).await;
            report.send(Report::ByeDone).await.ok();
        });
    }

    fn refer(&mut self, to: &Private<String>) {
        let refused = |status| Report::Input(Input::ReferAnswered { status });
        let Some(refer_to) = refer::refer_to(to.reveal(), self.dialog.remote_host().as_deref()) else {
            // Room is certain: nothing else reports while a transfer begins.
            self.report.try_send(refused(484)).ok();
            return;
        };
        let transaction = self.client(SipMethod::Refer, |request| {
            request.headers.push(Header::ReferTo(refer_to.into()));
        });
        let Some(transaction) = transaction else {
            self.report.try_send(refused(500)).ok();
            return;
        };
        let report = self.report.clone();
        self.stack.tasks.spawn(async move {
            let status = final_status(transaction).await;
            report.send(Report::Input(Input::ReferAnswered { status })).await.ok();
        });
    }

    fn client(&mut self, method: SipMethod, add: impl FnOnce(&mut Request)) -> Option<Transaction> {
        let to = self.dialog.destination();
        let local = self.stack.local_towards(to, None);
        let request = self.dialog.request(method, via(local), &self.stack.settings.user_agent);
        let request = request.map(|mut request| {
            add(&mut request);
            request
        });
        let transaction = request.map_err(SipError::from).and_then(|request| self.stack.client(request, to));
        transaction.inspect_err(|error| tracing::warn!(%error, %method, "sip request not made")).ok()
    }
}

/// Waits for the ACK of a re-INVITE. Who gets a 2xx and never acknowledges it is gone (RFC 3261 section 14.2).
async fn await_ack(mut transaction: Transaction, report: Option<mpsc::Sender<Report>>) {
    let mut acked = None;
    while let Some(message) = transaction.receive().await {
        if let SipMessage::Request(request) = message
            && request.method == SipMethod::Ack
        {
            acked = Some(request.body);
            break;
        }
    }
    if let Some(report) = report {
        let input = acked.map_or(Input::Unacknowledged, |body| Input::Acked { body });
        report.send(Report::Input(input)).await.ok();
    }
}

fn in_dialog(request: &Request) -> InDialog {
    let method = match request.method {
        SipMethod::Bye => Method::Bye,
        SipMethod::Invite => Method::Invite,
        SipMethod::Update => Method::Update,
        SipMethod::Info => Method::Info,
        SipMethod::Options => Method::Options,
        SipMethod::Notify => Method::Notify,
        _ => Method::Other,
    };
    InDialog {
        method,
        content_type: request.header_value("Content-Type"),
        event: request.header_value("Event"),
        subscription_state: request.header_value("Subscription-State"),
        body: request.body.clone(),
    }
}

/// Tells a peer that a dialog which we do not want is over: of a forked or a cancelled INVITE that was answered.
pub(crate) fn spawn_bye(stack: &Arc<Stack>, mut dialog: Dialog) {
    let to = dialog.destination();
    let local = stack.local_towards(to, None);
    let request = dialog.request(SipMethod::Bye, via(local), &stack.settings.user_agent);
    match request.map_err(SipError::from).and_then(|request| stack.client(request, to)) {
        Ok(transaction) => {
            stack.tasks.spawn(final_status(transaction));
        }
        Err(error) => tracing::warn!(%error, "sip bye not made"),
    }
}
