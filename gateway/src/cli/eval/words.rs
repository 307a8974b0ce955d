//! How a text is to look. Pure.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What named groups of a `regex` have caught, for `{name}` in later lines.
pub type Caught = BTreeMap<String, String>;

/// What is expected of a text. Case and runs of blanks make no difference, but for `regex`.
#[derive(Clone, Debug)]
pub enum Words {
    Contains(String),
    Equals(String),
    /// One of these is contained.
    AnyOf(Vec<String>),
    Regex(Regex),
}

impl Words {
    /// Looks at each of the lines, and at all of them joined by blanks.
    pub fn fit(&self, lines: &[&str]) -> Option<Caught> {
        let joined = lines.join(" ");
        lines.iter().copied().chain([joined.as_str()]).find_map(|line| self.fit_one(line))
    }

    fn fit_one(&self, line: &str) -> Option<Caught> {
        let held = match self {
            Self::Contains(part) => folded(line).contains(&folded(part)),
            Self::Equals(whole) => folded(line) == folded(whole),
            Self::AnyOf(parts) => parts.iter().any(|part| folded(line).contains(&folded(part))),
            Self::Regex(regex) => return caught(regex, line),
        };
        held.then(Caught::new)
    }

    /// The names that a fit may catch.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let regex = if let Self::Regex(regex) = self { Some(regex) } else { None };
        regex.into_iter().flat_map(|regex| regex.capture_names().flatten())
    }
}

fn caught(regex: &Regex, line: &str) -> Option<Caught> {
    let found = regex.captures(line)?;
    let named = regex.capture_names().flatten();
    Some(named.filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().to_owned()))).collect())
}

fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contains(part) => write!(f, "containing {part:?}"),
            Self::Equals(whole) => write!(f, "equal to {whole:?}"),
            Self::AnyOf(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| format!("{part:?}")).collect();
                write!(f, "containing {}", parts.join(" or "))
            }
            Self::Regex(regex) => write!(f, "matching /{regex}/"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    contains: Option<String>,
    equals: Option<String>,
    any_of: Option<Vec<String>>,
    regex: Option<String>,
}

impl TryFrom<Written> for Words {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let words = match written {
            Written { contains: Some(part), equals: None, any_of: None, regex: None } => Self::Contains(part),
            Written { contains: None, equals: Some(whole), any_of: None, regex: None } => Self::Equals(whole),
            Written { contains: None, equals: None, any_of: Some(parts), regex: None } => Self::AnyOf(parts),
            Written { contains: None, equals: None, any_of: None, regex: Some(text) } => {
                Self::Regex(Regex::new(&text).map_err(|error| error.to_string())?)
            }
            _ => return Err("a text wants exactly one of contains, equals, any_of, regex".into()),
        };
        let empty = match &words {
            Self::Contains(text) => folded(text).is_empty(),
            Self::AnyOf(texts) => texts.is_empty() || texts.iter().any(|text| folded(text).is_empty()),
            Self::Equals(_) | Self::Regex(_) => false,
        };
        if empty { Err("an empty text is contained in every other: say what is wanted".into()) } else { Ok(words) }
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes, or one of {contains: ...}, {equals: ...}, {any_of: [...]}, {regex: ...}")
    }

    fn visit_str<E: serde::de::Error>(self, part: &str) -> Result<Words, E> {
        let written = Written { contains: Some(part.to_owned()), equals: None, any_of: None, regex: None };
        Words::try_from(written).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Words, A::Error> {
        Words::try_from(Written::deserialize(MapAccessDeserializer::new(map))?).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(yaml: &str) -> Result<Words, serde_saphyr::Error> {
        serde_saphyr::from_str(yaml)
    }

    fn fits(yaml: &str, lines: &[&str]) -> bool {
        words(yaml).unwrap().fit(lines).is_some()
    }

    #[test]
    fn a_text_is_found_in_one_line_or_over_several() {
        let said = ["Hello, this is Riverside  Clinic.", "You can interrupt me."];
        assert!(fits("riverside clinic", &said));
        assert!(fits("clinic. you can", &said), "over the end of a line");
        assert!(fits("{equals: 'you can interrupt me.'}", &said));
        assert!(!fits("{equals: 'you can'}", &said));
        assert!(fits("{any_of: [goodbye, hello]}", &said));
        assert!(fits("{regex: '^You can .* me'}", &said));
        assert!(!fits("{regex: '^you can'}", &said), "a regex minds the case");
        assert!(!fits("hello", &[]));
    }

    #[test]
    fn named_groups_are_caught() {
        let caught = words(r"{regex: 'code is (?<code>\d{4})'}").unwrap().fit(&["Your code is 4071."]).unwrap();
        assert_eq!(caught, Caught::from([("code".to_owned(), "4071".to_owned())]));
    }

    #[test]
    fn a_strange_pattern_is_told() {
        for (yaml, reason) in [
            ("{contains: a, equals: b}", "exactly one of"),
            ("{}", "exactly one of"),
            ("{contain: a}", "contain"),
            ("{regex: '('}", "unclosed group"),
            ("''", "empty text"),
            ("{any_of: []}", "empty text"),
            ("[a]", "a text in quotes, or one of"),
        ] {
            let error = words(yaml).unwrap_err().to_string();
            assert!(error.contains(reason), "{yaml}: {error}");
        }
    }

    proptest! {
        /// Whatever stands in a line is found in it, in any case and however it is spaced.
        #[test]
        fn what_is_there_is_found(before in "[a-z ]{0,9}", part in "[a-z]{1,5}( [a-z]{1,5}){0,2}", after in "[a-z ]{0,9}") {
            let line = format!("{before}{part}{after}").replace(' ', "  ").to_uppercase();
            prop_assert!(Words::Contains(part.clone()).fit(&[&line]).is_some());
            prop_assert!(Words::AnyOf(vec!["#".into(), part]).fit(&["other", &line]).is_some());
        }

        /// What equals is contained; what has a sign that the line lacks is not.
        #[test]
        fn what_is_not_there_is_not_found(line in "[a-z]{1,5}( [a-z]{1,5}){0,4}", part in "[a-z]{0,4}") {
            prop_assert!(Words::Equals(line.clone()).fit(&[&line]).is_some());
            prop_assert!(Words::Contains(line.clone()).fit(&[&line]).is_some());
            let (strange, longer) = (format!("{part}#"), format!("{line}x"));
            prop_assert!(Words::Contains(strange).fit(&[&line]).is_none());
            prop_assert!(Words::Equals(longer).fit(&[&line]).is_none());
        }
    }
}
