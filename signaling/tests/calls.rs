//! Two doors on the loopback call each other.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its own functions too")]

use std::net::SocketAddr;
use std::time::Duration;

use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_contract::{NodeId, SessionId};
use tandem_media::leg::Codec;
use tandem_signaling::sip::{IncomingCall, OfferedMedia, SipDoor, SipError, SipLeg, SipRefusal, SipSettings};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Long enough for any machine: reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

const CALLEE_RTP: &str = "127.0.0.1:20000";
const CALLER_RTP: &str = "127.0.0.1:30000";

struct Side {
    door: SipDoor,
    calls: mpsc::Receiver<IncomingCall>,
    cancel: CancellationToken,
}

impl Side {
    async fn open() -> Self {
        Self::open_with(SipSettings::default()).await
    }

    async fn open_with(settings: SipSettings) -> Self {
        let cancel = CancellationToken::new();
        let settings = SipSettings { addr: "127.0.0.1:0".parse().unwrap(), ..settings };
        let (door, calls) = SipDoor::open(settings, cancel.clone()).await.unwrap();
        Self { door, calls, cancel }
    }

    fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.door.local_addr())
    }

    async fn call(&mut self) -> IncomingCall {
        within(self.calls.recv()).await.unwrap()
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing happened")
}

async fn event(leg: &mut SipLeg) -> LegEvent {
    within(leg.events.recv()).await.expect("the leg ended without Ended")
}

fn rtp(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A call from one side to the other, answered: the callee's leg and the caller's.
async fn connected(caller: &Side, callee: &mut Side) -> (SipLeg, SipLeg) {
    let session = SessionId::new(NodeId(1));
    let mut outgoing = caller.door.dial(&callee.uri("demo"), rtp(CALLER_RTP), &[]).await.unwrap();
    let incoming = callee.call().await;
    assert_eq!(incoming.offer.user, "demo");
    let OfferedMedia::Agreed(remote) = &incoming.offer.media else { panic!("{:?}", incoming.offer.media) };
    assert_eq!((remote.addr, remote.codec, remote.dtmf), (rtp(CALLER_RTP), Codec::Pcmu, Some(101)));
    let mut theirs = incoming.accept(rtp(CALLEE_RTP), session).unwrap();
    let answered = within(outgoing.answered()).await.unwrap();
    assert_eq!(answered.session, Some(session));
    assert_eq!(answered.remote.addr, rtp(CALLEE_RTP));
    assert_eq!(event(&mut theirs).await, LegEvent::Answered);
    (theirs, answered.leg)
}

#[tokio::test]
async fn a_call_is_answered_and_either_side_hangs_up() {
    let (caller, mut callee) = (Side::open().await, Side::open().await);
    for caller_hangs_up in [true, false] {
        let (mut theirs, mut ours) = connected(&caller, &mut callee).await;
        let (first, second) = if caller_hangs_up { (&mut ours, &mut theirs) } else { (&mut theirs, &mut ours) };
        first.commands.send(LegCommand::HangUp).await.unwrap();
        assert_eq!(event(first).await, LegEvent::Ended { reason: LegEnd::AgentHungUp });
        assert_eq!(event(second).await, LegEvent::Ended { reason: LegEnd::CallerHungUp });
    }
}

#[tokio::test]
async fn dropping_a_leg_hangs_up() {
    let (caller, mut callee) = (Side::open().await, Side::open().await);
    let (mut theirs, ours) = connected(&caller, &mut callee).await;
    drop(ours);
    assert_eq!(event(&mut theirs).await, LegEvent::Ended { reason: LegEnd::CallerHungUp });
}

#[tokio::test]
async fn a_refusal_carries_its_words() {
    let (caller, mut callee) = (Side::open().await, Side::open().await);
    let mut outgoing = caller.door.dial(&callee.uri("nobody"), rtp(CALLER_RTP), &[]).await.unwrap();
    let refusal = SipRefusal { status: 404, reason: Some("No Such Bot".to_owned()), retry_after: None };
    callee.call().await.refuse(refusal);
    match within(outgoing.answered()).await {
        Err(SipError::Refused { status: 404, reason }) => assert_eq!(reason, "No Such Bot"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_that_nobody_answers_gets_an_answer_all_the_same() {
    let (caller, mut callee) = (Side::open().await, Side::open().await);
    let mut outgoing = caller.door.dial(&callee.uri("demo"), rtp(CALLER_RTP), &[]).await.unwrap();
    drop(callee.call().await);
    assert!(matches!(within(outgoing.answered()).await, Err(SipError::Refused { status: 500, .. })));
}

#[tokio::test]
async fn a_cancelled_call_cannot_be_accepted() {
    let (caller, mut callee) = (Side::open().await, Side::open().await);
    let outgoing = caller.door.dial(&callee.uri("demo"), rtp(CALLER_RTP), &[]).await.unwrap();
    let incoming = callee.call().await;
    outgoing.cancel();
    within(incoming.cancelled()).await;
    let refused = incoming.accept(rtp(CALLEE_RTP), SessionId::new(NodeId(1)));
    assert!(matches!(refused, Err(SipError::Cancelled)), "{refused:?}");
}

#[tokio::test]
async fn a_closing_door_says_goodbye() {
    let (caller, mut callee) = (Side::open().await, Side::open().await);
    let (mut theirs, mut ours) = connected(&caller, &mut callee).await;
    callee.cancel.cancel();
    assert_eq!(event(&mut theirs).await, LegEvent::Ended { reason: LegEnd::Drained });
    assert_eq!(event(&mut ours).await, LegEvent::Ended { reason: LegEnd::CallerHungUp });
    within(callee.door.closed()).await;
}
