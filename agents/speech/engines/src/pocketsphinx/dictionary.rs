//! The pronunciations of the model, in memory once for all decoders.

/// CMU's dictionary: lines of `word phone phone ...`, further pronunciations as `word(2)`.
#[derive(Debug)]
pub struct Dictionary {
    text: String,
    /// Byte ranges of the lines, sorted by the word at their start. Smaller than a hash map of 134,000 words.
    lines: Vec<(u32, u32)>,
}

impl Dictionary {
    pub(crate) fn parse(text: String) -> Self {
        let mut lines = Vec::new();
        let mut start = 0usize;
        for line in text.split_inclusive('\n') {
            let end = start + line.trim_end().len();
            if let (Ok(from), Ok(to)) = (u32::try_from(start), u32::try_from(end))
                && line.contains(' ')
            {
                lines.push((from, to));
            }
            start += line.len();
        }
        let mut dictionary = Self { text, lines: Vec::new() };
        lines.sort_by(|a, b| dictionary.word(*a).cmp(dictionary.word(*b)));
        dictionary.lines = lines;
        dictionary
    }

    fn line(&self, (from, to): (u32, u32)) -> &str {
        &self.text[from as usize..to as usize]
    }

    fn word(&self, range: (u32, u32)) -> &str {
        self.line(range).split_once(' ').map_or("", |(word, _)| word)
    }

    fn phones(&self, word: &str) -> Option<&str> {
        let at = self.lines.binary_search_by(|&line| self.word(line).cmp(word)).ok()?;
        self.line(self.lines[at]).split_once(' ').map(|(_, phones)| phones.trim())
    }

    /// Whether the word (lower case) can be recognized.
    pub fn contains(&self, word: &str) -> bool {
        self.phones(word).is_some()
    }

    /// All entries of a word: its name in the dictionary ("a", "a(2)") and its phones ("AH", "EY").
    pub fn pronunciations<'a>(&'a self, word: &str) -> Vec<(String, &'a str)> {
        let mut entries = Vec::new();
        let mut name = word.to_owned();
        while let Some(phones) = self.phones(&name) {
            entries.push((name, phones));
            name = format!("{word}({})", entries.len() + 1);
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_pronunciation() {
        let dictionary = Dictionary::parse("zoo Z UW\na AH\na(2) EY\nab AE B\n\nbad\n".to_owned());
        assert_eq!(dictionary.pronunciations("a"), [("a".to_owned(), "AH"), ("a(2)".to_owned(), "EY")]);
        assert_eq!(dictionary.pronunciations("zoo"), [("zoo".to_owned(), "Z UW")]);
        assert!(!dictionary.contains("bad") && !dictionary.contains("") && dictionary.contains("ab"));
    }
}
