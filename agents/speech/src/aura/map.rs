//! From an utterance to Aura's request.

use serde_json::Value;

use super::wire::Request;
use crate::line::pcm::Encoding;
use crate::line::speaking::Source;
use crate::line::words::Base;

/// Rates of `linear16`, Hz: <https://developers.deepgram.com/docs/tts-sample-rate>.
const RATES: [u32; 5] = [8_000, 16_000, 24_000, 32_000, 48_000];
/// Characters of one request; more are answered by status 413.
pub(super) const CHARACTERS: usize = 2_000;

/// The leg's rate, or the next above, which is converted.
pub(super) fn source(rate: u32) -> Source {
    let rate = RATES.into_iter().find(|known| *known >= rate).unwrap_or(RATES[RATES.len() - 1]);
    Source { encoding: Encoding::Linear, rate, base: Base::Utterance }
}

/// `base` is the vendor's address without a version.
pub(super) fn url(base: &str, voice: &str, source: Source) -> String {
    format!("{base}/v1/speak?model={voice}&encoding=linear16&sample_rate={}&container=none", source.rate)
}

pub(super) fn request(text: &str) -> Value {
    // A plain struct with string keys: serde_json has nothing to refuse.
    serde_json::to_value(Request { text }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked() {
        assert_eq!(request("Good \"day\".").to_string(), r#"{"text":"Good \"day\"."}"#);
        for (rate, asked) in [(8_000, 8_000), (11_025, 16_000), (44_100, 48_000), (48_000, 48_000)] {
            assert_eq!(source(rate).rate, asked);
        }
    }
}
