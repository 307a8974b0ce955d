//! What an agent says of its own accord, in the language of its bot. The words of each language are a file beside this one,
//! `when = words` a line; a bot has its own in `wording`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_contract::bot::{BotConfig, Wording};

use crate::language::{Language, Lists, files_of_languages};

static LISTS: Lists<BTreeMap<Wording, &'static str>> = Lists::new(files_of_languages!("."), read);

fn read(list: &'static str) -> BTreeMap<Wording, &'static str> {
    let line = |line: &'static str| {
        let (when, words) = line.split_once('=')?;
        let when = serde_json::from_value(when.trim().into()).ok()?;
        Some((when, words.trim()))
    };
    list.lines().filter_map(line).collect()
}

/// The words of one bot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    language: Language,
    own: BTreeMap<Wording, String>,
}

impl Words {
    pub fn new(config: &BotConfig) -> Self {
        let own = config.wording.iter().flatten().map(|(when, words)| (*when, words.clone()));
        Self { language: Language::of(config.language()), own: own.collect() }
    }

    pub fn of(&self, when: Wording) -> &str {
        let own = self.own.get(&when).map(String::as_str);
        own.or_else(|| LISTS.of(self.language).get(&when).copied()).unwrap_or_default()
    }
}

/// What an English bot says.
#[cfg(test)]
pub(crate) fn english(when: Wording) -> &'static str {
    LISTS.of(Language::English)[&when]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(config: serde_json::Value) -> Words {
        Words::new(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn every_language_has_words_for_everything_and_for_nothing_else() {
        let tags = ["en", "fr", "de", "it", "pt", "es"];
        let lists = tags.map(|tag| LISTS.of(Language::of(tag)));
        for (list, file) in lists.into_iter().zip(tags) {
            let path = format!("{}/src/wording/{file}.txt", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#')).count();
            assert_eq!((list.len(), lines), (Wording::ALL.len(), Wording::ALL.len()), "{file}");
            assert!(Wording::ALL.iter().all(|when| list[when].ends_with(['.', '?'])), "{file}");
        }
        for when in Wording::ALL {
            let said: std::collections::BTreeSet<_> = lists.map(|list| list[when]).into();
            assert_eq!(said.len(), lists.len(), "{when:?} is said in each language");
        }
    }

    #[test]
    fn a_bot_speaks_its_language_and_its_own_words() {
        let language = |language: &str| words(json!({ "livekit_config": { "stt_language": language } }));
        for (tag, goodbye) in [
            ("de-AT", "Auf Wiederhören."),
            ("ES", "Adiós."),
            ("fr_CA", "Au revoir."),
            ("it", "Arrivederci."),
            ("pt-BR", "Adeus."),
            ("multi", "Goodbye."),
            ("ja", "Goodbye."),
        ] {
            assert_eq!(language(tag).of(Wording::Goodbye), goodbye, "{tag}");
        }
        let own = words(json!({ "wording": { "goodbye": "Servus." }, "livekit_config": { "stt_language": "de" } }));
        assert_eq!((own.of(Wording::Goodbye), own.of(Wording::StillThere)), ("Servus.", "Sind Sie noch da?"));
    }
}
