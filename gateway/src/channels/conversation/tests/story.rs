//! What really happens to a conversation at its channel, beside what the core makes of the news of it.

use super::*;

/// Whose it is there, and its time, which moves with every change of it.
pub(super) struct Story {
    bot: bool,
    assigned: bool,
    at: u64,
    happened: u64,
    /// News that are under way, and those that have come; the number is their place in what happened.
    coming: Vec<(u64, Fact)>,
    come: Vec<(u64, Fact)>,
}

#[derive(Clone, Copy)]
enum Fact {
    Stands(Standing),
    /// A person writes; the news of it say how the conversation stands, too.
    Writes(Standing),
    HandedOver,
}

impl Story {
    pub(super) fn new() -> Self {
        Self { bot: true, assigned: false, at: 0, happened: 0, coming: Vec::new(), come: Vec::new() }
    }

    pub(super) fn status_changes(&mut self) {
        self.bot = !self.bot;
        self.changes(true);
    }

    pub(super) fn assignment_changes(&mut self) {
        self.assigned = !self.assigned;
        self.changes(false);
    }

    pub(super) fn something_changes(&mut self) {
        self.changes(false);
    }

    pub(super) fn person_writes(&mut self) {
        let standing = self.standing(false);
        self.tell(Fact::Writes(standing));
    }

    /// Where the bot's session has given it away: after all that has come.
    pub(super) fn handed_over(&mut self) {
        let last = self.come.iter().map(|(number, _)| *number).max().unwrap_or(0);
        self.come.push((last + 1, Fact::HandedOver));
    }

    pub(super) fn under_way(&self) -> usize {
        self.coming.len()
    }

    /// Some of the news that are under way come: what the core is told.
    pub(super) fn comes(&mut self, which: usize) -> Vec<Input> {
        let news = self.coming.remove(which);
        self.come.push(news);
        match news.1 {
            Fact::Stands(standing) => vec![Input::Standing { standing }],
            Fact::Writes(standing) => {
                let text = "I take over.".to_owned().into();
                vec![Input::Standing { standing }, Input::Written { text, at: standing.at }]
            }
            Fact::HandedOver => Vec::new(),
        }
    }

    /// Whether a person has it, by all that has come, read in the order in which it happened.
    pub(super) fn by_person(&self) -> bool {
        let mut come = self.come.clone();
        come.sort_by_key(|(number, _)| *number);
        let (mut bot, mut assigned, mut taken) = (true, false, false);
        for (_, fact) in come {
            if let Fact::Stands(standing) | Fact::Writes(standing) = fact {
                taken &= !(standing.bot && (standing.changed || !bot));
                (bot, assigned) = (standing.bot, standing.assigned);
            }
            taken |= matches!(fact, Fact::Writes(_) | Fact::HandedOver);
        }
        !bot || assigned || taken
    }

    fn changes(&mut self, status: bool) {
        self.at += 1;
        let standing = self.standing(status);
        self.tell(Fact::Stands(standing));
    }

    fn standing(&self, changed: bool) -> Standing {
        Standing { bot: self.bot, assigned: self.assigned, changed, at: Some(self.at) }
    }

    fn tell(&mut self, fact: Fact) {
        // Between two of them there is room for a hand-over.
        self.happened += 2;
        self.coming.push((self.happened, fact));
    }
}
