//! `tandem check`: settings, limits, engines and bots; or one bot file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use tandem_check::Finding;
use tandem_contract::bot::BotConfig;

use super::SettingsFile;
use crate::bots::FileBots;
use crate::engines::{Engines, check_bot, check_vendors};
use crate::models::{Models, budgets};
use crate::settings::{Settings, load};
use crate::tls::Certificates;
use crate::tools;

/// Files that the process opens beside the sockets of calls: logs, records, listeners, HTTP connections.
const OTHER_FILES: u64 = 256;

#[derive(Debug, clap::Args)]
pub struct Check {
    /// A bot file to look at; without one, the settings and this machine
    #[arg(value_name = "BOTFILE")]
    bot: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFile,
}

impl Check {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let report = match &self.bot {
            Some(path) => bot(path, &self.settings.load()?)?,
            None => node(&self.settings.load()?)?,
        };
        std::io::stdout().write_all(report.text.as_bytes())?;
        Ok(if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// What is shown, and whether something in it keeps Tandem from working.
#[derive(Default)]
struct Report {
    text: String,
    failed: bool,
}

impl Report {
    fn line(&mut self, mark: &str, text: &str) {
        let _ = writeln!(self.text, "{mark:<9}{text}");
    }

    fn ok(&mut self, text: &str) {
        self.line("ok", text);
    }

    fn warn(&mut self, text: &str) {
        self.line("warning", text);
    }

    fn error(&mut self, text: &str) {
        self.failed = true;
        self.line("error", text);
    }
}

fn bot(path: &Path, settings: &Settings) -> anyhow::Result<Report> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = check_bot(&text);
    // Warnings are the last of the findings.
    found.findings.extend(found.config.iter().flat_map(|config| beyond_the_file(config, settings)));
    Ok(Report { text: format!("{found}\n"), failed: found.has_errors() })
}

/// What the bot wants of this node and its settings do not give.
fn beyond_the_file(config: &BotConfig, settings: &Settings) -> Vec<Finding> {
    let vendors = check_vendors(config, settings).into_iter();
    vendors.chain(tools::unset(config, settings)).chain(budgets::idle_of(config, settings)).collect()
}

fn node(settings: &Settings) -> anyhow::Result<Report> {
    let mut report = Report::default();
    in_force(settings, &mut report);
    match Certificates::open(&settings.tls) {
        Ok(None) => {}
        Ok(Some(_)) => report.ok(&format!("{} serves HTTPS and WSS", settings.http.addr)),
        Err(error) => report.error(&format!("{:#}", anyhow::Error::new(error))),
    }
    limits(settings, &mut report);
    budgets::idle(settings).iter().for_each(|idle| report.warn(idle));
    engines(&Engines::open(settings)?, &Models::open(settings)?.0, &mut report);
    bots(settings, &mut report)?;
    Ok(report)
}

fn in_force(settings: &Settings, report: &mut Report) {
    let in_force = toml::Value::try_from(settings).unwrap_or(toml::Value::Boolean(false));
    for key in load::leaves().keys() {
        let value = key.split('.').try_fold(&in_force, |table, part| table.get(part)).map(load::shown);
        report.ok(&format!("{key} = {}", value.unwrap_or_default()));
    }
    for (name, secret) in &settings.secrets.0 {
        let hosts: Vec<String> = secret.hosts.0.iter().map(ToString::to_string).collect();
        report.ok(&format!("secrets.{name} = [hidden], for {}", hosts.join(", ")));
    }
}

fn limits(settings: &Settings, report: &mut Report) {
    let sessions = settings.node.max_sessions;
    let ports = settings.rtp.ports;
    let pairs = u32::from(ports.last - ports.first).div_ceil(2);
    match pairs < sessions {
        true => report.warn(&format!("rtp.ports has room for {pairs} calls, node.max_sessions is {sessions}")),
        false => report.ok(&format!("rtp.ports has room for {pairs} calls")),
    }
    let Some(files) = open_files() else { return };
    let wanted = u64::from(sessions) + OTHER_FILES;
    match files < wanted {
        true => report.warn(&format!(
            "this process may open {files} files, {sessions} sessions want {wanted}: `ulimit -n {wanted}`"
        )),
        false => report.ok(&format!("this process may open {files} files")),
    }
}

/// The soft limit of proc_pid_limits(5). None where there is no /proc.
fn open_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn engines(engines: &Engines, models: &Models, report: &mut Report) {
    for part in engines.parts(models) {
        report.ok(&format!("{}: {}, {}", part.part, part.info.name, part.info.quality));
    }
    for (provider, missing) in engines.missing() {
        let remedy = missing.package.map(|package| format!(": `apt-get install {package}`")).unwrap_or_default();
        report.warn(&format!("{provider}: {}{remedy}", missing.why));
    }
}

fn bots(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let data = &settings.data.dir;
    if !data.join("bots").is_dir() {
        report.ok(&format!("{} is fresh: `tandem serve` will write the bots demo and echo", data.display()));
        return Ok(());
    }
    let (bots, broken) = FileBots::load(data)?;
    for (name, config) in bots.configs() {
        report.ok(&format!("bot {name}"));
        for Finding { pointer, message, .. } in beyond_the_file(config, settings) {
            report.warn(&format!("bot {name}, {pointer}: {message}"));
        }
    }
    for file in broken {
        let why = file.reason.unwrap_or_else(|| format!("{} findings", file.findings.len()));
        report.error(&format!("{}: {why}; see `tandem check {0}`", file.path.display()));
    }
    Ok(())
}
