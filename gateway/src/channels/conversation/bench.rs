//! Messages of the caller that wait for their turn, and those that have had it.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_agents::turn::Gather;
use tandem_contract::Private;
use tandem_media::Time;
use tandem_signaling::stream::attachment::ATTACHMENTS_MAX;
use tracing::warn;

use crate::channels::attached::Link;

/// The caller is taken to have finished when nothing came for this long: people who write in pieces send the next one within
/// a second or so, and nobody minds an answer that begins this much later.
pub const QUIET: Duration = Duration::from_millis(1_500);
/// Messages that wait at most. A person does not write this many ahead; the newest is dropped.
const WAITING_MAX: usize = 32;
/// Longest message that is passed on, characters: WhatsApp's own limit.
const TEXT_MAX: usize = 4_096;
/// How long the id of a message is remembered: redeliveries come within minutes.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// Ids that are remembered at most; the oldest is forgotten.
const KNOWN_MAX: usize = 256;

/// A message as a channel delivers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inbound {
    /// The channel's own; a redelivery has the same.
    pub id: String,
    /// Place in the conversation, where the channel tells one. Messages that overtook each other are put right by it.
    pub order: Option<u64>,
    /// May be empty where something is attached.
    pub text: Private<String>,
    /// What is attached and can be fetched.
    pub links: Vec<Link>,
}

/// What is asked by one message or more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    pub text: Private<String>,
    /// At most `ATTACHMENTS_MAX`, in order.
    pub links: Vec<Link>,
    /// It, or a part of it, came back once.
    pub returned: bool,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Waits,
    /// It was here before.
    Known,
    Full,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    waiting: VecDeque<Inbound>,
    gather: Gather,
    known: VecDeque<(String, Time)>,
    /// Tries to open a session for them.
    tries: u8,
    /// Among what waits is a question that came back.
    returned: bool,
}

impl Bench {
    pub fn take(&mut self, now: Time, mut message: Inbound) -> Taken {
        while self.known.front().is_some_and(|(_, at)| *at + KNOWN_FOR <= now) {
            self.known.pop_front();
        }
        if self.known.iter().any(|(id, _)| *id == message.id) {
            return Taken::Known;
        }
        // With what came back they may be one more.
        if self.waiting.len() >= WAITING_MAX {
            return Taken::Full;
        }
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back((message.id.clone(), now));
        message.text = message.text.reveal().trim().chars().take(TEXT_MAX).collect::<String>().into();
        if message.text.reveal().is_empty() && message.links.is_empty() {
            return Taken::Waits;
        }
        let later = |other: &Inbound| matches!((other.order, message.order), (Some(other), Some(own)) if other > own);
        let place = self.waiting.iter().position(later).unwrap_or(self.waiting.len());
        self.waiting.insert(place, message);
        self.gather.came(now);
        Taken::Waits
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When they are to be answered.
    pub fn due(&self) -> Option<Time> {
        self.gather.due(QUIET)
    }

    /// They are answered now: all as one, in order. Of what is attached the newest is read.
    pub fn all(&mut self) -> Question {
        let (mut texts, mut links) = (Vec::new(), Vec::new());
        for message in self.waiting.drain(..) {
            texts.push(message.text.into_inner());
            links.extend(message.links);
        }
        texts.retain(|text| !text.is_empty());
        let over = links.len().saturating_sub(ATTACHMENTS_MAX);
        if over > 0 {
            warn!(over, "more is attached than is read at once; the oldest is not");
            texts.push(format!("[{over} more attachments before the last {ATTACHMENTS_MAX}: not read, too many]"));
        }
        let returned = self.returned;
        self.clear();
        Question { text: texts.join("\n").into(), links: links.split_off(over), returned }
    }

    /// Nobody was asked it after all: it comes before what waits. False: it came back before, and is dropped. Sessions that end
    /// before they are asked would be opened one after the other.
    pub fn put_back(&mut self, now: Time, question: Question) -> bool {
        let Question { text, links, returned } = question;
        if !returned {
            // Its messages are known already.
            self.waiting.push_front(Inbound { id: String::new(), order: None, text, links });
            self.gather.came(now);
            self.returned = true;
        }
        !returned
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
        self.gather.clear();
        self.tries = 0;
        self.returned = false;
    }

    /// No session could be opened for them; how often by now.
    pub fn refused(&mut self) -> u8 {
        self.tries = self.tries.saturating_add(1);
        self.tries
    }
}
