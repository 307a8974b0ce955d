//! The binary `tandem-load`: seeded callers by SIP or as Twilio, stand-in vendors, or the whole benchmark.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that prints its results")]

mod bench;
mod callers;
mod hearing;
mod plan;
mod run;
mod server;
mod table;
mod twilio;
mod usage;
mod vendors;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Seeded callers that speak, interrupt and listen; stand-in vendors")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Call a running server by SIP
    Run(run::RunArgs),
    /// Call as Twilio does, with stand-ins for Deepgram, OpenAI and ElevenLabs: a running server, or one that is started for it
    Twilio(Box<twilio::TwilioArgs>),
    /// Only the stand-ins
    Vendors(vendors::VendorsArgs),
    /// Start servers, call them by SIP and as Twilio, and write docs/performance.md
    Bench(bench::BenchArgs),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match cli.command {
        Command::Run(args) => {
            let row = runtime.block_on(run::run(&args))?;
            println!("{}\n{row}", table::HEAD);
            if let Some(file) = args.row {
                std::fs::write(file, format!("{row}\n"))?;
            }
            anyhow::ensure!(row.failed == 0, "{} of {} calls failed", row.failed, row.calls);
            Ok(())
        }
        Command::Twilio(args) => runtime.block_on(twilio::run(&args)),
        Command::Vendors(args) => runtime.block_on(vendors::run(args)),
        Command::Bench(args) => bench::bench(&args),
    }
}
