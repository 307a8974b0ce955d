use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;
use crate::emulator::SplitMix;

const RATE: u32 = 8000;

fn tone(hz: f64, from: usize, len: usize) -> Vec<i16> {
    (from..from + len).map(|n| (10_000.0 * (TAU * hz * n as f64 / f64::from(RATE)).sin()) as i16).collect()
}

/// 100 ms of tone, `lost` frames of concealment, 40 ms of the same tone where it would be by then.
fn through_a_gap(hz: f64, lost: usize) -> Vec<i16> {
    let mut concealer = Concealer::new(RATE);
    let mut out = Vec::new();
    let mut at = 0;
    for n in 0..5 + lost + 2 {
        if (5..5 + lost).contains(&n) {
            concealer.lost(160, &mut out);
        } else {
            let mut frame = tone(hz, at, 160);
            concealer.good(&mut frame);
            out.extend(frame);
        }
        at += 160;
    }
    out
}

fn steepest(pcm: &[i16]) -> i32 {
    pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

#[test]
fn a_gap_in_a_tone_is_filled_without_a_click() {
    for hz in [80.0, 133.0, 200.0, 310.0, 440.0] {
        let whole = through_a_gap(hz, 1);
        let own = steepest(&whole[..800]);
        assert!(steepest(&whole[780..970]) <= own * 2, "{hz} Hz: {} against {own}", steepest(&whole[780..970]));
        let level = |pcm: &[i16]| pcm.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>();
        let filled = level(&whole[800..960]) / level(&whole[640..800]);
        assert!((0.4..1.1).contains(&filled), "{hz} Hz: {filled}");
    }
}

#[test]
fn a_long_loss_ends_in_silence_and_the_return_fades_in() {
    let pcm = through_a_gap(300.0, 8);
    assert!(pcm[800 + 480..800 + 8 * 160].iter().all(|&sample| sample == 0));
    let back = &pcm[800 + 8 * 160 - 1..];
    assert!(steepest(back) <= steepest(&pcm[..800]) * 2, "{}", steepest(back));
}

#[test]
fn before_anything_was_heard_there_is_silence() {
    let mut out = Vec::new();
    Concealer::new(RATE).lost(160, &mut out);
    assert_eq!(out, [0; 160]);
}

#[test]
fn merging_a_tone_leaves_no_click() {
    for hz in [90.0, 150.0, 233.0, 700.0] {
        let pair = tone(hz, 0, 320);
        let mut out = Vec::new();
        conceal::merge(&pair, 160, &mut out);
        assert_eq!(out.len(), 160);
        assert_eq!((out[0], out[159]), (pair[0], pair[319]));
        assert!(steepest(&out) <= steepest(&pair) * 3 / 2, "{hz} Hz: {} of {}", steepest(&out), steepest(&pair));
    }
}

proptest! {
    #[test]
    fn never_louder_than_what_was_heard(seed in any::<u64>(), peak in 1_u64..32_768, lost in 1_usize..20) {
        let mut random = SplitMix::new(seed);
        let mut concealer = Concealer::new(RATE);
        for _ in 0..3 {
            let mut frame: Vec<i16> = (0..160).map(|_| (random.below(2 * peak) as i64 - peak as i64) as i16).collect();
            concealer.good(&mut frame);
        }
        let mut out = Vec::new();
        concealer.lost(lost * 160, &mut out);
        // Where noise is bent together at the seam, the first 2 ms, it may be up to the full swing of the signal.
        prop_assert!(out.iter().skip(16).all(|sample| u64::from(sample.unsigned_abs()) <= peak));
        prop_assert!(out.iter().all(|sample| u64::from(sample.unsigned_abs()) <= 3 * peak));
        let mut back = vec![0; 160];
        concealer.good(&mut back);
        prop_assert!(back.iter().all(|sample| u64::from(sample.unsigned_abs()) <= peak));
    }

    #[test]
    fn a_merge_is_as_long_as_the_longer(first in 0_usize..400, second in 0_usize..400) {
        let mut out = Vec::new();
        conceal::merge(&vec![7; first + second], first, &mut out);
        prop_assert_eq!(out.len(), first.max(second));
    }
}
