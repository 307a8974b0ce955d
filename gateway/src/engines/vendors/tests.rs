//! Which vendor a bot gets, over real sockets to a vendor that does as it is told.

use tandem_speech::test_voice::TestVoice;
use tandem_speech::{Grammar, RecognizeRequest, RecognizerEvent, RecognizerInput, SpeakRequest, VoiceEvent};
use tandem_test_vendors::{FakeVendor, Heard, Script, Step};

use super::*;

fn config(livekit: &str) -> BotConfig {
    serde_json::from_str(&format!(r#"{{"livekit_config": {livekit}}}"#)).unwrap()
}

fn stand_in() -> Arc<dyn Voice> {
    Arc::new(TestVoice::new())
}

/// What speaks for a bot.
fn mouth(settings: &Settings, livekit: &str) -> Option<String> {
    let vendors = SpeechVendors::open(settings).unwrap();
    Some(vendors.voice(&config(livekit), 8_000, &stand_in())?.info().name)
}

/// What hears for a bot.
fn ears(settings: &Settings, livekit: &str) -> Option<String> {
    let vendors = SpeechVendors::open(settings).unwrap();
    Some(vendors.recognizer(&config(livekit), 8_000, None)?.info().name)
}

fn keyed(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

/// Keys only: nothing is dialled but by the lines, whose tasks end with the test.
#[tokio::test]
async fn who_names_nobody_gets_the_best_that_is_set() {
    let all =
        "[elevenlabs]\napi_key = 'k'\n[cartesia]\napi_key = 'k'\n[deepgram]\napi_key = 'k'\n[openai]\napi_key = 'k'\n";
    let sections: Vec<&str> = all.split_inclusive("'k'\n").collect();
    let from = |first: usize| keyed(&sections[first..].concat());
    let best = [
        "elevenlabs eleven_flash_v2_5",
        "cartesia sonic-3",
        "deepgram aura-2-thalia-en",
        "openai gpt-4o-mini-tts alloy",
    ];
    for (first, name) in best.into_iter().enumerate() {
        assert_eq!(mouth(&from(first), "{}").as_deref(), Some(name));
    }
    assert_eq!((ears(&from(0), "{}"), ears(&from(3), "{}")), (Some("deepgram".into()), Some("openai".into())));
    let german = r#"{"stt_language": "de-DE"}"#;
    assert_eq!(mouth(&from(2), german).as_deref(), Some(best[3]), "Aura's voice speaks English");
    let nobody = Settings::default();
    assert_eq!((mouth(&nobody, "{}"), ears(&nobody, "{}")), (None, None));
    let own = r#"{"tts_provider": "flite", "stt_provider": "pocketsphinx"}"#;
    assert_eq!((mouth(&from(0), own), ears(&from(0), own)), (None, None));
}

#[tokio::test]
async fn who_names_a_vendor_gets_it_or_the_best() {
    let settings = keyed("[elevenlabs]\napi_key = 'k'\n[deepgram]\napi_key = 'k'\n[openai]\napi_key = 'k'\n");
    let named = r#"{"tts_provider": "openai", "tts_voice_id": "nova", "tts_model": "tts-1", "stt_provider": "openai"}"#;
    assert_eq!(mouth(&settings, named).as_deref(), Some("openai tts-1 nova"));
    assert_eq!(ears(&settings, named).as_deref(), Some("openai"));
    let not_set = r#"{"tts_provider": "cartesia", "tts_voice_id": "x/y", "tts_model": "sonic-3"}"#;
    assert_eq!(mouth(&settings, not_set).as_deref(), Some("elevenlabs eleven_flash_v2_5"), "with its own voice");
    let config = config(not_set);
    assert_eq!(unset(&config, &settings), [("/livekit_config/tts_provider", "cartesia")]);
    assert_eq!(unset(&BotConfig::default(), &settings), []);
}

#[tokio::test]
async fn a_server_that_speaks_like_openai_is_no_voice_unless_somebody_says_so() {
    let mut settings = keyed("[openai]\nbase_url = 'http://127.0.0.1:9/v1'\napi_key = 'ollama'\n");
    assert_eq!((mouth(&settings, "{}"), ears(&settings, "{}")), (None, None));
    let named = r#"{"tts_provider": "openai", "stt_provider": "openai"}"#;
    assert!(mouth(&settings, named).is_some() && ears(&settings, named).is_some());
    settings.openai.speech_model = "kokoro".to_owned();
    settings.openai.transcription_model = "whisper".to_owned();
    assert_eq!(mouth(&settings, "{}").as_deref(), Some("openai kokoro alloy"));
    assert_eq!(ears(&settings, "{}").as_deref(), Some("openai"));
}

#[tokio::test]
async fn the_other_voice_speaks_where_a_vendor_fails() {
    let vendor = FakeVendor::start([Script::status(500, "down")]).unwrap();
    let mut settings = Settings::default();
    settings.openai.base_url = vendor.url("/v1");
    let vendors = SpeechVendors::open(&settings).unwrap();
    let voice = vendors.voice(&config(r#"{"tts_provider": "openai"}"#), 8_000, &stand_in()).unwrap();
    let mut events = voice.speak(SpeakRequest { text: "Good morning".to_owned(), rate: 8_000 }).unwrap();
    let (mut samples, mut last) = (0, None);
    while let Some(event) = events.recv().await {
        if let VoiceEvent::Audio(audio) = &event {
            samples += audio.len();
        }
        last = Some(event);
    }
    assert!(samples > 2_000 && last == Some(VoiceEvent::Done), "{samples} {last:?}");
    assert!(vendor.asked().iter().all(|asked| asked.path == "/v1/audio/speech"));
}

#[tokio::test]
async fn short_names_of_elevenlabs_models_are_understood() {
    let vendor = FakeVendor::start([Script::socket(|| |_: Heard| vec![Step::Stall])]).unwrap();
    let mut settings = Settings::default();
    settings.elevenlabs.base_url = vendor.socket_url("");
    let vendors = SpeechVendors::open(&settings).unwrap();
    let seed = r#"{"tts_provider": "elevenlabs", "tts_model": "flash_v2_5", "tts_voice_id": "ErXwobaYiN019PkySvjV"}"#;
    let voice = vendors.voice(&config(seed), 8_000, &stand_in()).unwrap();
    assert_eq!(voice.info().name, "elevenlabs eleven_flash_v2_5");
}

#[tokio::test]
async fn what_was_said_is_transcribed_by_the_model_that_a_bot_names() {
    let vendor = FakeVendor::start([Script::status(200, r#"{"text": "Good morning."}"#)]).unwrap();
    let mut settings = Settings::default();
    settings.openai.base_url = vendor.url("/v1");
    let vendors = SpeechVendors::open(&settings).unwrap();
    let config = config(r#"{"stt_provider": "openai", "stt_model": "whisper-1", "stt_language": "en-GB"}"#);
    let recognizer = vendors.recognizer(&config, 8_000, None).unwrap();
    let request = RecognizeRequest { grammar: Grammar::Open, rate: 8_000, language: config.language().to_owned() };
    let mut recognition = recognizer.listen(request).unwrap();
    recognition.audio.send(RecognizerInput::Audio(Arc::from([100i16; 160].as_slice()))).await.unwrap();
    recognition.audio.send(RecognizerInput::Finish).await.unwrap();
    let last = recognition.events.recv().await;
    assert!(matches!(&last, Some(RecognizerEvent::Final { text, .. }) if text == "Good morning."), "{last:?}");
    let asked = vendor.asked().remove(0);
    assert!(asked.path == "/v1/audio/transcriptions" && asked.body.contains("whisper-1"), "{}", asked.path);
}

/// Deepgram dies in the middle of an utterance, and what the caller said arrives all the same: from OpenAI.
#[tokio::test]
async fn another_vendor_hears_what_was_said_to_one_that_died() {
    let dies = |heard| if matches!(heard, Heard::Binary(_)) { vec![Step::Die] } else { Vec::new() };
    let deepgram = FakeVendor::start([Script::socket(move || dies)]).unwrap();
    let openai = FakeVendor::start([Script::status(200, r#"{"text": "Good morning."}"#)]).unwrap();
    let mut settings = Settings::default();
    settings.deepgram.base_url = deepgram.socket_url("");
    settings.openai.base_url = openai.url("/v1");
    settings.openai.transcription_model = "whisper-1".to_owned();
    let vendors = SpeechVendors::open(&settings).unwrap();
    let recognizer = vendors.recognizer(&config(r#"{"stt_provider": "deepgram"}"#), 8_000, None).unwrap();
    assert_eq!(recognizer.info().name, "deepgram");
    let request = RecognizeRequest { grammar: Grammar::Open, rate: 8_000, language: "en-US".to_owned() };
    let mut recognition = recognizer.listen(request).unwrap();
    for _ in 0..20 {
        recognition.audio.send(RecognizerInput::Audio(Arc::from([100i16; 160].as_slice()))).await.unwrap();
    }
    recognition.audio.send(RecognizerInput::Finish).await.unwrap();
    let last = recognition.events.recv().await;
    assert!(matches!(&last, Some(RecognizerEvent::Final { text, .. }) if text == "Good morning."), "{last:?}");
    // 20 frames of 320 bytes, none missing.
    assert!(openai.asked()[0].body.len() > 6_400, "the whole utterance");
}
