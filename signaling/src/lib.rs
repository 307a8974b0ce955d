//! The wires: SIP, SDP, and WebSocket media. Each is a protocol core and a thin I/O shell.

pub mod sdp;
pub mod sip;
pub mod stream;
