//! Flite 2.2 (CMU, free licence): English voices, in process.
//!
//! Reference: `flite.h`, `cst_item.h`, `cst_wave.h` of Debian's `flite1-dev` 2.2. Synthesis reads the voice through
//! `feat_link_into` ("used to make things thread safe(r)") and writes into the utterance alone; what is not thread-safe is
//! the registration of a voice, which therefore happens once, under a [`OnceLock`].

use std::ffi::{CStr, CString, c_char, c_float, c_int, c_short, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use crate::library::{LoadError, Opened};
use crate::speakable::{SpeakableWord, speakable_words};

/// Debian's package of all flite libraries and voices.
const PACKAGE: &str = "libflite1";
const CORE: &str = "libflite.so.1";
/// Words in one synthesis: flite keeps the whole utterance in memory (about 100 KB a second of speech).
pub const MAX_WORDS: usize = 400;

/// The voices of Debian's package that are worth hearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FliteVoiceName {
    /// Female, US English, 16 kHz. The default.
    Slt,
    /// Male, US English, 16 kHz.
    Rms,
    /// Male, Scottish English, 16 kHz.
    Awb,
    /// Male, US English, 8 kHz diphones: small, fast, robotic.
    Kal,
}

impl FliteVoiceName {
    pub const ALL: [Self; 4] = [Self::Slt, Self::Rms, Self::Awb, Self::Kal];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slt => "slt",
            Self::Rms => "rms",
            Self::Awb => "awb",
            Self::Kal => "kal",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|voice| voice.as_str() == name)
    }

    const fn file(self) -> &'static str {
        match self {
            Self::Slt => "libflite_cmu_us_slt.so.1",
            Self::Rms => "libflite_cmu_us_rms.so.1",
            Self::Awb => "libflite_cmu_us_awb.so.1",
            Self::Kal => "libflite_cmu_us_kal.so.1",
        }
    }

    fn registered(self) -> &'static OnceLock<Result<FliteVoice, LoadError>> {
        static SLT: OnceLock<Result<FliteVoice, LoadError>> = OnceLock::new();
        static RMS: OnceLock<Result<FliteVoice, LoadError>> = OnceLock::new();
        static AWB: OnceLock<Result<FliteVoice, LoadError>> = OnceLock::new();
        static KAL: OnceLock<Result<FliteVoice, LoadError>> = OnceLock::new();
        match self {
            Self::Slt => &SLT,
            Self::Rms => &RMS,
            Self::Awb => &AWB,
            Self::Kal => &KAL,
        }
    }
}

/// A spoken utterance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synthesis {
    /// Hz; the voice's own.
    pub rate: u32,
    /// Mono.
    pub samples: Vec<i16>,
    /// In order, not overlapping, the last one not past the samples.
    pub words: Vec<SpokenWord>,
}

/// A word as the source text writes it, and where it is spoken, in samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpokenWord {
    pub text: String,
    pub start: u64,
    pub end: u64,
}

/// A registered voice. Cheap to copy; any number of threads may speak with it at once.
#[derive(Clone, Copy, Debug)]
pub struct FliteVoice {
    name: FliteVoiceName,
    voice: NonNull<c_void>,
    functions: &'static Functions,
}

// SAFETY: `voice` points to a structure that is never freed and never written after registration (see the head of the file);
// a test speaks from several threads at once and compares every sample.
unsafe impl Send for FliteVoice {}
// SAFETY: as above.
unsafe impl Sync for FliteVoice {}

impl FliteVoice {
    /// Opens flite and registers the voice; the first answer is remembered.
    ///
    /// # Errors
    /// When a library is missing or is another version.
    pub fn load(name: FliteVoiceName) -> Result<Self, LoadError> {
        name.registered().get_or_init(|| Self::register(name)).clone()
    }

    fn register(name: FliteVoiceName) -> Result<Self, LoadError> {
        let functions = Functions::load()?;
        let library = Opened::open(name.file(), PACKAGE)?;
        let symbol = format!("register_cmu_us_{}", name.as_str());
        // SAFETY: `cst_voice *register_cmu_us_NAME(const char *voxdir)` in every voice of the package.
        let register: unsafe extern "C" fn(*const c_char) -> *mut c_void = unsafe { library.function(&symbol)? };
        // SAFETY: a null `voxdir` means built-in data; this runs once for each voice, and voices share no mutable state.
        let voice = unsafe { register(std::ptr::null()) };
        let voice = NonNull::new(voice).ok_or(LoadError::Refused { file: name.file() })?;
        Ok(Self { name, voice, functions })
    }

    pub fn name(&self) -> FliteVoiceName {
        self.name
    }

    /// Speaks `text`; blocks for about a twentieth of the speech's length. Words after [`MAX_WORDS`] and signs that
    /// cannot be spoken are left out. Empty when nothing can be spoken.
    pub fn synthesize(&self, text: &str) -> Synthesis {
        let mut words = speakable_words(text);
        words.truncate(MAX_WORDS);
        let spoken: Vec<&str> = words.iter().map(|word| word.spoken.as_str()).collect();
        let Ok(spoken) = CString::new(spoken.join(" ")) else { return Synthesis::default() };
        if words.is_empty() {
            return Synthesis::default();
        }
        let Some(utterance) = self.utter(&spoken) else { return Synthesis::default() };
        let (rate, samples) = utterance.wave();
        let words = align(words, &utterance.word_times(), rate, samples.len() as u64);
        Synthesis { rate, samples, words }
    }

    fn utter(&self, text: &CStr) -> Option<Utterance<'_>> {
        // SAFETY: `text` ends in NUL and holds at least one word of plain ASCII; the voice is registered.
        let utterance = unsafe { (self.functions.synth_text)(text.as_ptr(), self.voice.as_ptr()) };
        NonNull::new(utterance).map(|pointer| Utterance { pointer, functions: self.functions })
    }
}

/// Puts flite's token times onto the words of the source. Flite makes one token of each word that it gets; should it ever
/// not, the words share the time evenly.
fn align(words: Vec<SpeakableWord>, times: &[(f32, f32)], rate: u32, samples: u64) -> Vec<SpokenWord> {
    let count = words.len();
    let exact = times.len() == count;
    let mut reached = 0u64;
    let mut out = Vec::with_capacity(count);
    for (index, word) in words.into_iter().enumerate() {
        let (start, end) = if exact {
            (to_sample(times[index].0, rate), to_sample(times[index].1, rate))
        } else {
            (samples * index as u64 / count as u64, samples * (index as u64 + 1) / count as u64)
        };
        let start = start.clamp(reached, samples);
        let end = end.clamp(start, samples);
        reached = end;
        out.push(SpokenWord { text: word.source, start, end });
    }
    out
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of one utterance; clamped by the caller"
)]
fn to_sample(seconds: f32, rate: u32) -> u64 {
    (f64::from(seconds.max(0.0)) * f64::from(rate)).round() as u64
}

/// `cst_wave` of `cst_wave.h`.
#[repr(C)]
struct Wave {
    kind: *const c_char,
    sample_rate: c_int,
    num_samples: c_int,
    num_channels: c_int,
    samples: *const c_short,
}

type Item = *mut c_void;

/// The functions of `libflite.so.1` that are called here.
#[derive(Debug)]
struct Functions {
    synth_text: unsafe extern "C" fn(*const c_char, *mut c_void) -> *mut c_void,
    delete_utterance: unsafe extern "C" fn(*mut c_void),
    utt_wave: unsafe extern "C" fn(*mut c_void) -> *const Wave,
    utt_relation: unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void,
    relation_head: unsafe extern "C" fn(*mut c_void) -> Item,
    item_next: unsafe extern "C" fn(Item) -> Item,
    path_to_item: unsafe extern "C" fn(Item, *const c_char) -> Item,
    item_feat_float: unsafe extern "C" fn(Item, *const c_char) -> c_float,
}

impl Functions {
    fn load() -> Result<&'static Self, LoadError> {
        static LOADED: OnceLock<Result<Functions, LoadError>> = OnceLock::new();
        LOADED.get_or_init(Self::open).as_ref().map_err(Clone::clone)
    }

    fn open() -> Result<Self, LoadError> {
        let library = Opened::open(CORE, PACKAGE)?;
        // SAFETY: `int flite_init()`; called once, before any synthesis.
        let init: unsafe extern "C" fn() -> c_int = unsafe { library.function("flite_init")? };
        // SAFETY: the types above are those of flite.h, cst_utterance.h, cst_relation.h and cst_item.h.
        let functions = unsafe {
            Self {
                synth_text: library.function("flite_synth_text")?,
                delete_utterance: library.function("delete_utterance")?,
                utt_wave: library.function("utt_wave")?,
                utt_relation: library.function("utt_relation")?,
                relation_head: library.function("relation_head")?,
                item_next: library.function("item_next")?,
                path_to_item: library.function("flite_path_to_item")?,
                item_feat_float: library.function("item_feat_float")?,
            }
        };
        // SAFETY: takes nothing; compiles the built-in regular expressions.
        unsafe { init() };
        Ok(functions)
    }
}

/// A synthesized utterance, freed on drop.
struct Utterance<'a> {
    pointer: NonNull<c_void>,
    functions: &'a Functions,
}

impl Utterance<'_> {
    /// Rate and samples; empty when flite made none.
    fn wave(&self) -> (u32, Vec<i16>) {
        // SAFETY: the utterance is alive; the wave belongs to it.
        let wave = unsafe { (self.functions.utt_wave)(self.pointer.as_ptr()) };
        // SAFETY: null or a wave that lives as long as the utterance.
        let Some(wave) = (unsafe { wave.as_ref() }) else { return (0, Vec::new()) };
        let length = usize::try_from(wave.num_samples).unwrap_or(0);
        if wave.samples.is_null() || length == 0 || wave.num_channels != 1 {
            return (0, Vec::new());
        }
        // SAFETY: `samples` holds `num_samples * num_channels` values, and there is one channel.
        let samples = unsafe { std::slice::from_raw_parts(wave.samples, length) };
        (u32::try_from(wave.sample_rate).unwrap_or(0), samples.to_vec())
    }

    /// Start and end in seconds of each token (a word between spaces). A token that is not spoken by itself ("million"
    /// after "$5") has no length.
    fn word_times(&self) -> Vec<(f32, f32)> {
        const FIRST_SEGMENT: &CStr = c"R:Token.daughter1.R:SylStructure.daughter1.daughter1.R:Segment";
        const LAST_SEGMENT: &CStr = c"R:Token.daughtern.R:SylStructure.daughtern.daughtern.R:Segment";
        let mut times = Vec::new();
        let mut reached = 0.0;
        // SAFETY: the utterance is alive, and so are its relations and items until it is dropped; every item is checked
        // for null before it is used; the path strings end in NUL and are shorter than flite's 200 bytes.
        unsafe {
            let relation = (self.functions.utt_relation)(self.pointer.as_ptr(), c"Token".as_ptr());
            if relation.is_null() {
                return times;
            }
            let mut token = (self.functions.relation_head)(relation);
            while !token.is_null() {
                let first = (self.functions.path_to_item)(token, FIRST_SEGMENT.as_ptr());
                let last = (self.functions.path_to_item)(token, LAST_SEGMENT.as_ptr());
                let start = self.start_of(first).unwrap_or(reached);
                let end = self.end_of(last).unwrap_or(start);
                times.push((start, end));
                reached = end;
                token = (self.functions.item_next)(token);
            }
        }
        times
    }

    /// A segment starts where the one before it ends.
    ///
    /// # Safety
    /// `segment` is null or a living item of this utterance.
    unsafe fn start_of(&self, segment: Item) -> Option<f32> {
        if segment.is_null() {
            return None;
        }
        // SAFETY: as the caller vouches; "p" is the item before.
        let before = unsafe { (self.functions.path_to_item)(segment, c"p".as_ptr()) };
        // SAFETY: null or a living item.
        Some(unsafe { self.end_of(before) }.unwrap_or(0.0))
    }

    /// # Safety
    /// `segment` is null or a living item of this utterance.
    unsafe fn end_of(&self, segment: Item) -> Option<f32> {
        if segment.is_null() {
            return None;
        }
        // SAFETY: as the caller vouches; after synthesis each segment has "end".
        Some(unsafe { (self.functions.item_feat_float)(segment, c"end".as_ptr()) })
    }
}

impl Drop for Utterance<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `flite_synth_text`, freed once.
        unsafe { (self.functions.delete_utterance)(self.pointer.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// None, with the line that the test run counts, where the package is not installed.
    fn voice(name: FliteVoiceName) -> Option<FliteVoice> {
        let loaded = FliteVoice::load(name);
        if let Err(error) = &loaded {
            println!("SKIPPED-PEER flite ({error})");
        }
        loaded.ok()
    }

    #[test]
    fn every_voice_speaks_and_aligns_each_word() {
        for name in FliteVoiceName::ALL {
            let Some(voice) = voice(name) else { return };
            let text = "We are open from 9:30 to five, Dr. Smith's $5 million — office is well-known.";
            let spoken = voice.synthesize(text);
            let rate = if name == FliteVoiceName::Kal { 8000 } else { 16000 };
            assert_eq!(spoken.rate, rate, "{name:?}");
            let texts: Vec<&str> = spoken.words.iter().map(|word| word.text.as_str()).collect();
            assert_eq!(texts.join(" "), text);
            let seconds = spoken.samples.len() as f32 / rate as f32;
            assert!((3.0..12.0).contains(&seconds), "{name:?}: {seconds} s");
            for pair in spoken.words.windows(2) {
                assert!(pair[0].end <= pair[1].start, "{pair:?}");
            }
            let long = spoken.words.iter().filter(|word| word.end - word.start > u64::from(rate) / 20).count();
            assert!(long >= spoken.words.len() - 2, "{name:?}: {:?}", spoken.words);
            let last = spoken.words[spoken.words.len() - 1].end;
            assert!(last <= spoken.samples.len() as u64 && last > spoken.samples.len() as u64 / 2);
        }
    }

    #[test]
    fn what_cannot_be_spoken_is_empty() {
        let Some(voice) = voice(FliteVoiceName::Slt) else { return };
        for text in ["", "   ", "—", "\0\0", "…!?"] {
            assert_eq!(voice.synthesize(text), Synthesis::default(), "{text:?}");
        }
    }

    #[test]
    fn threads_speak_at_once_and_say_the_same() {
        // Breath is white noise from the C library's `rand`, whose sequence threads share: words, times and loudness are
        // the same each time, single samples are not.
        fn decibels(spoken: &Synthesis) -> f64 {
            let energy: i64 = spoken.samples.iter().map(|&sample| i64::from(sample).pow(2)).sum();
            (energy as f64 / spoken.samples.len() as f64).log10() * 10.0
        }
        let Some(voice) = voice(FliteVoiceName::Slt) else { return };
        let texts = ["Yes, on Monday at ten.", "Your appointment is cancelled.", "One two three four five."];
        let expected: Vec<Synthesis> = texts.iter().map(|text| voice.synthesize(text)).collect();
        std::thread::scope(|scope| {
            for offset in 0..4 {
                let (texts, expected) = (&texts, &expected);
                scope.spawn(move || {
                    for round in 0..12 {
                        let index = (offset + round) % texts.len();
                        let (spoken, expected) = (voice.synthesize(texts[index]), &expected[index]);
                        assert_eq!(spoken.words, expected.words);
                        assert_eq!(spoken.samples.len(), expected.samples.len());
                        assert!((decibels(&spoken) - decibels(expected)).abs() < 1.0);
                    }
                });
            }
        });
    }

    #[test]
    fn odd_text_does_no_harm() {
        let Some(voice) = voice(FliteVoiceName::Kal) else { return };
        let long_number = "1234567890".repeat(40);
        let long_word = "pneumono".repeat(60);
        let odd = [
            "1/2 3/4/2026 $$ $1.50 £5 50% #1 a.b.c U.S.A. Mr. St. IV XIV MCMXC's 1990s 10:99 1,000,000 0x1f 3-4-5",
            "' '' 'tis o'clock a-b-c -1 --2 @me me@you.com http://x.y/z?q=1&r=2 &c. %d %s %n \\ | ~ ^ {x} [y] <z>",
            "00000 0 -0 007 1.2.3.4 12345678901 555-1212 (555)123-4567 +15551234567 st. dr. no. 1st 2nd 33rd 1e9",
            long_number.as_str(),
            long_word.as_str(),
        ];
        for text in odd {
            let spoken = voice.synthesize(text);
            assert!(!spoken.samples.is_empty());
            assert!(spoken.words.iter().all(|word| word.end <= spoken.samples.len() as u64));
        }
    }
}
