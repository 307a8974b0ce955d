//! The binary `tandem-load`: seeded callers against a running server, or the whole benchmark.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that prints its results")]

mod bench;
mod callers;
mod hearing;
mod plan;
mod run;
mod table;
mod usage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Seeded SIP callers that speak, interrupt and listen")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Call a running server
    Run(run::RunArgs),
    /// Start servers, call them at 1, 50 and 200 calls, and write docs/performance.md
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
        Command::Bench(args) => bench::bench(&args),
    }
}
