//! The one list of public error codes, and what each door answers for it. Codes are stable: clients may match on them.

use tandem_contract::call::Refusal;
use tandem_signaling::stream::StreamError;

/// What goes wrong in public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicError {
    BadRequest,
    Unauthorized,
    Forbidden,
    UnknownBot,
    NotFound,
    MethodNotAllowed,
    TimedOut,
    TooSlow,
    TooFast,
    TakenOver,
    NoCommonCodec,
    BotBusy,
    NodeFull,
    Draining,
    NotSetUp,
    Internal,
}

/// One line of the table: how every door says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Stable, snake case: `code` of a problem document and of the WebSocket's `error` message.
    pub code: &'static str,
    /// RFC 9110 section 15.
    pub http: u16,
    /// RFC 3261 section 21.
    pub sip: u16,
    /// RFC 6455 section 7.4.2: 4000 to 4999 are the application's; 1011 is the protocol's own.
    pub close: u16,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<u32>,
}

/// A full node frees its first place when any call ends: minutes are the scale of calls, seconds that of retries.
const FULL_RETRY_S: u32 = 10;
/// A node that drains is gone within the drain limit (30 s by default); its peers are the better choice.
const DRAIN_RETRY_S: u32 = 30;

impl PublicError {
    /// Every code.
    #[cfg(test)]
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UnknownBot,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TimedOut,
        Self::TooSlow,
        Self::TooFast,
        Self::TakenOver,
        Self::NoCommonCodec,
        Self::BotBusy,
        Self::NodeFull,
        Self::Draining,
        Self::NotSetUp,
        Self::Internal,
    ];

    pub fn answer(self) -> Answer {
        let row = |code, http, sip, close| Answer { code, http, sip, close, retry_after: None };
        match self {
            Self::BadRequest => row("bad_request", 400, 400, 4400),
            Self::Unauthorized => row("unauthorized", 401, 403, 4401),
            Self::Forbidden => row("forbidden", 403, 403, 4403),
            Self::UnknownBot => row("unknown_bot", 404, 404, 4404),
            Self::NotFound => row("not_found", 404, 404, 4404),
            Self::MethodNotAllowed => row("method_not_allowed", 405, 405, 4405),
            Self::TimedOut => row("timed_out", 408, 408, 4408),
            Self::TooSlow => row("too_slow", 408, 480, 4429),
            Self::TooFast => row("too_fast", 429, 480, 4429),
            Self::TakenOver => row("taken_over", 409, 480, 4409),
            Self::NoCommonCodec => row("no_common_codec", 422, 488, 4488),
            Self::BotBusy => row("bot_busy", 429, 486, 4486),
            Self::NodeFull => Answer { retry_after: Some(FULL_RETRY_S), ..row("node_full", 503, 503, 4503) },
            Self::Draining => Answer { retry_after: Some(DRAIN_RETRY_S), ..row("draining", 503, 503, 4503) },
            Self::NotSetUp => row("not_set_up", 501, 501, 4501),
            Self::Internal => row("internal", 500, 500, 1011),
        }
    }
}

impl From<&Refusal> for PublicError {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::UnknownBot(_) => Self::UnknownBot,
            Refusal::NoCommonCodec { .. } => Self::NoCommonCodec,
            Refusal::BotBusy { .. } => Self::BotBusy,
            Refusal::NodeFull { .. } | Refusal::NoAudioPort => Self::NodeFull,
            Refusal::Draining => Self::Draining,
            Refusal::Forbidden(_) => Self::Forbidden,
        }
    }
}

impl From<&StreamError> for PublicError {
    fn from(error: &StreamError) -> Self {
        match error {
            StreamError::StartTimeout { .. } | StreamError::Idle { .. } => Self::TimedOut,
            StreamError::TooSlow { .. } | StreamError::Missed { .. } => Self::TooSlow,
            StreamError::TakenOver => Self::TakenOver,
            StreamError::TooFast { .. } | StreamError::MessagesTooFast { .. } => Self::TooFast,
            StreamError::FrameLength { .. } | StreamError::NotJson { .. } => Self::BadRequest,
            StreamError::NoType | StreamError::UnknownType { .. } | StreamError::BadField { .. } => Self::BadRequest,
            StreamError::StartFirst { .. } | StreamError::StartMissing | StreamError::StartTwice => Self::BadRequest,
            StreamError::ResumedVoice => Self::BadRequest,
            StreamError::Rate { .. } | StreamError::Audio(_) | StreamError::AudioInChat { .. } => Self::BadRequest,
            StreamError::Attachment { .. } | StreamError::Attachments { .. } => Self::BadRequest,
            StreamError::AttachedElsewhere => Self::BadRequest,
            StreamError::TextLength | StreamError::Digit { .. } => Self::BadRequest,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tandem_contract::BotName;

    use super::*;

    #[test]
    fn every_code_is_there_once_and_in_range() {
        let codes: HashSet<_> = PublicError::ALL.iter().map(|error| error.answer().code).collect();
        assert_eq!(codes.len(), PublicError::ALL.len());
        for answer in PublicError::ALL.map(PublicError::answer) {
            assert!((400..600).contains(&answer.http), "{answer:?}");
            assert!((400..700).contains(&answer.sip), "{answer:?}");
            assert!((4000..5000).contains(&answer.close) || answer.close == 1011, "{answer:?}");
        }
    }

    #[test]
    fn refusals_get_the_status_a_telephony_engineer_expects() {
        let busy = Refusal::BotBusy { bot: BotName::new("demo").unwrap(), limit: 1 };
        let table = [
            (Refusal::UnknownBot("x".into()), 404, None),
            (Refusal::NoCommonCodec { offered: "opus".into() }, 488, None),
            (busy, 486, None),
            (Refusal::NodeFull { limit: 1 }, 503, Some(FULL_RETRY_S)),
            (Refusal::NoAudioPort, 503, Some(FULL_RETRY_S)),
            (Refusal::Draining, 503, Some(DRAIN_RETRY_S)),
            (Refusal::Forbidden("no".into()), 403, None),
        ];
        for (refusal, status, retry_after) in table {
            let answer = PublicError::from(&refusal).answer();
            assert_eq!((answer.sip, answer.retry_after), (status, retry_after), "{refusal}");
        }
    }
}
