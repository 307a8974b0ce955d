//! A telephone made of a bare socket talks to a door: what is on the wire, message by message.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its own functions too")]

use std::net::SocketAddr;
use std::time::Duration;

use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::{NodeId, Private, SessionId};
use tandem_signaling::sdp::Direction;
use tandem_signaling::sip::{IncomingCall, OfferedMedia, SipDoor, SipLeg, SipRefusal, SipSettings};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Long enough for any machine: reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    phone: UdpSocket,
    door: SipDoor,
    calls: mpsc::Receiver<IncomingCall>,
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing happened")
}

impl Bench {
    async fn open(settings: SipSettings) -> Self {
        let settings = SipSettings { addr: "127.0.0.1:0".parse().unwrap(), ..settings };
        let (door, calls) = SipDoor::open(settings, CancellationToken::new()).await.unwrap();
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        phone.connect(door.local_addr()).await.unwrap();
        Self { phone, door, calls }
    }

    fn addr(&self) -> SocketAddr {
        self.phone.local_addr().unwrap()
    }

    /// A request of the phone. `to_tag` and `extra` (header lines) may be empty.
    fn request(&self, method: &str, number: u32, to_tag: &str, extra: &str, body: &str) -> String {
        let (here, there) = (self.addr(), self.door.local_addr());
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let of = if method == "CANCEL" { "INVITE" } else { method };
        let hops = if extra.contains("Max-Forwards") { "" } else { "Max-Forwards: 70\r\n" };
        format!(
            "{method} sip:demo@{there} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{of}{number}\r\n{hops}\
             From: <sip:phone@{here}>;tag=p\r\nTo: <sip:demo@{there}>{to_tag}\r\nCall-ID: call\r\n\
             CSeq: {number} {method}\r\nContact: <sip:phone@{here}>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn invite(&self, number: u32, to_tag: &str, direction: &str) -> String {
        let body = sdp(direction);
        self.request("INVITE", number, to_tag, "Content-Type: application/sdp\r\n", &body)
    }

    async fn send(&self, text: &str) {
        self.phone.send(text.as_bytes()).await.unwrap();
    }

    async fn receive(&self) -> String {
        receive(&self.phone).await
    }

    /// The next message that begins like this; others are skipped (repetitions, mostly).
    async fn expect(&self, start: &str) -> String {
        loop {
            let text = self.receive().await;
            if text.starts_with(start) {
                return text;
            }
        }
    }

    async fn ask(&self, text: &str) -> String {
        self.send(text).await;
        self.receive().await
    }

    /// Calls, and is answered: the tag of the dialog and the leg.
    async fn connected(&mut self) -> (String, SipLeg) {
        self.send(&self.invite(1, "", "sendrecv")).await;
        let mut leg = self.accept().await;
        let tag = tag(&self.expect("SIP/2.0 200").await);
        self.send(&self.request("ACK", 1, &tag, "", "")).await;
        assert_eq!(event(&mut leg).await, LegEvent::Answered);
        (tag, leg)
    }

    /// The final answer to a message; none when it is still not there after some OPTIONS were answered one by one.
    async fn outcome(&self, wire: &[u8], number: u32) -> Option<u16> {
        // Answers are to come back to this socket, wherever the message says that it lives.
        let text = String::from_utf8_lossy(wire);
        // The one without a branch is of RFC 2543.
        let asking = if text.contains("branch") {
            text.replacen("branch", "rport;branch", 1)
        } else {
            text.replacen("\r\nFrom", ";rport\r\nFrom", 1)
        };
        self.send(&asking).await;
        let (mut going, mut probes) = (false, 0..8);
        while going || !probes.is_empty() {
            let probe = format!("Call-ID: probe-{number}-{}\r\n", probes.len());
            self.send(&self.request("OPTIONS", number, "", "", "").replace("Call-ID: call\r\n", &probe)).await;
            probes.next();
            loop {
                let answer = self.receive().await;
                let call = header(&answer, "Call-ID").unwrap();
                match status(&answer) {
                    _ if answer.contains(&probe) => break,
                    // Of an earlier message: a final answer is repeated until its ACK.
                    _ if !text.contains(call) => {}
                    100..200 => going = true,
                    status => return Some(status),
                }
            }
        }
        None
    }

    async fn accept(&mut self) -> SipLeg {
        let call = within(self.calls.recv()).await.unwrap();
        call.accept("127.0.0.1:20000".parse().unwrap(), SessionId::new(NodeId(1))).unwrap()
    }
}

async fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 8192];
    let length = within(socket.recv(&mut buffer)).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

async fn event(leg: &mut SipLeg) -> LegEvent {
    within(leg.events.recv()).await.expect("the leg ended without Ended")
}

fn sdp(direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 96\r\n\
         a=rtpmap:96 telephone-event/8000\r\na={direction}\r\n"
    )
}

/// The value of a header.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn tag(response: &str) -> String {
    header(response, "To").unwrap().rsplit_once("tag=").unwrap().1.to_owned()
}

fn status(response: &str) -> u16 {
    response[8..11].parse().unwrap()
}

/// What is answered without any call.
#[tokio::test]
async fn outside_of_a_call() {
    let bench = Bench::open(SipSettings::default()).await;
    let options = bench.ask(&bench.request("OPTIONS", 1, "", "", "")).await;
    assert_eq!(status(&options), 200);
    assert!(header(&options, "Allow").unwrap().contains("INVITE"));
    assert!(header(&options, "Accept").unwrap().contains("application/sdp"));
    let table = [
        // Only a proxy counts hops (RFC 3261 section 16.3); we are where the request was going.
        (bench.request("OPTIONS", 2, "", "Max-Forwards: 0\r\n", ""), 200),
        (bench.request("OPTIONS", 3, "gone", "", ""), 481),
        (bench.request("REGISTER", 4, "", "", ""), 405),
        (bench.request("SUBSCRIBE", 5, "", "", ""), 405),
        (bench.request("BYE", 6, "gone", "", ""), 481),
        (bench.request("NEWTHING", 7, "", "", ""), 501),
        (bench.request("OPTIONS", 8, "", "Content-Length: 99\r\n", ""), 400),
        (bench.request("OPTIONS", 9, "", "", "").replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505),
        (bench.request("OPTIONS", 10, "", "", "").replace("OPTIONS sip:", "OPTIONS news:"), 416),
        (bench.request("OPTIONS", 11, "", "", "").replace("OPTIONS sip:demo@", "OPTIONS tel:+1;x="), 416),
    ];
    for (request, expected) in table {
        assert_eq!(status(&bench.ask(&request).await), expected, "{request}");
    }
    assert_eq!(bench.ask("\r\n\r\n").await, "\r\n");
}

/// INVITEs that reach nobody.
#[tokio::test]
async fn an_invite_that_cannot_be_a_call() {
    let bench = Bench::open(SipSettings::default()).await;
    let sdp_type = "Content-Type: application/sdp\r\n";
    let table = [
        (bench.request("INVITE", 1, "", "Require: 100rel\r\n", ""), 420),
        (bench.request("INVITE", 2, "", "Content-Type: text/plain\r\n", "hello"), 415),
        (bench.request("INVITE", 3, "", sdp_type, "nonsense"), 400),
        (bench.request("INVITE", 4, "gone", sdp_type, &sdp("sendrecv")), 481),
    ];
    for (request, expected) in table {
        let response = bench.ask(&request).await;
        assert_eq!(status(&response), expected, "{request}");
        let number = header(&response, "CSeq").unwrap().split(' ').next().unwrap().parse().unwrap();
        // The ACK of a refusal has its branch (RFC 3261 section 17.1.1.3).
        let ack = bench.request("ACK", number, &tag(&response), "", "").replace("bKACK", "bKINVITE");
        bench.send(&ack).await;
    }
}

#[tokio::test]
async fn a_bye_of_the_phone_ends_the_call() {
    let mut bench = Bench::open(SipSettings::default()).await;
    let (tag, mut leg) = bench.connected().await;
    bench.send(&bench.request("BYE", 2, &tag, "", "")).await;
    assert_eq!(status(&bench.expect("SIP/2.0").await), 200);
    assert_eq!(event(&mut leg).await, LegEvent::Ended { reason: LegEnd::CallerHungUp });
}

#[tokio::test]
async fn an_answer_without_ack_is_repeated_and_then_given_up() {
    let mut bench = Bench::open(SipSettings { t1_ms: 10, ..SipSettings::default() }).await;
    bench.send(&bench.invite(1, "", "sendrecv")).await;
    let mut leg = bench.accept().await;
    let first = bench.expect("SIP/2.0 200").await;
    assert_eq!(bench.expect("SIP/2.0 200").await, first);
    assert_eq!(event(&mut leg).await, LegEvent::Ended { reason: LegEnd::WireLost });
    bench.expect("BYE ").await;
}

#[tokio::test]
async fn a_cancel_is_the_end_and_a_late_one_is_not() {
    let mut bench = Bench::open(SipSettings::default()).await;
    bench.send(&bench.invite(1, "", "sendrecv")).await;
    let call = within(bench.calls.recv()).await.unwrap();
    bench.send(&bench.request("CANCEL", 1, "", "", "")).await;
    let (cancel, invite) = (bench.expect("SIP/2.0 200").await, bench.expect("SIP/2.0 487").await);
    assert_eq!(header(&cancel, "CSeq"), Some("1 CANCEL"));
    assert_eq!(header(&invite, "CSeq"), Some("1 INVITE"));
    bench.send(&bench.request("ACK", 1, &tag(&invite), "", "").replace("bKACK", "bKINVITE")).await;
    within(call.cancelled()).await;
    drop(call);
    // The next call is answered before its CANCEL comes: it stays up.
    bench.send(&bench.invite(2, "", "sendrecv")).await;
    let mut leg = bench.accept().await;
    let ok = bench.expect("SIP/2.0 200").await;
    bench.send(&bench.request("CANCEL", 2, "", "", "")).await;
    bench.send(&bench.request("ACK", 2, &tag(&ok), "", "")).await;
    assert_eq!(event(&mut leg).await, LegEvent::Answered);
}

#[tokio::test]
async fn hold_nonsense_digits_and_options_within_a_call() {
    let mut bench = Bench::open(SipSettings::default()).await;
    let (tag, mut leg) = bench.connected().await;
    bench.send(&bench.invite(2, &tag, "sendonly")).await;
    let held = bench.expect("SIP/2.0 200").await;
    assert!(held.contains("a=recvonly\r\n") && held.contains("m=audio 20000 RTP/AVP 8 96\r\n"), "{held}");
    bench.send(&bench.request("ACK", 2, &tag, "", "")).await;
    within(leg.media.wait_for(|media| media.is_some_and(|remote| remote.direction == Direction::RecvOnly)))
        .await
        .unwrap();
    let nonsense =
        bench.request("INVITE", 3, &tag, "Content-Type: application/sdp\r\n", "v=0\r\nm=video 1 RTP/AVP 31\r\n");
    bench.send(&nonsense).await;
    bench.expect("SIP/2.0 488").await;
    bench.send(&bench.request("ACK", 3, &tag, "", "").replace("bKACK", "bKINVITE")).await;
    let digit =
        bench.request("INFO", 4, &tag, "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\nDuration=160\r\n");
    bench.send(&digit).await;
    bench.expect("SIP/2.0 200").await;
    assert_eq!(event(&mut leg).await, LegEvent::Dtmf { digit: '5' });
    bench.send(&bench.request("OPTIONS", 5, &tag, "", "")).await;
    bench.expect("SIP/2.0 200").await;
    // An old number is out of order (RFC 3261 section 12.2.2).
    bench.send(&bench.request("INFO", 2, &tag, "", "")).await;
    bench.expect("SIP/2.0 500").await;
}

#[tokio::test]
async fn an_invite_without_an_offer_gets_ours() {
    let mut bench = Bench::open(SipSettings::default()).await;
    bench.send(&bench.request("INVITE", 1, "", "", "")).await;
    let call = within(bench.calls.recv()).await.unwrap();
    assert_eq!(call.offer.media, OfferedMedia::Later);
    let mut leg = call.accept("127.0.0.1:20000".parse().unwrap(), SessionId::new(NodeId(1))).unwrap();
    let ok = bench.expect("SIP/2.0 200").await;
    assert!(ok.contains("m=audio 20000 RTP/AVP 0 8 101\r\n"), "{ok}");
    let ack = bench.request("ACK", 1, &tag(&ok), "Content-Type: application/sdp\r\n", &sdp("sendrecv"));
    bench.send(&ack).await;
    assert_eq!(event(&mut leg).await, LegEvent::Answered);
    let remote = leg.media.borrow().unwrap();
    assert_eq!((remote.addr.port(), remote.dtmf), (4000, Some(96)));
}

#[tokio::test]
async fn a_transfer_goes_by_refer() {
    let mut bench = Bench::open(SipSettings::default()).await;
    let (tag, mut leg) = bench.connected().await;
    let target = Private::new("sip:desk@127.0.0.1:5099".to_owned());
    leg.commands.send(LegCommand::Transfer { target }).await.unwrap();
    let refer = bench.expect("REFER ").await;
    assert_eq!(header(&refer, "Refer-To"), Some("<sip:desk@127.0.0.1:5099>"));
    let copied =
        ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(&refer, name).unwrap()));
    bench.send(&format!("SIP/2.0 202 Accepted\r\n{}Content-Length: 0\r\n\r\n", copied.concat())).await;
    let state = "Event: refer\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n";
    bench.send(&bench.request("NOTIFY", 2, &tag, state, "SIP/2.0 100 Trying\r\n")).await;
    bench.expect("SIP/2.0 200").await;
    bench.send(&bench.request("NOTIFY", 3, &tag, state, "SIP/2.0 200 OK\r\n")).await;
    bench.expect("SIP/2.0 200").await;
    bench.expect("BYE ").await;
    assert_eq!(event(&mut leg).await, LegEvent::TransferProgress { status: 100 });
    assert_eq!(event(&mut leg).await, LegEvent::TransferProgress { status: 200 });
    assert_eq!(event(&mut leg).await, LegEvent::Ended { reason: LegEnd::Transferred });
}

#[tokio::test]
async fn a_full_door_says_when_to_come_back() {
    let mut bench = Bench::open(SipSettings { half_open_max: 1, ..SipSettings::default() }).await;
    bench.send(&bench.invite(1, "", "sendrecv")).await;
    let first = within(bench.calls.recv()).await.unwrap();
    let other =
        bench.invite(1, "", "sendrecv").replace("bKINVITE1", "bKother").replace("Call-ID: call", "Call-ID: other");
    bench.send(&other).await;
    let busy = bench.expect("SIP/2.0 503").await;
    assert_eq!(header(&busy, "Call-ID"), Some("other"));
    assert_eq!(header(&busy, "Retry-After"), Some("5"));
    drop(first);
    bench.expect("SIP/2.0 500").await;
}

#[tokio::test]
async fn answers_go_to_the_host_that_the_request_came_from() {
    let bench = Bench::open(SipSettings::default()).await;
    // A foreign name in the Via, and an address of somebody else as `received`: both without effect.
    let here = bench.addr();
    let foreign = bench
        .request("OPTIONS", 1, "", "", "")
        .replace(&format!("UDP {here}"), &format!("UDP foreign.example.com:{}", here.port()));
    assert_eq!(status(&bench.ask(&foreign).await), 200);
    let spoofed = bench.request("OPTIONS", 2, "", "", "").replace(";branch", ";received=192.0.2.7;branch");
    assert_eq!(status(&bench.ask(&spoofed).await), 200);
    assert_eq!(status(&bench.ask(&spoofed).await), 200, "repeated by the stack");
}

/// RFC 3261 section 18.2.2 and RFC 3581 section 4: of the dispatcher, of the stack (a repetition, a CANCEL of nothing), of
/// the guard, and of a full door.
#[tokio::test]
async fn answers_go_to_the_port_of_the_via_and_with_rport_to_that_of_the_source() {
    let mut bench = Bench::open(SipSettings { half_open_max: 1, ..SipSettings::default() }).await;
    bench.send(&bench.invite(1, "", "sendrecv")).await;
    let _waiting = within(bench.calls.recv()).await.unwrap();
    bench.expect("SIP/2.0 100").await;
    let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let table = [
        (bench.request("OPTIONS", 2, "", "", ""), 200),
        (bench.request("OPTIONS", 2, "", "", ""), 200),
        (bench.request("CANCEL", 3, "", "", ""), 481),
        (bench.request("OPTIONS", 4, "", "Content-Length: 9\r\n", ""), 400),
        (bench.invite(5, "", "sendrecv"), 503),
    ];
    let (here, there) = (bench.addr(), elsewhere.local_addr().unwrap());
    for (request, expected) in table {
        for (rport, answered) in [("", &elsewhere), (";rport", &bench.phone)] {
            let branch = format!("UDP {there}{rport};branch=z9hG4bK{}", rport.len());
            bench.send(&request.replace(&format!("UDP {here};branch=z9hG4bK"), &branch)).await;
            assert_eq!(status(&receive(answered).await), expected, "{rport}: {request}");
        }
    }
}

/// More of them than the door counts at the same time, then a call.
#[tokio::test]
async fn requests_that_become_no_transaction_shut_no_door() {
    let mut bench = Bench::open(SipSettings { private_rate: 1_000_000, ..SipSettings::default() }).await;
    for number in 1..=3_000 {
        let broken =
            bench.request("OPTIONS", number, "", "", "").replace("From: <sip:phone@", "From: <sip:a@h:99999;x=");
        assert_eq!(status(&bench.ask(&broken).await), 400);
    }
    bench.connected().await;
}

/// The messages of RFC 4475 and RFC 5118, whole and in pieces, while a call is up: it stays up.
#[tokio::test]
async fn torture_disturbs_no_call() {
    let mut bench = Bench::open(SipSettings::default()).await;
    let (tag, mut leg) = bench.connected().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for folder in ["wellformed", "malformed"] {
        for (_, wire) in torture(folder) {
            for end in [wire.len(), wire.len() / 2, 40] {
                stranger.send_to(&wire[..end.min(wire.len())], bench.door.local_addr()).await.unwrap();
            }
        }
    }
    bench.send(&bench.request("OPTIONS", 2, &tag, "", "")).await;
    bench.expect("SIP/2.0 200").await;
    bench.send(&bench.request("BYE", 3, &tag, "", "")).await;
    bench.expect("SIP/2.0 200").await;
    assert_eq!(event(&mut leg).await, LegEvent::Ended { reason: LegEnd::CallerHungUp });
}

/// The messages of a folder as they are on the wire, by name.
fn torture(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture");
    let files = std::fs::read_dir(format!("{root}/{folder}")).unwrap();
    let mut messages: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read(&path).unwrap();
            let mut wire = text.trim_ascii_end().split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
            let end: &[u8] = if wire.windows(4).any(|four| four == b"\r\n\r\n") { b"\r\n" } else { b"\r\n\r\n" };
            wire.extend_from_slice(end);
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), wire)
        })
        .collect();
    messages.sort();
    messages
}

/// What the well-formed requests of RFC 4475 and RFC 5118 are answered by a door whose calls are all refused with 486;
/// none: silence. (The responses among the messages are left out: they want no answer.)
const ANSWERS: [(&str, Option<u16>); 29] = [
    ("3.1.1.10_transports", Some(200)),
    ("3.1.1.11_mpart01", Some(405)),
    ("3.1.1.1_wsinv", Some(481)),
    ("3.1.1.2_intmeth", Some(501)),
    ("3.1.1.3_esc01", Some(486)),
    ("3.1.1.4_escnull", Some(405)),
    ("3.1.1.5_esc02", Some(501)),
    ("3.1.1.6_lwsdisp", Some(200)),
    ("3.1.1.8_dblreq", Some(405)),
    ("3.1.1.9_semiuri", Some(200)),
    ("3.3.11_zeromf", Some(200)),
    ("3.3.12_cparam01", Some(405)),
    ("3.3.13_cparam02", Some(405)),
    ("3.3.14_regescrt", Some(405)),
    ("3.3.2_unkscm", Some(416)),
    ("3.3.3_novelsc", Some(416)),
    ("3.3.7_regaut01", Some(405)),
    ("3.4.1_inv2543", Some(400)),
    ("4.10_ipv6-bug-abnf-3-colons", Some(400)),
    ("4.10_ipv6-correct-abnf-2-colons", Some(200)),
    ("4.1_ipv6-good", Some(405)),
    ("4.3_port-ambiguous", Some(405)),
    ("4.4_port-unambiguous", Some(405)),
    ("4.5_via-received-param-no-delim", Some(200)),
    ("4.5_via-received-param-with-delim", Some(481)),
    ("4.6_ipv6-in-sdp", Some(486)),
    ("4.7_mult-ip-in-header", Some(481)),
    ("4.8_mult-ip-in-sdp", Some(486)),
    ("4.9_ipv4-mapped-ipv6", Some(486)),
];

#[tokio::test]
async fn well_formed_requests_are_answered() {
    let mut bench = Bench::open(SipSettings::default()).await;
    let mut calls = std::mem::replace(&mut bench.calls, mpsc::channel(1).1);
    TaskTracker::new().spawn(async move {
        while let Some(call) = calls.recv().await {
            call.refuse(SipRefusal { status: 486, reason: None, retry_after: None });
        }
    });
    let mut got = Vec::new();
    for (number, (name, wire)) in (1..).zip(torture("wellformed")) {
        if !wire.starts_with(b"SIP/") {
            let status = bench.outcome(&wire, number).await;
            got.push((name, status));
        }
    }
    let expected: Vec<_> = ANSWERS.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect();
    assert_eq!(got, expected);
    let answered = got.iter().filter(|(_, status)| status.is_some()).count();
    assert_eq!((answered, got.len()), (29, 29));
}
