//! `tandem eval`: plays conversations from files with a bot, and says which of them went as they should.
//!
//! A file is read (`scenario`); a caller (`caller`) plays each of its scenarios through the WebSocket door as `play` says, and
//! `window` holds what happened against what was expected. docs/evals.md is for those who write files.

mod caller;
mod judge;
mod play;
mod report;
mod scenario;
mod window;
mod words;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde_saphyr::Spanned;
use tandem_contract::call::Accept;
use tandem_contract::{BotName, ConfigVersion, NodeId, Private, SessionId};
use tandem_models::LanguageModel;
use tokio::time::Instant;

use self::caller::Callee;
use self::report::{Report, Status};
use self::scenario::{Act, File, Scenario};
use self::window::{Finding, Verdict};
use super::SettingsFile;
use super::own_node::OwnNode;
use crate::engines::{Engines, check_bot};
use crate::models::Models;
use crate::state::DEMO_BOT;

/// The example, and what is played when no file is named.
const DEMO: &str = include_str!("../../../evals/demo.yaml");
const DEMO_FILE: &str = "demo.yaml";
/// A man's: easily told from the demo bot's.
const VOICE: &str = "rms";

/// A file, or a bot's, is not as it should be.
const BAD_FILE: u8 = 2;
/// Nothing failed, but not all could be judged.
const SKIPPED: u8 = 3;

/// Plays scenarios with a bot. Exit code 0: all expectations were met; 1: one was not, or the scenarios could not be
/// played; 2: a file is wrong; 3: none failed, but some wanted a language model to judge, and there is none.
#[derive(Debug, clap::Args)]
pub struct Eval {
    /// Scenario files (docs/evals.md); without one, the ten of the demo bot
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A bot file for the node that is started; its name is the bot's
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    bot: Vec<PathBuf>,
    /// A node that runs already; without it, one is started on free ports with a folder of its own
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A key of that node
    #[arg(long, value_name = "KEY", requires = "url")]
    key: Option<String>,
    /// Only the scenarios with this in their names
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The results as JUnit XML, for build servers
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFile,
}

/// A file and where it is from.
struct Source {
    name: String,
    folder: PathBuf,
    file: File,
}

/// What the scenarios are played with.
struct Stage {
    url: String,
    key: Option<Private<String>>,
    /// Of files that name none.
    bot: BotName,
    engines: Engines,
    models: Models,
}

impl Eval {
    /// # Errors
    /// When there is no node, or a result cannot be written.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let (sources, bots) = match self.sources().and_then(|sources| Ok((sources, self.bots()?))) {
            Ok(found) => found,
            Err(error) => {
                writeln!(std::io::stderr(), "tandem: {error:#}")?;
                return Ok(ExitCode::from(BAD_FILE));
            }
        };
        let settings = self.settings.load()?;
        let (models, _) = Models::open(&settings)?;
        let own = match self.url {
            Some(_) => None,
            None => Some(Box::pin(OwnNode::start(settings, &bots)).await?),
        };
        let stage = self.stage(own.as_ref(), &bots, models)?;
        let reports = Box::pin(self.play(&sources, &stage)).await?;
        self.tell(&reports)?;
        if let Some(own) = own {
            Box::pin(own.end()).await;
        }
        Ok(match report::status(&reports) {
            Status::Passed => ExitCode::SUCCESS,
            Status::Failed => ExitCode::FAILURE,
            Status::Skipped => ExitCode::from(SKIPPED),
        })
    }

    fn sources(&self) -> anyhow::Result<Vec<Source>> {
        if self.files.is_empty() {
            return Ok(vec![source(Path::new(DEMO_FILE), DEMO)?]);
        }
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            source(path, &text)
        };
        self.files.iter().map(read).collect()
    }

    fn bots(&self) -> anyhow::Result<Vec<(BotName, String)>> {
        let read = |path: &PathBuf| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let name = BotName::new(stem).with_context(|| format!("the name of {} is no bot's", path.display()))?;
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let found = check_bot(&text);
            anyhow::ensure!(!found.has_errors(), "{}:\n{found}", path.display());
            Ok((name, text))
        };
        self.bot.iter().map(read).collect()
    }

    fn stage(&self, own: Option<&OwnNode>, bots: &[(BotName, String)], models: Models) -> anyhow::Result<Stage> {
        let own_url = own.map(|own| format!("http://{}", own.node.state.settings.http.addr));
        let own_key = own.and_then(|own| own.node.new_key.clone());
        Ok(Stage {
            url: self.url.clone().or(own_url).unwrap_or_default(),
            key: self.key.clone().map(Private::new).or(own_key),
            bot: match bots.first() {
                Some((name, _)) => name.clone(),
                None => BotName::new(DEMO_BOT)?,
            },
            engines: Engines::embedded(),
            models,
        })
    }

    async fn play(&self, sources: &[Source], stage: &Stage) -> anyhow::Result<Vec<Report>> {
        let mut reports = Vec::new();
        for source in sources {
            for Spanned { value: scenario, .. } in &source.file.scenarios {
                if self.only.as_ref().is_none_or(|only| scenario.name.contains(only)) {
                    let report = Box::pin(stage.play(source, scenario)).await;
                    write!(std::io::stdout(), "{}", report.progress())?;
                    std::io::stdout().flush()?;
                    reports.push(report);
                }
            }
        }
        anyhow::ensure!(!reports.is_empty(), "no scenario has this in its name: --only wants a part of one");
        Ok(reports)
    }

    fn tell(&self, reports: &[Report]) -> anyhow::Result<()> {
        write!(std::io::stdout(), "{}", report::table(reports))?;
        let write = |path: &Path, text: String| {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        if let Some(path) = &self.json {
            write(path, format!("{:#}\n", report::json(reports)))?;
        }
        if let Some(path) = &self.junit {
            write(path, report::junit(reports))?;
        }
        Ok(())
    }
}

fn source(path: &Path, text: &str) -> anyhow::Result<Source> {
    let name = path.display().to_string();
    let file = scenario::read(text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    for step in file.scenarios.iter().flat_map(|scenario| &scenario.value.steps) {
        if let Some(Act::Play(sound)) = &step.value.act {
            let (sound, line) = (folder.join(sound), step.referenced.line());
            anyhow::ensure!(sound.is_file(), "{name}: line {line}: there is no file {}", sound.display());
        }
    }
    Ok(Source { name, folder, file })
}

impl Stage {
    async fn play(&self, source: &Source, scenario: &Scenario) -> Report {
        let mode = scenario.mode.unwrap_or(source.file.mode);
        let bot = scenario.bot.as_ref().or(source.file.bot.as_ref()).unwrap_or(&self.bot).clone();
        let voice = scenario.voice.as_deref().or(source.file.voice.as_deref()).unwrap_or(VOICE);
        let voice = self.engines.installed("flite", voice);
        let callee = Callee { url: self.url.clone(), key: self.key.clone(), bot };
        let began = Instant::now();
        let played = caller::play(&callee, mode, voice, scenario.steps.clone(), &source.folder).await;
        let (session, mut findings) = match played {
            Ok(played) => (played.session, played.findings),
            Err(error) => {
                let verdict = Verdict::Missed(format!("{error:#}"));
                (None, vec![Finding { line: 0, what: "a conversation".into(), verdict }])
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        let model = self.judge();
        judge::judge(model.as_deref(), &mut findings).await;
        Report { file: source.name.clone(), name: scenario.name.clone(), mode, session, seconds, findings }
    }

    /// The node's own language model.
    fn judge(&self) -> Option<Arc<dyn LanguageModel>> {
        let bot = BotName::new("judge").ok()?;
        let accept = Accept { bot, version: ConfigVersion(1), config: Arc::default() };
        self.models.session(&accept, SessionId::new(NodeId::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_bot_has_ten_scenarios_by_text_and_by_audio() {
        let File { scenarios, mode, .. } = scenario::read(DEMO).unwrap();
        assert_eq!(scenarios.len(), 10);
        let spoken = |scenario: &&Spanned<Scenario>| scenario.value.mode.unwrap_or(mode) == scenario::Mode::Audio;
        assert!((3..=5).contains(&scenarios.iter().filter(spoken).count()));
    }
}
