//! The languages that an agent has words of its own in.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Language {
    #[default]
    English,
    French,
    German,
    Italian,
    Portuguese,
    Spanish,
}

impl Language {
    /// Of a tag (BCP 47). English where there are no words for it: something must be said.
    pub(crate) fn of(tag: &str) -> Self {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().to_lowercase();
        match primary.as_str() {
            "de" => Self::German,
            "es" => Self::Spanish,
            "fr" => Self::French,
            "it" => Self::Italian,
            "pt" => Self::Portuguese,
            _ => Self::English,
        }
    }
}

/// Words of every language, each language a file beside the code: read when they are first asked for.
pub(crate) struct Lists<T> {
    /// In the order of `Language`.
    files: [&'static str; 6],
    read: fn(&'static str) -> T,
    lists: [OnceLock<T>; 6],
}

impl<T> Lists<T> {
    pub(crate) const fn new(files: [&'static str; 6], read: fn(&'static str) -> T) -> Self {
        Self { files, read, lists: [const { OnceLock::new() }; 6] }
    }

    pub(crate) fn of(&self, language: Language) -> &T {
        let at = language as usize;
        self.lists[at].get_or_init(|| (self.read)(self.files[at]))
    }
}

/// The files of a folder beside the code that asks, in the order of `Language`.
macro_rules! files_of_languages {
    ($folder:literal) => {
        [
            include_str!(concat!($folder, "/en.txt")),
            include_str!(concat!($folder, "/fr.txt")),
            include_str!(concat!($folder, "/de.txt")),
            include_str!(concat!($folder, "/it.txt")),
            include_str!(concat!($folder, "/pt.txt")),
            include_str!(concat!($folder, "/es.txt")),
        ]
    };
}
pub(crate) use files_of_languages;
