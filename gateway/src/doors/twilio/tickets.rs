//! One-use tokens: the TwiML of a call carries one, and the media stream of that call brings it back.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tandem_contract::{BotName, Private};
use tandem_media::Time;
use tokio_util::task::TaskTracker;

use crate::answer::Dialled;

/// Twilio connects its stream as soon as it has read the TwiML.
const LIFE: Duration = Duration::from_secs(60);
/// What was dialled for a stream waits so long for it: many times of what Twilio takes. After it the stream dials anew.
const DIALLED_LIFE: Duration = Duration::from_secs(10);
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
#[derive(Default)]
pub struct Tickets {
    waiting: DashMap<String, (Ticket, Time)>,
    dialled: Arc<DashMap<String, Dialled>>,
    /// They hang up what nobody came for.
    tasks: TaskTracker,
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

    /// What was dialled for the stream that will bring this token. Inside a runtime.
    pub fn keep_dialled(&self, token: String, dialled: Dialled) {
        self.keep_until(token, dialled, tokio::time::sleep(DIALLED_LIFE));
    }

    fn keep_until(&self, token: String, dialled: Dialled, over: impl Future<Output = ()> + Send + 'static) {
        self.dialled.insert(token.clone(), dialled);
        let kept = Arc::downgrade(&self.dialled);
        self.tasks.spawn(async move {
            over.await;
            kept.upgrade().and_then(|kept| kept.remove(&token));
        });
    }

    /// None: it took too long, or nothing was.
    pub fn take_dialled(&self, token: &str) -> Option<Dialled> {
        self.dialled.remove(token).map(|(_, dialled)| dialled)
    }

    /// Each token opens once.
    pub fn take(&self, now: Time, token: &str) -> Option<Ticket> {
        let (_, (ticket, until)) = self.waiting.remove(token)?;
        (until > now).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use tandem_agents::session::SpeechSet;
    use tandem_speech::test_voice::TestVoice;

    use super::*;

    /// As by a caller who hung up before Twilio had read the answer.
    #[tokio::test]
    async fn what_was_dialled_for_a_call_that_never_came_is_hung_up() {
        let (tickets, voice) = (Tickets::default(), Arc::new(TestVoice::new()));
        let dialled = || {
            let speech = SpeechSet { recognizer: None, voice: voice.clone(), language: String::new() };
            Dialled { rate: None, speech }
        };
        let (over, waits) = tokio::sync::oneshot::channel::<()>();
        tickets.keep_dialled("came".to_owned(), dialled());
        let until = async move { drop(waits.await) };
        tickets.keep_until("never came".to_owned(), dialled(), until);
        assert!(tickets.take_dialled("came").is_some() && tickets.take_dialled("came").is_none());
        assert_eq!(Arc::strong_count(&voice), 2, "ours, and one that is kept");
        over.send(()).unwrap();
        let gone = async {
            while Arc::strong_count(&voice) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIFE, gone).await.expect("it is dropped");
        assert!(tickets.take_dialled("never came").is_none());
    }

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
