//! From tokens to clauses: what a voice can begin with, before the model has said the rest.

use serde::{Deserialize, Serialize};

use super::abbreviations;
use crate::language::Language;

/// A clause is spoken without a boundary once it is so long, characters: voices take no more than a few hundred at once,
/// and a model that never sets a full stop must still be heard.
const LONGEST: usize = 400;

/// Cuts text where the bot's `punctuation_boundaries` say, but not before `input_min_characters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunker {
    boundaries: Vec<String>,
    /// Characters.
    least: usize,
    /// Of what is said.
    language: Language,
    text: String,
}

impl Default for Chunker {
    /// Sentences, and a sentence's larger parts. Ten characters keep "Hm." and "1." with what follows.
    fn default() -> Self {
        Self::new([".", "!", "?", ";", ":", "…", "。", "！", "？", "\n"].map(str::to_owned).to_vec(), 10)
    }
}

impl Chunker {
    pub fn new(boundaries: Vec<String>, least: usize) -> Self {
        let boundaries = boundaries.into_iter().filter(|boundary| !boundary.is_empty()).collect();
        Self { boundaries, least, language: Language::default(), text: String::new() }
    }

    pub(crate) fn speaking(self, language: Language) -> Self {
        Self { language, ..self }
    }

    /// With what a bot's config says of it.
    pub fn with(mut self, boundaries: Option<Vec<String>>, least: Option<usize>) -> Self {
        self.least = least.unwrap_or(self.least);
        match boundaries {
            Some(boundaries) => Self::new(boundaries, self.least).speaking(self.language),
            None => self,
        }
    }

    /// Takes more text; gives the clauses that are complete now, each with something to say in it.
    pub fn push(&mut self, text: &str) -> Vec<String> {
        self.text.push_str(text);
        let mut clauses = Vec::new();
        while let Some(end) = self.end() {
            let rest = self.text.split_off(end);
            clauses.extend(spoken(&std::mem::replace(&mut self.text, rest)));
        }
        clauses
    }

    /// The answer is over: what is left.
    pub fn finish(&mut self) -> Option<String> {
        spoken(&std::mem::take(&mut self.text))
    }

    /// Where the first clause ends, in bytes. A boundary counts once it is known what follows it: "3.5" and "..." are not
    /// cut in the middle.
    fn end(&self) -> Option<usize> {
        let mut characters = 0;
        let skip = self.text.len() - self.text.trim_start().len();
        for (at, c) in self.text.char_indices().filter(|(at, _)| *at >= skip) {
            characters += 1;
            let end = at + c.len_utf8();
            let (before, after) = self.text.split_at(end);
            if characters >= self.least
                && self.boundaries.iter().any(|b| before.ends_with(b.as_str()))
                && opens(c, after)
            {
                match abbreviations::is_one(self.language, before, after) {
                    Some(false) => return Some(end),
                    Some(true) => {}
                    // The next word says it.
                    None => return None,
                }
            }
            if (characters >= LONGEST && c.is_whitespace()) || characters >= 2 * LONGEST {
                return Some(end);
            }
        }
        None
    }
}

/// Whether what follows begins something new. Scripts without spaces (CJK punctuation) need none.
fn opens(boundary: char, after: &str) -> bool {
    boundary == '\n' || matches!(boundary, '。' | '！' | '？') || after.starts_with(char::is_whitespace)
}

/// None: nothing in it can be said.
fn spoken(clause: &str) -> Option<String> {
    let clause = clause.trim();
    clause.contains(char::is_alphanumeric).then(|| clause.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunker: &mut Chunker, parts: &[&str]) -> Vec<String> {
        let mut clauses: Vec<String> = parts.iter().flat_map(|part| chunker.push(part)).collect();
        clauses.extend(chunker.finish());
        clauses
    }

    #[test]
    fn clauses_end_at_boundaries_that_are_sure() {
        let mut chunker = Chunker::default();
        assert_eq!(chunker.push("We open at nine"), Vec::<String>::new());
        assert_eq!(chunker.push("."), Vec::<String>::new(), "3.5 or a sentence's end: not known yet");
        assert_eq!(chunker.push(" And"), ["We open at nine."]);
        assert_eq!(chunker.push(" we close at 17.30 sharp! "), ["And we close at 17.30 sharp!"]);
        assert_eq!(chunker.finish(), None);
    }

    #[test]
    fn short_ones_stay_with_what_follows() {
        assert_eq!(
            cut(&mut Chunker::default(), &["Hm. Yes. ", "That is right. ", "OK."]),
            ["Hm. Yes. That is right.", "OK."]
        );
        let mut commas = Chunker::new(vec![",".into(), String::new()], 3);
        assert_eq!(cut(&mut commas, &["Well, it is, I think, fine"]), ["Well,", "it is,", "I think,", "fine"]);
    }

    #[test]
    fn a_model_without_full_stops_is_heard_and_dots_alone_are_not() {
        let endless = "word ".repeat(200);
        let clauses = cut(&mut Chunker::default(), &[&endless]);
        assert!(clauses.len() >= 2 && clauses.iter().all(|clause| clause.len() <= 400));
        assert_eq!(cut(&mut Chunker::new(vec![".".into()], 0), &["... . . Well... then."]), ["Well...", "then."]);
    }

    #[test]
    fn an_abbreviation_ends_no_clause() {
        for (language, text, clauses) in [
            (
                "en",
                "Your appointment is with Dr. Smith. Anything else?",
                &["Your appointment is with Dr. Smith.", "Anything else?"][..],
            ),
            ("en-US", "Please go to room No. 5. It is upstairs.", &["Please go to room No. 5.", "It is upstairs."]),
            ("en", "The short answer is No. We are closed.", &["The short answer is No.", "We are closed."]),
            ("en", "This is for John F. Kennedy. Welcome.", &["This is for John F. Kennedy.", "Welcome."]),
            (
                "de",
                "Ihr Termin ist bei Prof. Weber, z. B. am Montag. Passt das?",
                &["Ihr Termin ist bei Prof. Weber, z. B. am Montag.", "Passt das?"],
            ),
            ("es", "Su cita es con la Dra. Ruiz. ¿Algo más?", &["Su cita es con la Dra. Ruiz.", "¿Algo más?"]),
            ("fr", "Vous verrez demain Mme. Roy. Merci.", &["Vous verrez demain Mme. Roy.", "Merci."]),
            ("it", "La aspetta il dott. Neri. Va bene?", &["La aspetta il dott. Neri.", "Va bene?"]),
            ("pt", "A consulta é com a Sra. Dias. Está bem?", &["A consulta é com a Sra. Dias.", "Está bem?"]),
        ] {
            let whole = cut(&mut Chunker::default().speaking(Language::of(language)), &[text]);
            assert_eq!(whole, clauses);
            let tokens: Vec<String> = text.chars().map(String::from).collect();
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            assert_eq!(cut(&mut Chunker::default().speaking(Language::of(language)), &tokens), clauses);
        }
    }

    proptest! {
        #[test]
        fn no_word_is_lost_however_the_tokens_fall(text in "([a-zé 0-9.,!?\n。]|No\\. |Dr\\. ){0,200}", cuts in prop::collection::vec(0_usize..300, 0..20)) {
            let mut chunker = Chunker::default();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| text.is_char_boundary((*at).min(text.len()))).map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let parts: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            let whole = cut(&mut Chunker::default(), &[&text]);
            let clauses = cut(&mut chunker, &parts);
            prop_assert_eq!(letters(&clauses.concat()), letters(&text));
            prop_assert_eq!(clauses, whole);
        }
    }
}
