//! Languages as bots name them, and as vendors want them.

/// The first part of a BCP 47 tag ("de" of "de-AT"), which is what most vendors take: ISO 639, of two or three letters. None:
/// any language ("multi", as Deepgram calls it and nobody else knows it), or no tag at all.
pub fn primary(tag: &str) -> Option<String> {
    let code = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    ((2..=3).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphabetic())).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_language_is_no_code() {
        for (tag, code) in [("de-AT", Some("de")), ("EN_us", Some("en")), ("fil", Some("fil"))] {
            assert_eq!(primary(tag).as_deref(), code, "{tag}");
        }
        for tag in ["multi", "Multi", "", "-", "&x=y", "1"] {
            assert_eq!(primary(tag), None, "{tag}");
        }
    }
}
