//! The SIP door: takes calls from `signaling::sip`, asks for a session, opens the audio, answers.
//!
//! One task takes calls, one task a call sets it up, one follows where the far end wants its audio.

use std::net::{IpAddr, SocketAddr};

use tandem_agents::session::SignalingLeg;
use tandem_contract::call::{Door, Modality, Refusal};
use tandem_media::codec;
use tandem_media::leg::{MediaCommand, RtpRemote};
use tandem_media::worker::{WireSetup, WorkerError};
use tandem_signaling::sip::{IncomingCall, OfferedMedia, SipError, SipRefusal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::answer::{self, Admitted, Request};
use crate::public_errors::PublicError;
use crate::state::AppState;

/// Takes calls until the door closes or `close` fires.
pub async fn serve(state: AppState, mut calls: mpsc::Receiver<IncomingCall>, close: CancellationToken) {
    while let Some(Some(call)) = close.run_until_cancelled(calls.recv()).await {
        let state = state.clone();
        state.tasks.clone().spawn(async move { set_up(state, call).await });
    }
}

async fn set_up(state: AppState, mut call: IncomingCall) {
    let admitted = match admit(&state, &call) {
        // Whatever is agreed: telephones speak G.711, and the worker's legs have its rate.
        Ok(admitted) => admitted.dial(Some(codec::RATE)),
        Err(refusal) => return refuse(call, &refusal),
    };
    let ringing = admitted.accept().config.turn_policy().answer_after();
    if !ringing.is_zero() {
        call.ring(admitted.session());
        tokio::select! {
            () = tokio::time::sleep(ringing) => {}
            () = call.cancelled() => return debug!("the caller gave up before the answer"),
        }
    }
    if let Err(error) = answer(&state, call, admitted).await {
        match error {
            SetUpError::Sip(SipError::Cancelled) => debug!("the caller gave up before the answer"),
            error => error!(error = &error as &dyn std::error::Error, "a call could not be set up"),
        }
    }
}

fn admit(state: &AppState, call: &IncomingCall) -> Result<Admitted, Refusal> {
    let request = Request {
        door: Door::Sip,
        modality: Modality::Voice,
        // SIP user parts are case-sensitive (RFC 3261 section 19.1.4), bot names are lower case, and people type both.
        bot: call.offer.user.to_ascii_lowercase(),
        caller: call.offer.caller.clone(),
    };
    // The bot is looked up first: an unknown one is 404 whatever codecs were offered.
    let admitted = answer::admit(state, request)?;
    match &call.offer.media {
        OfferedMedia::NothingInCommon { offered } => {
            let refusal = Refusal::NoCommonCodec { offered: offered.clone() };
            answer::count_refusal(Door::Sip, &refusal);
            Err(refusal)
        }
        OfferedMedia::Agreed(_) | OfferedMedia::Later => Ok(admitted),
    }
}

#[derive(Debug, thiserror::Error)]
enum SetUpError {
    #[error("no media leg")]
    Media(#[from] WorkerError),
    #[error("the media leg has no address")]
    NoAddress,
    #[error("no dialog")]
    Sip(#[from] SipError),
}

async fn answer(state: &AppState, call: IncomingCall, admitted: Admitted) -> Result<(), SetUpError> {
    let remote = match &call.offer.media {
        OfferedMedia::Agreed(remote) => Some(*remote),
        OfferedMedia::Later | OfferedMedia::NothingInCommon { .. } => None,
    };
    let bind = audio_address(state.settings.sip.addr, call.offer.source);
    let setup = admitted.leg_setup(WireSetup::Rtp { bind, remote });
    let media = match state.worker.open_rtp(setup).await {
        Err(error @ WorkerError::NoFreePort(_)) => {
            warn!(%error, "no port for the audio of a call; a wider range in `rtp.ports` gives more");
            answer::count_refusal(Door::Sip, &Refusal::NoAudioPort);
            refuse(call, &Refusal::NoAudioPort);
            return Ok(());
        }
        opened => opened?,
    };
    let local = media.local.ok_or(SetUpError::NoAddress)?;
    let leg = call.accept(local, admitted.session())?;
    state.tasks.spawn(follow(leg.media, media.commands.clone()));
    // A far end that makes the offer itself has not said yet whether it takes digits; ours names them, and telephones agree.
    let keys = remote.is_none_or(|remote| remote.dtmf.is_some());
    admitted
        .with_keys(keys)
        .with_people(true)
        .start(SignalingLeg { commands: leg.commands, events: leg.events }, Some(media));
    Ok(())
}

/// Audio takes the address that signaling is bound to; bound to "any" it takes any of the caller's family.
fn audio_address(sip: SocketAddr, source: SocketAddr) -> IpAddr {
    match source {
        _ if !sip.ip().is_unspecified() => sip.ip(),
        SocketAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

/// Tells the worker where the far end wants its audio and who may send, when that was not known at the start or changes
/// (hold). Ends with the call or with its audio.
async fn follow(mut media: watch::Receiver<Option<RtpRemote>>, worker: mpsc::Sender<MediaCommand>) {
    let mut known = *media.borrow_and_update();
    loop {
        tokio::select! {
            () = worker.closed() => return,
            changed = media.changed() => if changed.is_err() { return },
        }
        let remote = *media.borrow_and_update();
        if let Some(remote) = remote.filter(|_| remote != known)
            && worker.send(MediaCommand::Remote(remote)).await.is_err()
        {
            return;
        }
        known = remote;
    }
}

fn refuse(call: IncomingCall, refusal: &Refusal) {
    let answer = PublicError::from(refusal).answer();
    call.refuse(SipRefusal { status: answer.sip, reason: None, retry_after: answer.retry_after });
}
