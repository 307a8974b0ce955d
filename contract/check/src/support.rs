//! What a config may say and Tandem does not act on.

use serde_json::Value;

use tandem_contract::bot::model::TIER;
use tandem_contract::bot::voice::{EMBEDDED_LANGUAGE, ESPEAK_NG, FliteVoice, RecognizerVendor, VoiceVendor};
use tandem_contract::bot::{ModelVendor, Tier};

use super::{Findings, beside, escalation};

/// What nothing acts on, whatever brain a bot has, with what happens instead.
const NEVER: [(&str, &str); 5] = [
    ("/sip_config", "calls come in on the node's own SIP address, nothing is recorded and nobody is called"),
    ("/database_config", "appointments and call records are files in the data folder"),
    ("/vector_db_config", "there is no knowledge base"),
    ("/voice_settings/background_sound", "nothing sounds behind the agent"),
    ("/livekit_config/room_prefix", "no LiveKit rooms are joined"),
];

/// What a bot with a flow does not need.
const WITH_FLOW: [(&str, &str); 10] = [
    ("/system_prompt", "the flow decides what is said; of it only voice_specific.silence_timeout_ms counts"),
    ("/llm_config", "the flow decides what is said"),
    ("/voice_settings/input_min_characters", "the flow decides what is said at once"),
    ("/voice_settings/punctuation_boundaries", "prompts are spoken sentence by sentence"),
    ("/voice_settings/model_settings", "the embedded voices have no knobs"),
    ("/voice_settings/max_tokens", "the flow decides what is said"),
    ("/turn/silence_prompts", "no_input of the flow says what a silent caller hears"),
    ("/turn/preemptive_generation", "no model is asked"),
    ("/turn/failover_filler", "no model is asked"),
    ("/turn/greeting_interruptible", "each state says by `interruptible` whether the caller may talk over it"),
];

/// What a bot without one does not get of its language model yet.
const WITH_MODEL: [(&str, &str); 4] = [
    ("/llm_config/fallback/parameters", "the fallback is asked with the parameters of llm_config"),
    ("/system_prompt/voice_specific/speaking_rate", "the embedded voices have no knobs"),
    ("/system_prompt/voice_specific/interruption_sensitivity", "`turn` says when an interruption counts"),
    ("/voice_settings/model_settings", "the embedded voices have no knobs; llm_config names the model"),
];

/// What a bot does not get of a model that begins in the flow.
const IN_STATES: [(&str, &str); 1] = [("/system_prompt/greeting", "the flow begins; its first state greets")];

pub(super) fn check(config: &Value, findings: &mut Findings) {
    let has = |key: &str| config.get(key).is_some();
    let mixed = beside::is_mixed(config);
    let flow = has("flow") && !mixed;
    if !has("flow") && !has("system_prompt") && !has("llm_config") {
        let message = "is missing, and so is a system_prompt: callers get an apology; add one of them";
        findings.not_supported("/flow", message);
    }
    let brain: &[_] = if flow { &WITH_FLOW } else { &WITH_MODEL };
    let begins: &[_] = if mixed && !beside::is_entered(config) { &IN_STATES } else { &[] };
    for (pointer, instead) in NEVER.iter().chain(brain).chain(begins) {
        if config.pointer(pointer).is_some() {
            findings.not_supported(*pointer, format!("not acted on: {instead}"));
        }
    }
    if !flow {
        model(config, findings);
    }
    lists(config, findings);
    engines(config, findings);
    features(config, flow, findings);
    escalation::check(config, findings);
}

fn model(config: &Value, findings: &mut Findings) {
    let provider = config.pointer("/llm_config/provider").and_then(Value::as_str).unwrap_or_default();
    if provider.eq_ignore_ascii_case(TIER) {
        return tier(config, findings);
    }
    for (place, instead) in [
        ("/llm_config/provider", "its fallback or the model of the node's settings answers instead"),
        ("/llm_config/fallback/provider", "where the model fails, the caller is told so"),
    ] {
        let provider = config.pointer(place).and_then(Value::as_str);
        if let Some(provider) = provider.filter(|provider| ModelVendor::from_name(provider).is_none()) {
            let known = ModelVendor::ALL.map(ModelVendor::as_str).join(", ");
            findings.not_supported(place, format!("{provider} is not known here ({known} are); {instead}"));
        }
    }
}

fn tier(config: &Value, findings: &mut Findings) {
    let model = config.pointer("/llm_config/model").and_then(Value::as_str).unwrap_or_default();
    let tiers = Tier::ALL.map(Tier::as_str);
    if !tiers.contains(&&*model.to_lowercase()) {
        let known = tiers.join(", ");
        findings.not_supported("/llm_config/model", format!("{model} is no tier ({known} are); balanced answers"));
    }
}

fn lists(config: &Value, findings: &mut Findings) {
    for list in ["tools_needed", "integrations_needed"] {
        for index in 0..config.get(list).and_then(Value::as_array).map_or(0, Vec::len) {
            findings.not_supported(format!("/{list}/{index}"), "not acted on: nothing is connected or built from it");
        }
    }
}

fn engines(config: &Value, findings: &mut Findings) {
    let Some(livekit) = config.get("livekit_config") else { return };
    let get = |key: &str| livekit.get(key).and_then(Value::as_str);
    let names = |key: &str, vendors: &[&str]| get(key).is_some_and(|name| vendors.contains(&&*name.to_lowercase()));
    let mut unless = |key: &str, known: &[&str], instead: &str| {
        if let Some(found) = get(key).filter(|found| !known.contains(found)) {
            findings.not_supported(format!("/livekit_config/{key}"), format!("{found} is not known here; {instead}"));
        }
    };
    let recognizers = RecognizerVendor::ALL.map(RecognizerVendor::as_str);
    if !names("stt_provider", &recognizers) {
        let connected = format!("{} are connected where their keys are set", recognizers.join(", "));
        unless("stt_provider", &["pocketsphinx", "none"], &connected);
        unless("stt_model", &[], "a model is of the vendor that stt_provider names");
        if get("stt_provider") == Some("pocketsphinx") {
            unless("stt_language", &[EMBEDDED_LANGUAGE], "callers are understood in en-US");
        }
    }
    let voices = VoiceVendor::ALL.map(VoiceVendor::as_str);
    if !names("tts_provider", &voices) {
        let connected = format!("{} are connected where their keys are set", voices.join(", "));
        unless("tts_provider", &["flite", ESPEAK_NG, "test"], &connected);
        unless("tts_model", &[], "a model is of the vendor that tts_provider names");
        if !names("tts_provider", &[ESPEAK_NG, "test"]) {
            let flite = FliteVoice::ALL.map(FliteVoice::as_str);
            unless("tts_voice_id", &flite, "flite's voice slt speaks instead; rms, awb and kal are there too");
        }
    }
    for key in ["vad_enabled", "vad_threshold"].into_iter().filter(|key| livekit.get(key).is_some()) {
        findings.not_supported(format!("/livekit_config/{key}"), "not acted on: voice detection is always on");
    }
}

/// A language model may transfer, and so may the rules; a flow names its own targets.
fn features(config: &Value, flow: bool, findings: &mut Findings) {
    let features = config.get("workflow_features").and_then(Value::as_object);
    let transfers = !flow || escalation::is_on(config);
    for (name, _) in features.into_iter().flatten() {
        if name != "human_escalation" && !(name == "call_transfer" && transfers) {
            let message = "not acted on: say what you need in the flow";
            findings.not_supported(format!("/workflow_features/{name}"), message);
        }
    }
}
