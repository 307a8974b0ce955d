//! Messages that have been asked, until their answer has left: what a node that dies in between still owes its callers.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Owed {
    /// The session is at it.
    asked: Vec<String>,
    /// The answer is on its way to the channel.
    answered: Vec<String>,
}

impl Owed {
    pub fn ask(&mut self, ids: impl Iterator<Item = String>) {
        self.asked.extend(ids);
    }

    /// The session has said what it had to say, or never will.
    pub fn answer(&mut self) {
        self.answered.append(&mut self.asked);
    }

    /// Nothing is on its way any more.
    pub fn left(&mut self) {
        self.answered.clear();
    }

    pub fn has(&self, id: &str) -> bool {
        self.asked.iter().chain(&self.answered).any(|owed| owed == id)
    }
}
