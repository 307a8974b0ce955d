//! One conversation of a message channel as a state machine: what is a message's turn, who answers, what is sent.
//!
//! It gathers messages that come in quick succession and gives them to the session as one; while that is answered, later ones
//! wait. What is attached is fetched when its turn has come, and what comes later waits for it. A redelivered message is known by
//! its id. Once a person has taken the conversation, nothing of the bot leaves any
//! more: not even the rest of an answer that is on its way. It knows no channel and no session, only their news.
//!
//! The parts: `bench` (messages that wait), `hold` (who has the conversation), `owed` (messages that are being answered), `post`
//! (what leaves, one at a time).

mod bench;
mod hold;
mod owed;
mod post;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::attachment::Attachment;
use tandem_media::Time;
use tracing::{info, warn};

pub use self::bench::Inbound;
use self::bench::{Bench, Question, Taken};
pub use self::hold::Standing;
use self::hold::{Hold, Turn};
use self::owed::Owed;
pub use self::post::{Delivery, Post, TEXT_FOR};
use self::post::{Outcome, Tray};
use super::attached::Link;
use super::split::{Limit, split};

/// A session without a message for this long ends; the next message opens another. Above the time in which people come back
/// to a chat they have open.
const SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// A conversation without news for this long is forgotten, and with it who held it and which messages it had.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Between two tries to open a session on a full node.
const OPEN_AGAIN: Duration = Duration::from_secs(5);
/// Tries to open a session; two minutes are longer than a busy hour's peak and shorter than a caller's patience.
const OPEN_TRIES: u8 = 24;
/// For who got no session in all this time.
const ALL_BUSY: &str = "All lines are busy at the moment. Please write again later.";

/// Number of a session within its conversation. News of an older one are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run(pub u32);

/// Something happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum Input {
    /// The caller wrote.
    Message {
        message: Inbound,
    },
    /// The channel says who has the conversation.
    Standing {
        standing: Standing,
    },
    /// Somebody other than the caller wrote to the caller: a person, or we ourselves.
    Written {
        text: Private<String>,
        at: Option<u64>,
    },
    Session {
        run: Run,
        news: SessionNews,
    },
    /// The post that was given out has left, or not.
    Posted {
        delivery: Delivery,
    },
    /// What was to be fetched has come, or not: then the text says so.
    Fetched {
        run: Run,
        text: Private<String>,
        attachments: Vec<Attachment>,
    },
    /// The node ends: answer what is asked, and nothing else.
    Closing,
}

/// News of the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum SessionNews {
    /// It cannot be opened: now (`again`), or ever.
    Refused {
        again: bool,
    },
    Typing {
        on: bool,
    },
    Text {
        text: Private<String>,
    },
    /// It wants a person to take over.
    Transfer,
    HungUp,
    /// It ended by itself.
    Gone,
    /// The node gave it no more time.
    CutOff,
    /// While it waited for the caller, its place was given to another session.
    Displaced,
}

/// Something is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    Open {
        run: Run,
    },
    /// Fetch what came along with these words; `Fetched` is the answer, within a bounded time. Until then nothing else is told.
    Fetch {
        run: Run,
        text: Private<String>,
        links: Vec<Link>,
    },
    /// What the caller has written and attached, for the session.
    Tell {
        run: Run,
        text: Private<String>,
        attachments: Vec<Attachment>,
    },
    /// What came of the transfer that the session asked for. If a person has the conversation, the session ends.
    Transferred {
        run: Run,
        done: bool,
    },
    /// Ends the session. `person`: because one took over.
    End {
        run: Run,
        person: bool,
    },
    /// Send this; `Posted` is the answer.
    Post {
        post: Post,
    },
    /// Show that the bot writes, or not any more. Without an answer.
    Typing {
        on: bool,
    },
    /// Nothing is left to remember.
    Forget,
}

/// The session of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "talk", rename_all = "snake_case")]
enum Talk {
    None,
    /// No place for a session; another try at this time.
    Refused {
        until: Time,
    },
    /// It begins: its first words are its greeting.
    Opening,
    /// It is to answer, once what came along has been fetched.
    Fetching,
    /// It answers.
    Busy,
    /// It listens.
    Ready {
        since: Time,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    limit: Limit,
    bench: Bench,
    hold: Hold,
    tray: Tray,
    run: Run,
    talk: Talk,
    /// What the session is to be asked, while what came along is fetched.
    fetching: Option<Question>,
    owed: Owed,
    /// What the session has written since it was told something.
    reply: Vec<Private<String>>,
    /// The session has asked for a person, and the channel is being told.
    transferring: bool,
    typing: bool,
    /// The session is to end as soon as it has answered.
    displaced: bool,
    closing: bool,
    touched: Time,
}

impl Conversation {
    pub fn new(now: Time, limit: Limit) -> Self {
        Self {
            limit,
            bench: Bench::default(),
            hold: Hold::default(),
            tray: Tray::default(),
            run: Run::default(),
            talk: Talk::None,
            fetching: None,
            owed: Owed::default(),
            reply: Vec::new(),
            transferring: false,
            typing: false,
            displaced: false,
            closing: false,
            touched: now,
        }
    }

    pub fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Message { message } => self.message(now, message),
            Input::Standing { standing } => self.stands(now, standing, out),
            Input::Written { text, at } => self.written(now, &text, at, out),
            Input::Session { run, .. } if run != self.run || self.talk == Talk::None => {}
            Input::Session { news, .. } => self.session(now, news, out),
            Input::Posted { delivery } => self.posted(now, delivery, out),
            Input::Fetched { run, .. } if run != self.run || self.talk != Talk::Fetching => {}
            Input::Fetched { run, text, attachments } => {
                self.owed.ask(self.fetching.take().iter().flat_map(Question::ids));
                self.talk = Talk::Busy;
                out.push(Effect::Tell { run, text, attachments });
            }
            Input::Closing => self.closing = true,
        }
        self.settle(now, out);
    }

    /// Whether this message is still to be answered.
    pub fn owes(&self, id: &str) -> bool {
        let fetching = self.fetching.iter().flat_map(Question::ids).any(|asked| asked == id);
        fetching || self.bench.has(id) || self.owed.has(id)
    }

    /// Whether a person has it because they wrote: a channel does not say so a second time.
    pub fn is_taken(&self) -> bool {
        self.hold.is_taken()
    }

    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether its session does nothing but wait. What waits for a channel that is down needs no session.
    pub fn waits_for_caller(&self) -> bool {
        let left = self.tray.is_empty() || self.tray.due().is_some();
        matches!(self.talk, Talk::Ready { .. }) && self.bench.is_empty() && left && !self.transferring
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        let talk = match self.talk {
            Talk::Refused { until } => Some(until),
            Talk::Ready { since } => Some(self.bench.due().unwrap_or(since + SESSION_IDLE)),
            Talk::None => self.tray.is_empty().then(|| self.touched + FORGET_AFTER),
            Talk::Opening | Talk::Fetching | Talk::Busy => None,
        };
        talk.into_iter().chain(self.tray.due()).min()
    }

    pub fn handle_timeout(&mut self, now: Time, out: &mut Vec<Effect>) {
        if let Talk::Ready { since } = self.talk
            && self.bench.is_empty()
            && since + SESSION_IDLE <= now
        {
            self.end(false, out);
        }
        self.settle(now, out);
    }

    fn message(&mut self, now: Time, message: Inbound) {
        self.touched = now;
        match self.bench.take(now, message) {
            Taken::Waits => {}
            Taken::Known => info!("a message came again; it is not answered again"),
            Taken::Full => warn!("the caller is too far ahead; a message is dropped"),
        }
        // A person reads them.
        if self.hold.by_person() {
            self.bench.clear();
        }
    }

    fn stands(&mut self, now: Time, standing: Standing, out: &mut Vec<Effect>) {
        let turn = self.hold.stands(standing);
        self.turned(now, turn, out);
    }

    fn written(&mut self, now: Time, text: &Private<String>, at: Option<u64>, out: &mut Vec<Effect>) {
        if !self.tray.is_own(text) {
            let turn = self.hold.taken(at);
            self.turned(now, turn, out);
        }
    }

    fn turned(&mut self, now: Time, turn: Turn, out: &mut Vec<Effect>) {
        self.touched = now;
        match turn {
            Turn::None => {}
            Turn::ToBot => info!("the bot has the conversation again"),
            Turn::ToPerson => {
                info!("a person has the conversation");
                self.fall_silent(out);
            }
        }
    }

    /// Nothing that the bot has said, or is about to say, leaves any more.
    fn fall_silent(&mut self, out: &mut Vec<Effect>) {
        self.bench.clear();
        self.tray.clear();
        self.transferring = false;
        self.end(true, out);
    }

    fn end(&mut self, person: bool, out: &mut Vec<Effect>) {
        if matches!(self.talk, Talk::Opening | Talk::Fetching | Talk::Busy | Talk::Ready { .. }) {
            out.push(Effect::End { run: self.run, person });
        }
        self.reply.clear();
        self.owed.answer();
        (self.talk, self.fetching) = (Talk::None, None);
        self.type_on(false, out);
        // What it still says belongs to nobody.
        self.run = Run(self.run.0.wrapping_add(1));
    }

    fn session(&mut self, now: Time, news: SessionNews, out: &mut Vec<Effect>) {
        match news {
            SessionNews::Refused { again } => self.refused(now, again, out),
            SessionNews::Typing { on: true } => {}
            SessionNews::Typing { on: false } => {
                self.send_reply();
                // It said something of its own accord; the question is still to come.
                let asked = self.talk == Talk::Fetching;
                if !self.transferring && !asked {
                    self.talk = Talk::Ready { since: now };
                    self.owed.answer();
                }
                // It goes on with what came meanwhile.
                self.type_on(asked || !self.bench.is_empty(), out);
            }
            SessionNews::Text { text } => self.reply.push(text),
            // Asked once more: it is on its way.
            SessionNews::Transfer if self.transferring => {}
            SessionNews::Transfer => {
                self.send_reply();
                self.transferring = true;
                self.tray.put(Post::HandOver);
            }
            SessionNews::HungUp | SessionNews::Gone => self.gone(now, news == SessionNews::HungUp, out),
            SessionNews::CutOff => {
                self.closing = true;
                self.gone(now, false, out);
            }
            SessionNews::Displaced => self.displaced = true,
        }
    }

    fn refused(&mut self, now: Time, again: bool, out: &mut Vec<Effect>) {
        if again && self.bench.refused() < OPEN_TRIES {
            self.talk = Talk::Refused { until: now + OPEN_AGAIN };
        } else {
            warn!("no session can be opened; the caller's messages stay unanswered");
            self.bench.clear();
            self.talk = Talk::None;
            if again {
                self.tray.put(Post::Text { text: ALL_BUSY.to_owned().into() });
            }
        }
        self.type_on(false, out);
    }

    /// The session is over. What waited for a session that was not even told of it would open one after the other; what was being
    /// fetched for one that had listened is for the next. What a node that ends has cut off stays owed, for its next start; the part of
    /// an answer that was there is not sent.
    fn gone(&mut self, now: Time, politely: bool, out: &mut Vec<Effect>) {
        if self.talk == Talk::Opening && !self.closing {
            self.bench.clear();
        }
        let asked = self.talk == Talk::Busy && (!politely || self.reply.is_empty());
        if self.closing {
            self.owed.ask(self.fetching.take().iter().flat_map(Question::ids));
        }
        let cut_off = self.closing && (asked || self.talk == Talk::Fetching);
        let unanswered = cut_off.then(|| self.owed.clone());
        let dropped = self.fetching.take().map_or(0, |question| self.bench.put_back(now, question));
        if dropped > 0 {
            warn!(dropped, "a second session has ended before it was asked; messages stay unanswered");
        }
        if politely {
            self.send_reply();
        }
        self.transferring = false;
        self.end(false, out);
        if let Some(owed) = unanswered {
            self.owed = owed;
        }
    }

    fn send_reply(&mut self) {
        let reply: Vec<&str> = self.reply.iter().map(|text| text.reveal().as_str()).collect();
        let parts = split(&reply.join("\n\n"), self.limit);
        self.reply.clear();
        for text in parts {
            self.tray.put(Post::Text { text: text.into() });
        }
    }

    fn posted(&mut self, now: Time, delivery: Delivery, out: &mut Vec<Effect>) {
        let outcome = self.tray.posted(now, delivery);
        if outcome == Outcome::Other {
            return;
        }
        let done = outcome == Outcome::HandedOver;
        if std::mem::take(&mut self.transferring) {
            out.push(Effect::Transferred { run: self.run, done });
            // A session whose transfer is done ends by what it was told.
            self.talk = if done { Talk::None } else { self.talk };
        }
        if done {
            self.hold.handed_over();
            self.fall_silent(out);
        }
    }

    /// What follows from what has changed.
    fn settle(&mut self, now: Time, out: &mut Vec<Effect>) {
        match self.talk {
            Talk::None if !self.bench.is_empty() && !self.closing => self.open(out),
            Talk::Refused { until } if until <= now && !self.closing => self.open(out),
            Talk::Ready { .. } if self.bench.due().is_some_and(|due| due <= now) => self.tell(now, out),
            Talk::Ready { .. } if (self.closing || self.displaced) && self.bench.is_empty() => self.end(false, out),
            Talk::Refused { .. } if self.closing => self.talk = Talk::None,
            Talk::None | Talk::Refused { .. } | Talk::Opening | Talk::Fetching | Talk::Busy | Talk::Ready { .. } => {}
        }
        if let Some(post) = self.tray.next(now) {
            out.push(Effect::Post { post });
        }
        if self.tray.is_empty() {
            self.owed.left();
        }
        let old = self.touched + FORGET_AFTER <= now;
        if self.talk == Talk::None && self.tray.is_empty() && (self.closing || old) {
            // Something may have come at this very moment: then it is not forgotten yet.
            self.touched = now;
            out.push(Effect::Forget);
        }
    }

    fn open(&mut self, out: &mut Vec<Effect>) {
        self.run = Run(self.run.0.wrapping_add(1));
        (self.talk, self.displaced) = (Talk::Opening, false);
        self.reply.clear();
        out.push(Effect::Open { run: self.run });
        self.type_on(true, out);
    }

    fn tell(&mut self, now: Time, out: &mut Vec<Effect>) {
        let (run, question) = (self.run, self.bench.all());
        self.touched = now;
        let (text, links) = question.as_one();
        if links.is_empty() {
            self.talk = Talk::Busy;
            self.owed.ask(question.ids());
            out.push(Effect::Tell { run, text, attachments: Vec::new() });
        } else {
            (self.talk, self.fetching) = (Talk::Fetching, Some(question));
            out.push(Effect::Fetch { run, text, links });
        }
        self.type_on(true, out);
    }

    fn type_on(&mut self, on: bool, out: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.typing, on) != on {
            out.push(Effect::Typing { on });
        }
    }
}
