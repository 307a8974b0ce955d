//! Answers every call and keeps it until the caller hangs up: a peer for sipp, and for measuring.
//!
//! `cargo run --release -p tandem-signaling --example answer -- 127.0.0.1:5090`, then
//! `sipp -sn uac 127.0.0.1:5090 -r 300 -m 6000 -l 3000 -d 1000`. The user `nobody` gets 404, `busy` 486, `ring` no
//! answer at all. Without RTP: audio is another crate's. Ends at SIGINT with a line of figures.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::net::SocketAddr;

use tandem_contract::leg::LegEvent;
use tandem_contract::{NodeId, SessionId};
use tandem_signaling::sip::{IncomingCall, SipDoor, SipRefusal, SipSettings};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr: SocketAddr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5090".to_owned()).parse()?;
    let cancel = CancellationToken::new();
    let (door, mut calls) = SipDoor::open(SipSettings { addr, ..SipSettings::default() }, cancel.clone()).await?;
    println!("answering at sip:{}", door.local_addr());
    let tasks = TaskTracker::new();
    let mut figures = (0_u64, 0_u64);
    loop {
        tokio::select! {
            Some(call) = calls.recv() => {
                figures.0 += 1;
                figures.1 += u64::from(answer(call, &tasks));
            }
            done = tokio::signal::ctrl_c() => {
                done?;
                break;
            }
        }
    }
    cancel.cancel();
    door.closed().await;
    println!("{} calls, {} answered, {} still up", figures.0, figures.1, door.calls());
    Ok(())
}

fn answer(call: IncomingCall, tasks: &TaskTracker) -> bool {
    let no = |status| SipRefusal { status, reason: None, retry_after: None };
    match call.offer.user.as_str() {
        "nobody" => call.refuse(no(404)),
        "busy" => call.refuse(no(486)),
        "ring" => {
            tasks.spawn(async move { call.cancelled().await });
        }
        _ => return accept(call, tasks),
    }
    false
}

fn accept(call: IncomingCall, tasks: &TaskTracker) -> bool {
    // Port 9 is "discard": nothing listens for the audio.
    let Ok(leg) = call.accept(SocketAddr::from(([127, 0, 0, 1], 9)), SessionId::new(NodeId(1))) else { return false };
    tasks.spawn(async move {
        // The whole leg moves in here: to let its commands go is to hang up.
        let mut leg = leg;
        while let Some(event) = leg.events.recv().await {
            if matches!(event, LegEvent::Ended { .. }) {
                break;
            }
        }
    });
    true
}
