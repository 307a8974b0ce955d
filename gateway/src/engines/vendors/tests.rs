//! Which vendor a bot gets, over real sockets to a vendor that does as it is told.

use tandem_speech::test_voice::TestVoice;
use tandem_speech::{Grammar, RecognizeRequest, RecognizerEvent, RecognizerInput, SpeakRequest, VoiceEvent};
use tandem_test_vendors::deepgram::{Flux, Nova, speech};
use tandem_test_vendors::{Asked, FakeVendor, Heard, Script, Step};

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

/// The words are nowhere else: they are sent once more, and only once, whoever repeats them.
#[tokio::test]
async fn a_failed_transcription_is_uploaded_twice_and_not_more_often() {
    let vendor = FakeVendor::start([Script::status(503, "{}")]).unwrap();
    let mut settings = Settings::default();
    settings.openai.base_url = vendor.url("/v1");
    let vendors = SpeechVendors::open(&settings).unwrap();
    let recognizer = vendors.recognizer(&config(r#"{"stt_provider": "openai"}"#), 8_000, None).unwrap();
    let request = RecognizeRequest { grammar: Grammar::Open, rate: 8_000, language: "en-US".to_owned() };
    let mut recognition = recognizer.listen(request).unwrap();
    recognition.audio.send(RecognizerInput::Audio(Arc::from([100i16; 160].as_slice()))).await.unwrap();
    recognition.audio.send(RecognizerInput::Finish).await.unwrap();
    let last = recognition.events.recv().await;
    assert!(matches!(&last, Some(RecognizerEvent::Failed(SpeechError::Failed { .. }))), "{last:?}");
    assert_eq!(vendor.asked().len(), 2);
}

/// The first that a vendor is asked for.
async fn first_asked(vendor: &FakeVendor) -> Asked {
    let asked = async {
        loop {
            if let Some(asked) = vendor.asked().into_iter().next() {
                return asked;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), asked).await.expect("it is asked")
}

/// Deepgram tells of eager ends only where its address asks for them.
#[tokio::test]
async fn flux_tells_of_probable_ends_where_a_model_is_asked_ahead() {
    let with_a_model = r#"{"system_prompt": {"role": "You are a clinic."}}"#;
    let without = r#"{"system_prompt": {"role": "You are a clinic."}, "turn": {"preemptive_generation": false}}"#;
    let no_model = r#"{"livekit_config": {}}"#;
    for (bot, deepgram, thresholds) in [
        (with_a_model, "", "&eot_threshold=0.7&eager_eot_threshold=0.5&eot_timeout_ms=5000"),
        (without, "", "&eot_threshold=0.7&eot_timeout_ms=5000"),
        (no_model, "", "&eot_threshold=0.7&eot_timeout_ms=5000"),
        (with_a_model, "eager_eot_threshold = 0", "&eot_threshold=0.7&eot_timeout_ms=5000"),
        (
            with_a_model,
            "eot_threshold = 0.8\neager_eot_threshold = 0.6\neot_timeout_ms = 900",
            "&eot_threshold=0.8&eager_eot_threshold=0.6&eot_timeout_ms=900",
        ),
    ] {
        let vendor = FakeVendor::answering(|_, asked| Flux::script(asked)).unwrap();
        let url = vendor.socket_url("");
        let settings = keyed(&format!("[deepgram]\nbase_url = '{url}'\nmodel = 'flux-general-en'\n{deepgram}\n"));
        let vendors = SpeechVendors::open(&settings).unwrap();
        let recognizer = vendors.recognizer(&serde_json::from_str(bot).unwrap(), 8_000, None);
        let path = first_asked(&vendor).await.path;
        assert!(path.starts_with("/v2/listen?model=flux-general-en&") && path.ends_with(thresholds), "{path}");
        drop(recognizer);
    }
}

/// Its only recognizer dies in the middle of what a caller says, who said the word before.
#[tokio::test]
async fn a_single_vendor_hears_an_utterance_from_its_first_word() {
    let vendor = FakeVendor::answering(|number, asked| match number {
        0 => Script::socket(|| {
            let mut frames = 0;
            move |heard| {
                frames += u32::from(matches!(heard, Heard::Binary(_)));
                if frames == 40 { vec![Step::Die] } else { Vec::new() }
            }
        }),
        _ => Nova::script(asked),
    })
    .unwrap();
    let mut settings = Settings::default();
    settings.deepgram.base_url = vendor.socket_url("");
    let vendors = SpeechVendors::open(&settings).unwrap();
    let recognizer = vendors.recognizer(&BotConfig::default(), 8_000, None).unwrap();
    let request = RecognizeRequest { grammar: Grammar::Open, rate: 8_000, language: "en-US".to_owned() };
    let mut recognition = recognizer.listen(request).unwrap();
    for frame in 0..60 {
        let loud = if frame < 20 { 4_000i16 } else { 0 };
        let samples: Vec<i16> = (0..160).map(|n| if n % 16 < 8 { loud } else { -loud }).collect();
        recognition.audio.send(RecognizerInput::Audio(samples.into())).await.unwrap();
    }
    recognition.audio.send(RecognizerInput::Finish).await.unwrap();
    let mut last = None;
    while let Some(event) = recognition.events.recv().await {
        last = Some(event);
    }
    assert!(matches!(&last, Some(RecognizerEvent::Final { text, .. }) if text == "yes"), "{last:?}");
    assert_eq!(vendor.asked().len(), 2);
}

#[tokio::test]
async fn another_vendor_speaks_where_one_fails_and_before_what_is_installed() {
    let down = FakeVendor::start([Script::status(500, "down")]).unwrap();
    let well =
        FakeVendor::answering(|_, asked| Script::Stream { content_type: "audio/l16", steps: speech(asked) }).unwrap();
    let mut settings = Settings::default();
    settings.openai.base_url = down.url("/v1");
    settings.deepgram.base_url = well.url("");
    settings.deepgram.voice = "aura-2-thalia-en".to_owned();
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
    assert_eq!((samples, last), ("Good morning".len() * 480, Some(VoiceEvent::Done)), "Aura's tone, once");
    assert_eq!(well.asked().len(), 1);
    let german = config(r#"{"tts_provider": "openai", "stt_language": "de-DE"}"#);
    let voice = vendors.voice(&german, 8_000, &stand_in()).unwrap();
    let mut events = voice.speak(SpeakRequest { text: "Guten Morgen".to_owned(), rate: 8_000 }).unwrap();
    while events.recv().await.is_some() {}
    assert_eq!(well.asked().len(), 0, "its voice speaks English");
}

/// What a contract limits is the account's, whatever models bots name.
#[tokio::test]
async fn all_models_of_an_account_share_its_connections() {
    let vendor = FakeVendor::answering(|_, asked| match asked.path.contains("/listen") {
        true => Nova::script(asked),
        false => Script::socket(|| |_: Heard| Vec::new()),
    })
    .unwrap();
    let url = vendor.socket_url("");
    let limited = |name: &str| format!("[{name}]\nbase_url = '{url}'\nmax_concurrent = 1\n");
    for (provider, models) in [("elevenlabs", ["flash_v2_5", "turbo_v2_5"]), ("cartesia", ["sonic-3", "sonic-2"])] {
        let vendors = SpeechVendors::open(&keyed(&limited(provider))).unwrap();
        let voice = |model| {
            let bot = format!(r#"{{"tts_provider": "{provider}", "tts_model": "{model}"}}"#);
            vendors.voice(&config(&bot), 8_000, &stand_in())
        };
        let first = voice(models[0]);
        assert!(first.is_some() && voice(models[1]).is_none(), "{provider}");
    }
    let vendors = SpeechVendors::open(&keyed(&limited("deepgram"))).unwrap();
    let ear = |model: &str| {
        let bot = config(&format!(r#"{{"stt_provider": "deepgram", "stt_model": "{model}"}}"#));
        vendors.recognizer(&bot, 8_000, None).unwrap()
    };
    let last_of = async |recognizer: &Arc<dyn Recognizer>| {
        let request = RecognizeRequest { grammar: Grammar::Open, rate: 8_000, language: "en-US".to_owned() };
        let mut recognition = recognizer.listen(request).unwrap();
        recognition.audio.send(RecognizerInput::Audio(Arc::from([0i16; 160].as_slice()))).await.unwrap();
        recognition.audio.send(RecognizerInput::Finish).await.unwrap();
        recognition.events.recv().await
    };
    let first = ear("nova-3");
    assert_eq!(last_of(&first).await, Some(RecognizerEvent::Rejected));
    let busy = last_of(&ear("nova-2")).await;
    assert!(matches!(&busy, Some(RecognizerEvent::Failed(SpeechError::Busy { limit: 1, .. }))), "{busy:?}");
}

#[tokio::test]
async fn elevenlabs_is_spoken_to_over_the_socket_of_the_settings() {
    for (socket, way) in [("multi", "/multi-stream-input?"), ("single", "/stream-input?")] {
        let vendor = FakeVendor::start([Script::socket(|| |_: Heard| vec![Step::Stall])]).unwrap();
        let settings = keyed(&format!("[elevenlabs]\nbase_url = '{}'\nsocket = '{socket}'\n", vendor.socket_url("")));
        let vendors = SpeechVendors::open(&settings).unwrap();
        let _voice = vendors.voice(&BotConfig::default(), 8_000, &stand_in()).unwrap();
        let path = first_asked(&vendor).await.path;
        assert!(path.contains(way), "{path}");
    }
}

#[tokio::test]
async fn where_no_connection_is_left_the_next_vendor_speaks() {
    let vendor = FakeVendor::start([Script::socket(|| |_: Heard| Vec::new())]).unwrap();
    let url = vendor.socket_url("");
    let settings = keyed(&format!(
        "[elevenlabs]\nbase_url = '{url}'\nmax_concurrent = 1\n[cartesia]\nbase_url = '{url}'\n[deepgram]\napi_key = 'k'\n"
    ));
    let vendors = SpeechVendors::open(&settings).unwrap();
    let calls: Vec<_> = (0..2).map(|_| vendors.voice(&BotConfig::default(), 8_000, &stand_in()).unwrap()).collect();
    let names: Vec<_> = calls.iter().map(|voice| voice.info().name).collect();
    assert_eq!(names, ["elevenlabs eleven_flash_v2_5", "cartesia sonic-3"]);
}
