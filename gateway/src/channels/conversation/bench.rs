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

/// A message that waits, or is being asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Piece {
    message: Inbound,
    /// It was to be asked, and came back.
    returned: bool,
}

/// Messages that are answered as one, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    messages: Vec<Piece>,
}

impl Question {
    pub fn ids(&self) -> impl Iterator<Item = String> {
        self.messages.iter().map(|piece| piece.message.id.clone())
    }

    /// All as one. Of what is attached the newest is read: at most `ATTACHMENTS_MAX` links, in order.
    pub fn as_one(&self) -> (Private<String>, Vec<Link>) {
        let messages = self.messages.iter().map(|piece| &piece.message);
        let mut texts: Vec<String> = messages.clone().map(|message| message.text.reveal().clone()).collect();
        texts.retain(|text| !text.is_empty());
        let mut links: Vec<Link> = messages.flat_map(|message| message.links.iter().cloned()).collect();
        let over = links.len().saturating_sub(ATTACHMENTS_MAX);
        if over > 0 {
            warn!(over, "more is attached than is read at once; the oldest is not");
            texts.push(format!("[{over} more attachments before the last {ATTACHMENTS_MAX}: not read, too many]"));
        }
        (texts.join("\n").into(), links.split_off(over))
    }
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
    waiting: VecDeque<Piece>,
    gather: Gather,
    known: VecDeque<(String, Time)>,
    /// Tries to open a session for them.
    tries: u8,
}

impl Bench {
    pub fn take(&mut self, now: Time, mut message: Inbound) -> Taken {
        while self.known.front().is_some_and(|(_, at)| *at + KNOWN_FOR <= now) {
            self.known.pop_front();
        }
        if self.known.iter().any(|(id, _)| *id == message.id) {
            return Taken::Known;
        }
        // What came back has its own room, as large: no more than this was new in the question that it belonged to.
        if self.waiting.iter().filter(|piece| !piece.returned).count() >= WAITING_MAX {
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
        let later =
            |other: &Piece| matches!((other.message.order, message.order), (Some(other), Some(own)) if other > own);
        let place = self.waiting.iter().position(later).unwrap_or(self.waiting.len());
        self.waiting.insert(place, Piece { message, returned: false });
        self.gather.came(now);
        Taken::Waits
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn has(&self, id: &str) -> bool {
        self.waiting.iter().any(|piece| piece.message.id == id)
    }

    /// When they are to be answered.
    pub fn due(&self) -> Option<Time> {
        self.gather.due(QUIET)
    }

    /// They are answered now.
    pub fn all(&mut self) -> Question {
        let messages = self.waiting.drain(..).collect();
        self.clear();
        Question { messages }
    }

    /// Nobody was asked it after all: it comes before what waits, but for those of its messages that came back before. Sessions
    /// that end before they are asked would be opened one after the other. Returns how many are dropped.
    pub fn put_back(&mut self, now: Time, question: Question) -> usize {
        let (dropped, back): (Vec<Piece>, Vec<Piece>) = question.messages.into_iter().partition(|piece| piece.returned);
        if !back.is_empty() {
            self.gather.came(now);
        }
        for piece in back.into_iter().rev() {
            self.waiting.push_front(Piece { returned: true, ..piece });
        }
        dropped.len()
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
        self.gather.clear();
        self.tries = 0;
    }

    /// No session could be opened for them; how often by now.
    pub fn refused(&mut self) -> u8 {
        self.tries = self.tries.saturating_add(1);
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_takes_no_room_from_what_comes_and_both_are_bounded() {
        let (mut bench, mut number) = (Bench::default(), 0);
        for most in [WAITING_MAX, 2 * WAITING_MAX, 2 * WAITING_MAX] {
            let fill = |bench: &mut Bench, number: &mut usize| {
                *number += 1;
                let (id, text) = (number.to_string(), "and".to_owned().into());
                bench.take(Time::ZERO, Inbound { id, order: None, text, links: Vec::new() }) == Taken::Waits
            };
            while fill(&mut bench, &mut number) {}
            assert_eq!(bench.waiting.len(), most);
            let question = bench.all();
            assert_eq!(bench.put_back(Time::ZERO, question), most - WAITING_MAX, "what came back before");
            assert_eq!(bench.waiting.len(), WAITING_MAX);
        }
    }
}
