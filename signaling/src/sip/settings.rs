//! Settings of the SIP door.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SipError;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SipSettings {
    /// UDP address to listen on. Port 0 takes a free one.
    pub addr: SocketAddr,
    /// User-Agent of what we send.
    pub user_agent: String,
    /// Whether requests from public addresses are taken. Off, only loopback, private and link-local sources are heard.
    pub allow_public: bool,
    /// INVITEs that may wait for an answer or an ACK at the same time; more are refused with 503.
    pub half_open_max: usize,
    /// Transactions that the stack may remember at the same time (each up to 64*T1); more are refused or dropped.
    pub transactions_max: usize,
    /// Datagrams a second taken from one loopback or private address; bursts of twice as many pass.
    pub private_rate: u32,
    /// Datagrams a second taken from one public address; bursts of twice as many pass.
    pub public_rate: u32,
    /// T1 of RFC 3261 section 17, milliseconds: the round trip that retransmissions start from. 64*T1 ends a transaction.
    pub t1_ms: u64,
}

impl Default for SipSettings {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5060)),
            user_agent: concat!("Tandem/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_public: false,
            half_open_max: 1000,
            transactions_max: 100_000,
            private_rate: 10_000,
            public_rate: 200,
            t1_ms: 500,
        }
    }
}

/// RFC 3261 has 500 ms; below 10 ms a busy machine would repeat everything, above 5 s a dead peer is held for minutes.
const T1_MS: std::ops::RangeInclusive<u64> = 10..=5000;

impl SipSettings {
    /// # Errors
    /// [`SipError::Settings`] with the key, the value and the reason.
    pub fn validate(&self) -> Result<(), SipError> {
        let fail = |key, value: String, reason| Err(SipError::Settings { key, value, reason });
        if self.user_agent.is_empty() || self.user_agent.chars().any(char::is_control) {
            return fail("user_agent", self.user_agent.escape_debug().to_string(), "must be printable and not empty");
        }
        if self.half_open_max == 0 || self.transactions_max < self.half_open_max {
            return fail("half_open_max", self.half_open_max.to_string(), "must be 1 to transactions_max");
        }
        if self.private_rate == 0 || self.public_rate == 0 {
            return fail("public_rate", self.public_rate.to_string(), "a rate of 0 lets nobody in");
        }
        if !T1_MS.contains(&self.t1_ms) {
            return fail("t1_ms", self.t1_ms.to_string(), "must be 10 to 5000");
        }
        Ok(())
    }

    pub(crate) fn t1(&self) -> Duration {
        Duration::from_millis(self.t1_ms)
    }
}
