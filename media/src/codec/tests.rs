use super::*;

/// What sox 14.4.2 makes of all 256 codes in order: little-endian 16 bit samples.
const SOX_MU_LAW: &[u8] = include_bytes!("vectors/mu_law.s16le");
const SOX_A_LAW: &[u8] = include_bytes!("vectors/a_law.s16le");

/// And of every 64th sample from the lowest on. (Between them sox rounds where G.191 cuts, so a few codes are neighbours.)
const SOX_MU_LAW_CODES: &[u8] = include_bytes!("vectors/mu_law.codes");
const SOX_A_LAW_CODES: &[u8] = include_bytes!("vectors/a_law.codes");

fn decoded(codec: Codec) -> Vec<i16> {
    let mut out = Vec::new();
    decode(codec, &(0..=255).collect::<Vec<u8>>(), &mut out);
    out
}

fn encoded(codec: Codec, pcm: &[i16]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(codec, pcm, &mut out);
    out
}

fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[test]
fn every_code_decodes_as_sox_does() {
    assert_eq!(decoded(Codec::Pcmu), samples(SOX_MU_LAW));
    assert_eq!(decoded(Codec::Pcma), samples(SOX_A_LAW));
}

#[test]
fn samples_encode_as_sox_does() {
    let pcm: Vec<i16> = (i16::MIN..=i16::MAX).step_by(64).collect();
    assert_eq!(encoded(Codec::Pcmu, &pcm), SOX_MU_LAW_CODES);
    assert_eq!(encoded(Codec::Pcma, &pcm), SOX_A_LAW_CODES);
}

#[test]
fn decoding_then_encoding_gives_the_same_code() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        for (code, again) in encoded(codec, &decoded(codec)).into_iter().enumerate() {
            // mu-law has two zeros; the negative one comes back as the positive.
            let expected = if codec == Codec::Pcmu && code == 0x7F { 0xFF } else { code as u8 };
            assert_eq!(again, expected, "{codec:?}");
        }
    }
}

#[test]
fn every_sample_comes_back_within_a_quantizing_step_and_in_order() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let pcm: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let mut back = Vec::new();
        decode(codec, &encoded(codec, &pcm), &mut back);
        assert!(back.is_sorted(), "{codec:?}");
        for (&sent, &got) in pcm.iter().zip(&back) {
            let error = (i32::from(sent) - i32::from(got)).abs();
            // Half a step is a 32nd of the value, at least that of the first segment; the ends clip.
            let bound = (i32::from(sent).abs() / 30 + 10).max(if sent.unsigned_abs() > 32_000 { 645 } else { 0 });
            assert!(error <= bound, "{codec:?}: {sent} came back as {got}");
        }
    }
}

#[test]
fn silence_is_the_smallest_value() {
    assert_eq!(silence(Codec::Pcmu), encoded(Codec::Pcmu, &[0])[0]);
    assert_eq!(silence(Codec::Pcma), encoded(Codec::Pcma, &[0])[0]);
}
