//! G.711 (ITU-T G.711, 1988): 8 kHz speech, one byte a sample, by tables that the compiler builds.
//!
//! Encoding follows the bit-exact reference of ITU-T G.191 (`alaw_compress`, `ulaw_compress`), which takes 13 and 14 bit
//! magnitudes out of 16 bit samples.

mod tables;
#[cfg(test)]
mod tests;

use crate::leg::Codec;

/// Samples per second of both codecs (RFC 3551 section 4.5.14).
pub const RATE: u32 = 8000;

/// Appends one byte a sample to `out`.
pub fn encode(codec: Codec, pcm: &[i16], out: &mut Vec<u8>) {
    match codec {
        Codec::Pcmu => out.extend(pcm.iter().map(|&sample| tables::mu_law_of(sample))),
        Codec::Pcma => out.extend(pcm.iter().map(|&sample| tables::a_law_of(sample))),
    }
}

/// Appends one sample a byte to `out`. Every byte is a valid code.
pub fn decode(codec: Codec, payload: &[u8], out: &mut Vec<i16>) {
    let table = match codec {
        Codec::Pcmu => &tables::MU_LAW,
        Codec::Pcma => &tables::A_LAW,
    };
    out.extend(payload.iter().map(|&code| table[usize::from(code)]));
}

/// The code of silence: of the smallest positive value, since A-law has no zero.
pub const fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0xFF,
        Codec::Pcma => 0xD5,
    }
}

/// Mean magnitude of the payload's samples, 0 to 32,767; 0 of nothing.
pub fn loudness(codec: Codec, payload: &[u8]) -> u32 {
    let table = match codec {
        Codec::Pcmu => &tables::MU_LAW,
        Codec::Pcma => &tables::A_LAW,
    };
    let sum: u32 = payload.iter().map(|&code| u32::from(table[usize::from(code)].unsigned_abs())).sum();
    sum.checked_div(payload.len() as u32).unwrap_or(0)
}
