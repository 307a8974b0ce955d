//! The command line.

pub mod call;
pub mod chat;
pub mod check;
mod client;
pub mod demo;
pub mod eval;
mod floor;
mod own_node;
pub mod serve;
mod sound;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches as _, Parser, Subcommand};

use crate::settings::{self, Settings};

/// A voice and chat gateway: answers phone calls and WebSockets, and holds the conversation.
#[derive(Debug, Parser)]
#[command(name = "tandem", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer calls until told to stop (SIGTERM or SIGINT: running calls may finish; twice: at once)
    Serve(serve::Serve),
    /// Look at settings, limits and engines, or at a bot file; exit code 1 on errors
    Check(check::Check),
    /// Phone somebody and say something
    Call(Box<call::Call>),
    /// Write with a bot
    Chat(chat::Chat),
    /// A call that interrupts the demo bot, on a server of its own, without phone or microphone
    Demo(demo::Demo),
    /// Play conversations from files with a bot, and say which went as they should
    Eval(eval::Eval),
}

/// `--config`, for the commands that read settings.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SettingsFile {
    /// Settings file; without it `tandem.toml`, if there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl SettingsFile {
    /// # Errors
    /// What is wrong with a setting.
    pub fn load(&self) -> Result<Settings, settings::load::SettingsError> {
        // A variable whose name or value is no text cannot be one of ours.
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        settings::load(self.config.as_deref(), env)
    }
}

/// Runs what the command line asks for.
///
/// # Errors
/// What went wrong, for a person.
pub async fn run(matches: ArgMatches) -> anyhow::Result<ExitCode> {
    let cli = Cli::from_arg_matches(&matches)?;
    match cli.command {
        Command::Serve(serve) => serve.run().await,
        Command::Check(check) => check.run(),
        Command::Call(call) => Box::pin(call.run(matches.subcommand_matches("call"))).await,
        Command::Chat(chat) => Box::pin(chat.run()).await,
        Command::Demo(demo) => Box::pin(demo.run()).await,
        Command::Eval(eval) => Box::pin(eval.run()).await,
    }
}
