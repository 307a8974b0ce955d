//! The seed's blocks: what a config generator writes. Vendors and models stay names here, since a config may name any;
//! those that Tandem acts on become types where they are chosen (`voice.rs`).

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::block::{Nullable, block};
use super::tool::HttpMethod;
use crate::Private;

block! {
    /// Whose config this is. The ids are free text: generators use UUIDs, people use names.
    ConfigMetadata {
        config_id: String,
        product_type: ProductType;
        client_id: String,
        version: u32,
        environment: Environment,
        /// RFC 3339.
        created_at: String,
    }

    SystemPrompt {
        ;
        role: String,
        instructions: String,
        /// Said first, by a bot whose language model answers. Absent: the caller has the first word.
        greeting: String,
        constraints: Vec<String>,
        tone: String,
        voice_specific: VoiceSpecific,
    }

    VoiceSpecific {
        ;
        speaking_rate: SpeakingRate,
        interruption_sensitivity: Level,
        silence_timeout_ms: u32,
    }

    /// A tool that is built in, or one of the bot's own (with `http`).
    ToolAvailable {
        tool_name: String,
        status: BuildStatus,
        #[serde(default, skip_serializing_if = "Nullable::is_absent")]
        github_issue: Nullable<String>;
        /// What the model reads of it: what it does, and when to call it.
        description: String,
        /// JSON Schema of its arguments, an object.
        parameters: IndexMap<String, Value>,
        http: HttpTool,
        /// For the whole call. Absent: 5000.
        timeout_ms: u32,
        /// Said while it works, if the model has said nothing in this reply.
        say: String,
        /// ... unless it has answered by then. Absent: 0, it is said when the tool is called.
        say_after_ms: u32,
    }

    /// A request that is made of the arguments. The answer is JSON, or plain text.
    HttpTool {
        /// Each `{argument}` after the host is filled in.
        url: String;
        /// Absent: `POST`.
        method: HttpMethod,
        /// A value may hold `{secret:NAME}`, of the node's `[secrets]`.
        headers: IndexMap<String, String>,
        /// JSON whose texts may hold `{argument}`. Absent: the arguments that the URL does not take.
        body: Value,
    }

    ToolNeeded {
        tool_name: String;
        input_schema: IndexMap<String, FieldType>,
        output_schema: IndexMap<String, FieldType>,
        metadata: WorkItem,
    }

    /// Who builds a missing part, and when.
    WorkItem {
        #[serde(default, skip_serializing_if = "Nullable::is_absent")]
        assigned_to: Nullable<String>;
        priority: Level,
        estimated_effort: String,
    }

    Integration {
        integration_name: String,
        status: BuildStatus,
        #[serde(default, skip_serializing_if = "Nullable::is_absent")]
        github_issue: Nullable<String>;
        product_compatibility: Vec<ProductType>,
        r#type: String,
        config: IntegrationConfig,
    }

    IntegrationConfig {
        ;
        endpoint: String,
        auth_type: String,
        /// Sent to an MCP server as bearer token: a name of the node's `[secrets]`.
        secret: String,
        /// Those of an MCP server's tools that the bot gets. Absent: all.
        tools: Vec<String>,
        /// Of each of these tools, as `say` and `say_after_ms` of a tool.
        say: String,
        say_after_ms: u32,
    }

    IntegrationNeeded {
        integration_name: String;
        purpose: String,
        details: IntegrationDetails,
        metadata: WorkItem,
    }

    IntegrationDetails {
        ;
        provider: String,
        api_endpoint: String,
        authentication: String,
        rate_limit: String,
    }

    SipConfig {
        ;
        primary_provider: String,
        primary_endpoint: Private<String>,
        failover_provider: String,
        failover_endpoint: Private<String>,
        inbound_calls_enabled: bool,
        outbound_calls_enabled: bool,
        call_recording: bool,
        recording_retention_days: u32,
    }

    /// Rooms, and the engines that the bot hears and speaks with.
    LivekitConfig {
        ;
        room_prefix: String,
        /// `pocketsphinx` is embedded; the vendors are those of `RecognizerVendor`.
        stt_provider: String,
        stt_model: String,
        /// BCP 47.
        stt_language: String,
        /// `flite` is embedded, `espeak-ng` a program beside; `test` speaks each word as a pair of tones; the vendors are
        /// those of `VoiceVendor`.
        tts_provider: String,
        tts_voice_id: String,
        tts_model: String,
        vad_enabled: bool,
        /// 0 to 1.
        vad_threshold: Number,
    }

    LlmConfig {
        provider: String,
        model: String;
        parameters: LlmParameters,
        fallback: LlmFallback,
    }

    LlmParameters {
        ;
        temperature: Number,
        max_tokens: u32,
        top_p: Number,
    }

    LlmFallback {
        provider: String,
        model: String;
        parameters: LlmParameters,
    }

    DatabaseConfig {
        r#type: String;
        tables: Vec<String>,
        rls_enabled: bool,
    }

    VectorDbConfig {
        r#type: String;
        index_name: String,
        namespace: String,
    }

    WorkflowFeatures {
        ;
        pii_collection: PiiCollection,
        followup_scheduling: FollowupScheduling,
        cross_sell_upsell: CrossSellUpsell,
        survey_questions: SurveyQuestions,
        human_escalation: HumanEscalation,
        outbound_retargeting: Outbound,
        call_transfer: CallTransfer,
        voicemail: Voicemail,
        outbound_calling: Outbound,
    }

    PiiCollection {
        enabled: bool;
        fields: Vec<String>,
    }

    FollowupScheduling {
        enabled: bool;
        channels: Vec<String>,
        triggers: Vec<String>,
    }

    CrossSellUpsell {
        enabled: bool;
        recommendation_engine: String,
        max_suggestions: u32,
    }

    SurveyQuestions {
        enabled: bool;
        questions: Vec<String>,
    }

    HumanEscalation {
        enabled: bool;
        triggers: Vec<EscalationTrigger>,
        unavailable_action: String,
    }

    EscalationTrigger {
        /// CEL.
        condition: String,
        action: String;
    }

    /// Calls and messages that the bot begins itself.
    Outbound {
        enabled: bool;
        triggers: Vec<OutboundTrigger>,
    }

    OutboundTrigger {
        event: String,
        template: String;
        channel: String,
    }

    CallTransfer {
        enabled: bool;
        transfer_destinations: Vec<TransferDestination>,
    }

    TransferDestination {
        name: String,
        phone: Private<String>;
    }

    Voicemail {
        enabled: bool;
        max_duration_seconds: u32,
        transcription_enabled: bool,
    }

    /// The visual editor's knobs.
    VoiceSettings {
        ;
        background_sound: BackgroundSound,
        input_min_characters: u32,
        punctuation_boundaries: Vec<String>,
        model_settings: ModelSettings,
        max_tokens: u32,
        stop_speaking_plan: StopSpeakingPlan,
    }

    BackgroundSound {
        r#type: String,
        #[serde(default, skip_serializing_if = "Nullable::is_absent")]
        custom_url: Nullable<String>;
    }

    ModelSettings {
        ;
        model: String,
        clarity_similarity: Number,
        speed: Number,
        style_exaggeration: Number,
        optimize_streaming_latency: u32,
        use_speaker_boost: bool,
        auto_mode: bool,
    }

    StopSpeakingPlan {
        ;
        number_of_words: u32,
        voice_seconds: Number,
        back_off_seconds: Number,
    }
}

impl StopSpeakingPlan {
    /// `voice_seconds` in milliseconds.
    pub fn voice_ms(&self) -> Option<u32> {
        milliseconds(self.voice_seconds.as_ref())
    }

    /// `back_off_seconds` in milliseconds.
    pub fn back_off_ms(&self) -> Option<u32> {
        milliseconds(self.back_off_seconds.as_ref())
    }
}

fn milliseconds(seconds: Option<&Number>) -> Option<u32> {
    let ms = (seconds?.as_f64()? * 1000.0).round();
    // The cast saturates: beyond the type's range is beyond every bound that the check of bot files holds it to.
    Some(ms as u32)
}

/// A closed list of words, as a type.
macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($word:ident),* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($word),* }
    )*};
}

words! {
    /// A chatbot is written to, a voicebot is spoken to.
    ProductType { Chatbot, Voicebot }
    Environment { Development, Staging, Production }
    BuildStatus { Implemented, InProgress, Missing }
    Level { Low, Medium, High }
    SpeakingRate { Slow, Normal, Fast }
    FieldType { String, Number, Integer, Boolean, Array, Object }
}
