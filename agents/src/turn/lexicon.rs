//! What the caller's words mean for whose turn it is. For dictation: a grammar knows by itself what an answer is.
//!
//! The lists of each language are text files beside this one: a phrase a line, `#` begins a comment.

use std::sync::LazyLock;

use super::endpointing::Ending;

/// So many digits in a row, read out one by one, are a longer number that may go on. Two are a time or an age.
const DIGITS_LEAST: usize = 3;

/// Words of a phrase, folded.
type Phrase = Vec<String>;

/// The lists of one language.
#[derive(Debug)]
struct Lists {
    unfinished: Vec<Phrase>,
    digits: Vec<Phrase>,
}

macro_rules! lists {
    ($language:literal) => {
        LazyLock::new(|| Lists {
            unfinished: phrases(include_str!(concat!("unfinished/", $language, ".txt"))),
            digits: phrases(include_str!(concat!("digits/", $language, ".txt"))),
        })
    };
}

static ENGLISH: LazyLock<Lists> = lists!("en");
static SPANISH: LazyLock<Lists> = lists!("es");

/// The words of one bot's callers.
#[derive(Clone, Debug)]
pub struct Lexicon {
    lists: Vec<&'static Lists>,
}

impl Lexicon {
    /// `language`: BCP 47, or "multi" where callers may speak any. In a language without lists nothing is known by words.
    pub fn new(language: &str) -> Self {
        let primary = language.split(['-', '_']).next().unwrap_or_default().to_lowercase();
        let lists: Vec<&'static Lists> = match primary.as_str() {
            "en" => vec![&ENGLISH],
            "es" => vec![&SPANISH],
            "multi" => vec![&ENGLISH, &SPANISH],
            _ => Vec::new(),
        };
        Self { lists }
    }

    /// Of free speech. A word that asks for more outweighs a full stop, which recognizers set at every breath.
    pub fn ending(&self, text: &str) -> Ending {
        let text = text.trim_end_matches(|c: char| c.is_whitespace() || "\"'”’»)".contains(c));
        let words = words(text);
        let (asked, stopped) = (text.ends_with(['?', '？', '!', '！']), text.ends_with(['.', '。']));
        let open = ["...", "…", ",", "，", "-", "–", "—", ":"].iter().any(|mark| text.ends_with(mark));
        let trails = |lists: &&Lists| lists.unfinished.iter().any(|phrase| words.ends_with(phrase));
        if words.is_empty() {
            Ending::Unknown
        } else if asked {
            Ending::Complete
        } else if open || self.lists.iter().copied().any(|lists| trails(&lists)) {
            Ending::Trailing
        } else if stopped {
            Ending::Complete
        } else if self.digits_at_end(&words) >= DIGITS_LEAST {
            Ending::Counting
        } else {
            Ending::Unknown
        }
    }

    fn digits_at_end(&self, words: &[String]) -> usize {
        let listed = |word: &String| {
            let digits = self.lists.iter().flat_map(|lists| &lists.digits);
            digits.into_iter().any(|digit| digit.first() == Some(word))
        };
        let is_digit = |word: &&String| (word.len() == 1 && word.as_bytes()[0].is_ascii_digit()) || listed(word);
        words.iter().rev().take_while(is_digit).count()
    }
}

/// Words without case and punctuation.
fn words(text: &str) -> Phrase {
    let folded = text.replace('’', "'").to_lowercase();
    let pieces = folded.split(|c: char| !c.is_alphanumeric() && c != '\'');
    pieces.map(|piece| piece.trim_matches('\'')).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

fn phrases(list: &str) -> Vec<Phrase> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.map(words).filter(|phrase| !phrase.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn ends(language: &str, expected: Ending, texts: &[&str]) {
        let lexicon = Lexicon::new(language);
        for text in texts {
            assert_eq!(lexicon.ending(text), expected, "{text}");
        }
    }

    #[test]
    fn a_sentence_ends_with_its_mark() {
        ends("en-US", Ending::Complete, &["What time do you open?", "I'd like a table for two.", "Stop!", "“Yes.”"]);
        ends("es", Ending::Complete, &["¿A qué hora abren?", "Quiero una cita."]);
        ends("fr", Ending::Complete, &["Bonjour."]);
    }

    #[test]
    fn without_a_mark_nothing_is_known_of_plain_words() {
        ends("en", Ending::Unknown, &["", "  ", "...", "what time do you open", "where are you from", "I think so"]);
        ends("en", Ending::Unknown, &["at nine", "room one two", "in 2024", "who should I talk to"]);
        ends("fr", Ending::Unknown, &["et", "un deux trois quatre"]);
    }

    #[test]
    fn fillers_and_conjunctions_ask_for_more() {
        ends(
            "en",
            Ending::Trailing,
            &["I want to book and", "it's about, um", "Um.", "Because.", "my name is", "well,"],
        );
        ends("en-GB", Ending::Trailing, &["I’d like to", "I was going to say...", "that is —"]);
        ends("es-MX", Ending::Trailing, &["quiero una cita y", "sí, pero", "Eh", "me llamo"]);
        ends("multi", Ending::Trailing, &["and", "porque"]);
        ends("en", Ending::Unknown, &["porque"]);
    }

    #[test]
    fn a_number_read_out_may_go_on() {
        ends("en", Ending::Counting, &["my number is five five five", "it's 0 4 1 7", "oh one two three"]);
        ends("es", Ending::Counting, &["mi número es seis cero cero"]);
        ends("en", Ending::Complete, &["It's one two three."]);
    }

    proptest! {
        #[test]
        fn any_text_has_an_ending(text in "\\PC{0,60}", language in "(en|es|multi|fr|)") {
            let lexicon = Lexicon::new(&language);
            let ending = lexicon.ending(&text);
            prop_assert!(ending != Ending::Unfinished, "that is the grammar's to say");
            prop_assert!(!words(&text).is_empty() || ending == Ending::Unknown);
            // Case and outer spaces mean nothing.
            prop_assert_eq!(lexicon.ending(&format!(" {text}  ")), ending);
        }
    }
}
