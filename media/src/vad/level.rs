//! Levels as power: no logarithm fifty times a second.

/// Mean power of samples; 1 is a full-scale square wave.
pub(super) fn power(pcm: &[i16]) -> f32 {
    let sum: u64 = pcm.iter().map(|&sample| u64::from(i32::from(sample).pow(2).unsigned_abs())).sum();
    sum as f32 / (pcm.len().max(1) as f32 * 32768.0 * 32768.0)
}

/// The power of a level in decibels below a full-scale square wave.
pub(super) fn from_dbfs(dbfs: f32) -> f32 {
    10_f32.powf(dbfs / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_wave_is_as_loud_as_it_is_high() {
        for (height, dbfs) in [(i16::MIN, 0.0), (-3277, -20.0), (104, -49.97)] {
            let ratio = power(&[height; 128]) / from_dbfs(dbfs);
            assert!((ratio - 1.0).abs() < 0.01, "{height}: {ratio}");
        }
        assert_eq!(power(&[]), 0.0);
    }
}
