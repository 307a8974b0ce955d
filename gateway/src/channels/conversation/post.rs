//! What leaves for the channel: in order, one at a time, again if the channel could not take it.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_media::Time;
use tracing::warn;

/// How long a message to the caller is tried while the channel is down: nobody waits longer for an answer.
pub const TEXT_FOR: Duration = Duration::from_secs(3_600);
/// How long the hand-over is: longer than a restart of the other side. The session waits for it, and has other ways to go on.
const HAND_OVER_FOR: Duration = Duration::from_secs(30);
/// The wait before the second try. It doubles with each, this often at most: to about a minute.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const DOUBLED_MAX: u8 = 5;
/// Own messages that are remembered, to be known when the channel tells of them: more than one reply has.
const OWN_MAX: usize = 32;

/// One thing to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "post", rename_all = "snake_case")]
pub enum Post {
    /// A message to the caller, within the channel's limit.
    Text { text: Private<String> },
    /// The conversation goes to a person.
    HandOver,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    Done,
    /// Not now: the channel is down, or wants us to slow down.
    Later,
    /// Not ever: the channel refused it, or nobody knows whether it arrived.
    Failed,
}

/// What a delivery means for the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    HandedOver,
    NotHandedOver,
    Other,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tray {
    waiting: VecDeque<Post>,
    leaving: Option<Post>,
    /// The bot was silenced while a post was leaving: it does not go a second time.
    silenced: bool,
    /// How often the wait has doubled.
    doubled: u8,
    /// When the first post could not leave that still waits.
    down: Option<Time>,
    again: Option<Time>,
    own: VecDeque<Private<String>>,
}

impl Tray {
    pub fn put(&mut self, post: Post) {
        self.waiting.push_back(post);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.leaving.is_none()
    }

    /// What has not left does not leave any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.silenced = self.leaving.is_some();
        (self.doubled, self.down, self.again) = (0, None, None);
    }

    /// When the next post may leave that could not before.
    pub fn due(&self) -> Option<Time> {
        self.again.filter(|_| self.leaving.is_none() && !self.waiting.is_empty())
    }

    pub fn next(&mut self, now: Time) -> Option<Post> {
        if self.leaving.is_some() || self.again.is_some_and(|again| again > now) {
            return None;
        }
        self.again = None;
        let post = self.waiting.pop_front()?;
        if let Post::Text { text } = &post {
            if self.own.len() == OWN_MAX {
                self.own.pop_front();
            }
            self.own.push_back(text.clone());
        }
        self.leaving = Some(post.clone());
        Some(post)
    }

    pub fn posted(&mut self, now: Time, delivery: Delivery) -> Outcome {
        let Some(post) = self.leaving.take() else { return Outcome::Other };
        let hand_over = post == Post::HandOver;
        let silenced = std::mem::take(&mut self.silenced);
        let patience = if hand_over { HAND_OVER_FOR } else { TEXT_FOR };
        let down = *self.down.get_or_insert(now);
        if delivery == Delivery::Later && !silenced && now < down + patience {
            self.again = Some(now + FIRST_WAIT * (1 << self.doubled));
            self.doubled = DOUBLED_MAX.min(self.doubled + 1);
            self.waiting.push_front(post);
            return Outcome::Other;
        }
        (self.doubled, self.down) = (0, None);
        match (delivery, hand_over) {
            (Delivery::Done, true) => Outcome::HandedOver,
            (Delivery::Done, false) => Outcome::Other,
            (_, true) => Outcome::NotHandedOver,
            (_, false) => {
                warn!("a message did not reach the channel; it is dropped, and what waited behind it");
                self.waiting.retain(|post| *post == Post::HandOver);
                Outcome::Other
            }
        }
    }

    /// Whether we wrote this: channels tell of every message, ours too.
    pub fn is_own(&self, text: &Private<String>) -> bool {
        self.own.iter().any(|own| own.reveal().trim() == text.reveal().trim())
    }
}
