//! Where Deepgram is, and what is asked of it.

use tandem_contract::Private;

use crate::language::primary;
use crate::recognizer_line::Encoding;

/// The setting that holds the key.
pub const KEY_SETTING: &str = "DEEPGRAM_API_KEY";
/// Connections of one node. It bounds what a fault of ours can cost; Deepgram's own limit depends on the contract (150 by
/// default) and is told by status 429.
const MAX_CONNECTIONS: usize = 1_000;

/// Where Deepgram is, and which model.
#[derive(Clone, Debug, PartialEq)]
pub struct DeepgramConfig {
    /// `http`, `https`, `ws` or `wss`, with or without the version at its end.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    /// One whose name begins with "flux" is spoken to as Flux, any other as Nova.
    pub model: String,
    pub flux: FluxConfig,
    /// Connections of this node at once; a call beyond them is told "busy".
    pub max_connections: usize,
}

/// When Flux takes a turn for ended. None: as Deepgram chooses.
/// <https://developers.deepgram.com/docs/flux/configuration>
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FluxConfig {
    /// 0.5 to 1; with 1 it ends no turn by its own judgement.
    pub eot_threshold: Option<f64>,
    /// 0.3 to 0.9, and no more than `eot_threshold`. None: no eager ends.
    pub eager_eot_threshold: Option<f64>,
    /// 500 to 60,000 ms of silence after which a turn is over in any case.
    pub eot_timeout_ms: Option<u32>,
}

impl Default for DeepgramConfig {
    fn default() -> Self {
        Self {
            base_url: "wss://api.deepgram.com".to_owned(),
            key: None,
            model: "nova-3".to_owned(),
            flux: FluxConfig::default(),
            max_connections: MAX_CONNECTIONS,
        }
    }
}

impl DeepgramConfig {
    pub(super) fn is_flux(&self) -> bool {
        self.model.starts_with("flux")
    }

    /// The address of a line. `ahead`: whether eager ends are of use.
    pub(super) fn url(&self, rate: u32, encoding: Encoding, language: &str, ahead: bool) -> String {
        match self.is_flux() {
            true => self.flux_url(rate, encoding, language, ahead),
            false => self.nova_url(rate, encoding, language),
        }
    }

    /// Numbers come as they were said: "numerals" and smart formatting make Deepgram wait for the
    /// rest of a number, and the flow reads words as well as digits.
    fn nova_url(&self, rate: u32, encoding: Encoding, language: &str) -> String {
        let (model, language) = (escaped(&self.model), escaped(language));
        format!(
            "{}/v1/listen?model={model}&language={language}&{}&channels=1&interim_results=true&punctuate=true\
             &endpointing=false&vad_events=false",
            base(&self.base_url),
            audio(rate, encoding),
        )
    }
}

impl DeepgramConfig {
    fn flux_url(&self, rate: u32, encoding: Encoding, language: &str, ahead: bool) -> String {
        let (base, model) = (base(&self.base_url), escaped(&self.model));
        let mut url = format!("{base}/v2/listen?model={model}&{}", audio(rate, encoding));
        let FluxConfig { eot_threshold, eager_eot_threshold, eot_timeout_ms } = &self.flux;
        for (name, value) in [
            ("eot_threshold", eot_threshold.map(|value| value.to_string())),
            ("eager_eot_threshold", eager_eot_threshold.filter(|_| ahead).map(|value| value.to_string())),
            ("eot_timeout_ms", eot_timeout_ms.map(|value| value.to_string())),
        ] {
            url.extend(value.map(|value| format!("&{name}={value}")));
        }
        // Others have one language and take no hint.
        if self.model.ends_with("multi")
            && let Some(language) = primary(language)
        {
            url.push_str(&format!("&language_hint={language}"));
        }
        url
    }
}

fn audio(rate: u32, encoding: Encoding) -> String {
    let encoding = match encoding {
        Encoding::MuLaw => "mulaw",
        Encoding::Linear16 => "linear16",
    };
    format!("encoding={encoding}&sample_rate={rate}")
}

/// The address as a WebSocket's, without the version at its end.
fn base(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let url = ["/v1", "/v2"].iter().find_map(|version| url.strip_suffix(version)).unwrap_or(url).trim_end_matches('/');
    match url.split_once("://") {
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(("https", rest)) => format!("wss://{rest}"),
        _ => url.to_owned(),
    }
}

/// As a value of a query (RFC 3986 section 2).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_address_is_taken() {
        for (url, socket) in [
            ("wss://api.deepgram.com", "wss://api.deepgram.com"),
            ("https://api.deepgram.com/v1/", "wss://api.deepgram.com"),
            ("http://127.0.0.1:9100/v1", "ws://127.0.0.1:9100"),
            (" ws://proxy/deepgram/v2 ", "ws://proxy/deepgram"),
        ] {
            assert_eq!(base(url), socket, "{url}");
        }
    }

    #[test]
    fn the_query_says_what_is_sent() {
        let config = DeepgramConfig::default();
        assert_eq!(
            config.url(8_000, Encoding::of(8_000), "en-US", true),
            "wss://api.deepgram.com/v1/listen?model=nova-3&language=en-US&encoding=mulaw&sample_rate=8000&channels=1\
             &interim_results=true&punctuate=true&endpointing=false&vad_events=false"
        );
        let url = config.url(48_000, Encoding::of(48_000), "e&n", true);
        assert!(url.contains("&language=e%26n&encoding=linear16&sample_rate=48000&"), "{url}");
    }
    #[test]
    fn flux_is_asked_at_its_own_address() {
        let flux = FluxConfig { eot_threshold: Some(0.8), eager_eot_threshold: Some(0.5), eot_timeout_ms: Some(3_000) };
        let config = DeepgramConfig { model: "flux-general-multi".to_owned(), flux, ..DeepgramConfig::default() };
        assert_eq!(
            config.url(8_000, Encoding::of(8_000), "de-DE", true),
            "wss://api.deepgram.com/v2/listen?model=flux-general-multi&encoding=mulaw&sample_rate=8000\
             &eot_threshold=0.8&eager_eot_threshold=0.5&eot_timeout_ms=3000&language_hint=de"
        );
        let calm = config.url(8_000, Encoding::of(8_000), "multi", false);
        assert!(calm.ends_with("&eot_threshold=0.8&eot_timeout_ms=3000"), "{calm}");
        let config = DeepgramConfig { model: "flux-general-en".to_owned(), ..DeepgramConfig::default() };
        let url = config.url(16_000, Encoding::of(16_000), "en-US", true);
        assert!(url.ends_with("/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=16000"), "{url}");
    }
}
