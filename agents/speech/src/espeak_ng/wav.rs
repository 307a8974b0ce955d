//! The head of the WAV file that espeak-ng writes, without knowing how long it will be.

use crate::line::pcm::Encoding;
use crate::line::speaking::Source;
use crate::line::words::Base;

/// Bytes before the samples: a RIFF head, the format and the head of the data, and no other chunk.
pub(super) const HEAD: usize = 44;

/// What the samples are; none when it is no 16 bit mono.
pub(super) fn source(head: &[u8; HEAD]) -> Option<Source> {
    let word = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let rate = u32::from_le_bytes([head[24], head[25], head[26], head[27]]);
    let (format, channels, bits) = (word(20), word(22), word(34));
    let marks = head.starts_with(b"RIFF") && &head[8..16] == b"WAVEfmt " && &head[36..40] == b"data";
    (marks && (format, channels, bits) == (1, 1, 16)).then_some(Source {
        encoding: Encoding::Linear,
        rate,
        base: Base::Utterance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As espeak-ng 1.51 writes it.
    const WRITTEN: [u8; HEAD] = *b"RIFF\x24\xf0\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0\x44\xac\0\0\
        \x02\0\x10\0data\0\xf0\xff\x7f";

    #[test]
    fn the_head_tells_the_rate() {
        assert_eq!(source(&WRITTEN).map(|source| source.rate), Some(22_050));
        let mut stereo = WRITTEN;
        stereo[22] = 2;
        assert_eq!(source(&stereo), None);
        assert_eq!(source(&[0; HEAD]), None);
    }
}
