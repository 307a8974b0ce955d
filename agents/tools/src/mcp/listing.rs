//! Which tools of its MCP servers a bot gets, and by which names. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use tandem_contract::bot::blocks::{BuildStatus, IntegrationConfig, ToolAvailable};
use tandem_contract::bot::flow::BUILTIN_TOOLS;
use tandem_contract::bot::tool::GIVEN_TOOLS;
use tandem_contract::bot::{BotConfig, Nullable};

/// Tools of a server that are known, and bytes of them all. Which of them a bot gets is its own choice.
pub(super) const LISTED_MAX: usize = 1_000;
const LISTED_BYTES_MAX: usize = 1 << 20;
/// Tools of one server that a bot gets. A model that may choose among more chooses badly, and reads all of them in each question.
const TOOLS_MAX: usize = 64;
/// Bytes of one tool's description and schema, and of all of a server's.
const TOOL_BYTES_MAX: usize = 8 << 10;
const ALL_BYTES_MAX: usize = 64 << 10;
/// Longest name that all vendors' models take.
const NAME_MAX: usize = 64;

/// A tool as its server describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) description: String,
    /// JSON Schema of the arguments, an object.
    pub(crate) schema: Value,
}

impl Listed {
    fn bytes(&self) -> usize {
        self.description.len() + self.schema.to_string().len()
    }
}

/// A tool as the bot's model knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) name: String,
    /// Index among the bot's servers.
    pub(crate) server: usize,
    pub(crate) tool: Listed,
    /// What is said while it works, and when.
    say: Option<String>,
    say_after_ms: Option<u32>,
}

/// What a bot gets of one server: its name, what the bot says of it, and the tools that there are.
pub(crate) type Supply<'a> = (&'a str, &'a IntegrationConfig, Arc<[Listed]>);

/// Of a server's list what a node remembers; the first count.
pub(super) fn kept(mut tools: Vec<Listed>) -> Vec<Listed> {
    let mut all = 0;
    tools.truncate(LISTED_MAX);
    tools.retain(|tool| {
        all += tool.name.len() + tool.bytes();
        all <= LISTED_BYTES_MAX
    });
    tools
}

/// Keeps what is within the bounds of a bot and has a name of its own; the first count.
fn bounded(tools: impl Iterator<Item = Listed>) -> Vec<Listed> {
    let (mut all, mut names) = (0, HashSet::new());
    let fits = |tool: &Listed| {
        let bytes = tool.bytes();
        if bytes > TOOL_BYTES_MAX || !is_name(&tool.name) || !names.insert(tool.name.clone()) {
            return false;
        }
        all += bytes;
        all <= ALL_BYTES_MAX
    };
    tools.filter(fits).take(TOOLS_MAX).collect()
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(fits)
}

/// A tool goes by its own name where nothing else does, and else by its server's name, two underscores and its own.
pub(crate) fn offers(config: &BotConfig, supplies: &[Supply<'_>]) -> Vec<Offer> {
    let allowed = supplies.iter().enumerate().flat_map(|(server, (_, config, listed))| {
        let wanted = |tool: &&Listed| config.tools.as_ref().is_none_or(|names| names.contains(&tool.name));
        bounded(listed.iter().filter(wanted).cloned()).into_iter().map(move |tool| (server, tool))
    });
    let allowed: Vec<(usize, Listed)> = allowed.collect();
    let own: Vec<&str> = config.tools_available.iter().flatten().map(|tool| tool.tool_name.as_str()).collect();
    // `leave` and `start_...` pass the conversation between a model and its flow.
    let passes = |name: &str| config.flow.is_some() && (name == "leave" || name.starts_with("start_"));
    let offer = |(server, tool): &(usize, Listed)| {
        let name = tool.name.as_str();
        let others = allowed.iter().filter(|(_, other)| other.name == name).count() > 1;
        let given = BUILTIN_TOOLS.contains(&name) || GIVEN_TOOLS.contains(&name) || passes(name);
        let taken = others || given || own.contains(&name);
        let (prefix, config, _) = &supplies[*server];
        let name = if taken { joined(prefix, name) } else { name.to_owned() };
        Offer { name, server: *server, tool: tool.clone(), say: config.say.clone(), say_after_ms: config.say_after_ms }
    };
    allowed.iter().map(offer).filter(|offer| is_name(&offer.name)).collect()
}

/// Those of the names that the bot allows of a server which the server does not have.
pub(crate) fn absent(allowed: Option<&[String]>, listed: &[Listed]) -> Vec<String> {
    let is_absent = |name: &&String| listed.iter().all(|tool| tool.name != **name);
    allowed.into_iter().flatten().filter(is_absent).cloned().collect()
}

/// `crm__find`.
pub(crate) fn joined(server: &str, tool: &str) -> String {
    format!("{server}__{tool}")
}

/// The bot's config with these tools in `tools_available`, as its brain reads it.
pub(crate) fn equipped(config: &BotConfig, offers: &[Offer]) -> BotConfig {
    let mut config = config.clone();
    config.tools_available.get_or_insert_default().extend(offers.iter().map(|offer| ToolAvailable {
        tool_name: offer.name.clone(),
        status: BuildStatus::Implemented,
        github_issue: Nullable::Absent,
        description: Some(offer.tool.description.clone()),
        parameters: offer.tool.schema.as_object().map(|schema| schema.clone().into_iter().collect()),
        http: None,
        timeout_ms: None,
        say: offer.say.clone(),
        say_after_ms: offer.say_after_ms,
    }));
    config
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(name: &str) -> Listed {
        Listed { name: name.into(), description: format!("does {name}"), schema: json!({ "type": "object" }) }
    }

    /// What a bot says of a server: which tools it gets, and what is said while they work.
    fn of(allowed: Option<&[&str]>) -> IntegrationConfig {
        let config = json!({ "tools": allowed, "say": "One moment.", "say_after_ms": 700 });
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn names_that_clash_get_their_servers_before_them() {
        let own = json!({ "tools_available": [{ "tool_name": "mine", "status": "implemented", "http": { "url": "https://a" } }] });
        let config: BotConfig = serde_json::from_value(own).unwrap();
        let crm: Arc<[Listed]> = ["find", "mine", "hang_up", "opening_hours", "crm_only", "secret"].map(listed).into();
        let erp: Arc<[Listed]> = ["find", "erp_only"].map(listed).into();
        let allowed = ["find", "mine", "hang_up", "opening_hours", "crm_only"];
        let offers = offers(&config, &[("crm", &of(Some(&allowed)), crm), ("erp", &of(None), erp)]);
        let names: Vec<_> = offers.iter().map(|offer| (offer.server, offer.name.as_str())).collect();
        let expected = [
            (0, "crm__find"),
            (0, "crm__mine"),
            (0, "crm__hang_up"),
            (0, "crm__opening_hours"),
            (0, "crm_only"),
            (1, "erp__find"),
            (1, "erp_only"),
        ];
        assert_eq!(names, expected);
        let equipped = equipped(&config, &offers).tools_available.unwrap();
        assert_eq!((equipped.len(), equipped[1].tool_name.as_str()), (8, "crm__find"));
        assert_eq!(equipped[1].description.as_deref(), Some("does find"));
        assert_eq!(equipped[1].parameters.as_ref().unwrap()["type"], "object");
        assert_eq!((equipped[1].say.as_deref(), equipped[1].say_after_ms), (Some("One moment."), Some(700)));
    }

    #[test]
    fn a_tool_that_a_bot_names_is_found_behind_many_others() {
        let many: Arc<[Listed]> = (0..90).map(|n| listed(&format!("t{n}"))).chain([listed("start_day")]).collect();
        let allowed = of(Some(&["t70", "start_day"]));
        let names = |config: &BotConfig| -> Vec<String> {
            let offers = offers(config, &[("crm", &allowed, many.clone())]);
            offers.into_iter().map(|offer| offer.name).collect()
        };
        assert_eq!(names(&BotConfig::default()), ["t70", "start_day"]);
        let flow = serde_json::from_value(json!({ "flow": { "start": "a", "states": {} } })).unwrap();
        assert_eq!(names(&flow), ["t70", "crm__start_day"], "the flow's own way in has that kind of name");
        assert_eq!(kept((0..2_000).map(|n| listed(&format!("t{n}"))).collect()).len(), LISTED_MAX);
    }

    #[test]
    fn names_that_a_server_does_not_have_are_known() {
        let allowed = ["find", "fnd"].map(str::to_owned);
        assert_eq!(absent(Some(&allowed), &[listed("find"), listed("other")]), ["fnd"]);
        assert_eq!(absent(None, &[listed("find")]), <[&str; 0]>::default());
    }

    #[test]
    fn a_server_that_lists_without_end_gives_a_bounded_list() {
        let many = bounded((0..1_000).map(|n| listed(&format!("t{n}"))));
        assert_eq!(many.len(), TOOLS_MAX);
        let wide = |n: usize| Listed { description: "x".repeat(n), ..listed(&format!("wide{n}")) };
        assert_eq!(
            bounded(
                [wide(9 << 10), listed("small"), listed("small"), Listed { name: "a b".into(), ..listed("") }]
                    .into_iter()
            ),
            [listed("small")]
        );
        assert_eq!(bounded((0..64).map(|n| wide((7 << 10) + n))).len(), 9);
    }
}
