//! One decoder: a grammar, then utterances.

use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;

use thiserror::Error;

use super::dictionary::Dictionary;
use super::functions::{Cmn, Feat, Functions};
use super::{ACOUSTIC_MODEL, SAMPLE_RATE};

/// Coefficients of a cepstral vector.
const CEPSTRUM: usize = 13;
/// The name of the one search that a decoder has.
const SEARCH: &CStr = c"grammar";
/// Samples in one call into the engine: a second. Bounds how its buffers grow.
const LONGEST_PUSH: usize = SAMPLE_RATE as usize;
/// What a decoder is made with. No dictionary: words are added. Without the lattice passes, which a grammar does not need.
/// All senones are scored, so that scores are relative to the best of the whole model and can be compared with a threshold.
const ARGUMENTS: [&CStr; 11] = [
    c"tandem",
    c"-hmm",
    c"",
    c"-dict",
    c"/dev/null",
    c"-bestpath",
    c"no",
    c"-compallsen",
    c"yes",
    c"-fsgusealtpron",
    c"yes",
];
/// Where the model's path goes in [`ARGUMENTS`].
const MODEL_ARGUMENT: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecoderError {
    #[error("pocketsphinx refused its model")]
    Model,
    #[error("pocketsphinx is another version than its headers say")]
    Layout,
    #[error("the dictionary has no {0:?}")]
    UnknownWord(String),
    #[error("pocketsphinx refused the grammar")]
    Grammar,
    #[error("pocketsphinx failed while decoding")]
    Decoding,
}

/// A word, a silence or a noise of the best path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `<sil>` and the like for what is no word.
    pub word: String,
    /// Frames of 10 ms, at least 1.
    pub frames: u32,
    /// Acoustic score: log likelihood relative to the model's best in each frame, so at most about 0; comparable only with
    /// scores of the same model.
    pub score: i32,
}

impl Segment {
    pub fn is_word(&self) -> bool {
        !self.word.starts_with(['<', '[', '(']) && !self.word.starts_with("++")
    }
}

/// What the grammar made of the utterance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hypothesis {
    /// Words without marks of alternative pronunciations; empty when no path reached the grammar's end.
    pub text: String,
    pub segments: Vec<Segment>,
}

/// One decoder. Used by one thread at a time.
#[derive(Debug)]
pub struct Decoder {
    pointer: NonNull<std::ffi::c_void>,
    cmn: NonNull<Cmn>,
    /// Cepstral mean that the model starts with.
    mean: [f32; CEPSTRUM],
    functions: &'static Functions,
    dictionary: &'static Dictionary,
    /// Words that the decoder knows by now.
    words: HashSet<String>,
    grammar: Option<String>,
    in_utterance: bool,
}

// SAFETY: the C structure is reached through this value alone, every method that touches it takes `&mut self` (so not Sync
// is needed nor claimed), and the engine uses no thread-local state.
unsafe impl Send for Decoder {}

impl Decoder {
    pub(super) fn new(functions: &'static Functions, dictionary: &'static Dictionary) -> Result<Self, DecoderError> {
        let model = CString::new(ACOUSTIC_MODEL).map_err(|_| DecoderError::Model)?;
        let mut arguments: Vec<*const c_char> = ARGUMENTS.iter().map(|argument| argument.as_ptr()).collect();
        arguments[MODEL_ARGUMENT] = model.as_ptr();
        let count = i32::try_from(arguments.len()).map_err(|_| DecoderError::Model)?;
        // SAFETY: `arguments` are `count` strings that live through the call; the library copies them. `ps_init` takes its
        // own reference to the configuration, so ours is freed once, whatever it says.
        let pointer = unsafe {
            let config =
                (functions.base.config_parse)(std::ptr::null_mut(), (functions.args)(), count, arguments.as_ptr(), 1);
            if config.is_null() {
                return Err(DecoderError::Model);
            }
            let pointer = (functions.init)(config);
            (functions.base.config_free)(config);
            pointer
        };
        let pointer = NonNull::new(pointer).ok_or(DecoderError::Model)?;
        let cmn = mean_of(functions, pointer);
        let mut decoder = Self {
            pointer,
            cmn: cmn.unwrap_or(NonNull::dangling()),
            mean: [0.0; CEPSTRUM],
            functions,
            dictionary,
            words: HashSet::new(),
            grammar: None,
            in_utterance: false,
        };
        if cmn.is_none() {
            return Err(DecoderError::Layout);
        }
        // SAFETY: `mean_of` found a vector of `CEPSTRUM` values there.
        unsafe { (functions.base.cmn_get)(decoder.cmn.as_ptr(), decoder.mean.as_mut_ptr()) };
        Ok(decoder)
    }

    /// How many words the decoder has been told: its memory grows by some 100 bytes for each.
    pub fn known_words(&self) -> usize {
        self.words.len()
    }

    /// Listens by this JSGF grammar from the next utterance on. `words` are all words in it, in lower case.
    ///
    /// # Errors
    /// When a word is not in the dictionary, or the grammar is malformed.
    pub fn set_grammar(&mut self, jsgf: &str, words: &[String]) -> Result<(), DecoderError> {
        if self.grammar.as_deref() == Some(jsgf) {
            return Ok(());
        }
        self.end_utterance();
        self.grammar = None;
        for word in words {
            self.add_word(word)?;
        }
        let source = CString::new(jsgf).map_err(|_| DecoderError::Grammar)?;
        // SAFETY: the decoder is alive and between utterances; both strings end in NUL and are copied.
        let set = unsafe {
            (self.functions.set_jsgf_string)(self.pointer.as_ptr(), SEARCH.as_ptr(), source.as_ptr()) == 0
                && (self.functions.set_search)(self.pointer.as_ptr(), SEARCH.as_ptr()) == 0
        };
        if !set {
            return Err(DecoderError::Grammar);
        }
        self.grammar = Some(jsgf.to_owned());
        Ok(())
    }

    fn add_word(&mut self, word: &str) -> Result<(), DecoderError> {
        if self.words.contains(word) {
            return Ok(());
        }
        let unknown = || DecoderError::UnknownWord(word.to_owned());
        let entries = self.dictionary.pronunciations(word);
        if entries.is_empty() {
            return Err(unknown());
        }
        for (name, phones) in entries {
            let name = CString::new(name).map_err(|_| unknown())?;
            let phones = CString::new(phones).map_err(|_| unknown())?;
            // SAFETY: the decoder is alive and between utterances; the strings end in NUL and are copied. The last argument
            // says not to rebuild the search, which is replaced after this.
            let id = unsafe { (self.functions.add_word)(self.pointer.as_ptr(), name.as_ptr(), phones.as_ptr(), 0) };
            if id < 0 {
                return Err(unknown());
            }
        }
        self.words.insert(word.to_owned());
        Ok(())
    }

    /// Begins an utterance as if the decoder were new: nothing of an earlier caller's voice is kept.
    ///
    /// # Errors
    /// When there is no grammar yet.
    pub fn start(&mut self) -> Result<(), DecoderError> {
        if self.grammar.is_none() {
            return Err(DecoderError::Grammar);
        }
        self.end_utterance();
        // SAFETY: the decoder is alive and has a search; `cmn` belongs to it and takes `CEPSTRUM` values. Starting a stream
        // forgets the noise estimate.
        let started = unsafe {
            (self.functions.start_stream)(self.pointer.as_ptr());
            (self.functions.base.cmn_set)(self.cmn.as_ptr(), self.mean.as_ptr());
            (self.functions.start_utt)(self.pointer.as_ptr())
        };
        self.in_utterance = started == 0;
        if started == 0 { Ok(()) } else { Err(DecoderError::Decoding) }
    }

    /// Decodes audio: mono, [`SAMPLE_RATE`].
    ///
    /// # Errors
    /// Outside an utterance, or when the engine fails.
    pub fn process(&mut self, samples: &[i16]) -> Result<(), DecoderError> {
        if !self.in_utterance {
            return Err(DecoderError::Decoding);
        }
        for part in samples.chunks(LONGEST_PUSH) {
            // SAFETY: the decoder is alive and in an utterance; `part` is read during the call only.
            let done = unsafe { (self.functions.process_raw)(self.pointer.as_ptr(), part.as_ptr(), part.len(), 0, 0) };
            if done < 0 {
                return Err(DecoderError::Decoding);
            }
        }
        Ok(())
    }

    /// The best words so far, whether or not they end the grammar; empty when there are none.
    pub fn partial(&mut self) -> String {
        if !self.in_utterance {
            return String::new();
        }
        self.text()
    }

    /// Ends the utterance.
    ///
    /// # Errors
    /// Outside an utterance, or when the engine fails.
    pub fn finish(&mut self) -> Result<Hypothesis, DecoderError> {
        if !self.in_utterance || !self.end_utterance() {
            return Err(DecoderError::Decoding);
        }
        let text = self.text();
        let segments = if text.is_empty() { Vec::new() } else { self.segments() };
        Ok(Hypothesis { text, segments })
    }

    fn end_utterance(&mut self) -> bool {
        if !self.in_utterance {
            return true;
        }
        self.in_utterance = false;
        // SAFETY: the decoder is alive and in an utterance.
        unsafe { (self.functions.end_utt)(self.pointer.as_ptr()) == 0 }
    }

    fn text(&mut self) -> String {
        let mut score = 0;
        // SAFETY: the decoder is alive and has decoded; the string, if any, lives until the next call.
        let text = unsafe { (self.functions.get_hyp)(self.pointer.as_ptr(), &raw mut score) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: not null, ends in NUL, copied at once.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        text.split_whitespace().map(base_form).collect::<Vec<_>>().join(" ")
    }

    fn segments(&mut self) -> Vec<Segment> {
        let mut segments = Vec::new();
        // SAFETY: the decoder is alive and after an utterance. The iterator is advanced to its end, which frees it; the
        // word is copied before that.
        unsafe {
            let mut iterator = (self.functions.segments.seg_iter)(self.pointer.as_ptr());
            while !iterator.is_null() {
                let (mut first, mut last): (c_int, c_int) = (0, 0);
                let (mut score, mut language, mut back) = (0, 0, 0);
                (self.functions.segments.seg_frames)(iterator, &raw mut first, &raw mut last);
                (self.functions.segments.seg_prob)(iterator, &raw mut score, &raw mut language, &raw mut back);
                let word = (self.functions.segments.seg_word)(iterator);
                if !word.is_null() {
                    let word = base_form(&CStr::from_ptr(word).to_string_lossy()).to_owned();
                    let frames = u32::try_from(last - first + 1).unwrap_or(1).max(1);
                    segments.push(Segment { word, frames, score });
                }
                iterator = (self.functions.segments.seg_next)(iterator);
            }
        }
        segments
    }
}

/// The place of the cepstral mean; none when the structures are not those of the headers.
fn mean_of(functions: &Functions, decoder: NonNull<std::ffi::c_void>) -> Option<NonNull<Cmn>> {
    // SAFETY: the decoder is alive; `ps_get_feat` gives its own `feat_t`.
    let feat: &Feat = unsafe { (functions.get_feat)(decoder.as_ptr()).as_ref()? };
    if usize::try_from(feat.cepsize) != Ok(CEPSTRUM) {
        return None;
    }
    let cmn = NonNull::new(feat.cmn_struct)?;
    // SAFETY: made by `feat_init` together with the `feat_t`, and freed with it.
    let length = unsafe { cmn.as_ref() }.veclen;
    (usize::try_from(length) == Ok(CEPSTRUM)).then_some(cmn)
}

/// "a(2)" is a pronunciation of "a".
fn base_form(word: &str) -> &str {
    word.split_once('(').map_or(word, |(base, _)| if base.is_empty() { word } else { base })
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.end_utterance();
        // SAFETY: made by `ps_init`, freed once.
        unsafe { (self.functions.free)(self.pointer.as_ptr()) };
    }
}
