//! A long text as several messages: cut between paragraphs, else between sentences, else between words, and within a word
//! only if it alone is longer than a message may be.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation as _;

/// Longest message of a channel, in UTF-16 code units: what an SMS of any script is counted in (GSM 03.38, UCS-2), and never
/// fewer than a text has characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit(usize);

impl Limit {
    /// Below two units there are characters that fit into no message.
    pub const fn utf16(units: usize) -> Self {
        Self(if units < 2 { 2 } else { units })
    }
}

/// Where a text may be cut; the later one is worse.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    Paragraph,
    Sentence,
    Word,
}

/// The messages, in order. White space at a cut is left out, and so is that at both ends; all else is there once.
pub fn split(text: &str, limit: Limit) -> Vec<String> {
    let clusters: Vec<&str> = text.graphemes(true).flat_map(|cluster| pieces(cluster, limit)).collect();
    let mut parts = Vec::new();
    let mut rest = trim(&clusters);
    while !rest.is_empty() {
        let (part, tail) = rest.split_at(cut(rest, limit));
        parts.push(trim(part).concat());
        rest = trim(tail);
    }
    parts
}

/// A cluster as it is, unless it alone is too long: people write letters with hundreds of accents for fun.
fn pieces(cluster: &str, limit: Limit) -> Vec<&str> {
    if units(cluster) <= limit.0 {
        return vec![cluster];
    }
    cluster.char_indices().map(|(at, c)| &cluster[at..at + c.len_utf8()]).collect()
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

fn is_space(cluster: &str) -> bool {
    cluster.chars().all(char::is_whitespace)
}

fn trim<'a, 'b>(clusters: &'b [&'a str]) -> &'b [&'a str] {
    let start = clusters.iter().position(|cluster| !is_space(cluster)).unwrap_or(clusters.len());
    let end = clusters.iter().rposition(|cluster| !is_space(cluster)).map_or(start, |last| last + 1);
    &clusters[start..end]
}

/// How many clusters the next message takes.
fn cut(rest: &[&str], limit: Limit) -> usize {
    let mut taken = 0;
    let fits = |cluster: &&&str| {
        taken += units(cluster);
        taken <= limit.0
    };
    let room = rest.iter().take_while(fits).count();
    if room == rest.len() {
        return room;
    }
    let found = |wanted: Break| (1..=room).rev().find(|at| break_at(rest, *at) == Some(wanted));
    found(Break::Paragraph).or_else(|| found(Break::Sentence)).or_else(|| found(Break::Word)).unwrap_or(room.max(1))
}

/// What a message that ends before this cluster would be cut at. None: within a word, or in the middle of white space.
fn break_at(clusters: &[&str], at: usize) -> Option<Break> {
    if !is_space(clusters[at]) || is_space(clusters[at - 1]) {
        return None;
    }
    let lines = clusters[at..].iter().take_while(|cluster| is_space(cluster)).filter(|cluster| cluster.contains('\n'));
    Some(match lines.count() {
        0 if ends_sentence(&clusters[..at]) => Break::Sentence,
        0 => Break::Word,
        1 => Break::Sentence,
        _ => Break::Paragraph,
    })
}

fn ends_sentence(clusters: &[&str]) -> bool {
    let closing = |cluster: &&&str| matches!(**cluster, "\"" | "'" | ")" | "]" | "»" | "”" | "’");
    let last = clusters.iter().rev().find(|cluster| !closing(cluster));
    last.is_some_and(|last| matches!(*last, "." | "!" | "?" | "…" | "。" | "！" | "？"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_fits_is_one_message_and_none_is_none() {
        assert_eq!(split("  Hello there. \n", Limit::utf16(12)), ["Hello there."]);
        assert!(split(" \n ", Limit::utf16(12)).is_empty());
    }

    #[test]
    fn paragraphs_come_before_sentences_and_sentences_before_words() {
        let limit = Limit::utf16(30);
        assert_eq!(split("One. Two.\n\nThree is longer. Four.", limit), ["One. Two.", "Three is longer. Four."]);
        assert_eq!(split("One is \"here.\" Two comes after one.", limit), ["One is \"here.\"", "Two comes after one."]);
        assert_eq!(split("a list:\nfirst thing\nsecond thing", limit), ["a list:\nfirst thing", "second thing"]);
        assert_eq!(
            split("no sentence ends here before it is cut", limit),
            ["no sentence ends here before", "it is cut"]
        );
    }

    #[test]
    fn a_word_is_cut_only_when_it_is_longer_than_a_message() {
        assert_eq!(split("see abcdefghij ok", Limit::utf16(6)), ["see", "abcdef", "ghij", "ok"]);
    }

    #[test]
    fn what_looks_like_one_letter_stays_one() {
        // A family of four is eleven units, and a flag is four.
        assert_eq!(split("👨‍👩‍👧‍👦👨‍👩‍👧‍👦", Limit::utf16(12)), ["👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"]);
        assert_eq!(split("🇪🇸🇪🇸", Limit::utf16(7)), ["🇪🇸", "🇪🇸"]);
    }

    #[test]
    fn the_long_answers_that_were_once_lost_arrive() {
        for length in [1_937, 4_319] {
            let sentence = "El tratamiento dura unos treinta minutos y no duele. ";
            let text: String = sentence.chars().cycle().take(length).collect();
            let parts = split(&text, Limit::utf16(1_600));
            assert_eq!(parts.len(), length.div_ceil(1_600));
            assert!(parts.iter().rev().skip(1).all(|part| part.ends_with("duele.")), "{parts:?}");
        }
    }

    fn without_space(text: &str) -> Vec<&str> {
        text.graphemes(true).filter(|cluster| !is_space(cluster)).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_all_fits(text in "(\\PC|[ .!?\n]){0,200}", limit in 40_usize..80) {
            let parts = split(&text, Limit::utf16(limit));
            for part in &parts {
                prop_assert!(!part.is_empty() && part.encode_utf16().count() <= limit, "{part:?}");
            }
            let whole: String = without_space(&text).concat();
            let kept: String = parts.iter().map(|part| without_space(part).concat()).collect();
            prop_assert_eq!(kept, whole);
        }

        #[test]
        fn words_stay_whole(words in prop::collection::vec("[a-zé👍][a-zé👍🏽]{0,8}[.!]?", 1..60), limit in 40_usize..80) {
            let parts = split(&words.join(" "), Limit::utf16(limit));
            let kept: Vec<String> = parts.iter().flat_map(|part| part.split(' ').map(str::to_owned)).collect();
            prop_assert_eq!(kept, words);
        }
    }
}
