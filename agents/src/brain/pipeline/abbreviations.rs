//! Full stops that end no sentence: "Dr. Smith", "No. 5". The words of each language are a file in `abbreviations/`.

use crate::language::{Language, Lists, files_of_languages};

struct List {
    /// Something always follows these.
    always: Vec<&'static str>,
    /// These are words themselves; a number follows the abbreviation.
    numbered: Vec<&'static str>,
}

static LISTS: Lists<List> = Lists::new(files_of_languages!("abbreviations"), read);

fn read(list: &'static str) -> List {
    let lines = || list.lines().filter(|line| !line.starts_with('#'));
    let numbered = lines().filter_map(|line| line.strip_suffix('#').map(str::trim)).collect();
    List { always: lines().filter(|line| !line.ends_with('#')).collect(), numbered }
}

/// Whether the full stop at the end of `before` is that of an abbreviation. None: that is known with the next word.
pub(super) fn is_one(language: Language, before: &str, after: &str) -> Option<bool> {
    let Some(text) = before.strip_suffix('.') else { return Some(false) };
    let word = text.rsplit(|c: char| c.is_whitespace() || "(\"'«“¿¡".contains(c)).next().unwrap_or_default();
    let word = word.to_lowercase();
    let list = LISTS.of(language);
    // A letter alone: an initial, or half of "z. B.".
    if word.chars().count() == 1 && word.chars().all(char::is_alphabetic) {
        return Some(true);
    }
    if list.numbered.contains(&word.as_str()) {
        let next = after.trim_start().chars().next()?;
        return Some(next.is_ascii_digit());
    }
    Some(list.always.contains(&word.as_str()))
}
