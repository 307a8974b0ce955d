//! The target of a transfer. Pure.

/// Value of Refer-To (RFC 3515 section 2.1) for a target: a SIP or tel URI as it is, a bare number at the host of the
/// party that is to make the call. None when it is neither, or could break out of the header.
pub fn refer_to(target: &str, remote_host: Option<&str>) -> Option<String> {
    let target = target.trim();
    let breaks_out = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"');
    if target.is_empty() || target.contains(breaks_out) {
        return None;
    }
    let scheme = target.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("sip" | "sips" | "tel") => Some(format!("<{target}>")),
        Some(_) => None,
        None if target.contains('@') => Some(format!("<sip:{target}>")),
        None => Some(format!("<sip:{target}@{}>", remote_host?)),
    }
}

#[cfg(test)]
mod tests {
    use super::refer_to;

    #[test]
    fn numbers_are_reached_through_the_far_end() {
        let to = |target| refer_to(target, Some("pbx.example:5060"));
        assert_eq!(to("+4930123456").as_deref(), Some("<sip:+4930123456@pbx.example:5060>"));
        assert_eq!(to("tel:+4930123456").as_deref(), Some("<tel:+4930123456>"));
        assert_eq!(to("sip:desk@10.0.0.5;transport=udp").as_deref(), Some("<sip:desk@10.0.0.5;transport=udp>"));
        assert_eq!(to("desk@10.0.0.5").as_deref(), Some("<sip:desk@10.0.0.5>"));
        for bad in ["", " ", "http://example.org", "a\r\nEvil: 1", "a>b", "two words"] {
            assert_eq!(to(bad), None, "{bad:?}");
        }
        assert_eq!(refer_to("100", None), None);
    }
}
