//! Words and numbers, as people type them and as recognizers write them: "Yes.", "No, thanks!", "9:30?", "1-2-3". Wherever words
//! are compared, both sides come from here.

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// 0 to 99 in words.
pub(crate) fn number(n: u8) -> String {
    let (ten, unit) = (usize::from(n / 10 % 10), usize::from(n % 10));
    match (ten, unit) {
        (0 | 1, _) => UNITS[usize::from(n % 20)].to_owned(),
        (_, 0) => TENS[ten].to_owned(),
        _ => format!("{} {}", TENS[ten], UNITS[unit]),
    }
}

/// 1 to 31 as the day of a month.
pub(crate) fn ordinal(n: u8) -> String {
    let (stem, last) =
        if n > 20 && !n.is_multiple_of(10) { (number(n - n % 10) + " ", n % 10) } else { (String::new(), n) };
    let last = match last {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        5 => "fifth".to_owned(),
        8 => "eighth".to_owned(),
        9 => "ninth".to_owned(),
        12 => "twelfth".to_owned(),
        20 | 30 => number(last).replace("ty", "tieth"),
        _ => number(last) + "th",
    };
    stem + &last
}

/// "4712" as one reads a code aloud.
pub(crate) fn digit_by_digit(digits: &str) -> String {
    let words: Vec<&str> = digits.chars().filter_map(|c| c.to_digit(10)).map(|d| UNITS[d as usize]).collect();
    words.join(", ")
}

/// The words of a text in lower case, without punctuation. An apostrophe within a word stays, and is always the same one: "I'd" is
/// not "id".
pub(crate) fn plain(text: &str) -> Vec<String> {
    let folded = text.replace(is_apostrophe, "'").to_lowercase();
    let pieces = folded.split(|c: char| !c.is_alphanumeric() && c != '\'');
    pieces.map(|piece| piece.trim_matches('\'')).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

/// The same for phrases that people write as they like: without apostrophes, and with numbers spelled. "9:30, please!" is nine
/// thirty please.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for raw in raw_words(text) {
        if raw.bytes().all(|b| b.is_ascii_digit()) { spell(&raw, &mut words) } else { words.push(raw) }
    }
    words
}

fn raw_words(text: &str) -> impl Iterator<Item = String> {
    plain(text).into_iter().map(|word| word.replace('\'', ""))
}

/// Typewriters have one apostrophe, keyboards of telephones and recognizers have others.
fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '`' | '\u{b4}' | '\u{2bc}' | '\u{2018}' | '\u{2019}' | '\u{2032}' | '\u{ff07}')
}

/// Up to two digits are a number, more are a code. The minutes of a full hour are silent.
fn spell(digits: &str, words: &mut Vec<String>) {
    match digits.parse::<u8>() {
        _ if digits == "00" => {}
        Ok(n) if digits.len() <= 2 => words.extend(number(n).split(' ').map(str::to_owned)),
        _ => words.extend(digits.chars().filter_map(|c| c.to_digit(10)).map(|d| UNITS[d as usize].to_owned())),
    }
}

/// The digits in a text, typed or in words: "it's four seven, 12", "double five". Other words are passed over.
pub(crate) fn digits(text: &str) -> Option<String> {
    let mut found = String::new();
    let mut words = raw_words(text).peekable();
    while let Some(word) = words.next() {
        if word.bytes().all(|b| b.is_ascii_digit()) {
            found.push_str(&word);
        } else if let Some(times) = ["double", "triple"].iter().position(|w| *w == word) {
            if let Some(digit) = words.next_if(|next| unit(next).is_some()).and_then(|next| unit(&next)) {
                found.push_str(&digit.to_string().repeat(times + 2));
            }
        } else if let Some(ten) = TENS.iter().position(|t| *t == word) {
            let digit = words.next_if(|next| unit(next).is_some_and(|d| d > 0)).and_then(|next| unit(&next));
            found.push_str(&(ten * 10 + digit.unwrap_or(0)).to_string());
        } else if let Some(n) = UNITS.iter().position(|w| *w == word).or_else(|| unit(&word)) {
            found.push_str(&n.to_string());
        }
    }
    (!found.is_empty()).then_some(found)
}

fn unit(word: &str) -> Option<usize> {
    if word == "oh" || word == "o" {
        return Some(0);
    }
    UNITS[..10].iter().position(|w| *w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_words() {
        assert_eq!(number(0), "zero");
        assert_eq!(number(15), "fifteen");
        assert_eq!(number(30), "thirty");
        assert_eq!(number(47), "forty seven");
        for (n, word) in [(1, "first"), (12, "twelfth"), (20, "twentieth"), (23, "twenty third"), (31, "thirty first")]
        {
            assert_eq!(ordinal(n), word);
        }
        assert_eq!(digit_by_digit("4012"), "four, zero, one, two");
    }

    #[test]
    fn case_punctuation_and_the_kind_of_apostrophe_mean_nothing() {
        for (text, words) in [
            ("Yes.", vec!["yes"]),
            ("\u{bf}S\u{ed}?", vec!["s\u{ed}"]),
            ("No, thanks.", vec!["no", "thanks"]),
            ("Nine thirty?", vec!["nine", "thirty"]),
            ("\u{201c}I\u{2019}d LIKE\u{201d} \u{2014} that\u{2bc}s it!", vec!["i'd", "like", "that's", "it"]),
            ("'tis 1-2-3", vec!["tis", "1", "2", "3"]),
            ("\u{3002}... '' -", vec![]),
        ] {
            assert_eq!(plain(text), words, "{text}");
        }
        assert_ne!(plain("I'd"), plain("id"));
        assert_eq!(tokens("don\u{2bc}t"), tokens("dont"));
    }

    #[test]
    fn texts_become_plain_words() {
        assert_eq!(tokens("9:30, please!"), ["nine", "thirty", "please"]);
        assert_eq!(tokens("10:00"), ["ten"]);
        assert_eq!(tokens("That\u{2019}s RIGHT"), ["thats", "right"]);
        assert_eq!(tokens("code 471"), ["code", "four", "seven", "one"]);
    }

    #[test]
    fn digits_are_found_in_sentences() {
        for (text, found) in [
            ("4712", "4712"),
            ("my code is four seven one two", "4712"),
            ("47 12.", "4712"),
            ("forty seven twelve", "4712"),
            ("double five oh 1", "5501"),
            ("1-2-3.", "123"),
            ("One, two, three.", "123"),
            ("triple seven", "777"),
            ("twenty oh five", "2005"),
        ] {
            assert_eq!(digits(text).as_deref(), Some(found), "{text}");
        }
        assert_eq!(digits("I don't have one").as_deref(), Some("1"));
        assert_eq!(digits("hello"), None);
    }
}
