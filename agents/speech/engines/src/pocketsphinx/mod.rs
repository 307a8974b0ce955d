//! Pocketsphinx 5prealpha (BSD licence), as Debian packages it, with the US English model: good for menus, yes/no and
//! strings of digits, unusable for free dictation.
//!
//! Reference: `pocketsphinx.h`, `cmd_ln.h`, `feat.h`, `cmn.h` of Debian's `libpocketsphinx-dev` and `libsphinxbase-dev`.
//! A decoder has no state outside its structure, so each may be used by one thread at a time, and several at once.
//!
//! A decoder is made with an empty dictionary, and is told the words of its grammars as they come: that takes a tenth of
//! the time (22 ms for 220) and of the memory (3 MB for 25) of one with the whole dictionary. The acoustic model's large
//! tables are mapped files, shared by all.

mod decoder;
mod dictionary;
mod functions;

use std::path::Path;
use std::sync::OnceLock;

pub use decoder::{Decoder, DecoderError, Hypothesis, Segment};
pub use dictionary::Dictionary;
use functions::Functions;

use crate::library::LoadError;

const MODEL_PACKAGE: &str = "pocketsphinx-en-us";
const ACOUSTIC_MODEL: &str = "/usr/share/pocketsphinx/model/en-us/en-us";
const DICTIONARY: &str = "/usr/share/pocketsphinx/model/en-us/cmudict-en-us.dict";
/// Hz of the audio that a decoder takes.
pub const SAMPLE_RATE: u32 = 16_000;

/// The opened engine: functions and dictionary.
#[derive(Debug)]
pub struct Pocketsphinx {
    functions: Functions,
    dictionary: Dictionary,
}

impl Pocketsphinx {
    /// Opens the libraries and reads the dictionary (some 10 ms); the first answer is remembered.
    ///
    /// # Errors
    /// When a library or the model is missing.
    pub fn load() -> Result<&'static Self, LoadError> {
        static LOADED: OnceLock<Result<Pocketsphinx, LoadError>> = OnceLock::new();
        LOADED.get_or_init(Self::open).as_ref().map_err(Clone::clone)
    }

    fn open() -> Result<Self, LoadError> {
        let functions = Functions::open()?;
        let missing = |path: &str| LoadError::Model { path: path.to_owned(), package: MODEL_PACKAGE };
        if !Path::new(ACOUSTIC_MODEL).join("mdef").exists() {
            return Err(missing(ACOUSTIC_MODEL));
        }
        let text = std::fs::read_to_string(DICTIONARY).map_err(|_| missing(DICTIONARY))?;
        Ok(Self { functions, dictionary: Dictionary::parse(text) })
    }

    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// A new decoder; blocks for some 20 ms.
    ///
    /// # Errors
    /// When the engine refuses its model.
    pub fn decoder(&'static self) -> Result<Decoder, DecoderError> {
        Decoder::new(&self.functions, &self.dictionary)
    }
}

#[cfg(test)]
mod tests;
