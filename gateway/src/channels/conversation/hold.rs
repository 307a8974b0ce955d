//! Who has the conversation: the bot, or a person.
//!
//! Chatwoot sends its news from parallel jobs, so that they overtake each other. What they tell are facts with times, and what
//! follows from them does not depend on the order in which they come.

use serde::{Deserialize, Serialize};

/// What a channel tells about a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its status is the one in which the bot answers.
    pub bot: bool,
    /// It is assigned to a person.
    pub assigned: bool,
    /// The status has just become what it is.
    pub changed: bool,
    /// When this was so, in the channel's own time; none where the channel tells no time: then it is the newest.
    pub at: Option<u64>,
}

/// A change of hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    None,
    ToPerson,
    ToBot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The status is the bot's. Of the newest standing, as are the next two.
    bot: bool,
    assigned: bool,
    at: Option<u64>,
    /// The last time that the status is known to have been another.
    away_at: Option<u64>,
    /// The last time that the status is known to have become the bot's.
    back_at: Option<u64>,
    /// The last time that a person wrote, or was handed the conversation: they have it until the status comes back to the bot's.
    taken_at: Option<u64>,
}

impl Default for Hold {
    fn default() -> Self {
        Self { bot: true, assigned: false, at: None, away_at: None, back_at: None, taken_at: None }
    }
}

impl Hold {
    pub fn by_person(&self) -> bool {
        !self.bot || self.assigned || self.is_taken()
    }

    pub fn stands(&mut self, standing: Standing) -> Turn {
        let before = self.by_person();
        let at = Some(standing.at.unwrap_or_else(|| self.newest().map_or(0, |newest| newest + 1)));
        if !standing.bot {
            self.away_at = self.away_at.max(at);
        } else if standing.changed {
            self.back_at = self.back_at.max(at);
        }
        if at >= self.at {
            (self.bot, self.assigned, self.at) = (standing.bot, standing.assigned, at);
        }
        self.turn(before)
    }

    /// A person wrote to the caller. That they did stays true whatever newer news came before.
    pub fn taken(&mut self, at: Option<u64>) -> Turn {
        let before = self.by_person();
        self.taken_at = self.taken_at.max(at.or_else(|| self.now()));
        self.turn(before)
    }

    /// We gave it to a person, and the channel knows.
    pub fn handed_over(&mut self) {
        self.taken_at = self.taken_at.max(self.now());
    }

    /// A message that tells the very time of a return was written after it: a return moves the conversation's time, a message
    /// need not.
    pub fn is_taken(&self) -> bool {
        self.taken_at.is_some() && self.taken_at > self.away_at && self.taken_at >= self.back_at
    }

    fn newest(&self) -> Option<u64> {
        self.at.max(self.away_at).max(self.back_at).max(self.taken_at)
    }

    fn now(&self) -> Option<u64> {
        Some(self.newest().unwrap_or(0))
    }

    fn turn(&self, before: bool) -> Turn {
        match (before, self.by_person()) {
            (false, true) => Turn::ToPerson,
            (true, false) => Turn::ToBot,
            _ => Turn::None,
        }
    }
}
