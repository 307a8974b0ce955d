use super::*;

#[test]
fn silence_has_no_edges() {
    let mut detector = EarshotDetector::new(8000, VadSettings::default()).unwrap();
    for n in 0..100 {
        assert_eq!(detector.push(Time::from_millis(n * 20), &[0; 160]), None);
    }
}
