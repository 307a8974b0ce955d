//! What the caller's words mean for whose turn it is. For dictation: a grammar knows by itself what an answer is.
//!
//! The lists of each language are text files beside this one: a phrase a line, `#` begins a comment.

use std::sync::LazyLock;

use tandem_contract::bot::BotConfig;

use super::endpointing::Ending;
use super::state::Sense;
use crate::words::plain;

/// So many digits in a row, read out one by one, are a longer number that may go on. Two are a time or an age.
const DIGITS_LEAST: usize = 3;

/// Words of a phrase, folded.
pub(crate) type Phrase = Vec<String>;

/// The lists of one language.
#[derive(Debug)]
struct Lists {
    unfinished: Vec<Phrase>,
    digits: Vec<Phrase>,
    backchannels: Vec<Phrase>,
    interrupting: Vec<Phrase>,
    farewells: Vec<Phrase>,
}

macro_rules! lists {
    ($language:literal) => {
        LazyLock::new(|| Lists {
            unfinished: phrases(include_str!(concat!("unfinished/", $language, ".txt"))),
            digits: phrases(include_str!(concat!("digits/", $language, ".txt"))),
            backchannels: phrases(include_str!(concat!("backchannels/", $language, ".txt"))),
            interrupting: phrases(include_str!(concat!("interrupting/", $language, ".txt"))),
            farewells: phrases(include_str!(concat!("farewells/", $language, ".txt"))),
        })
    };
}

static ENGLISH: LazyLock<Lists> = lists!("en");
static SPANISH: LazyLock<Lists> = lists!("es");

/// The words of one bot's callers.
#[derive(Clone, Debug)]
pub struct Lexicon {
    lists: Vec<&'static Lists>,
    /// The bot's own.
    backchannels: Vec<Phrase>,
    interrupting: Vec<Phrase>,
}

impl Lexicon {
    /// The lists of `livekit_config.stt_language`: BCP 47, or "multi" where callers may speak any. In a language without
    /// lists only the bot's own phrases are known.
    pub fn new(config: &BotConfig) -> Self {
        let primary = config.language().split(['-', '_']).next().unwrap_or_default().to_lowercase();
        let lists: Vec<&'static Lists> = match primary.as_str() {
            "en" => vec![&ENGLISH],
            "es" => vec![&SPANISH],
            "multi" => vec![&ENGLISH, &SPANISH],
            _ => Vec::new(),
        };
        let turn = config.turn.as_ref();
        let own = |list: Option<&Vec<String>>| list.into_iter().flatten().flat_map(|line| phrases(line)).collect();
        Self {
            lists,
            backchannels: own(turn.and_then(|turn| turn.backchannels.as_ref())),
            interrupting: own(turn.and_then(|turn| turn.interrupting_phrases.as_ref())),
        }
    }

    /// `answers`: phrases that are asked for. To whom asks "is that right?" a "right" is no backchannel.
    pub fn sense(&self, text: &str, answers: &[String]) -> Sense {
        let words = plain(text);
        let holds = |phrase: &Phrase| !phrase.is_empty() && words.windows(phrase.len()).any(|part| part == phrase);
        let backchannels = || self.backchannels();
        let mut interrupting = self.lists.iter().flat_map(|lists| &lists.interrupting).chain(&self.interrupting);
        if interrupting.any(holds) {
            Sense::Interruption
        } else if answers.iter().any(|answer| holds(&plain(answer))) || !consists_of(&words, backchannels) {
            Sense::Words
        } else {
            Sense::Backchannel
        }
    }

    /// "Thank you, bye", to who is about to go.
    pub fn takes_leave(&self, text: &str) -> bool {
        consists_of(&plain(text), || self.lists.iter().flat_map(|lists| &lists.farewells).chain(self.backchannels()))
    }

    fn backchannels(&self) -> impl Iterator<Item = &Phrase> {
        self.lists.iter().flat_map(|lists| &lists.backchannels).chain(&self.backchannels)
    }

    /// Of free speech. A word that asks for more outweighs a full stop, which recognizers set at every breath.
    pub fn ending(&self, text: &str) -> Ending {
        let text = text.trim_end_matches(|c: char| c.is_whitespace() || "\"'”’»)".contains(c));
        let words = plain(text);
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

/// Whether there are words, and all of them are phrases of the list; the longest that fits comes first.
fn consists_of<'a, I: Iterator<Item = &'a Phrase>>(words: &[String], phrases: impl Fn() -> I) -> bool {
    let mut rest = words;
    while !rest.is_empty() {
        let begun = phrases().filter(|phrase| rest.starts_with(phrase)).map(Vec::len);
        match begun.max() {
            Some(length) if length > 0 => rest = &rest[length..],
            _ => return false,
        }
    }
    !words.is_empty()
}

pub(crate) fn phrases(list: &str) -> Vec<Phrase> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.map(plain).filter(|phrase| !phrase.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn lexicon(language: &str, turn: Value) -> Lexicon {
        let config = json!({ "livekit_config": { "stt_language": language }, "turn": turn });
        Lexicon::new(&serde_json::from_value(config).unwrap())
    }

    #[track_caller]
    fn ends(language: &str, expected: Ending, texts: &[&str]) {
        let lexicon = lexicon(language, json!({}));
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

    #[track_caller]
    fn means(lexicon: &Lexicon, expected: Sense, texts: &[&str]) {
        for text in texts {
            assert_eq!(lexicon.sense(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn only_backchannels_are_one() {
        let (english, spanish) = (lexicon("en-US", json!({})), lexicon("es", json!({})));
        means(&english, Sense::Backchannel, &["Uh-huh.", "yeah", "Yeah, OK.", "mhm", "all right, I see", "Right"]);
        means(&english, Sense::Words, &["", "no", "yeah but no", "right away", "sí", "what", "I see a problem"]);
        means(&spanish, Sense::Backchannel, &["Ajá", "sí, sí", "Vale.", "muy bien"]);
        means(&spanish, Sense::Words, &["no", "sí quiero", "yeah"]);
        means(&lexicon("multi", json!({})), Sense::Backchannel, &["yeah, sí"]);
        means(&lexicon("fr", json!({})), Sense::Words, &["yeah", "stop", "oui"]);
    }

    #[test]
    fn some_phrases_take_the_floor_wherever_they_stand() {
        means(&lexicon("en", json!({})), Sense::Interruption, &["Stop!", "ok wait", "Hold on a second", "no, no"]);
        means(&lexicon("en", json!({})), Sense::Words, &["nonstop", "waiting", "hold the line"]);
        means(&lexicon("es-ES", json!({})), Sense::Interruption, &["¡Para!", "Espera un poco"]);
    }

    #[test]
    fn a_bot_adds_its_own_phrases_and_an_answer_is_no_backchannel() {
        let own = lexicon("fr", json!({ "backchannels": ["oui oui", "d’accord"], "interrupting_phrases": ["arrête"] }));
        means(&own, Sense::Backchannel, &["Oui, oui", "D'accord."]);
        means(&own, Sense::Words, &["oui"]);
        means(&own, Sense::Interruption, &["arrête ça"]);
        let english = lexicon("en", json!({}));
        let answers = ["yes".to_owned(), "All right".to_owned()];
        assert_eq!(english.sense("yes", &answers), Sense::Words);
        assert_eq!(english.sense("uh, all right", &answers), Sense::Words);
        assert_eq!(english.sense("right", &answers), Sense::Backchannel);
        assert_eq!(english.sense("stop", &["stop".to_owned()]), Sense::Interruption);
    }

    #[test]
    fn who_takes_leave_wants_nothing_more() {
        let english = lexicon("en", json!({}));
        for text in ["Bye.", "Thank you, bye!", "Okay, thanks a lot. Have a nice day.", "You too, bye-bye"] {
            assert!(english.takes_leave(text), "{text}");
        }
        for text in ["", "Thank you, but when do you open?", "Bye the way", "No"] {
            assert!(!english.takes_leave(text), "{text}");
        }
        assert!(lexicon("es", json!({})).takes_leave("Muchas gracias, hasta luego."));
    }

    proptest! {
        #[test]
        fn backchannels_stay_backchannels_however_they_are_strung(
            picked in prop::collection::vec(prop::sample::select(vec!["yeah", "uh-huh", "OK", "all right", "I see"]), 1..6),
            glue in prop::sample::select(vec![" ", ", ", ". ", "... "]),
            more in "[a-z]{0,8}",
        ) {
            let english = lexicon("en", json!({}));
            let murmur = picked.join(glue);
            prop_assert_eq!(english.sense(&murmur, &[]), Sense::Backchannel);
            // What else is said makes it something else, unless it is one more of them.
            let said = english.sense(&format!("{murmur} {more}"), &[]);
            prop_assert!(more.is_empty() || said == english.sense(&more, &[]) || said == Sense::Backchannel);
        }

        #[test]
        fn any_phrases_of_a_bot_are_compared_in_the_end(text in "\\PC{0,30}", phrases in prop::collection::vec("\\PC{0,6}", 0..5)) {
            lexicon("en", json!({ "backchannels": phrases, "interrupting_phrases": phrases })).sense(&text, &phrases);
        }

        #[test]
        fn any_text_has_an_ending(text in "\\PC{0,60}", language in "(en|es|multi|fr|)") {
            let lexicon = lexicon(&language, json!({}));
            let ending = lexicon.ending(&text);
            prop_assert!(ending != Ending::Unfinished, "that is the grammar's to say");
            prop_assert!(!plain(&text).is_empty() || ending == Ending::Unknown);
            // Case and outer spaces mean nothing.
            prop_assert_eq!(lexicon.ending(&format!(" {text}  ")), ending);
        }
    }
}
