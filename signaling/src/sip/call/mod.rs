//! An answered call: the machine that decides (`machine`) and the task that carries its decisions out (`task`).

pub mod machine;
pub(crate) mod task;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tandem_media::leg::RtpRemote;

use crate::sdp::Direction;

/// Where audio goes and who may send: changes with hold, with a re-INVITE, and with a delayed offer's ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegMedia {
    /// None until the far end has said where (an INVITE without an offer: known with its ACK).
    pub remote: Option<RtpRemote>,
    /// From our side: on hold we may not send.
    pub direction: Direction,
}
