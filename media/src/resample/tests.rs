use super::*;

#[test]
fn equal_rates_pass_through() {
    assert_eq!(resample(&[1, -2, 3], 8000, 8000).unwrap(), [1, -2, 3]);
}

#[test]
fn doubling_holds_each_sample() {
    let mut out = Vec::new();
    sample_hold_double(&[5, -7], &mut out);
    assert_eq!(out, [5, 5, -7, -7]);
}
