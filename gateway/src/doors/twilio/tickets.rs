//! One-use tokens: the TwiML of a call carries one, and the media stream of that call brings it back.

use std::fmt::Write as _;
use std::time::Duration;

use dashmap::DashMap;
use tandem_contract::{BotName, Private};
use tandem_media::Time;

/// Twilio connects its stream as soon as it has read the TwiML.
const LIFE: Duration = Duration::from_secs(60);
/// Tokens that wait at once; bounds what a storm of calls can make us keep. A full node answers no more than this in a minute.
const WAITING_MAX: usize = 20_000;
/// 128 bits, for a minute.
const BYTES: usize = 16;

/// What a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub bot: BotName,
    pub caller: Private<String>,
}

/// The tokens that were given out and not yet used.
#[derive(Debug, Default)]
pub struct Tickets {
    waiting: DashMap<String, (Ticket, Time)>,
}

impl Tickets {
    /// None: too many wait.
    pub fn issue(&self, now: Time, ticket: Ticket) -> Option<String> {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.retain(|_, (_, until)| *until > now);
        }
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        let bytes: [u8; BYTES] = rand::random();
        let token = bytes.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
            // A String takes everything.
            let _ = write!(text, "{byte:02x}");
            text
        });
        self.waiting.insert(token.clone(), (ticket, now + LIFE));
        Some(token)
    }

    /// Each token opens once.
    pub fn take(&self, now: Time, token: &str) -> Option<Ticket> {
        let (_, (ticket, until)) = self.waiting.remove(token)?;
        (until > now).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_once_and_for_a_minute() {
        let tickets = Tickets::default();
        let ticket = || Ticket { bot: BotName::new("demo").unwrap(), caller: "+1".to_owned().into() };
        let issue = || tickets.issue(Time::ZERO, ticket()).unwrap();
        let token = issue();
        assert_eq!(token.len(), 32);
        assert_eq!(tickets.take(Time::from_millis(59_999), &token), Some(ticket()));
        assert_eq!(tickets.take(Time::ZERO, &token), None, "once");
        assert_eq!(tickets.take(Time::from_millis(60_000), &issue()), None, "too late");
        assert_eq!(tickets.take(Time::ZERO, ""), None);
        for _ in 0..WAITING_MAX {
            issue();
        }
        assert_eq!(tickets.issue(Time::ZERO, ticket()), None, "full");
        assert!(tickets.issue(Time::from_millis(60_000), ticket()).is_some(), "what is stale goes");
    }
}
