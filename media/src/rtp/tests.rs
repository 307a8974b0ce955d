use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use webrtc_util::marshal::{Marshal, Unmarshal};

use super::*;

fn header() -> impl Strategy<Value = Header> {
    // 64 to 95 with the marker bit would be RTCP (RFC 5761 section 4).
    (any::<bool>(), 0u8..64, any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
        |(marker, payload_type, sequence, timestamp, ssrc)| Header {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc: Ssrc(ssrc),
        },
    )
}

#[test]
fn frozen_bytes() {
    let bytes = [0x80, 0x80, 0x12, 0x34, 0, 0, 0, 0xa0, 0xde, 0xad, 0xbe, 0xef, 0xff, 0xfe];
    let header = Header { marker: true, payload_type: 0, sequence: 0x1234, timestamp: 160, ssrc: Ssrc(0xdead_beef) };
    assert_eq!(Packet::parse(&bytes), Ok(Packet { header, payload: &[0xff, 0xfe] }));
    let mut written = Vec::new();
    header.write(&mut written);
    assert_eq!(written, bytes[..HEADER_LEN]);
}

#[test]
fn contributing_sources_extension_and_padding_are_stepped_over() {
    let mut bytes = vec![0x80 | 0x20 | 0x10 | 2, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend([1; 8]);
    bytes.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
    bytes.extend([7, 7, 7]);
    bytes.extend([0, 0, 3]);
    assert_eq!(Packet::parse(&bytes).map(|p| p.payload), Ok(&[7u8, 7, 7][..]));
}

#[test]
fn lengths_beyond_the_datagram_are_refused() {
    let base = [0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let with = |flags: u8, rest: &[u8]| {
        let mut bytes = base.to_vec();
        bytes[0] |= flags;
        bytes.extend(rest);
        bytes
    };
    assert_eq!(Packet::parse(&base[..11]), Err(RtpError::Short(11)));
    assert_eq!(Packet::parse(&with(0x40, &[])), Err(RtpError::Version(3)));
    assert_eq!(Packet::parse(&with(0x01, &[0; 3])), Err(RtpError::HeaderLength));
    assert_eq!(Packet::parse(&with(0x10, &[0; 3])), Err(RtpError::HeaderLength));
    assert_eq!(Packet::parse(&with(0x10, &[0, 0, 0, 2, 1, 1, 1, 1])), Err(RtpError::HeaderLength));
    assert_eq!(Packet::parse(&with(0x20, &[])), Err(RtpError::Padding));
    assert_eq!(Packet::parse(&with(0x20, &[5, 0])), Err(RtpError::Padding));
    assert_eq!(Packet::parse(&with(0x20, &[5, 3])), Err(RtpError::Padding));
    let report = [0x80, 200, 0, 6, 0, 0, 0, 2, 0, 0, 0, 3];
    assert_eq!(Packet::parse(&report), Err(RtpError::Rtcp));
}

#[test]
fn sequence_and_timestamp_wrap() {
    let mut sender = Sender::new(Identity { ssrc: Ssrc(1), sequence: u16::MAX, timestamp: u32::MAX - 159 });
    let mut read = Vec::new();
    for _ in 0..3 {
        let mut out = Vec::new();
        let timestamp = sender.timestamp();
        sender.write(0, false, timestamp, &mut out);
        sender.advance(160);
        read.push(Packet::parse(&out).map(|p| (p.header.sequence, p.header.timestamp)));
    }
    assert_eq!(read, [Ok((u16::MAX, u32::MAX - 159)), Ok((0, 0)), Ok((1, 160))]);
}

fn arrive(receiver: &mut Receiver, ssrc: u32, sequence: u16) -> Admission {
    let header = Header { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: Ssrc(ssrc) };
    receiver.admit(&header)
}

#[test]
fn a_new_stream_needs_two_packets_in_sequence() {
    use Admission::{Current, NewStream, OnProbation};
    let mut receiver = Receiver::default();
    let steps = [
        (1, u16::MAX, NewStream),
        (1, 0, Current),
        (1, u16::MAX - 3, Current), // late
        (1, 30_000, Current),       // a leap
        (2, 7, OnProbation),
        (1, 21, Current),
        (2, 8, OnProbation), // the old stream spoke in between
        (2, 10, OnProbation),
        (2, 11, NewStream),
        (1, 22, OnProbation),
        (2, 12, Current),
        (3, u16::MAX, OnProbation),
        (3, 0, NewStream),
    ];
    for (ssrc, sequence, expected) in steps {
        assert_eq!(arrive(&mut receiver, ssrc, sequence), expected, "ssrc {ssrc} sequence {sequence}");
    }
    let json = serde_json::to_string(&receiver).unwrap();
    assert_eq!(serde_json::from_str::<Receiver>(&json).unwrap(), receiver);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Packet::parse(&bytes);
    }

    #[test]
    fn arbitrary_bytes_behind_a_valid_start_never_panic(flags in 0x80u8..0xc0, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut datagram = vec![flags];
        datagram.extend(bytes);
        if let Ok(packet) = Packet::parse(&datagram) {
            prop_assert!(packet.payload.len() + HEADER_LEN <= datagram.len());
        }
    }

    #[test]
    fn the_rtp_crate_reads_what_we_write(header in header(), payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes.extend_from_slice(&payload);
        let packet = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet, Packet { header, payload: &payload });

        let theirs = rtp::packet::Packet::unmarshal(&mut Bytes::from(bytes)).unwrap();
        prop_assert_eq!(theirs.header.marker, header.marker);
        prop_assert_eq!(theirs.header.payload_type, header.payload_type);
        prop_assert_eq!(theirs.header.sequence_number, header.sequence);
        prop_assert_eq!(theirs.header.timestamp, header.timestamp);
        prop_assert_eq!(theirs.header.ssrc, header.ssrc.0);
        prop_assert_eq!(&theirs.payload[..], &payload[..]);
    }

    #[test]
    fn we_read_what_the_rtp_crate_writes(header in header(), csrc in proptest::collection::vec(any::<u32>(), 0..15), payload in proptest::collection::vec(any::<u8>(), 1..200)) {
        let theirs = rtp::packet::Packet {
            header: rtp::header::Header {
                version: 2,
                marker: header.marker,
                payload_type: header.payload_type,
                sequence_number: header.sequence,
                timestamp: header.timestamp,
                ssrc: header.ssrc.0,
                csrc,
                ..Default::default()
            },
            payload: Bytes::from(payload.clone()),
        };
        let mut bytes = BytesMut::zeroed(2048);
        let len = theirs.marshal_to(&mut bytes).unwrap();
        prop_assert_eq!(Packet::parse(&bytes[..len]).unwrap(), Packet { header, payload: &payload });
    }
}
