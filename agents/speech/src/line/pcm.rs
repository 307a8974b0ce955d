//! Samples out of what vendors send: base64 or bytes, mu-law or 16 bit little endian.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tandem_media::codec;
use tandem_media::leg::Codec;

/// RFC 4648 section 4; the padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// G.711, 8 kHz.
    MuLaw,
    /// 16 bit, little endian.
    Linear,
}

/// Decodes one utterance; its buffers are used again for each chunk.
#[derive(Debug)]
pub(crate) struct Pcm {
    encoding: Encoding,
    bytes: Vec<u8>,
    samples: Vec<i16>,
    /// The first half of a sample that was cut in two.
    half: Option<u8>,
}

impl Pcm {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), samples: Vec::new(), half: None }
    }

    /// # Errors
    /// When it is no base64.
    pub(crate) fn base64(&mut self, text: &str) -> Result<&[i16], base64::DecodeError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let decoded = BASE64.decode_vec(text, &mut bytes);
        self.bytes = bytes;
        decoded?;
        self.convert();
        Ok(&self.samples)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &[i16] {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.convert();
        &self.samples
    }

    fn convert(&mut self) {
        self.samples.clear();
        match self.encoding {
            Encoding::MuLaw => codec::decode(Codec::Pcmu, &self.bytes, &mut self.samples),
            Encoding::Linear => {
                let mut bytes = self.bytes.as_slice();
                if let (Some(low), Some((&high, rest))) = (self.half, bytes.split_first()) {
                    self.samples.push(i16::from_le_bytes([low, high]));
                    (self.half, bytes) = (None, rest);
                }
                let (pairs, odd) = bytes.as_chunks::<2>();
                self.samples.extend(pairs.iter().map(|&pair| i16::from_le_bytes(pair)));
                self.half = odd.first().copied().or(self.half);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_decoded() {
        let mut linear = Pcm::new(Encoding::Linear);
        assert_eq!(linear.base64("AQACAP//"), Ok(&[1, 2, -1][..]));
        assert_eq!(linear.base64("AQA"), Ok(&[1][..]), "without padding");
        assert!(linear.base64("?").is_err());
        assert_eq!(Pcm::new(Encoding::MuLaw).base64("/4A="), Ok(&[0, 32124][..]));
    }

    #[test]
    fn a_sample_may_be_cut_in_two() {
        let mut whole: Vec<i16> = Vec::new();
        let mut linear = Pcm::new(Encoding::Linear);
        for part in [&[1][..], &[], &[0, 2], &[0, 3, 0]] {
            whole.extend(linear.bytes(part));
        }
        assert_eq!(whole, [1, 2, 3]);
    }
}
