use super::*;
use crate::Time;
use crate::leg::Codec;

#[test]
fn steady_stream_is_played_in_order() {
    let mut buffer = JitterBuffer::new(JitterSettings::g711(Codec::Pcmu));
    let mut played = Vec::new();
    for n in 0..50_u16 {
        let at = Time::from_millis(u64::from(n) * 20);
        assert_eq!(buffer.insert(at, n, u32::from(n) * 160, &[n as u8; 160]), Inserted::Queued);
        if let Pulled::Frame(payload) = buffer.pull(Time::from_millis(u64::from(n) * 20 + 12)) {
            played.push(payload[0]);
        }
    }
    assert_eq!(played, (0..50).collect::<Vec<u8>>());
}
