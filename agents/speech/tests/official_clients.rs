//! The vendors' own clients against our stand-ins: each reads an answer as the answer that it is, and asks for the same wish
//! as we do. So the stand-ins that everything else is tested with are what the vendors are.

use serde_json::{Value, json};
use tandem_models::client_builder;
use tandem_speech::aura::{Aura, AuraConfig};
use tandem_speech::deepgram::{Deepgram, DeepgramConfig, FluxConfig};
use tandem_speech::openai_speech::{OpenAiSpeech, OpenAiSpeechConfig};
use tandem_speech::openai_transcribe::{OpenAiTranscribe, OpenAiTranscribeConfig};
use tandem_speech::{
    Grammar, RecognizeRequest, Recognizer, RecognizerEvent, RecognizerInput, SpeakRequest, Voice, VoiceEvent,
};
use tandem_test_support::official::official;
use tandem_test_vendors::deepgram::{Flux, Nova, speech};
use tandem_test_vendors::{Asked, FakeVendor, Script, deepgram, openai, unlike};

const GREETING: &str = "Good morning.";
/// Bytes of a tone of 60 ms a character, a thousandth of the rate.
const GREETING_BYTES: usize = 13 * 60 * 2;

fn key() -> Option<tandem_contract::Private<String>> {
    Some("KEY".to_owned().into())
}

fn vendor(asked: &Asked) -> Script {
    let audio = |steps| Script::Stream { content_type: "audio/l16", steps };
    match asked.path.split('?').next().unwrap_or_default() {
        "/v1/listen" => Nova::script(asked),
        "/v2/listen" => Flux::script(asked),
        "/v1/speak" => audio(speech(asked)),
        "/v1/audio/speech" => audio(openai::speech(asked)),
        "/v1/audio/transcriptions" => openai::transcription(asked),
        _ => Script::status(404, "no such address"),
    }
}

/// Half a second of tone is a "yes", at 8 kHz.
async fn says_yes(recognizer: &dyn Recognizer) -> anyhow::Result<()> {
    let request = RecognizeRequest { grammar: Grammar::Open, rate: 8_000, language: "en-US".to_owned() };
    let mut recognition = recognizer.listen(request)?;
    let tone: Vec<i16> = (0..4_000).map(|n| ((n as f32 * 0.3).sin() * 8_000.0) as i16).collect();
    for frame in tone.chunks(160) {
        recognition.audio.send(RecognizerInput::Audio(frame.into())).await?;
    }
    recognition.audio.send(RecognizerInput::Finish).await?;
    let mut last = None;
    while let Some(event) = recognition.events.recv().await {
        last = Some(event);
    }
    let (Some(RecognizerEvent::Final { text, .. }) | Some(RecognizerEvent::EndOfTurn { text, .. })) = &last else {
        panic!("{last:?}")
    };
    assert_eq!(text, "yes");
    Ok(())
}

async fn says_the_greeting(voice: &dyn Voice) -> anyhow::Result<()> {
    let mut events = voice.speak(SpeakRequest { text: GREETING.to_owned(), rate: 8_000 })?;
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    assert_eq!(last, Some(VoiceEvent::Done));
    Ok(())
}

#[tokio::test]
async fn openai_is_openai() {
    let fake = FakeVendor::answering(|_, asked| vendor(asked)).unwrap();
    let Some(told) = official("openai", &fake.url(""), &["transcribe", "speak"]).unwrap() else { return };
    let theirs = fake.asked();
    assert_eq!(told, [json!({ "text": " yes" }), json!({ "bytes": GREETING_BYTES * 24 })]);

    let client = client_builder().build().unwrap();
    let base_url = fake.url("/v1");
    let config = OpenAiTranscribeConfig { base_url: base_url.clone(), key: key(), ..OpenAiTranscribeConfig::default() };
    says_yes(&OpenAiTranscribe::new(client.clone(), config).unwrap()).await.unwrap();
    let config = OpenAiSpeechConfig { base_url, key: key(), ..OpenAiSpeechConfig::default() };
    says_the_greeting(OpenAiSpeech::new(client, config).unwrap().voice("").unwrap().as_ref()).await.unwrap();
    for (ours, theirs) in fake.asked().iter().zip(&theirs) {
        assert_eq!(unlike(ours, theirs), [""; 0], "{}", ours.path);
    }
}

#[tokio::test]
async fn deepgram_is_deepgram() {
    let fake = FakeVendor::answering(|number, asked| match number {
        3 | 5 => deepgram::refused(401),
        4 | 6 => deepgram::refused(429),
        _ => vendor(asked),
    })
    .unwrap();
    let cases = ["nova", "flux", "speak", "refused", "refused", "unheard", "unheard"];
    let Some(told) = official("deepgram", &fake.url(""), &cases).unwrap() else { return };
    let theirs = fake.asked();
    let finals = json!([false, true, true]);
    let words = json!([["yes", 0.0, 0.4]]);
    assert_eq!(told[0], json!({ "text": "yes", "words": words, "finals": finals, "farewell": "Metadata" }));
    let turn = |event: &str, trigger: Value| json!([event, "yes", trigger]);
    let manual = [turn("StartOfTurn", Value::Null), turn("EndOfTurn", "manual".into())];
    let model =
        [turn("StartOfTurn", Value::Null), turn("EagerEndOfTurn", Value::Null), turn("EndOfTurn", "model".into())];
    assert_eq!(told[1]["first"], "Connected");
    assert_eq!(told[1]["turns"], Value::from([manual.as_slice(), &model].concat()));
    assert_eq!(told[1]["words"], words);
    assert_eq!(told[2], json!({ "bytes": GREETING_BYTES * 8 }));
    let errors = [("ApiError", 401), ("ApiError", 429), ("InvalidStatus", 401), ("InvalidStatus", 429)];
    assert_eq!(told[3..], errors.map(|(error, status)| json!({ "error": error, "status": status })));

    let base_url = fake.url("/v1");
    let nova = DeepgramConfig { base_url: base_url.clone(), key: key(), ..DeepgramConfig::default() };
    let flux = DeepgramConfig {
        model: "flux-general-en".to_owned(),
        flux: FluxConfig { eager_eot_threshold: Some(0.5), ..FluxConfig::default() },
        ..nova.clone()
    };
    for config in [nova, flux] {
        says_yes(Deepgram::new(config).unwrap().line(8_000, "en-US", true).as_ref()).await.unwrap();
    }
    let aura = AuraConfig { base_url, key: key(), ..AuraConfig::default() };
    let aura = Aura::new(client_builder().build().unwrap(), aura).unwrap();
    says_the_greeting(aura.voice("").unwrap().as_ref()).await.unwrap();
    for (ours, theirs) in fake.asked().iter().zip(&theirs) {
        assert_eq!(unlike(ours, theirs), [""; 0], "{}", ours.path);
    }
}
