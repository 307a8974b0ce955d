//! Binary frames: caller audio in, agent audio out. Everything is little-endian PCM16, mono.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The only rate of this door, Hz: wide-band speech, what recognizers want, and easy to make in a browser.
pub const RATE: u32 = 16_000;

/// Bytes before the samples of an agent frame: utterance and offset, u32 each.
pub const HEADER: usize = 8;

/// Largest binary frame of a client: one second of audio. More in one piece is not live speech.
pub const CALLER_FRAME_MAX: usize = RATE as usize * 2;

/// 20 ms (or less, at the end) of an utterance on its way to the client's player.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAudio {
    /// 0: the caller's own audio, looped back.
    pub utterance: u32,
    /// Offset of the first sample within the utterance. Wraps after 74 hours of one utterance.
    pub offset: u32,
    pub samples: Arc<[i16]>,
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum AudioError {
    #[error("a binary frame of {bytes} bytes holds half a sample; PCM16 needs an even number of bytes")]
    HalfSample { bytes: usize },
    #[error(
        "a binary frame of {bytes} bytes is over the limit of {CALLER_FRAME_MAX} (one second); send 20 to 100 ms a frame"
    )]
    TooLong { bytes: usize },
    #[error("an agent frame of {bytes} bytes is shorter than its header of {HEADER}")]
    NoHeader { bytes: usize },
}

impl AgentAudio {
    /// The frame as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut wire = BytesMut::with_capacity(HEADER + self.samples.len() * 2);
        wire.put_u32_le(self.utterance);
        wire.put_u32_le(self.offset);
        for sample in self.samples.iter() {
            wire.put_i16_le(*sample);
        }
        wire.freeze()
    }

    /// Reads a frame: what a client of this door does.
    ///
    /// # Errors
    /// When the header is cut short or the audio holds half a sample.
    pub fn decode(wire: &[u8]) -> Result<Self, AudioError> {
        let short = AudioError::NoHeader { bytes: wire.len() };
        let (utterance, rest) = wire.split_first_chunk::<4>().ok_or(short)?;
        let (offset, audio) = rest.split_first_chunk::<4>().ok_or(short)?;
        Ok(Self {
            utterance: u32::from_le_bytes(*utterance),
            offset: u32::from_le_bytes(*offset),
            samples: samples(audio)?,
        })
    }
}

/// Reads a frame of caller audio. Empty frames are allowed and hold nothing.
///
/// # Errors
/// When it is longer than a second or holds half a sample.
pub fn decode_caller(wire: &[u8]) -> Result<Arc<[i16]>, AudioError> {
    if wire.len() > CALLER_FRAME_MAX {
        return Err(AudioError::TooLong { bytes: wire.len() });
    }
    samples(wire)
}

fn samples(wire: &[u8]) -> Result<Arc<[i16]>, AudioError> {
    let (pairs, rest) = wire.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect())
    } else {
        Err(AudioError::HalfSample { bytes: wire.len() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agent_frame_is_frozen() {
        let frame = AgentAudio { utterance: 3, offset: 0x0102_0304, samples: Arc::from([1i16, -2, 0x7fff]) };
        let wire = [3, 0, 0, 0, 4, 3, 2, 1, 1, 0, 0xfe, 0xff, 0xff, 0x7f];
        assert_eq!(frame.encode().as_ref(), wire);
        assert_eq!(AgentAudio::decode(&wire), Ok(frame));
    }

    #[test]
    fn caller_frames_have_limits() {
        assert_eq!(decode_caller(&[]).unwrap().len(), 0);
        assert_eq!(decode_caller(&[0, 1]).unwrap().as_ref(), [256]);
        assert_eq!(decode_caller(&[1, 2, 3]), Err(AudioError::HalfSample { bytes: 3 }));
        let long = CALLER_FRAME_MAX + 2;
        assert_eq!(decode_caller(&vec![0; long]), Err(AudioError::TooLong { bytes: long }));
    }

    proptest! {
        #[test]
        fn agent_frames_round_trip(utterance: u32, offset: u32, samples in prop::collection::vec(any::<i16>(), 0..400)) {
            let frame = AgentAudio { utterance, offset, samples: samples.into() };
            prop_assert_eq!(AgentAudio::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn any_bytes_are_read_or_refused(wire in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(decode_caller(&wire).is_ok(), wire.len() % 2 == 0);
            prop_assert_eq!(AgentAudio::decode(&wire).is_ok(), wire.len() >= HEADER && wire.len() % 2 == 0);
        }
    }
}
