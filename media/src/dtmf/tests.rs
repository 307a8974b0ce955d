use proptest::prelude::*;

use super::*;

fn event(code: u8, end: bool, duration: u16) -> Event {
    Event { code, end, volume: 10, duration }
}

/// Sends `digits` and returns what is on the wire, slot by slot.
fn sent(digits: &str, start: u32) -> Vec<Option<EventPacket>> {
    let mut sender = DtmfSender::default();
    for digit in digits.chars() {
        sender.press(digit).unwrap();
    }
    let slots = u32::try_from(digits.len()).unwrap() * 9 + 3;
    (0..slots).map(|slot| sender.next_packet(start.wrapping_add(slot * 160), 160)).collect()
}

#[test]
fn frozen_bytes() {
    let bytes = [11, 0x8a, 0x03, 0x20];
    assert_eq!(Event::parse(&bytes), Some(event(11, true, 800)));
    assert_eq!(event(11, true, 800).to_bytes(), bytes);
    assert_eq!(event(11, true, 800).digit(), Some('#'));
    assert_eq!(event(16, true, 800).digit(), None);
    assert_eq!(Event::parse(&bytes[..3]), None);
}

#[test]
fn a_press_on_the_wire() {
    let wire: Vec<_> = sent("5", 1_000).into_iter().flatten().collect();
    let fields: Vec<_> = wire
        .iter()
        .map(|p| (p.marker, p.timestamp, Event::parse(&p.payload).map(|e| (e.code, e.end, e.duration))))
        .collect();
    assert_eq!(
        fields,
        [
            (true, 1_000, Some((5, false, 160))),
            (false, 1_000, Some((5, false, 320))),
            (false, 1_000, Some((5, false, 480))),
            (false, 1_000, Some((5, false, 640))),
            (false, 1_000, Some((5, true, 800))),
            (false, 1_000, Some((5, true, 800))),
            (false, 1_000, Some((5, true, 800))),
        ]
    );
}

#[test]
fn presses_are_apart() {
    let wire = sent("12", 0);
    assert_eq!(wire.iter().take_while(|p| p.is_some()).count(), 7);
    assert_eq!(wire.iter().skip(7).take_while(|p| p.is_none()).count(), 2);
    assert_eq!(wire[9].map(|p| (p.marker, p.timestamp)), Some((true, 9 * 160)));
}

#[test]
fn a_flood_of_digits_is_refused() {
    let mut sender = DtmfSender::default();
    for _ in 0..64 {
        sender.press('1').unwrap();
    }
    assert_eq!(sender.press('1'), Err(QueueFull));
    assert_eq!(DtmfSender::default().press('x'), Ok(()));
}

#[test]
fn the_same_digit_twice_is_two_presses_even_when_all_ends_are_lost() {
    let mut receiver = DtmfReceiver::default();
    assert_eq!(receiver.handle(true, 1_000, event(7, false, 160)), Some('7'));
    assert_eq!(receiver.handle(false, 1_000, event(7, false, 320)), None);
    assert_eq!(receiver.handle(true, 5_000, event(7, false, 160)), Some('7'));
}

#[test]
fn only_the_end_packets_arrive() {
    let mut receiver = DtmfReceiver::default();
    assert_eq!(receiver.handle(false, 1_000, event(3, true, 800)), Some('3'));
    assert_eq!(receiver.handle(false, 1_000, event(3, true, 800)), None);
}

#[test]
fn a_straggler_of_the_press_before_is_no_press() {
    let mut receiver = DtmfReceiver::default();
    assert_eq!(receiver.handle(true, u32::MAX - 100, event(1, false, 160)), Some('1'));
    assert_eq!(receiver.handle(true, 2_000, event(2, false, 160)), Some('2'));
    assert_eq!(receiver.handle(false, u32::MAX - 100, event(1, true, 800)), None);
    assert_eq!(receiver.handle(false, 2_000, event(2, true, 800)), None);
}

#[test]
fn a_long_press_is_one_press() {
    let mut receiver = DtmfReceiver::default();
    assert_eq!(receiver.handle(true, 0, event(9, false, 160)), Some('9'));
    // The packet with duration 0xFFFF is lost.
    assert_eq!(receiver.handle(false, 0, event(9, false, 0xffff - 320)), None);
    assert_eq!(receiver.handle(false, 0xffff, event(9, false, 160)), None);
    assert_eq!(receiver.handle(false, 0xffff, event(9, true, 320)), None);
    assert_eq!(receiver.handle(true, 0xffff + 1_000, event(9, false, 160)), Some('9'));
}

#[test]
fn a_press_after_a_short_one_is_new_without_a_marker_too() {
    let mut receiver = DtmfReceiver::default();
    assert_eq!(receiver.handle(false, 0, event(9, false, 160)), Some('9'));
    assert_eq!(receiver.handle(false, 1_600, event(9, false, 160)), Some('9'));
}

#[test]
fn line_signals_are_no_digits() {
    let mut receiver = DtmfReceiver::default();
    assert_eq!(receiver.handle(true, 0, event(16, false, 160)), None);
    assert_eq!(receiver.handle(true, 1_600, event(0, false, 160)), Some('0'));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..12), marker: bool, timestamp: u32) {
        let mut receiver = DtmfReceiver::default();
        if let Some(event) = Event::parse(&bytes) {
            receiver.handle(marker, timestamp, event);
            receiver.handle(!marker, timestamp.wrapping_add(160), event);
        }
    }

    /// Every press arrives once while one of its packets does, whatever is lost or doubled. State survives a hand-over.
    #[test]
    fn each_press_is_reported_once(
        digits in "[0-9A-D*#]{1,12}",
        start: u32,
        kept in proptest::collection::vec(0u8..3, 140),
    ) {
        let mut receiver = DtmfReceiver::default();
        let mut heard = String::new();
        let mut expected = String::new();
        let mut last_seen = None;
        for (packet, copies) in sent(&digits, start).into_iter().flatten().zip(kept) {
            let event = Event::parse(&packet.payload).unwrap();
            if copies > 0 && last_seen != Some(packet.timestamp) {
                expected.extend(event.digit());
                last_seen = Some(packet.timestamp);
            }
            for _ in 0..copies {
                heard.extend(receiver.handle(packet.marker, packet.timestamp, event));
                let json = serde_json::to_string(&receiver).unwrap();
                receiver = serde_json::from_str(&json).unwrap();
            }
        }
        prop_assert_eq!(heard, expected);
    }

    #[test]
    fn sender_state_survives_a_hand_over(digits in "[0-9]{0,5}", slots in 0u32..30) {
        let mut sender = DtmfSender::default();
        for digit in digits.chars() {
            sender.press(digit).unwrap();
        }
        for slot in 0..slots {
            sender.next_packet(slot * 160, 160);
        }
        let json = serde_json::to_string(&sender).unwrap();
        prop_assert_eq!(serde_json::from_str::<DtmfSender>(&json).unwrap(), sender);
    }
}
