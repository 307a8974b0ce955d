use super::*;

const TEXT: &str =
    "Welcome to the clinic. You can say opening hours, book an appointment, or: a person! No, no - never.";

fn symbols(text: &str) -> Vec<u8> {
    text.split_whitespace().filter_map(symbol).collect()
}

fn heard(samples: &[i16], rate: u32) -> Vec<u8> {
    decode(samples, rate).iter().map(|tone| tone.symbol).collect()
}

/// G.711 mu-law and back, by the formula (ITU-T G.711): 255-law with 8 segments.
fn through_mu_law(sample: i16) -> i16 {
    let magnitude = i32::from(sample).abs().min(32635) + 132;
    let exponent = 31 - magnitude.leading_zeros() as i32 - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    let decoded = (((mantissa << 3) + 132) << exponent) - 132;
    (if sample < 0 { -decoded } else { decoded }) as i16
}

#[test]
fn frozen_symbols() {
    // Also in docs/test-voice.md: an independent decoder is checked against these.
    assert_eq!(symbol("hello"), symbol("\"Hello!\""));
    assert_eq!(symbol("-"), None);
    let frozen: Vec<Option<u8>> = ["hello", "a", "caf\u{e9}", "10:30"].into_iter().map(symbol).collect();
    assert_eq!(frozen, [Some(0x34), Some(0x20), Some(0x62), Some(0x60)]);
    assert_eq!(tones(0x00), (400, 1500));
    assert_eq!(tones(0xff), (1300, 2850));
}

#[test]
fn decodes_what_was_said_at_every_rate() {
    for rate in [8000, 16000, 24000, 48000] {
        let (samples, words) = synthesize(TEXT, rate);
        assert_eq!(heard(&samples, rate), symbols(TEXT));
        for (tone, word) in decode(&samples, rate).iter().zip(&words) {
            let slack = u64::from(rate) / 100;
            assert!(
                tone.start.abs_diff(word.start) <= slack && tone.end.abs_diff(word.end) <= slack,
                "{tone:?} {word:?}"
            );
        }
    }
}

#[test]
fn every_symbol_survives_mu_law_and_any_one_lost_packet() {
    for symbol in 0..=u8::MAX {
        let mut samples = vec![0; 480];
        push_tones(symbol, 8000, 1440, &mut samples);
        samples.resize(samples.len() + 480, 0);
        let line: Vec<i16> = samples.iter().map(|&sample| through_mu_law(sample)).collect();
        assert_eq!(heard(&line, 8000), [symbol]);
        for lost in (0..line.len()).step_by(160) {
            let mut silence = line.clone();
            silence[lost..lost + 160].fill(0);
            assert_eq!(heard(&silence, 8000), [symbol], "packet at {lost} silent");
            let mut repeated = line.clone();
            if lost >= 160 {
                repeated.copy_within(lost - 160..lost, lost);
            }
            assert_eq!(heard(&repeated, 8000), [symbol], "packet at {lost} repeated");
        }
    }
}

#[test]
fn a_cut_word_is_heard_when_a_good_part_of_it_was_played() {
    let (samples, _) = synthesize("one two", 8000);
    let two = symbol("two").unwrap();
    assert_eq!(heard(&samples[..1920 + 100], 8000).len(), 1);
    assert_eq!(heard(&samples[..1920 + 800], 8000).last(), Some(&two));
}

#[test]
fn noise_and_single_tones_are_no_words() {
    let mut state = 1u32;
    let noise: Vec<i16> = (0..16000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as i16) / 4
        })
        .collect();
    assert!(decode(&noise, 8000).is_empty());
    let tone: Vec<i16> = (0..4000).map(|at| ((f64::from(at) * 0.7).sin() * 8000.0) as i16).collect();
    assert!(decode(&tone, 8000).is_empty());
    assert!(decode(&[], 8000).is_empty());
}

#[test]
fn words_without_a_symbol_cling() {
    let (samples, words) = synthesize("- yes - no", 8000);
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["yes -", "no"]);
    assert_eq!(samples.len(), 2 * 1920);
    assert!(synthesize("", 8000).0.is_empty());
}

#[tokio::test]
async fn conforms() {
    crate::voice_conformance::run(std::sync::Arc::new(TestVoice::new())).await;
}

/// The decoder of the end-to-end proof was written from the document; here both must hear the same.
#[test]
fn the_independent_decoder_agrees() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/tone_decode.py");
    let run = |argument: &[&std::ffi::OsStr]| {
        let output = std::process::Command::new("python3").arg(script).args(argument).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<String>())
    };
    let Some(words) = run(&["--words".as_ref(), TEXT.as_ref()]) else {
        println!("SKIPPED-PEER python3");
        return;
    };
    assert_eq!(words, format!("{:?}", symbols(TEXT)).replace(' ', ""));
    let (samples, _) = synthesize(TEXT, 8000);
    let mut line: Vec<i16> = samples.iter().map(|&sample| through_mu_law(sample)).collect();
    for lost in [5 * 160, 44 * 160, 100 * 160] {
        line[lost..lost + 160].fill(0);
    }
    let cut = 1920 * 15 + 900;
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = line[..cut].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(file.path(), bytes).unwrap();
    let heard = decode(&line[..cut], 8000);
    assert_eq!(heard.len(), 16);
    let expected: Vec<String> = heard.iter().map(|tone| tone.symbol.to_string()).collect();
    let theirs = run(&[file.path().as_os_str()]).unwrap();
    let theirs: Vec<&str> =
        theirs.split("],[").filter_map(|pair| pair.trim_matches(['[', ']']).split(',').nth(1)).collect();
    assert_eq!(theirs, expected);
}
