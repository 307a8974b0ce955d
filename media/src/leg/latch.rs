//! Symmetric RTP (RFC 4961): packets go to where the caller's packets come from.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Time;

/// How long the first packet may take and still replace the address of the SDP. Long enough for a caller that is muted while
/// it listens to the greeting; after that a stranger who finds the port cannot take the call over.
const WINDOW: Duration = Duration::from_secs(30);

/// Where a leg's packets come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latch {
    /// No valid packet came yet. Until `until` one from anywhere but `left` counts, then only one from the SDP's address.
    Open {
        signalled: SocketAddr,
        until: Time,
        /// Where the audio was before it moved here: packets from there are late ones, or of somebody who has left.
        left: Option<SocketAddr>,
    },
    /// The source of the first valid packet. Packets from elsewhere are not the caller's.
    Locked(SocketAddr),
}

impl Latch {
    pub(super) fn new(now: Time, signalled: SocketAddr) -> Self {
        Self::Open { signalled, until: now + WINDOW, left: None }
    }

    /// The same for a caller that moves to another address.
    pub(super) fn moved(&self, now: Time, signalled: SocketAddr) -> Self {
        let left = Some(self.target()).filter(|left| *left != signalled);
        Self::Open { signalled, until: now + WINDOW, left }
    }

    /// Where to send to.
    pub(super) fn target(&self) -> SocketAddr {
        match *self {
            Self::Open { signalled, .. } => signalled,
            Self::Locked(source) => source,
        }
    }

    /// Whether a packet from there may be the caller's.
    pub(super) fn allows(&self, now: Time, from: SocketAddr) -> bool {
        match *self {
            Self::Open { signalled, until, left } => from == signalled || now <= until && Some(from) != left,
            Self::Locked(source) => from == source,
        }
    }

    /// A valid packet came from there.
    pub(super) fn lock(&mut self, from: SocketAddr) {
        *self = Self::Locked(from);
    }
}
