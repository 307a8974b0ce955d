//! Which words of an utterance lie before an offset.

use serde::{Deserialize, Serialize};
use tandem_speech::AlignedWord;

/// Slowest speech that is assumed, milliseconds a character. Bounds from below the length of an utterance whose voice
/// gives no word times and is still producing: speech is about 70 ms a character, and to assume slower speech claims
/// fewer words as heard.
const SLOWEST_CHARACTER_MS: u64 = 100;

/// Where the words sit: as the voice says, or else by their share of the audio.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Alignment {
    /// In order; ends never decrease.
    words: Vec<AlignedWord>,
    /// Samples handed to the line so far.
    pushed: u64,
    audio: Audio,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Audio {
    #[default]
    Growing,
    /// The voice said all of the text.
    Whole,
    /// The voice failed on the way: the audio ends, the text does not.
    Broken,
}

impl Alignment {
    /// Of a text that the far end speaks: offsets are bytes of it.
    pub(super) fn of_text(text: &str) -> Self {
        let place = |word: &str| {
            // Both are parts of one string, so that the distance of their addresses is an offset in it.
            let start = (word.as_ptr() as usize - text.as_ptr() as usize) as u64;
            AlignedWord { text: word.to_owned(), start, end: start + word.len() as u64 }
        };
        Self { words: text.split_whitespace().map(place).collect(), pushed: text.len() as u64, audio: Audio::Whole }
    }

    /// A word that a vendor puts before its predecessor is moved behind it: order is what a cut relies on.
    pub(super) fn grow(&mut self, words: Vec<AlignedWord>) {
        for word in words {
            let (start, end) = self.words.last().map_or((0, 0), |last| (last.start, last.end));
            let start = word.start.max(start);
            self.words.push(AlignedWord { text: word.text, start, end: word.end.max(end).max(start) });
        }
    }

    pub(super) fn push(&mut self, samples: u64) {
        self.pushed += samples;
    }

    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    pub(super) fn finish(&mut self, whole: bool) {
        self.audio = if whole { Audio::Whole } else { Audio::Broken };
    }

    pub(super) fn words(&self, text: &str, rate: u32) -> Vec<AlignedWord> {
        if self.words.is_empty() { self.by_share(text, rate) } else { self.words.clone() }
    }

    /// The words whose last sample lies before `offset`, as one string. It is a prefix of `text`, punctuation included,
    /// wherever the words are those of the text.
    pub(super) fn heard(&self, text: &str, rate: u32, offset: u64) -> String {
        if self.audio == Audio::Whole && self.pushed > 0 && offset >= self.pushed {
            return text.to_owned();
        }
        let words = self.words(text, rate);
        let played: Vec<&AlignedWord> = words.iter().take_while(|word| word.end <= offset).collect();
        match prefix_of(text, &played) {
            Some(prefix) => prefix.to_owned(),
            None => played.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "),
        }
    }

    /// The text from the first word on that the audio does not hold whole.
    pub(super) fn unspoken<'a>(&self, text: &'a str, rate: u32) -> &'a str {
        let words = self.words(text, rate);
        let whole = words.iter().take_while(|word| word.end <= self.pushed);
        let spoken = whole.filter(|word| !letters(&word.text).is_empty()).count();
        let mut tokens = text.split_whitespace().filter(|token| !letters(token).is_empty());
        // Both are parts of one string, so that the distance of their addresses is an offset in it.
        tokens.nth(spoken).map_or("", |token| &text[token.as_ptr() as usize - text.as_ptr() as usize..])
    }

    /// Divides the audio among the words by their length, a gap counting as one character.
    fn by_share(&self, text: &str, rate: u32) -> Vec<AlignedWord> {
        let weight = |word: &str| word.chars().count() as u64 + 1;
        let sum: u64 = text.split_whitespace().map(weight).sum();
        if sum == 0 {
            return Vec::new();
        }
        let slowest = sum * SLOWEST_CHARACTER_MS * u64::from(rate) / 1000;
        let length = if self.audio == Audio::Whole { self.pushed } else { self.pushed.max(slowest) };
        let place = |weight: u64| u64::try_from(u128::from(length) * u128::from(weight) / u128::from(sum));
        let mut before = 0;
        text.split_whitespace()
            .map(|word| {
                let start = place(before).unwrap_or(u64::MAX);
                before += weight(word);
                AlignedWord { text: word.to_owned(), start, end: place(before).unwrap_or(u64::MAX) }
            })
            .collect()
    }
}

/// The part of `text` that ends with the last of `words`, if they are the text's own first words.
fn prefix_of<'a>(text: &'a str, words: &[&AlignedWord]) -> Option<&'a str> {
    let mut end = 0;
    let mut tokens = text.split_whitespace().filter(|token| !letters(token).is_empty());
    for word in words {
        let spoken = letters(&word.text);
        if spoken.is_empty() {
            continue;
        }
        let token = tokens.next().filter(|token| letters(token) == spoken)?;
        // Both are parts of one string, so that the distance of their addresses is an offset in it.
        end = token.as_ptr() as usize - text.as_ptr() as usize + token.len();
    }
    text.get(..end).map(str::trim_start)
}

/// A word without what is not pronounced.
fn letters(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
