//! One run: so many callers at once, and what they heard.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_signaling::sip::{SipDoor, SipSettings};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::callers::{Answered, Callers, socket};
use crate::hearing::Heard;
use crate::plan::{CallPlan, fingerprint, plans};
use crate::table::Row;
use crate::usage::{self, Usage};

/// What a run is made of.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Whom to call
    #[arg(long, default_value = "sip:demo@127.0.0.1:5060")]
    pub target: String,
    /// Calls at the same time
    #[arg(long, default_value_t = 1)]
    pub calls: usize,
    /// Length of each call
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Same seed, same packets
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Calls started per second
    #[arg(long, default_value_t = 20)]
    pub rate: u32,
    /// The server's process, for its CPU time and memory
    #[arg(long)]
    pub pid: Option<u32>,
    /// Write the row of the table to this file too
    #[arg(long)]
    pub row: Option<PathBuf>,
}

/// Calls, listens, hangs up, and returns the row of the table.
///
/// # Errors
/// When no socket can be opened or the server's process cannot be read.
pub async fn run(args: &RunArgs) -> Result<Row> {
    let cancel = CancellationToken::new();
    let settings = SipSettings { addr: ([127, 0, 0, 1], 0).into(), ..SipSettings::default() };
    let (door, mut incoming) = SipDoor::open(settings, cancel.clone()).await?;
    // A load generator takes no calls; a refused one would only fill the queue.
    incoming.close();
    let callers = Callers::start()?;
    let plans = plans(args.seed, args.calls, Duration::from_secs(args.seconds));
    let mut row = Row { calls: args.calls, fingerprint: fingerprint(&plans), ..Row::default() };
    let before = args.pid.map(usage::of).transpose()?;

    let mut calls = JoinSet::new();
    let interval = Duration::from_secs(1) / args.rate.max(1);
    for plan in plans {
        calls.spawn(call(door.clone(), callers.clone(), args.target.clone(), plan));
        tokio::time::sleep(interval).await;
    }
    let window = measure_window(args).await?;
    while let Some(done) = calls.join_next().await {
        match done.context("a caller's task died")? {
            Ok(heard) => row.add(heard),
            Err(error) => {
                eprintln!("call failed: {error:#}");
                row.failed += 1;
            }
        }
    }
    if let (Some(before), Some((first, last, seconds))) = (before, window) {
        row.charge(last.cpu - first.cpu, last.resident_kb.saturating_sub(before.resident_kb), seconds);
    }
    cancel.cancel();
    Ok(row)
}

/// The server's usage at both ends of the time in which all calls are up, and its length in seconds.
async fn measure_window(args: &RunArgs) -> Result<Option<(Usage, Usage, f64)>> {
    let ramp = args.calls as f64 / f64::from(args.rate.max(1));
    let length = args.seconds as f64 - ramp - 2.0;
    let Some(pid) = args.pid else { return Ok(None) };
    if length < 5.0 {
        bail!(
            "{} calls at {} a second leave no time in which all are up: raise --seconds or --rate",
            args.calls,
            args.rate
        );
    }
    let first = usage::of(pid)?;
    let begun = std::time::Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(length)).await;
    Ok(Some((first, usage::of(pid)?, begun.elapsed().as_secs_f64())))
}

async fn call(door: SipDoor, callers: Callers, target: String, plan: CallPlan) -> Result<Heard> {
    let (socket, local) = socket()?;
    let mut outgoing = door.dial(&target, local, &[]).await?;
    let mut answered = outgoing.answered().await?;
    let (done, heard) = oneshot::channel();
    let remote = answered.remote.addr;
    tokio::task::spawn_blocking(move || callers.add(Answered { plan, socket, remote, done })).await?;
    let heard = tokio::select! {
        heard = heard => heard.context("the callers' thread died")?,
        ended = ended(&mut answered.leg.events) => bail!("the far end hung up: {ended}"),
    };
    answered.leg.commands.send(LegCommand::HangUp).await?;
    ended(&mut answered.leg.events).await;
    Ok(heard)
}

/// Waits for the end of the leg and says why it ended.
async fn ended(events: &mut tokio::sync::mpsc::Receiver<LegEvent>) -> String {
    while let Some(event) = events.recv().await {
        if let LegEvent::Ended { reason } = event {
            return format!("{reason:?}");
        }
    }
    "the wire is gone".to_owned()
}
