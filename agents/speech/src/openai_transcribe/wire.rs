//! The request's form (RFC 7578) with its WAV file, and the answer.

use serde::Deserialize;

use crate::language::primary;

/// Between the parts of the form. That an utterance holds these bytes is less likely than any fault of the wire.
const BOUNDARY: &str = "tandem-5c0e1f7ab39d4462b8e7d1c4f6a90b23";

#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) text: String,
}

pub(super) fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// `language`: BCP 47, of which OpenAI takes the first part (ISO 639-1). Where it is any, the model finds it out.
pub(super) fn form(model: &str, language: &str, samples: &[i16], rate: u32) -> Vec<u8> {
    let mut form = Vec::with_capacity(samples.len() * 2 + 1_024);
    let language = primary(language).unwrap_or_default();
    for (name, value) in [("model", model), ("language", &language), ("response_format", "json")] {
        if !value.is_empty() {
            let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            form.extend_from_slice(part.as_bytes());
        }
    }
    let file =
        "Content-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\nContent-Type: audio/wav\r\n\r\n";
    form.extend_from_slice(format!("--{BOUNDARY}\r\n{file}").as_bytes());
    wav(samples, rate, &mut form);
    form.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    form
}

/// RIFF WAVE, PCM of 16 bits, mono.
fn wav(samples: &[i16], rate: u32, out: &mut Vec<u8>) {
    let data = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&data.saturating_add(36).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&rate.saturating_mul(2).to_le_bytes());
    out.extend_from_slice(b"\x02\0\x10\0data");
    out.extend_from_slice(&data.to_le_bytes());
    out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_as_the_reference_asks() {
        let form = form("whisper-1", "de-AT", &[1, -2], 8_000);
        let head = "--tandem-5c0e1f7ab39d4462b8e7d1c4f6a90b23\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\
                    whisper-1\r\n--tandem-5c0e1f7ab39d4462b8e7d1c4f6a90b23\r\nContent-Disposition: form-data; \
                    name=\"language\"\r\n\r\nde\r\n";
        assert!(form.starts_with(head.as_bytes()));
        let wav = [
            b"\r\n\r\nRIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0".as_slice(),
            b"data\x04\0\0\0\x01\0\xfe\xff\r\n--tandem-5c0e1f7ab39d4462b8e7d1c4f6a90b23--\r\n",
        ]
        .concat();
        assert!(form.ends_with(&wav));
        let any = self::form("whisper-1", "multi", &[1], 8_000);
        assert!(!String::from_utf8_lossy(&any).contains("language"));
    }

    #[test]
    fn the_answer_is_read() {
        let answer = r#"{"text":"Yes, please.","usage":{"type":"tokens","input_tokens":14,"output_tokens":5}}"#;
        assert_eq!(serde_json::from_str::<Answer>(answer).unwrap().text, "Yes, please.");
    }
}
