//! Flux over `/v2/listen`: it judges the end of a turn itself.
//!
//! Flux expects the whole line's audio; we send it what the voice detector lets through. That is enough: its clock is the
//! audio, so between utterances nothing happens at its end, and our own end of the turn is told by `ForceEndTurn`, which ends
//! the turn on what was transcribed so far. Sent before Flux has begun the turn it is ignored, so it is sent again when the
//! turn shows up late. What Flux ends by itself is told as `EndOfTurn`.
//!
//! `KeepAlive` belongs to Nova. Deepgram's advice for Flux is a WebSocket's ping; should the socket be closed in silence
//! nevertheless, the line dials again.
//!
//! <https://developers.deepgram.com/docs/flux/state>, <https://developers.deepgram.com/docs/flux/force-end-turn>

pub(super) mod map;
#[cfg(test)]
mod tests;
pub(super) mod wire;
