//! Which words of our text lie where in the audio, out of what vendors tell of it: times of characters or of words, chunk by
//! chunk. The words that are told are those of the text, whatever the vendor calls them; where it says something else than
//! the text, what is left is placed by length when the audio has ended.

use std::collections::VecDeque;

use crate::AlignedWord;

/// How far a time may lie outside of where it belongs before it says something of the time's base, milliseconds: vendors
/// round, and a silent start belongs to no character.
const SLACK_MS: f64 = 50.0;

/// A stretch of the text and when it sounds, milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: f64,
    pub(crate) end: f64,
}

/// What a vendor's times count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The start of the utterance.
    Utterance,
    /// The start of the chunk of audio that they come with.
    Chunk,
    /// Documented as the chunk, and seen as either: the first chunk whose times can be only one of them decides.
    Unsaid,
}

/// The audio that pieces come with, milliseconds: where it begins in the utterance, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) begins: f64,
    pub(crate) length: f64,
}

/// The words of one text, and how far they are placed.
#[derive(Debug)]
pub(crate) struct Placement {
    /// Hz of the offsets.
    rate: u32,
    base: Base,
    words: Vec<String>,
    /// Letters and digits of the text, in lower case: what is compared. Vendors leave punctuation out, or put it elsewhere.
    letters: Vec<char>,
    /// For each word, how many letters there are up to its end.
    ends: Vec<usize>,
    /// The letter that is to come next, and its word.
    at: usize,
    word: usize,
    /// When the word that is being said began, samples.
    began: u64,
    /// Words placed and not yet told, samples.
    placed: VecDeque<(u64, u64)>,
    /// Words told.
    told: usize,
    /// Where the last of them ends.
    end: u64,
    /// The vendor says something else than the text.
    astray: bool,
}

impl Placement {
    pub(crate) fn new(text: &str, rate: u32, base: Base) -> Self {
        let (mut words, mut letters, mut ends) = (Vec::<String>::new(), Vec::new(), Vec::<usize>::new());
        let mut alone = String::new();
        for word in text.split_whitespace() {
            let before = letters.len();
            letters.extend(word.chars().filter_map(letter));
            match (letters.len() > before, words.last_mut()) {
                (true, _) => {
                    words.push(std::mem::take(&mut alone) + word);
                    ends.push(letters.len());
                }
                // What has no sound clings to the word before it, or to the first.
                (false, Some(last)) => *last = format!("{last} {word}"),
                (false, None) => alone += &format!("{word} "),
            }
        }
        let placed = VecDeque::new();
        Self { rate, base, words, letters, ends, at: 0, word: 0, began: 0, placed, told: 0, end: 0, astray: false }
    }

    /// Places what a chunk tells.
    pub(crate) fn align(&mut self, pieces: &[Piece<'_>], chunk: Chunk) {
        let Some(first) = pieces.first() else { return };
        let offset = self.offset(first.start, chunk);
        // Vendors have been seen to begin the text anew, with better times.
        if self.agreement(0, pieces) > self.agreement(self.at, pieces) {
            (self.at, self.word) = (0, 0);
        }
        for piece in pieces {
            let (start, end) = (self.samples(offset + piece.start), self.samples(offset + piece.end));
            for spoken in piece.text.chars().filter_map(letter) {
                self.take(spoken, start, end);
            }
        }
    }

    /// How many letters of the pieces are those of the text from `at` on.
    fn agreement(&self, at: usize, pieces: &[Piece<'_>]) -> usize {
        let spoken = pieces.iter().flat_map(|piece| piece.text.chars()).filter_map(letter);
        spoken.zip(&self.letters[at..]).take_while(|(spoken, letter)| spoken == *letter).count()
    }

    /// Where the times of this chunk count from, milliseconds.
    fn offset(&mut self, first: f64, chunk: Chunk) -> f64 {
        if self.base == Base::Unsaid && chunk.begins > 0.0 {
            if first + SLACK_MS < chunk.begins {
                // From the start of the utterance it would go back.
                self.base = Base::Chunk;
            } else if first > chunk.length + SLACK_MS {
                // It lies outside of its own chunk.
                self.base = Base::Utterance;
            }
        }
        if self.base == Base::Utterance { 0.0 } else { chunk.begins }
    }

    fn samples(&self, ms: f64) -> u64 {
        (ms.max(0.0) * f64::from(self.rate) / 1000.0).round() as u64
    }

    fn take(&mut self, spoken: char, start: u64, end: u64) {
        if self.astray || self.letters.get(self.at) != Some(&spoken) {
            self.astray = true;
            return;
        }
        if self.at == self.word.checked_sub(1).map_or(0, |before| self.ends[before]) {
            self.began = start;
        }
        self.at += 1;
        if self.at == self.ends[self.word] {
            if self.word == self.told + self.placed.len() {
                self.placed.push_back((self.began, end));
            }
            self.word += 1;
        }
    }

    /// The words that end within the first `audio` samples and were not told.
    pub(crate) fn within(&mut self, audio: u64) -> Vec<AlignedWord> {
        let mut words = Vec::new();
        while let Some(&(start, end)) = self.placed.front() {
            let start = start.max(self.end);
            let end = end.max(start + 1);
            if end > audio {
                break;
            }
            self.placed.pop_front();
            words.push(self.tell(start, end));
        }
        words
    }

    /// The rest, when the audio has ended after `audio` samples: divided by length among what is left of it. None when the
    /// vendor placed nothing at all, or when there is no audio left: who hears the whole utterance has heard them.
    pub(crate) fn rest(&mut self, audio: u64) -> Vec<AlignedWord> {
        let left = &self.words[self.told..];
        let weight = |word: &String| word.chars().count() as u64 + 1;
        let whole: u64 = left.iter().map(weight).sum();
        let (from, room) = (self.end, audio.saturating_sub(self.end));
        if (self.told == 0 && self.placed.is_empty()) || room < whole {
            return Vec::new();
        }
        let mut words = Vec::with_capacity(left.len());
        let mut passed = 0;
        while let Some(word) = self.words.get(self.told) {
            passed += weight(word);
            words.push(self.tell(self.end, from + room * passed / whole));
        }
        words
    }

    fn tell(&mut self, start: u64, end: u64) -> AlignedWord {
        let text = self.words[self.told].clone();
        self.told += 1;
        self.end = end;
        AlignedWord { text, start, end }
    }
}

/// Letters and digits, in lower case. The few that become several in lower case stand for their first.
fn letter(c: char) -> Option<char> {
    if c.is_alphanumeric() { c.to_lowercase().next() } else { None }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
