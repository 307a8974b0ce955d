//! Cutting a text into pieces that are spoken one after the other, so that the first is heard while the next is made.

/// Words in one piece at most: bounds what an engine holds in memory and how long the first sound takes.
const MAX_WORDS: usize = 60;

/// Titles and the like, whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 12] =
    ["mr.", "mrs.", "ms.", "dr.", "st.", "no.", "vs.", "prof.", "jr.", "sr.", "approx.", "dept."];

/// The sentences of `text`, in order: together they hold all its words. None is empty.
pub(crate) fn sentences(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut sentence: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        sentence.push(word);
        if ends_sentence(word) || sentence.len() == MAX_WORDS {
            out.push(sentence.join(" "));
            sentence.clear();
        }
    }
    if !sentence.is_empty() {
        out.push(sentence.join(" "));
    }
    out
}

fn ends_sentence(word: &str) -> bool {
    let bare = word.trim_end_matches(['"', '\'', ')', ']', '\u{201d}', '\u{2019}']);
    let initial = bare.chars().count() == 2 && bare.ends_with('.');
    bare.ends_with(['.', '!', '?', '\u{2026}'])
        && !initial
        && !ABBREVIATIONS.iter().any(|abbreviation| bare.eq_ignore_ascii_case(abbreviation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_after_sentences_only() {
        assert_eq!(
            sentences("Hello. Dr. J. Smith asks: \"why?\" It is 9.30 now!"),
            ["Hello.", "Dr. J. Smith asks: \"why?\"", "It is 9.30 now!"]
        );
        assert!(sentences(" \n ").is_empty());
    }

    #[test]
    fn long_sentences_are_cut_and_lose_nothing() {
        let text = vec!["word"; 500].join(" ");
        let pieces = sentences(&text);
        assert_eq!(pieces.len(), 9);
        assert_eq!(pieces.join(" "), text);
    }
}
