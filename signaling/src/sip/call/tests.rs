use proptest::prelude::*;
use tandem_contract::Private;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_media::leg::{Codec, RtpRemote};

use super::machine::{Call, Effect, InDialog, Input, Method, ReplyContent};
use crate::sdp::{self, Direction, LocalSession};

fn remote() -> RtpRemote {
    RtpRemote {
        addr: "192.0.2.1:4000".parse().unwrap(),
        codec: Codec::Pcmu,
        dtmf: Some(101),
        direction: Direction::SendRecv,
    }
}

fn local() -> LocalSession {
    LocalSession::new("127.0.0.1:20000".parse().unwrap(), 1)
}

/// What a caller at `remote` offers.
fn their_offer(direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

fn unconfirmed() -> Call {
    let described = sdp::answer(&sdp::negotiate(their_offer("sendrecv").as_bytes()).unwrap(), local());
    Call::answering(Some(remote()), local(), described)
}

fn confirmed() -> Call {
    let mut call = unconfirmed();
    assert_eq!(call.handle(Input::Acked { body: Vec::new() }), [Effect::Event(LegEvent::Answered)]);
    call
}

fn request(method: Method) -> InDialog {
    InDialog { method, content_type: None, event: None, subscription_state: None, body: Vec::new() }
}

fn with_sdp(method: Method, text: &str) -> Input {
    Input::Request(InDialog { content_type: Some(sdp::CONTENT_TYPE.to_owned()), body: text.into(), ..request(method) })
}

fn notify(line: &str) -> Input {
    let event = Some("refer;id=2".to_owned());
    Input::Request(InDialog { event, body: line.into(), ..request(Method::Notify) })
}

fn ended(reason: LegEnd) -> Effect {
    Effect::Event(LegEvent::Ended { reason })
}

fn progress(status: u16) -> Effect {
    Effect::Event(LegEvent::TransferProgress { status })
}

fn transfer() -> Input {
    Input::Command(LegCommand::Transfer { target: Private::new("100".to_owned()) })
}

const fn reply(status: u16) -> Effect {
    Effect::Reply { status, content: ReplyContent::Empty }
}

const fn capabilities(status: u16) -> Effect {
    Effect::Reply { status, content: ReplyContent::Capabilities }
}

/// Each input in a confirmed call, and what follows.
#[test]
fn a_confirmed_call() {
    let hang_up = || Input::Command(LegCommand::HangUp);
    let table = [
        (Input::Request(request(Method::Bye)), vec![reply(200), ended(LegEnd::CallerHungUp)]),
        (hang_up(), vec![Effect::Bye, ended(LegEnd::AgentHungUp)]),
        (Input::Abandoned, vec![Effect::Bye, ended(LegEnd::AgentHungUp)]),
        (Input::Drained, vec![Effect::Bye, ended(LegEnd::Drained)]),
        (Input::Unacknowledged, vec![Effect::Bye, ended(LegEnd::WireLost)]),
        (Input::Cancelled, vec![ended(LegEnd::Cancelled)]),
        (Input::Request(request(Method::Options)), vec![capabilities(200)]),
        (Input::Request(request(Method::Other)), vec![capabilities(405)]),
        (Input::Request(request(Method::Info)), vec![reply(200)]),
        (Input::Request(request(Method::Update)), vec![reply(200)]),
        (Input::Request(request(Method::Notify)), vec![reply(489)]),
        (notify("SIP/2.0 200 OK"), vec![reply(481)]),
        (with_sdp(Method::Invite, "nonsense"), vec![reply(488)]),
        (with_sdp(Method::Update, "v=0\r\nm=video 1 RTP/AVP 31\r\n"), vec![reply(488)]),
        (Input::ReferAnswered { status: 202 }, vec![]),
        (Input::TransferTimedOut, vec![]),
        (Input::Acked { body: Vec::new() }, vec![]),
        (transfer(), vec![Effect::Refer { to: Private::new("100".to_owned()) }, Effect::WatchTransfer]),
    ];
    for (input, effects) in table {
        assert_eq!(confirmed().handle(input.clone()), effects, "{input:?}");
    }
}

#[test]
fn a_bye_waits_for_the_ack() {
    let mut call = unconfirmed();
    assert_eq!(call.handle(Input::Command(LegCommand::HangUp)), []);
    assert_eq!(call.handle(Input::Acked { body: Vec::new() }), [Effect::Bye, ended(LegEnd::AgentHungUp)]);
    assert_eq!(unconfirmed().handle(Input::Unacknowledged), [Effect::Bye, ended(LegEnd::WireLost)]);
    assert_eq!(unconfirmed().handle(Input::Cancelled), [ended(LegEnd::Cancelled)]);
}

#[test]
fn a_call_that_is_over_still_answers() {
    let mut call = confirmed();
    call.handle(Input::Command(LegCommand::HangUp));
    assert_eq!(call.handle(Input::Request(request(Method::Bye))), [reply(200)]);
    assert_eq!(call.handle(Input::Request(request(Method::Info))), [reply(481)]);
    assert_eq!(call.handle(Input::Command(LegCommand::HangUp)), []);
}

#[test]
fn hold_and_back() {
    let mut call = confirmed();
    let mut versions = Vec::new();
    let offers = [
        ("sendonly", Direction::RecvOnly),
        ("inactive", Direction::Inactive),
        ("recvonly", Direction::SendOnly),
        ("sendrecv", Direction::SendRecv),
    ];
    for (theirs, ours) in offers {
        let effects = call.handle(with_sdp(Method::Invite, &their_offer(theirs)));
        let [Effect::Reply { status: 200, content: ReplyContent::Sdp(text) }, Effect::Media(media)] = &effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(media.direction, ours);
        assert!(text.contains(&format!("a={}\r\n", ours.as_str())), "{text}");
        versions.push(text.lines().nth(1).unwrap().to_owned());
    }
    assert_eq!(versions, [2, 3, 4, 5].map(|version| format!("o=- 1 {version} IN IP4 127.0.0.1")));
    // The same again changes nothing, so neither does the version.
    let again = call.handle(with_sdp(Method::Update, &their_offer("sendrecv")));
    let [Effect::Reply { content: ReplyContent::Sdp(text), .. }] = &again[..] else { panic!("{again:?}") };
    assert!(text.contains("o=- 1 5 "), "{text}");
}

#[test]
fn the_answer_to_a_late_offer_comes_with_the_ack() {
    let mut call = Call::answering(None, local(), sdp::offer(local()));
    let effects = call.handle(Input::Acked { body: their_offer("sendrecv").into() });
    assert_eq!(effects, [Effect::Media(remote()), Effect::Event(LegEvent::Answered)]);
    let mut mute = Call::answering(None, local(), sdp::offer(local()));
    assert_eq!(mute.handle(Input::Acked { body: Vec::new() }), [Effect::Bye, ended(LegEnd::WireLost)]);
}

#[test]
fn digits_by_info() {
    let relay = Some("application/dtmf-relay".to_owned());
    let info = |content_type: &Option<String>, body: &str| {
        let content_type = content_type.clone();
        Input::Request(InDialog { content_type, body: body.into(), ..request(Method::Info) })
    };
    let digit = Effect::Event(LegEvent::Dtmf { digit: '7' });
    assert_eq!(confirmed().handle(info(&relay, "Signal=7\r\nDuration=160")), [reply(200), digit]);
    assert_eq!(confirmed().handle(info(&relay, "nonsense")), [capabilities(415)]);
    assert_eq!(confirmed().handle(info(&None, "Signal=7")), [capabilities(415)]);
}

#[test]
fn a_transfer_that_arrives() {
    let mut call = confirmed();
    call.handle(transfer());
    assert_eq!(call.handle(transfer()), [progress(491)]);
    assert_eq!(call.handle(Input::ReferAnswered { status: 202 }), []);
    assert_eq!(call.handle(notify("SIP/2.0 100 Trying")), [reply(200), progress(100)]);
    let arrived = [reply(200), progress(200), Effect::Bye, ended(LegEnd::Transferred)];
    assert_eq!(call.handle(notify("SIP/2.0 200 OK")), arrived);
}

#[test]
fn a_transfer_that_fails_leaves_the_call() {
    let mut call = confirmed();
    for failure in [Input::ReferAnswered { status: 603 }, Input::TransferTimedOut] {
        call.handle(transfer());
        let status = if matches!(failure, Input::TransferTimedOut) { 408 } else { 603 };
        assert_eq!(call.handle(failure), [progress(status)]);
    }
    call.handle(transfer());
    call.handle(Input::ReferAnswered { status: 202 });
    assert_eq!(call.handle(notify("SIP/2.0 486 Busy Here")), [reply(200), progress(486)]);
    assert!(!call.is_over());
}

#[test]
fn who_accepted_a_transfer_and_leaves_was_transferred() {
    let mut call = confirmed();
    call.handle(transfer());
    call.handle(Input::ReferAnswered { status: 202 });
    assert_eq!(call.handle(Input::Request(request(Method::Bye))), [reply(200), ended(LegEnd::Transferred)]);
}

fn input() -> impl Strategy<Value = Input> {
    let methods = prop_oneof![
        Just(Method::Bye),
        Just(Method::Invite),
        Just(Method::Update),
        Just(Method::Info),
        Just(Method::Options),
        Just(Method::Notify),
        Just(Method::Other)
    ];
    let requests =
        (methods, prop_oneof![Just(""), Just("sendonly"), Just("x")]).prop_map(|(method, body)| match body {
            "sendonly" => with_sdp(method, &their_offer("sendonly")),
            other => Input::Request(InDialog { body: other.into(), event: Some("refer".into()), ..request(method) }),
        });
    prop_oneof![
        8 => requests,
        1 => Just(Input::Acked { body: Vec::new() }),
        1 => Just(Input::Cancelled),
        1 => Just(Input::Unacknowledged),
        2 => Just(transfer()),
        2 => (100_u16..700).prop_map(|status| Input::ReferAnswered { status }),
        2 => (100_u16..700).prop_map(|status| notify(&format!("SIP/2.0 {status} X"))),
        1 => Just(Input::TransferTimedOut),
        1 => Just(Input::Command(LegCommand::HangUp)),
        1 => Just(Input::Drained),
    ]
}

proptest! {
    /// Every request is answered once, nothing follows `Ended`, and the state survives a hand-over at any point.
    #[test]
    fn any_inputs_keep_the_call_in_order(inputs in proptest::collection::vec(input(), 1..30)) {
        let mut call = unconfirmed();
        let mut over = false;
        for input in inputs {
            let json = serde_json::to_string(&call).unwrap();
            call = serde_json::from_str(&json).unwrap();
            let is_request = matches!(input, Input::Request(_));
            let effects = call.handle(input);
            let replies = effects.iter().filter(|effect| matches!(effect, Effect::Reply { .. })).count();
            prop_assert_eq!(replies, usize::from(is_request));
            let others = effects.len() - replies;
            prop_assert!(!over || others == 0, "{:?} after the end", effects);
            let end = effects.iter().position(|effect| matches!(effect, Effect::Event(LegEvent::Ended { .. })));
            if let Some(end) = end {
                prop_assert_eq!(end, effects.len() - 1);
                over = true;
            }
            prop_assert_eq!(call.is_over(), over);
        }
    }
}
