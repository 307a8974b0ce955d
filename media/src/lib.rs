//! Audio, without I/O: frames, codecs, RTP, jitter buffer, concealment, resampling, VAD, DTMF, playout queue, the audio
//! half of a leg; and the worker that drives them. Knows nothing of bots, sessions or signaling.

pub mod codec;
pub mod dtmf;
pub mod emulator;
pub mod jitter;
pub mod leg;
pub mod playout;
pub mod rtp;
pub mod time;
pub mod vad;
pub mod worker;

pub use tandem_resample as resample;
pub use time::Time;
