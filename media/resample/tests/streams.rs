use std::f64::consts::TAU;

use proptest::prelude::*;

use tandem_resample::*;

const PAIRS: [(u32, u32); 8] = [
    (8_000, 16_000),
    (16_000, 8_000),
    (8_000, 48_000),
    (48_000, 8_000),
    (48_000, 16_000),
    (24_000, 8_000),
    (22_050, 8_000),
    (44_100, 16_000),
];

fn tone(hz: f64, rate: u32, len: usize) -> Vec<i16> {
    (0..len).map(|n| (8000.0 * (TAU * hz * n as f64 / f64::from(rate)).sin()).round() as i16).collect()
}

/// Level of the tone in decibels against `tone`'s, and how far everything else is below it (the tone is fitted by
/// Goertzel's two sums over whole periods).
fn measure(hz: f64, rate: u32, pcm: &[i16]) -> (f64, f64) {
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (n, &sample) in pcm.iter().enumerate() {
        let phase = TAU * hz * n as f64 / f64::from(rate);
        sine += f64::from(sample) * phase.sin();
        cosine += f64::from(sample) * phase.cos();
        power += f64::from(sample).powi(2);
    }
    let tone = 2.0 * (sine.powi(2) + cosine.powi(2)) / pcm.len() as f64;
    let level = 10.0 * (tone / pcm.len() as f64 / 32e6).log10();
    (level, 10.0 * (tone / (power - tone).max(1.0)).log10())
}

#[test]
fn equal_rates_pass_through() {
    assert_eq!(resample(&[1, -2, 3], 8000, 8000).unwrap(), [1, -2, 3]);
}

#[test]
fn a_tone_stays_the_same_tone() {
    for (from, to) in PAIRS {
        for hz in [300.0, 1000.0, 3000.0, 3400.0] {
            let out = resample(&tone(hz, from, from as usize), from, to).unwrap();
            // A middle of half a second: whole periods of every tone.
            let (level, snr) = measure(hz, to, &out[to as usize / 4..to as usize * 3 / 4]);
            assert!(level.abs() < 0.5, "{hz} Hz, {from} to {to}: {level:.2} dB");
            assert!(snr > 40.0, "{hz} Hz, {from} to {to}: {snr:.1} dB");
        }
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_gone() {
    let out = resample(&tone(6000.0, 16_000, 16_000), 16_000, 8_000).unwrap();
    let loudest = out[800..7200].iter().map(|sample| sample.unsigned_abs()).max();
    assert!(loudest < Some(80), "40 dB below the tone: {loudest:?}");
}

#[test]
fn output_is_aligned_with_input() {
    let mut click = vec![0; 8000];
    click[4000] = 20_000;
    let out = resample(&click, 8_000, 16_000).unwrap();
    let peak = (0..out.len()).max_by_key(|&n| out[n].unsigned_abs());
    assert_eq!(peak, Some(8000));
}

#[test]
fn rates_that_share_no_block_are_refused() {
    for (from, to) in [(0, 8000), (8000, 0), (8001, 8000), (8000, 1_000_000)] {
        assert!(matches!(Resampler::new(from, to), Err(ResampleError::Unsupported { .. })), "{from} to {to}");
    }
}

#[test]
fn live_frames_come_out_within_the_delay() {
    let mut resampler = Resampler::new(8_000, 16_000).unwrap();
    let mut out = Vec::new();
    resampler.push(&[1000; 160], &mut out);
    assert_eq!(out.len(), 320 - resampler.delay_samples());
    assert_eq!(resampler.delay_samples(), 160, "10 ms");
}

#[test]
fn doubling_holds_each_sample() {
    let mut out = Vec::new();
    sample_hold_double(&[5, -7], &mut out);
    assert_eq!(out, [5, 5, -7, -7]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_give_what_the_whole_gives(
        pair in 0..PAIRS.len(),
        samples in prop::collection::vec(any::<i16>(), 0..3000),
        piece in 1_usize..700,
    ) {
        let (from, to) = PAIRS[pair];
        let whole = resample(&samples, from, to).unwrap();
        prop_assert_eq!(whole.len(), (samples.len() * to as usize).div_ceil(from as usize));
        let mut resampler = Resampler::new(from, to).unwrap();
        // A resampler that has finished is as good as new.
        for _ in 0..2 {
            let mut out = Vec::new();
            samples.chunks(piece).for_each(|piece| resampler.push(piece, &mut out));
            resampler.finish(&mut out);
            prop_assert_eq!(&out, &whole);
        }
    }
}
