//! Bots from files: `bots/<name>.json`, read at start, held in memory, asked by every call offer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_check::Finding;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Accept, CallOffer, Modality, Refusal};
use tandem_contract::ports::{Router, StoreError};
use tandem_contract::{BotName, ConfigVersion};
use tracing::{error, info, warn};

use crate::engines::check_bot;
use crate::store::{make_folder, replace};

/// What a fresh data folder starts with.
const BUNDLED: [(&str, &str); 2] =
    [("demo.json", include_str!("../bots/demo.json")), ("echo.json", include_str!("../bots/echo.json"))];

/// The bots of this node, by name.
#[derive(Clone, Debug, Default)]
pub struct FileBots {
    bots: BTreeMap<BotName, Accept>,
    /// What is not as their files say, though they run.
    remarks: Vec<(BotName, Finding)>,
}

/// A file that gives no bot. The others do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenFile {
    pub path: PathBuf,
    pub findings: Vec<Finding>,
    /// When it could not even be read, or its name is no bot name.
    pub reason: Option<String>,
}

/// Writes the demo bots, where there are none of their names.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_bundled(data: &Path) -> Result<(), StoreError> {
    let folder = data.join("bots");
    make_folder(&folder)?;
    let missing = BUNDLED.iter().map(|(name, text)| (folder.join(name), text)).filter(|(path, _)| !path.exists());
    for (path, text) in missing {
        replace(&path, text.as_bytes())?;
    }
    Ok(())
}

impl FileBots {
    /// Reads `bots/*.json`. A broken file is told and stops no other.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn load(data: &Path) -> Result<(Self, Vec<BrokenFile>), StoreError> {
        let folder = data.join("bots");
        make_folder(&folder)?;
        let failed = |source| StoreError::Io { action: "list", path: folder.display().to_string(), source };
        let (mut bots, mut remarks, mut broken) = (BTreeMap::new(), Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                match read(&path) {
                    Ok((accept, findings)) => {
                        remarks.extend(findings.into_iter().map(|finding| (accept.bot.clone(), finding)));
                        bots.insert(accept.bot.clone(), accept);
                    }
                    Err(file) => broken.push(file),
                }
            }
        }
        broken.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((Self { bots, remarks }, broken))
    }

    pub fn names(&self) -> impl Iterator<Item = &BotName> {
        self.bots.keys()
    }

    pub fn configs(&self) -> impl Iterator<Item = (&BotName, &Arc<BotConfig>)> {
        self.bots.iter().map(|(name, accept)| (name, &accept.config))
    }

    /// The configs of the bots that are phoned.
    pub fn voicebots(&self) -> impl Iterator<Item = &Arc<BotConfig>> {
        self.bots.values().map(|accept| &accept.config).filter(|config| config.allows(Modality::Voice))
    }

    /// Says in the log what there is and what is broken.
    pub fn report(&self, broken: &[BrokenFile]) {
        info!(bots = ?self.names().map(BotName::as_str).collect::<Vec<_>>(), "bots are loaded");
        for (bot, finding) in &self.remarks {
            let Finding { severity, pointer, message } = finding;
            warn!(%bot, %severity, pointer, message, "a bot does not do all that its file says");
        }
        for file in broken {
            let path = file.path.display();
            if let Some(reason) = &file.reason {
                error!(%path, %reason, "a bot file is left out");
            }
            for finding in &file.findings {
                error!(%path, %finding, "a bot file is left out");
            }
        }
    }
}

/// The bot of a file, and what is to be said of it.
fn read(path: &Path) -> Result<(Accept, Vec<Finding>), BrokenFile> {
    let broken = |reason: Option<String>, findings| BrokenFile { path: path.into(), findings, reason };
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let bot = BotName::new(stem).map_err(|error| broken(Some(error.to_string()), Vec::new()))?;
    let text = std::fs::read_to_string(path).map_err(|error| broken(Some(error.to_string()), Vec::new()))?;
    let report = check_bot(&text);
    match report.config {
        Some(config) => Ok((Accept { bot, version: ConfigVersion(1), config: Arc::new(config) }, report.findings)),
        None => Err(broken(None, report.findings)),
    }
}

impl Router for FileBots {
    fn route(&self, offer: &CallOffer) -> Result<Accept, Refusal> {
        let accept = self.bots.get(&offer.bot).ok_or_else(|| Refusal::UnknownBot(offer.bot.to_string()))?;
        if !accept.config.allows(offer.modality) {
            return Err(Refusal::Forbidden(format!("bot {} does not take this kind of conversation", offer.bot)));
        }
        Ok(accept.clone())
    }
}

#[cfg(test)]
mod tests {
    use tandem_contract::bot::{FliteVoice, VoiceChoice};
    use tandem_contract::call::{Door, Modality};
    use tandem_contract::{NodeId, Private, SessionId};

    use super::*;

    fn offer(bot: &str, modality: Modality) -> CallOffer {
        CallOffer {
            session: SessionId::new(NodeId(0)),
            door: Door::Sip,
            modality,
            bot: BotName::new(bot).unwrap(),
            caller: Private::default(),
        }
    }

    #[test]
    fn the_bundled_bots_have_no_findings() {
        let assistant = ("assistant.json", include_str!("../bots/assistant.json"));
        for (name, text) in BUNDLED.into_iter().chain([assistant]) {
            assert_eq!(check_bot(text).findings, [], "{name}");
        }
    }

    #[test]
    fn a_fresh_folder_gets_the_bundled_bots_and_keeps_its_own() {
        let data = tempfile::tempdir().unwrap();
        make_folder(&data.path().join("bots")).unwrap();
        std::fs::write(data.path().join("bots/demo.json"), r#"{"limits":{"max_sessions":7}}"#).unwrap();
        write_bundled(data.path()).unwrap();
        let (bots, broken) = FileBots::load(data.path()).unwrap();
        assert_eq!(broken, []);
        assert_eq!(bots.names().map(BotName::as_str).collect::<Vec<_>>(), ["demo", "echo"]);
        assert_eq!(bots.route(&offer("demo", Modality::Voice)).unwrap().config.limits.max_sessions, 7);
    }

    #[test]
    fn a_broken_file_is_told_and_stops_no_other() {
        let data = tempfile::tempdir().unwrap();
        write_bundled(data.path()).unwrap();
        for (name, text) in [("a.json", "{"), ("b.json", r#"{"limit":{}}"#), ("Big.json", "{}"), ("notes.txt", "{")] {
            std::fs::write(data.path().join("bots").join(name), text).unwrap();
        }
        let (bots, broken) = FileBots::load(data.path()).unwrap();
        assert_eq!(bots.names().count(), 2);
        let names: Vec<_> = broken.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
        assert_eq!(names, ["Big.json", "a.json", "b.json"]);
        assert!(broken[0].reason.is_some() && !broken[1].findings.is_empty() && !broken[2].findings.is_empty());
        let refusal = bots.route(&offer("nobody", Modality::Voice)).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownBot("nobody".into()));
    }

    #[test]
    fn an_unknown_voice_is_remarked_and_slt_speaks() {
        let data = tempfile::tempdir().unwrap();
        make_folder(&data.path().join("bots")).unwrap();
        let config = r#"{"livekit_config": {"tts_voice_id": "kal16"}, "flow": {"start": "a", "states": {"a": {"hang_up": true}}}}"#;
        std::fs::write(data.path().join("bots/old.json"), config).unwrap();
        let (bots, broken) = FileBots::load(data.path()).unwrap();
        assert_eq!(broken, []);
        let [(bot, finding)] = bots.remarks.as_slice() else { panic!("{:?}", bots.remarks) };
        assert_eq!((bot.as_str(), finding.pointer.as_str()), ("old", "/livekit_config/tts_voice_id"));
        assert_eq!(
            bots.route(&offer("old", Modality::Voice)).unwrap().config.voice(),
            VoiceChoice::Best(FliteVoice::Slt)
        );
    }

    #[test]
    fn a_chatbot_is_not_phoned() {
        let data = tempfile::tempdir().unwrap();
        let config = r#"{"config_metadata":{"config_id":"1","product_type":"chatbot","client_id":"1","version":1,
            "environment":"development","created_at":"2026-01-01T00:00:00Z"}}"#;
        make_folder(&data.path().join("bots")).unwrap();
        std::fs::write(data.path().join("bots/writer.json"), config).unwrap();
        let (bots, broken) = FileBots::load(data.path()).unwrap();
        assert_eq!(broken, []);
        assert!(bots.route(&offer("writer", Modality::Text)).is_ok());
        assert!(matches!(bots.route(&offer("writer", Modality::Voice)), Err(Refusal::Forbidden(_))));
    }
}
