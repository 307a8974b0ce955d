//! Who has the conversation: the bot, or a person.

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
    /// When this was so, in the channel's own time; none where the channel tells no time. News may overtake each other.
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
    /// The status is the bot's.
    bot: bool,
    assigned: bool,
    /// A person wrote, or was handed the conversation: they have it until the status comes back to the bot's.
    taken: bool,
    /// Of the newest news.
    at: Option<u64>,
}

impl Default for Hold {
    fn default() -> Self {
        Self { bot: true, assigned: false, taken: false, at: None }
    }
}

impl Hold {
    pub fn by_person(&self) -> bool {
        !self.bot || self.assigned || self.taken
    }

    pub fn stands(&mut self, standing: Standing) -> Turn {
        if self.is_old(standing.at) {
            return Turn::None;
        }
        let before = self.by_person();
        let came_back = standing.bot && (standing.changed || !self.bot);
        self.taken &= !came_back;
        (self.bot, self.assigned) = (standing.bot, standing.assigned);
        self.turn(before)
    }

    /// A person wrote to the caller.
    pub fn taken(&mut self, at: Option<u64>) -> Turn {
        if self.is_old(at) {
            return Turn::None;
        }
        let before = self.by_person();
        self.taken = true;
        self.turn(before)
    }

    /// We gave it to a person, and the channel knows.
    pub fn handed_over(&mut self) {
        self.taken = true;
    }

    fn turn(&self, before: bool) -> Turn {
        match (before, self.by_person()) {
            (false, true) => Turn::ToPerson,
            (true, false) => Turn::ToBot,
            _ => Turn::None,
        }
    }

    /// Newer news than these were here before.
    fn is_old(&mut self, at: Option<u64>) -> bool {
        let old = matches!((at, self.at), (Some(at), Some(newest)) if at < newest);
        if !old {
            self.at = at.or(self.at);
        }
        old
    }
}
