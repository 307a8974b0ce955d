//! From the bot's config to what its model is told once and for all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use tandem_contract::Private;
use tandem_contract::bot::blocks::{LlmParameters, SystemPrompt, ToolAvailable, TransferDestination};
use tandem_contract::bot::{BotConfig, Wording};
use tandem_contract::call::Modality;
use tandem_models::ToolSpec;

use super::chunker::Chunker;
use super::{HANG_UP, TRANSFER};
use crate::language::Language;
use crate::tools;
use crate::wording::Words;

/// What a model must know about being spoken.
const SPOKEN: &str = "You are speaking on the telephone: answer in one to three short spoken sentences, without lists, \
    markup, emoji or addresses of web pages. Write numbers and times as they are spoken. The caller's words come from a \
    speech recognizer and may be misheard; ask when they make no sense. What you said last may have been cut off where \
    the caller interrupted you.";

/// How often a silent caller is asked of a bot that does not say it itself.
const STILL_THERE_TIMES: usize = 2;

/// Who the bot is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Persona {
    pub system: String,
    /// Said first. None: the caller has the first word.
    pub greeting: Option<String>,
    /// Whether the caller may talk over it.
    pub greeting_interruptible: bool,
    /// Said to a caller who says nothing, one a silence; then the agent says goodbye.
    pub silence_prompts: Vec<String>,
    /// Said where the model fails and another is asked. None: the caller waits in silence.
    pub failover_filler: Option<String>,
    pub tools: Vec<ToolSpec>,
    /// By the name of a tool: what is said while it works and the model has said nothing.
    #[serde(default)]
    pub fillers: BTreeMap<String, Filler>,
    pub destinations: Vec<TransferDestination>,
    /// What it says of its own accord.
    #[serde(default)]
    pub words: Words,
    pub max_tokens: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    chunker: Chunker,
}

/// What is said while a tool works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filler {
    pub text: String,
    /// Not if the tool has answered by then. 0: when it is called.
    pub after_ms: u32,
}

impl Persona {
    pub fn new(config: &BotConfig, modality: Modality) -> Self {
        let parameters = config.llm_config.as_ref().and_then(|llm| llm.parameters.as_ref());
        let settings = config.voice_settings.as_ref();
        let number = |read: fn(&LlmParameters) -> Option<&Number>| parameters.and_then(read)?.as_f64();
        let words = Words::new(config);
        let turn = config.turn.as_ref();
        Self {
            system: system(config.system_prompt.as_ref(), modality),
            greeting: config.system_prompt.as_ref().and_then(|prompt| prompt.greeting.clone()),
            greeting_interruptible: turn.and_then(|turn| turn.greeting_interruptible).unwrap_or(true),
            silence_prompts: turn
                .and_then(|turn| turn.silence_prompts.clone())
                .unwrap_or_else(|| vec![words.of(Wording::StillThere).to_owned(); STILL_THERE_TIMES]),
            failover_filler: turn.and_then(|turn| turn.failover_filler.clone()),
            tools: offered(config, &[]),
            fillers: fillers(config),
            destinations: Vec::new(),
            words,
            max_tokens: settings.and_then(|s| s.max_tokens).or(parameters.and_then(|p| p.max_tokens)),
            temperature: number(|parameters| parameters.temperature.as_ref()),
            top_p: number(|parameters| parameters.top_p.as_ref()),
            chunker: chunker(config),
        }
    }

    /// Where the caller can be given to a person.
    #[must_use]
    pub fn with_people(self, config: &BotConfig) -> Self {
        let destinations = destinations(config);
        Self { tools: offered(config, &destinations), destinations, ..self }
    }

    pub(super) fn chunker(&self) -> Chunker {
        self.chunker.clone()
    }

    pub(super) fn target(&self, destination: &str) -> Option<Private<String>> {
        let known = self.destinations.iter().find(|known| known.name == destination);
        known.map(|known| known.phone.clone())
    }
}

fn system(prompt: Option<&SystemPrompt>, modality: Modality) -> String {
    let mut lines = Vec::new();
    if let Some(SystemPrompt { role, instructions, constraints, tone, .. }) = prompt {
        lines.extend(role.clone());
        lines.extend(instructions.clone());
        lines.extend(tone.as_ref().map(|tone| format!("Tone: {tone}")));
        let constraints = constraints.iter().flatten().map(|constraint| format!("- {constraint}"));
        let constraints: Vec<String> = constraints.collect();
        if !constraints.is_empty() {
            lines.push(format!("Constraints:\n{}", constraints.join("\n")));
        }
    }
    if modality == Modality::Voice {
        lines.push(SPOKEN.to_owned());
    }
    lines.join("\n\n")
}

fn chunker(config: &BotConfig) -> Chunker {
    let settings = config.voice_settings.as_ref();
    let boundaries = settings.and_then(|settings| settings.punctuation_boundaries.clone());
    let least = settings.and_then(|settings| settings.input_min_characters);
    let least = least.map(|least| usize::try_from(least).unwrap_or(usize::MAX));
    Chunker::default().speaking(Language::of(config.language())).with(boundaries, least)
}

/// A tool that the bot's config describes.
fn own(tool: &ToolAvailable) -> Option<ToolSpec> {
    let description = tool.description.clone();
    if tool.http.is_none() && description.is_none() && tool.parameters.is_none() {
        return None;
    }
    let parameters = tool.parameters.clone().map(Value::from_iter);
    let parameters = parameters.unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    Some(ToolSpec { name: tool.tool_name.clone(), description: description.unwrap_or_default(), parameters })
}

/// What is said while each tool works, for those tools that say something.
fn fillers(config: &BotConfig) -> BTreeMap<String, Filler> {
    let named = config.tools_available.iter().flatten();
    let filler = |tool: &ToolAvailable| {
        Some(Filler { text: tool.say.clone()?, after_ms: tool.say_after_ms.unwrap_or_default() })
    };
    named.filter_map(|tool| Some((tool.tool_name.clone(), filler(tool)?))).collect()
}

fn destinations(config: &BotConfig) -> Vec<TransferDestination> {
    let features = config.workflow_features.as_ref();
    let transfer = features.and_then(|features| features.call_transfer.as_ref()).filter(|transfer| transfer.enabled);
    transfer.and_then(|transfer| transfer.transfer_destinations.clone()).unwrap_or_default()
}

fn offered(config: &BotConfig, destinations: &[TransferDestination]) -> Vec<ToolSpec> {
    let named = config.tools_available.iter().flatten();
    let mut offered: Vec<ToolSpec> =
        named.filter_map(|tool| tools::spec(&tool.tool_name).or_else(|| own(tool))).collect();
    offered.push(ToolSpec {
        name: HANG_UP.to_owned(),
        description: "Ends the conversation. Say goodbye in the same answer.".to_owned(),
        parameters: json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    });
    if !destinations.is_empty() {
        let names: Vec<&str> = destinations.iter().map(|known| known.name.as_str()).collect();
        offered.push(ToolSpec {
            name: TRANSFER.to_owned(),
            description: "Connects the caller with a person. Say so in the same answer.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": { "destination": { "type": "string", "enum": names } },
                "required": ["destination"],
                "additionalProperties": false,
            }),
        });
    }
    offered
}
