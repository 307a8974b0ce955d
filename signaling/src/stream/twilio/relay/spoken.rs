//! What Twilio was given to speak, and how much of it the caller has heard.
//!
//! Twilio tells in texts, not in positions: the words of each piece that was played (`tokensPlayed`), and at an interruption
//! the last words that were heard, which are those of the piece that was on, or of the whole reply so far. They are found
//! again in what was given by their letters and digits alone, since a voice changes spaces and marks. Whatever cannot be told
//! for sure is decided for "not heard": a text counts from its earliest place, half a word is none, and what is nowhere to be
//! found proves nothing.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_contract::UtteranceId;
use tandem_media::Time;

/// No voice speaks faster, for each character: what took less time than that was not played to its end.
const FASTEST: Duration = Duration::from_millis(40);
/// No voice speaks slower, for each character, once it has begun...
const SLOWEST: Duration = Duration::from_millis(120);
/// ...nor for each that is a syllable or a word: those of East Asia, and digits...
const SLOWEST_SYLLABLE: Duration = Duration::from_millis(300);
/// ...at the latest this long after it was given the text.
const BEGINS_WITHIN: Duration = Duration::from_secs(3);

/// News of an utterance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// So many bytes of its text were heard.
    Played(UtteranceId, u64),
    /// No more will be.
    Finished(UtteranceId),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spoken {
    /// Letters and digits, in lower case, of all texts since Twilio last had nothing to say: at most a few replies.
    letters: String,
    /// Where in `letters` its words begin, and where the last ends.
    edges: Vec<usize>,
    /// How much of `letters` was heard.
    heard: usize,
    /// Texts that are not over, in their order.
    lines: VecDeque<Line>,
    /// Whether Twilio ever told what it has played. It does if the TwiML asks for it.
    reports: bool,
    /// The reply is whole: if all of it is over, the next begins anew.
    whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    utterance: UtteranceId,
    /// Bytes.
    length: u64,
    /// Of each word: where it ends in `letters`, and in the text, in bytes.
    words: Vec<(usize, u64)>,
    /// Where it ends in `letters`.
    end: usize,
    /// It cannot be over before, and is over by then.
    earliest: Time,
    latest: Time,
}

impl Spoken {
    /// Nothing was given that is not over.
    pub(super) fn is_over(&self) -> bool {
        self.lines.is_empty()
    }

    /// When the text that is on is over in any case.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.lines.front().map(|line| line.latest)
    }

    /// Twilio is given this, behind what it has.
    pub(super) fn give(&mut self, now: Time, utterance: UtteranceId, text: &str, news: &mut Vec<News>) {
        if self.whole && self.lines.is_empty() {
            *self = Self { reports: self.reports, ..Self::default() };
        }
        self.whole = false;
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            let start = self.letters.len();
            self.letters.push_str(&letters(word));
            if self.letters.len() > start {
                self.edges.pop_if(|edge| *edge == start);
                self.edges.extend([start, self.letters.len()]);
                // Both are parts of one string, so that the distance of their addresses is an offset in it.
                let end = word.as_ptr() as usize - text.as_ptr() as usize + word.len();
                words.push((self.letters.len(), end as u64));
            }
        }
        let count = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let after = |time: fn(&Line) -> Time| self.lines.back().map_or(now, time).max(now);
        self.lines.push_back(Line {
            utterance,
            length: text.len() as u64,
            words,
            end: self.letters.len(),
            earliest: after(|line| line.earliest) + FASTEST * count,
            latest: after(|line| line.latest) + BEGINS_WITHIN + slowest(text),
        });
        if self.lines.len() == 1 {
            self.tell(news);
        }
    }

    pub(super) fn reply_ends(&mut self) {
        self.whole = true;
    }

    /// A piece was played. It follows what was played before, or else is the reply so far, or lies further on: Twilio speaks
    /// in order, so that what comes before it was heard as well.
    pub(super) fn played(&mut self, now: Time, piece: &str, news: &mut Vec<News>) {
        self.reports = true;
        let before = self.heard;
        let piece = letters(piece);
        if piece.is_empty() {
            return;
        }
        if self.letters[self.heard..].starts_with(&piece) {
            self.heard += piece.len();
        } else if self.letters.starts_with(&piece) {
            self.heard = self.heard.max(piece.len());
        } else {
            let ends = |start: usize| start + piece.len();
            let whole = |start: &usize| self.edges.contains(&ends(*start));
            let found = self.places(&piece).filter(|start| *start > self.heard).find(whole);
            self.heard = found.map_or(self.heard, ends);
        }
        if self.heard > before {
            self.prolong(now);
        }
        self.settle(news);
    }

    /// Just now it was being spoken: a voice that is slower than any is given the time that it takes.
    fn prolong(&mut self, now: Time) {
        let (mut from, mut latest) = (self.heard, now);
        for line in &mut self.lines {
            let left = &self.letters[from.min(line.end)..line.end];
            line.latest = line.latest.max(latest + BEGINS_WITHIN + slowest(left));
            (from, latest) = (from.max(line.end), line.latest);
        }
    }

    /// The caller interrupted: these are the last words that they heard. Nothing of what is left will be spoken.
    pub(super) fn interrupted(&mut self, last: &str, news: &mut Vec<News>) {
        let last = letters(last);
        let end = match self.places(&last).next() {
            Some(start) => start + last.len(),
            // The reply so far, up to what the voice said in other letters than ours.
            None => {
                let both = self.letters.chars().zip(last.chars());
                both.take_while(|(ours, theirs)| ours == theirs).map(|(letter, _)| letter.len_utf8()).sum()
            }
        };
        self.heard = self.heard.max(end);
        self.settle(news);
        *self = Self { reports: self.reports, ..Self::default() };
    }

    /// The caller said or pressed something, and Twilio tells of no interruption: it had nothing left to say. Of a Twilio that
    /// reports what it plays this proves nothing new; of another that all is heard but what was given only just now.
    pub(super) fn not_interrupted(&mut self, now: Time, news: &mut Vec<News>) {
        if self.reports {
            return;
        }
        let played = self.lines.iter().take_while(|line| line.earliest <= now).last();
        self.heard = played.map_or(self.heard, |line| line.end);
        self.settle(news);
    }

    /// However slowly: the text that is on is over by now. Nobody interrupted it; but if Twilio reports, only that counts.
    pub(super) fn timeout(&mut self, now: Time, news: &mut Vec<News>) {
        while let Some(line) = self.lines.front().filter(|line| line.latest <= now) {
            if !self.reports {
                self.heard = self.heard.max(line.end);
            }
            self.tell(news);
            news.extend(self.lines.pop_front().map(|line| News::Finished(line.utterance)));
            self.tell(news);
        }
    }

    /// How far the text is that is on.
    pub(super) fn tell(&self, news: &mut Vec<News>) {
        if let Some(line) = self.lines.front() {
            let words = line.words.iter().take_while(|(end, _)| *end <= self.heard);
            let offset = if line.end <= self.heard { line.length } else { words.last().map_or(0, |(_, bytes)| *bytes) };
            news.push(News::Played(line.utterance, offset));
        }
    }

    /// Texts that were heard to their end are over.
    fn settle(&mut self, news: &mut Vec<News>) {
        while self.lines.front().is_some_and(|line| line.end <= self.heard) {
            self.tell(news);
            news.extend(self.lines.pop_front().map(|line| News::Finished(line.utterance)));
        }
        self.tell(news);
    }

    /// Where these letters begin together with a word, the earliest first.
    fn places(&self, text: &str) -> impl Iterator<Item = usize> {
        let found = move |start: &&usize| !text.is_empty() && self.letters[**start..].starts_with(text);
        self.edges.iter().filter(found).copied()
    }
}

/// How long the slowest voice takes for it.
fn slowest(text: &str) -> Duration {
    text.chars().map(|c| if is_syllable(c) { SLOWEST_SYLLABLE } else { SLOWEST }).sum()
}

/// A character that is more than a sound: a digit, or one of the blocks of Chinese, Japanese and Korean (Unicode 17, chapter 18).
fn is_syllable(c: char) -> bool {
    c.is_numeric()
        || matches!(c, '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}'
            | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}' | '\u{1b000}'..='\u{1b16f}'
            | '\u{20000}'..='\u{3ffff}')
}

/// What of a text is pronounced, whatever the voice makes of the rest.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
#[path = "spoken_tests.rs"]
mod tests;
