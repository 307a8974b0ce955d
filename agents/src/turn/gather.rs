//! Messages that come in quick succession are one turn: people write in pieces. Of a chat, and of the message channels.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

/// Longest wait for the end of somebody's pieces. Who writes on and on gets an answer meanwhile.
pub const GATHER_MAX: Duration = Duration::from_secs(6);

/// When the pieces came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    /// The first and the last.
    span: Option<(Time, Time)>,
}

impl Gather {
    pub fn came(&mut self, now: Time) {
        self.span = Some((self.span.map_or(now, |(first, _)| first), now));
    }

    /// When the writer is taken to have finished: nothing came for `quiet`. None: nothing came.
    pub fn due(&self, quiet: Duration) -> Option<Time> {
        self.span.map(|(first, last)| (last + quiet).min(first + GATHER_MAX))
    }

    pub fn clear(&mut self) {
        self.span = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_waits_for_the_next_and_none_for_ever() {
        let quiet = Duration::from_secs(1);
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let mut gather = Gather::default();
        assert_eq!(gather.due(quiet), None);
        gather.came(at(0));
        gather.came(at(900));
        assert_eq!(gather.due(quiet), Some(at(1_900)));
        gather.came(at(5_500));
        assert_eq!(gather.due(quiet), Some(at(6_000)));
        gather.clear();
        assert_eq!(gather.due(quiet), None);
    }
}
