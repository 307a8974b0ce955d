//! The config examples of the seed parse, typed, and come out as they went in.
#![allow(clippy::unwrap_used, reason = "a test that stumbles fails")]

use serde_json::Value;
use tandem_contract::bot::{BotConfig, strip_comments};

fn round_trips(text: &str) -> BotConfig {
    let mut value: Value = serde_json::from_str(text).unwrap();
    strip_comments(&mut value);
    let config: BotConfig = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&config).unwrap(), value);
    config
}

#[test]
fn chatbot() {
    let config = round_trips(include_str!("seeds/chatbot.json"));
    assert_eq!(config.integrations.unwrap().len(), 3);
    assert_eq!(config.llm_config.unwrap().fallback.unwrap().model, "claude-opus-4");
}

#[test]
fn voicebot() {
    let config = round_trips(include_str!("seeds/voicebot.json"));
    assert_eq!(config.sip_config.unwrap().recording_retention_days, Some(90));
    assert_eq!(config.integrations, Some(vec![]));
}

#[test]
fn voice_settings() {
    let config = round_trips(include_str!("seeds/voice_settings.json"));
    assert_eq!(config.voice_settings.unwrap().input_min_characters, Some(10));
}
