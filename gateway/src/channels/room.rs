//! One conversation with its session: owns the core, its timer, the session's wire and what is being sent.
//!
//! One task. Receives: news by webhook, the session's commands, what became of a post, what was fetched. Ends when the core has nothing left to
//! remember, or the node ends and all is answered.

use std::future::pending;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tandem_agents::session::SignalingLeg;
use tandem_contract::call::{Door, Modality, Refusal};
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::{Private, SessionId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Channel;
use super::attached::Link;
use super::conversation::{Conversation, Delivery, Effect, Input, Run, SessionNews};
use super::desk::{Delivered, Key};
use super::spool::Ticket;
use super::storage::Fetched;
use crate::admission::Seat;
use crate::answer::{self, Request};
use crate::earlier;
use crate::state::AppState;

/// Leg commands and events that may wait on their way. Full, commands: they wait in the session. Full, events: the room waits
/// for the session, which awaits nothing.
const RING: usize = 32;

pub(super) struct Room {
    state: AppState,
    channel: Arc<dyn Channel>,
    key: Key,
    /// None before their first message.
    caller: Option<Private<String>>,
    core: Conversation,
    inbox: mpsc::Receiver<Vec<Delivered>>,
    /// Webhooks that still matter.
    kept: Vec<Kept>,
    session: Option<Wire>,
    /// Its sessions so far.
    sessions: Sessions,
    /// What came along with a question is being fetched. Dropped with the session that was to be asked.
    fetching: Option<BoxFuture<'static, Input>>,
    /// At most one post at a time, and what shows the typing.
    leaving: JoinSet<Left>,
    /// What the channel is to show next, once it has shown the last.
    typing: Option<bool>,
    showing: bool,
    effects: Vec<Effect>,
    over: bool,
}

/// Of a conversation.
#[derive(Default)]
struct Sessions {
    /// The next one continues it.
    last: Option<SessionId>,
    /// The last one whose record could be read.
    sound: Option<SessionId>,
}

/// What has left for the channel.
enum Left {
    Posted(Delivery),
    Shown,
}

/// A webhook on disk, and what has to be dealt with before it goes.
struct Kept {
    ticket: Ticket,
    /// Messages of the caller.
    ids: Vec<String>,
    /// A person wrote: a start that does not know that would answer over them.
    takes: bool,
}

/// This end of a session's leg.
struct Wire {
    run: Run,
    events: mpsc::Sender<LegEvent>,
    commands: mpsc::Receiver<LegCommand>,
    seat: Seat,
    /// The seat is lent to whoever wants it.
    lent: bool,
    /// Cancelled when somebody has it.
    gone: CancellationToken,
    /// The core was told so.
    displaced: bool,
}

impl Room {
    pub(super) fn new(
        state: AppState,
        channel: Arc<dyn Channel>,
        key: Key,
        inbox: mpsc::Receiver<Vec<Delivered>>,
    ) -> Self {
        let core = Conversation::new(state.clock.now(), channel.limit());
        let (leaving, effects) = (JoinSet::new(), Vec::new());
        Self {
            state,
            channel,
            key,
            caller: None,
            core,
            inbox,
            kept: Vec::new(),
            session: None,
            sessions: Sessions::default(),
            fetching: None,
            leaving,
            typing: None,
            showing: false,
            effects,
            over: false,
        }
    }

    /// `leave` takes the room out of the registry, unless something was put into its inbox meanwhile.
    pub(super) async fn run(
        mut self,
        close: CancellationToken,
        leave: impl Fn(&mpsc::Receiver<Vec<Delivered>>) -> bool + Send + 'static,
    ) {
        let mut closing = false;
        loop {
            let due = self.core.poll_timeout();
            let timer = async {
                match due {
                    Some(due) => sleep_until(Instant::from_std(self.state.clock.instant(due))).await,
                    None => pending().await,
                }
            };
            let input = tokio::select! {
                Some(delivered) = self.inbox.recv() => {
                    for news in delivered {
                        self.deliver(news).await;
                    }
                    None
                }
                input = heard(&mut self.session, &self.state.chats.channels.cut_off) => Some(input),
                input = fetched(&mut self.fetching) => Some(input),
                Some(posted) = self.leaving.join_next() => match posted {
                    Ok(Left::Shown) => {
                        self.showing = false;
                        self.show_typing();
                        continue;
                    }
                    Ok(Left::Posted(delivery)) => Some(Input::Posted { delivery }),
                    Err(error) => {
                        warn!(%error, "a message was not sent");
                        Some(Input::Posted { delivery: Delivery::Failed })
                    }
                },
                () = close.cancelled(), if !closing => {
                    closing = true;
                    Some(Input::Closing)
                }
                () = timer => None,
            };
            self.take(input).await;
            self.settle();
            if std::mem::take(&mut self.over) && leave(&self.inbox) {
                return;
            }
        }
    }

    async fn deliver(&mut self, news: Delivered) {
        let kept = Kept::of(&news);
        // Who writes first, unless it is a person at work: the conversation is the caller's.
        if self.caller.is_none() && !kept.ids.is_empty() {
            self.caller = Some(news.caller);
        }
        self.kept.push(kept);
        for input in news.inputs {
            self.take(Some(input)).await;
        }
    }

    async fn take(&mut self, input: Option<Input>) {
        let now = self.state.clock.now();
        match input {
            Some(input) => self.core.handle(now, input, &mut self.effects),
            None => self.core.handle_timeout(now, &mut self.effects),
        }
        // A refusal has effects of its own, so that one look is not enough.
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                self.perform(effect).await;
            }
        }
    }

    /// What has been dealt with goes from the disk, and the seat of a session that waits is lent.
    fn settle(&mut self) {
        let newest = self.kept.iter().filter(|kept| kept.takes).map(|kept| kept.ticket).max();
        let taken = newest.filter(|_| self.core.is_taken());
        // What a node that ends has not dealt with is for its next start.
        let forgotten = self.over && !self.core.is_closing();
        let (core, state) = (&self.core, &self.state);
        self.kept.retain(|kept| {
            let matters = Some(kept.ticket) == taken || kept.ids.iter().any(|id| core.owes(id));
            if !matters || forgotten {
                state.chats.channels.forget(state, kept.ticket);
            }
            matters && !forgotten
        });
        let waits = self.core.waits_for_caller();
        if let Some(wire) = self.session.as_mut().filter(|wire| wire.lent != waits && !wire.displaced) {
            wire.lent = waits;
            if waits {
                wire.seat.lend(wire.gone.clone());
            } else {
                wire.seat.take_back();
            }
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Open { run } => self.open(run).await,
            Effect::Fetch { run, text, links } => self.fetch(run, text, links),
            Effect::Tell { run, text, attachments } => self.tell(run, LegEvent::Text { text, attachments }).await,
            Effect::Transferred { run, done } => self.transferred(run, done).await,
            Effect::End { run, person } => {
                let reason = if person { LegEnd::Transferred } else { LegEnd::CallerHungUp };
                self.end(run, reason).await;
            }
            Effect::Post { post } => {
                let post = self.channel.post(&self.key.place, post);
                self.leaving.spawn(async move { Left::Posted(post.await) });
            }
            Effect::Typing { on } => {
                self.typing = Some(on);
                self.show_typing();
            }
            Effect::Forget => self.over = true,
        }
    }

    fn fetch(&mut self, run: Run, text: Private<String>, links: Vec<Link>) {
        let storage = self.channel.storage();
        let fetching = async move {
            let Fetched { attachments, marks } = storage.fetch(links).await;
            let words = Some(text.into_inner()).filter(|words| !words.is_empty());
            let text = words.into_iter().chain(marks).collect::<Vec<_>>().join("\n").into();
            Input::Fetched { run, text, attachments }
        };
        self.fetching = Some(fetching.boxed());
    }

    /// One request at a time: two would overtake each other. What was outdated meanwhile is not shown.
    fn show_typing(&mut self) {
        if self.showing {
            return;
        }
        if let Some(on) = self.typing.take() {
            self.showing = true;
            let shown = self.channel.show_typing(&self.key.place, on);
            self.leaving.spawn(async move {
                shown.await;
                Left::Shown
            });
        }
    }

    async fn open(&mut self, run: Run) {
        let request = Request {
            door: self.key.door,
            modality: Modality::Text,
            bot: self.key.bot.clone(),
            caller: self.caller.clone().unwrap_or_else(|| Private::new(String::new())),
        };
        match answer::admit(&self.state, request) {
            Ok(admitted) => {
                info!(session = %admitted.session(), "a conversation has a session");
                let ((to_room, commands), (events, from_room)) = (mpsc::channel(RING), mpsc::channel(RING));
                let (session, seat) = (admitted.session(), admitted.seat());
                let admitted = match self.sessions.last.replace(session) {
                    Some(last) => {
                        admitted.continuing(earlier::read_or_begin(&self.state, last, &mut self.sessions.sound).await)
                    }
                    None => admitted,
                };
                // Only there does somebody sit behind the chat.
                let admitted = admitted.with_people(self.key.door == Door::Chatwoot);
                admitted.start(SignalingLeg { commands: to_room, events: from_room }, None);
                let gone = CancellationToken::new();
                self.session = Some(Wire { run, events, commands, seat, lent: false, gone, displaced: false });
                self.tell(run, LegEvent::Answered).await;
            }
            Err(refusal) => {
                let now = self.state.clock.now();
                let ends = matches!(refusal, Refusal::Draining);
                if ends {
                    // The news of it are on their way.
                    self.core.handle(now, Input::Closing, &mut self.effects);
                }
                let again = ends || matches!(refusal, Refusal::BotBusy { .. } | Refusal::NodeFull { .. });
                let input = Input::Session { run, news: SessionNews::Refused { again } };
                self.core.handle(now, input, &mut self.effects);
            }
        }
    }

    async fn tell(&mut self, run: Run, event: LegEvent) {
        if let Some(wire) = self.session.as_ref().filter(|wire| wire.run == run) {
            // Closed: the session has ended, and the room is about to hear of it.
            let _ = wire.events.send(event).await;
        }
    }

    /// RFC 3265 in the words of a leg: 200, the target answered; 501, this wire reaches nobody.
    async fn transferred(&mut self, run: Run, done: bool) {
        let status = if done { 200 } else { 501 };
        self.tell(run, LegEvent::TransferProgress { status }).await;
        if done {
            self.end(run, LegEnd::Transferred).await;
        }
    }

    async fn end(&mut self, run: Run, reason: LegEnd) {
        self.tell(run, LegEvent::Ended { reason }).await;
        self.session.take_if(|wire| wire.run == run);
        self.fetching = None;
    }
}

impl Kept {
    fn of(news: &Delivered) -> Self {
        let ids = news.inputs.iter().filter_map(|input| match input {
            Input::Message { message } => Some(message.id.clone()),
            _ => None,
        });
        let takes = news.inputs.iter().any(|input| matches!(input, Input::Written { .. }));
        Self { ticket: news.ticket, ids: ids.collect(), takes }
    }
}

/// What came along with a question, once it has come.
async fn fetched(fetching: &mut Option<BoxFuture<'static, Input>>) -> Input {
    let Some(future) = fetching else { return pending().await };
    let input = future.await;
    *fetching = None;
    input
}

/// The next news of the session. `cut_off`: the node gives no session more time.
async fn heard(session: &mut Option<Wire>, cut_off: &CancellationToken) -> Input {
    let Some(wire) = session else { return pending().await };
    loop {
        let command = tokio::select! {
            command = wire.commands.recv() => command,
            () = wire.gone.cancelled(), if !wire.displaced => {
                wire.displaced = true;
                return Input::Session { run: wire.run, news: SessionNews::Displaced };
            }
        };
        let news = match command {
            Some(LegCommand::Text { text, .. }) => SessionNews::Text { text },
            Some(LegCommand::Typing { on }) => SessionNews::Typing { on },
            Some(LegCommand::Transfer { .. }) => SessionNews::Transfer,
            Some(LegCommand::HangUp) => {
                // Full: the session is told by the end of its wire.
                let _ = wire.events.try_send(LegEvent::Ended { reason: LegEnd::AgentHungUp });
                SessionNews::HungUp
            }
            // Messages are whole, and nothing is played.
            Some(
                LegCommand::Piece { .. } | LegCommand::Clear { .. } | LegCommand::Speak { .. } | LegCommand::ReplyEnds,
            ) => continue,
            None => SessionNews::Gone,
        };
        let run = wire.run;
        if matches!(news, SessionNews::HungUp | SessionNews::Gone) {
            *session = None;
            if cut_off.is_cancelled() {
                return Input::Session { run, news: SessionNews::CutOff };
            }
        }
        return Input::Session { run, news };
    }
}
