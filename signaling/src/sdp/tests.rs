use proptest::prelude::*;

use super::*;

const LOCAL: &str = "127.0.0.1:20000";

fn local() -> LocalSession {
    LocalSession::new(LOCAL.parse().unwrap(), 42)
}

/// A description with a session-level address and these lines.
fn described(lines: &[&str]) -> String {
    let mut text = String::from("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

fn agree(lines: &[&str]) -> Result<Negotiated, SdpError> {
    negotiate(described(lines).as_bytes())
}

/// The lines of our answer from its first media section on.
fn answered(lines: &[&str]) -> Vec<String> {
    let text = answer(&agree(lines).unwrap(), local());
    text.lines().skip_while(|line| !line.starts_with("m=")).map(str::to_owned).collect()
}

#[test]
fn our_offer_and_our_answer_are_frozen() {
    let offered = "v=0\r\no=- 42 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(offer(local()), offered);
    let agreed = negotiate(offered.as_bytes()).unwrap();
    let (addr, direction) = (LOCAL.parse().unwrap(), Direction::SendRecv);
    assert_eq!(agreed.remote, RtpRemote { addr, codec: Codec::Pcmu, dtmf: Some(101), direction });
    let back = "v=0\r\no=- 42 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 20000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(answer(&agreed, local()), back);
    assert_eq!(read_answer(back.as_bytes()).unwrap().remote, agreed.remote);
}

#[test]
fn the_offer_prefers() {
    assert_eq!(agree(&["m=audio 4000 RTP/AVP 8 0"]).unwrap().remote.codec, Codec::Pcma);
    assert_eq!(agree(&["m=audio 4000 RTP/AVP 18 0 8"]).unwrap().remote.codec, Codec::Pcmu);
    let other_number = agree(&["m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/8000"]).unwrap();
    assert_eq!(other_number.remote.dtmf, Some(96));
    let wide = agree(&["m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/48000"]).unwrap();
    assert_eq!(wide.remote.dtmf, None);
}

#[test]
fn every_section_is_answered_in_its_place() {
    let lines = answered(&[
        "m=video 4002 RTP/AVP 31 34",
        "m=audio 0 RTP/AVP 0",
        "m=audio 4004 RTP/SAVP 0",
        "m=audio 4000 RTP/AVP 0",
        "m=image 4006 udptl t38",
        "m=audio 4008 RTP/AVP 8",
    ]);
    let sections: Vec<_> = lines.iter().filter(|line| line.starts_with("m=")).map(String::as_str).collect();
    assert_eq!(
        sections,
        [
            "m=video 0 RTP/AVP 31 34",
            "m=audio 0 RTP/AVP 0",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 20000 RTP/AVP 0",
            "m=image 0 udptl t38",
            "m=audio 0 RTP/AVP 8",
        ]
    );
}

#[test]
fn formats_we_lack_are_said_by_name() {
    let refused = |lines: &[&str]| match agree(lines) {
        Err(SdpError::NothingInCommon { offered }) => offered,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&["m=audio 4000 RTP/AVP 18 96", "a=rtpmap:96 opus/48000/2"]), "payload type 18, opus");
    assert_eq!(refused(&["m=image 4000 udptl t38"]), "image over udptl");
    assert_eq!(refused(&[]), "nothing");
    // A static number under another name is another codec, and packets of 10 ms at most are not what we send.
    assert_eq!(refused(&["m=audio 4000 RTP/AVP 0", "a=rtpmap:0 G722/8000"]), "G722");
    assert_eq!(refused(&["m=audio 4000 RTP/AVP 0", "a=maxptime:10"]), "payload type 0");
}

#[test]
fn hold_is_mirrored() {
    let way = |line| agree(&["m=audio 4000 RTP/AVP 0", line]).unwrap().remote.direction;
    assert_eq!(way("a=sendonly"), Direction::RecvOnly);
    assert_eq!(way("a=recvonly"), Direction::SendOnly);
    assert_eq!(way("a=inactive"), Direction::Inactive);
    assert_eq!(way("a=rtcp:4001"), Direction::SendRecv);
    let old = agree(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0"]).unwrap();
    assert_eq!(old.remote.direction, Direction::RecvOnly);
    let session = described(&["m=audio 4000 RTP/AVP 0"]).replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n");
    assert_eq!(negotiate(session.as_bytes()).unwrap().remote.direction, Direction::RecvOnly);
    assert!(answered(&["m=audio 4000 RTP/AVP 0", "a=sendonly"]).contains(&"a=recvonly".to_owned()));
}

#[test]
fn addresses_of_both_families_and_levels() {
    let addr = |lines: &[&str]| agree(lines).map(|agreed| agreed.remote.addr.to_string());
    assert_eq!(addr(&["m=audio 4000 RTP/AVP 0"]).unwrap(), "192.0.2.1:4000");
    assert_eq!(addr(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 192.0.2.9"]).unwrap(), "192.0.2.9:4000");
    assert_eq!(addr(&["m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::9"]).unwrap(), "[2001:db8::9]:4000");
    assert_eq!(addr(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 foreign.example.com"]), Err(SdpError::Address));
    assert_eq!(addr(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"]), Err(SdpError::Address));
    let v6 = LocalSession::new("[::1]:20000".parse().unwrap(), 1);
    assert!(offer(v6).contains("c=IN IP6 ::1\r\n"));
}

#[test]
fn times_are_repeated_and_ptime_is_read() {
    let text = described(&["m=audio 4000 RTP/AVP 0", "a=ptime:30", "a=maxptime:60"])
        .replace("t=0 0", "t=3338481189 3370017201");
    let agreed = negotiate(text.as_bytes()).unwrap();
    assert_eq!(agreed.ptime, Some(30));
    assert!(answer(&agreed, local()).contains("t=3338481189 3370017201\r\n"));
}

#[test]
fn a_refused_answer_is_no_agreement() {
    assert_eq!(read_answer(described(&["m=audio 0 RTP/AVP 0"]).as_bytes()), Err(SdpError::Refused));
    assert_eq!(read_answer(described(&[]).as_bytes()), Err(SdpError::Refused));
    assert!(matches!(read_answer(b""), Err(SdpError::Parse(_))));
    let many = "m=audio 4000 RTP/AVP 0\r\n".repeat(17);
    assert_eq!(agree(&[&many[..many.len() - 2]]), Err(SdpError::TooManySections { count: 17 }));
}

#[test]
fn agreements_survive_a_round_trip() {
    let agreed = agree(&["m=video 4002 RTP/AVP 31", "m=audio 4000 RTP/AVP 8", "a=sendonly"]).unwrap();
    let json = serde_json::to_string(&agreed).unwrap();
    assert_eq!(serde_json::from_str::<Negotiated>(&json).unwrap(), agreed);
}

/// A media section of any kind.
fn section() -> impl Strategy<Value = String> {
    let media = prop_oneof![Just("audio"), Just("video"), Just("image")];
    let proto = prop_oneof![Just("RTP/AVP"), Just("RTP/SAVPF"), Just("udptl")];
    let formats = proptest::collection::vec(0_u8..128, 1..6);
    (media, any::<u16>(), proto, formats).prop_map(|(media, port, proto, formats)| {
        let formats: Vec<String> = formats.iter().map(u8::to_string).collect();
        format!("m={media} {port} {proto} {}", formats.join(" "))
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = negotiate(&text);
        let _ = read_answer(&text);
    }

    #[test]
    fn damaged_offers_are_read_or_refused(at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
        let mut text = described(&["m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", "a=sendonly"]).into_bytes();
        let length = text.len();
        text[at % length] = byte;
        let _ = negotiate(&text);
        let _ = negotiate(&text[..cut % length]);
    }

    #[test]
    fn an_answer_has_the_sections_of_its_offer(sections in proptest::collection::vec(section(), 1..8)) {
        let lines: Vec<&str> = sections.iter().map(String::as_str).collect();
        if let Ok(agreed) = agree(&lines) {
            let text = answer(&agreed, local());
            let media = |text: &str| -> Vec<String> {
                text.lines().filter_map(|line| line.strip_prefix("m=")?.split(' ').next().map(str::to_owned)).collect()
            };
            prop_assert_eq!(media(&text), media(&described(&lines)));
            prop_assert_eq!(text.lines().filter(|line| line.starts_with("m=") && !line.contains(" 0 RTP") && !line.contains(" 0 udptl")).count(), 1);
            let session = sdp_types::Session::parse(text.as_bytes());
            prop_assert!(session.is_ok());
        }
    }
}
