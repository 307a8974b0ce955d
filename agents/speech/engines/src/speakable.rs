//! Text as the C voices can take it: printable ASCII, no empty words, none longer than their buffers.

/// Longer runs of letters are cut: flite's letter-to-sound rules and its digit reader are made for words.
const LONGEST_WORD: usize = 40;

/// One word of the source text (it may carry punctuation), and what is handed to the voice for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpeakableWord {
    /// As written in the source; may hold several source words where some of them cannot be spoken ("Smith &").
    pub(crate) source: String,
    /// Never empty, printable ASCII without spaces, with at least one letter or digit.
    pub(crate) spoken: String,
}

/// The words of `text` that can be spoken, in order. What cannot be spoken is kept in the source of the word before it
/// (or after it, at the start), so that the sources together are the whole text.
pub(crate) fn speakable_words(text: &str) -> Vec<SpeakableWord> {
    let mut words: Vec<SpeakableWord> = Vec::new();
    let mut leading = String::new();
    for source in text.split_whitespace() {
        let spoken = ascii(source);
        if spoken.contains(|c: char| c.is_ascii_alphanumeric()) {
            let source = if leading.is_empty() { source.to_owned() } else { format!("{leading} {source}") };
            leading.clear();
            words.push(SpeakableWord { source, spoken });
        } else if let Some(last) = words.last_mut() {
            last.source.push(' ');
            last.source.push_str(source);
        } else {
            leading = if leading.is_empty() { source.to_owned() } else { format!("{leading} {source}") };
        }
    }
    words
}

/// The word in printable ASCII; punctuation that shapes the phrase is kept, other signs vanish.
fn ascii(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        push_ascii(c, &mut out);
    }
    let cut = out.char_indices().nth(LONGEST_WORD).map_or(out.len(), |(at, _)| at);
    out.truncate(cut);
    out
}

fn push_ascii(c: char, out: &mut String) {
    match c {
        'a'..='z'
        | 'A'..='Z'
        | '0'..='9'
        | '.'
        | ','
        | '!'
        | '?'
        | ':'
        | ';'
        | '\''
        | '-'
        | '$'
        | '%'
        | '&'
        | '/'
        | '@' => {
            out.push(c);
        }
        '\u{2019}' | '\u{2018}' => out.push('\''),
        '\u{2013}' | '\u{2014}' => out.push(','),
        '\u{2026}' => out.push('.'),
        'à' | 'á' | 'â' | 'ã' | 'å' => out.push('a'),
        'ä' | 'æ' => out.push_str("ae"),
        'ç' => out.push('c'),
        'è' | 'é' | 'ê' | 'ë' => out.push('e'),
        'ì' | 'í' | 'î' | 'ï' => out.push('i'),
        'ñ' => out.push('n'),
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' => out.push('o'),
        'ö' | 'œ' => out.push_str("oe"),
        'ù' | 'ú' | 'û' => out.push('u'),
        'ü' => out.push_str("ue"),
        'ß' => out.push_str("ss"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        speakable_words(text).into_iter().map(|w| (w.source, w.spoken)).collect()
    }

    fn pair(source: &str, spoken: &str) -> (String, String) {
        (source.to_owned(), spoken.to_owned())
    }

    #[test]
    fn keeps_the_source_and_cleans_the_spoken() {
        assert_eq!(
            pairs("“We’re  open,” café"),
            [pair("“We’re", "We're"), pair("open,”", "open,"), pair("café", "cafe")]
        );
    }

    #[test]
    fn what_cannot_be_spoken_clings_to_a_neighbour() {
        assert_eq!(pairs("— yes \u{1F600} no"), [pair("— yes \u{1F600}", "yes"), pair("no", "no")]);
        assert!(pairs("— … \0").is_empty());
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(pairs(&"x".repeat(5000))[0].1.len(), LONGEST_WORD);
    }
}
