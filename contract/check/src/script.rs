//! Does the script make sense? Names that exist, ways out of every state, answers that can be told apart.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use indexmap::IndexMap;
use serde_json::{Value, json};
use tandem_contract::bot::flow::{Ask, ChoiceOption, DigitCount, Flow, Retry, State, Target, Texts, ToolUse};
use tandem_contract::bot::turn::SILENCE_MS;

use super::{Findings, did_you_mean, token};

/// A question put more often than this annoys.
const RETRIES_MOST: u8 = 5;

/// Fingers need more than the least between two keys; after the most the session itself gives the caller up.
const INTER_DIGIT_MS: RangeInclusive<u32> = 300..=30_000;

/// `whole`: nothing had to be taken out of the flow; what is missing is then missing.
/// `tools`: the names of those that it may call; one that ends with `*` stands for all that begin so.
pub(super) fn check(flow: &Flow, whole: bool, tools: &[String], findings: &mut Findings) {
    let slots = flow.states.values().flat_map(filled).collect();
    Script { flow, slots, tools, whole, findings }.check();
}

/// The flow with something harmless in place of every state or command that has a broken part, so that the rest can be
/// looked at. `broken`: pointers into the config.
pub(super) fn without_broken(flow: &Value, broken: &[String]) -> Value {
    let mut flow = flow.clone();
    let Some(blocks) = flow.as_object_mut() else { return flow };
    for place in broken.iter().filter_map(|place| place.strip_prefix("/flow/")) {
        let mut path = place.split('/').map(|token| token.replace("~1", "/").replace("~0", "~"));
        let (block, name) = (path.next().unwrap_or_default(), path.next());
        let parts = blocks.get_mut(&block).and_then(Value::as_object_mut);
        match (block.as_str(), name, parts) {
            ("states", Some(name), Some(states)) => drop(states.insert(name, json!({ "hang_up": true }))),
            ("anywhere", Some(name), Some(commands)) => drop(commands.shift_remove(&name)),
            (block, ..) => drop(blocks.shift_remove(block)),
        }
    }
    if !blocks.contains_key("start")
        && let Some(first) = blocks.get("states").and_then(|states| states.as_object()?.keys().next())
    {
        let first = json!(first);
        blocks.insert("start".to_owned(), first);
    }
    flow
}

pub(super) struct Script<'a> {
    pub(super) flow: &'a Flow,
    slots: HashSet<&'a str>,
    tools: &'a [String],
    whole: bool,
    pub(super) findings: &'a mut Findings,
}

/// The slots that a state fills.
fn filled(state: &State) -> impl Iterator<Item = &str> {
    let fills = state.tool.iter().filter_map(|tool| tool.fills.as_ref()).flat_map(IndexMap::keys);
    let collected = state.model.iter().filter_map(|talk| talk.collect.as_ref()).flat_map(IndexMap::keys);
    state.slot.iter().chain(fills).chain(collected).map(String::as_str)
}

impl<'a> Script<'a> {
    fn check(&mut self) {
        let flow = self.flow;
        self.target("/flow/start", &Target::State(flow.start.clone()), false);
        for (name, command) in flow.commands() {
            let at = format!("/flow/anywhere/{}", token(name));
            self.phrases(&format!("{at}/say"), command.say.as_slice());
            self.key(&format!("{at}/key"), command.key);
            self.target(&format!("{at}/goto"), &command.goto, true);
        }
        self.entries();
        self.retry("/flow/no_input", flow.no_input.as_ref());
        self.retry("/flow/no_match", flow.no_match.as_ref());
        for (name, state) in &flow.states {
            let at = format!("/flow/states/{}", token(name));
            if name.starts_with('@') {
                self.findings.error(&at, "names that start with @ are reserved; choose another");
            }
            self.state(&at, state);
        }
        if self.whole {
            self.reachable();
        }
        self.circles();
    }

    fn state(&mut self, at: &str, state: &'a State) {
        let does = [
            ("ask", state.ask.is_some()),
            ("tool", state.tool.is_some()),
            ("transfer", state.transfer.is_some()),
            ("hang_up", state.hang_up == Some(true)),
            ("echo", state.echo == Some(true)),
            ("model", state.model.is_some()),
        ];
        let does: Vec<&str> = does.into_iter().filter_map(|(name, does)| does.then_some(name)).collect();
        match does.as_slice() {
            // The script ends here, and the model has the conversation again.
            [] if state.goto.is_none() && self.flow.is_entered() => {}
            [] if state.goto.is_none() => {
                self.findings
                    .error(at, "no way out of this state; give it goto, ask, tool, transfer, model or hang_up");
            }
            [] | [_] => {}
            several => {
                let message = format!("does {} at once; make each a state of its own", several.join(" and "));
                self.findings.error(at, message);
            }
        }
        self.idle_keys(at, state);
        let confirm = state.confirm.as_ref().map(|confirm| &confirm.say);
        for (key, texts) in [("say", state.say.as_ref()), ("again", state.again.as_ref()), ("confirm/say", confirm)] {
            self.prompt(&format!("{at}/{key}"), texts);
        }
        self.retry(&format!("{at}/no_input"), state.no_input.as_ref());
        self.retry(&format!("{at}/no_match"), state.no_match.as_ref());
        for (place, target) in targets(state) {
            self.target(&format!("{at}/{place}"), target, state.ask.is_some());
        }
        if let Some(ask) = &state.ask {
            self.ask(at, state, ask);
        }
        if let Some(tool) = &state.tool {
            self.tool(&format!("{at}/tool"), tool);
        }
        if let Some(talk) = &state.model {
            self.talk(&format!("{at}/model"), talk);
        }
        if let Some(transfer) = &state.transfer {
            self.transfer_target(&format!("{at}/transfer/target"), &transfer.target);
        }
    }

    /// Keys that have no effect in this kind of state.
    fn idle_keys(&mut self, at: &str, state: &State) {
        let asks = state.ask.is_some();
        let passes_on = asks
            || state.echo == Some(true)
            || ![state.tool.is_some(), state.transfer.is_some(), state.model.is_some(), state.hang_up == Some(true)]
                .contains(&true);
        let idle = [
            ("again", state.again.is_some() && !asks),
            ("slot", state.slot.is_some() && !asks),
            ("confirm", state.confirm.is_some() && !asks),
            ("on", state.on.is_some() && !asks),
            ("no_input", state.no_input.is_some() && !asks),
            ("no_match", state.no_match.is_some() && !asks),
            ("goto", state.goto.is_some() && !passes_on),
        ];
        for (key, _) in idle.into_iter().filter(|(_, idle)| *idle) {
            self.findings.warning(format!("{at}/{key}"), "has no effect in this state; remove it");
        }
        if asks && state.say.is_none() {
            self.findings.warning(at, "asks without saying anything; give it a say");
        }
    }

    fn ask(&mut self, at: &str, state: &State, ask: &Ask) {
        let at_ask = format!("{at}/ask");
        let answers: Vec<&str> = match ask {
            Ask::YesNo => vec!["yes", "no"],
            Ask::Choice(options) => {
                self.choice(&format!("{at_ask}/choice"), options);
                options.keys().map(String::as_str).collect()
            }
            Ask::Phrases(phrases) => {
                self.phrases(&format!("{at_ask}/phrases"), phrases);
                self.apart(phrases.iter().map(|phrase| (format!("{at_ask}/phrases"), phrase.as_str())));
                phrases.iter().map(String::as_str).collect()
            }
            Ask::Digits(count) => return self.digits(at, state, count),
            Ask::Jsgf(source) => {
                if !source.trim_start().starts_with("#JSGF") {
                    self.findings.error(format!("{at_ask}/jsgf"), "a JSGF grammar begins with #JSGF V1.0;");
                }
                self.findings.warning(at_ask, "callers who press keys cannot answer this; prefer choice or phrases");
                return self.leads_on(at, state);
            }
            Ask::Open => {
                self.findings.not_supported(
                    at_ask,
                    "free text is understood in chat only: no embedded recognizer takes dictation",
                );
                return self.leads_on(at, state);
            }
        };
        for value in
            state.on.iter().flatten().map(|(value, _)| value).filter(|value| !answers.contains(&value.as_str()))
        {
            let hint = did_you_mean(value, answers.iter().copied());
            self.findings.error(format!("{at}/on/{}", token(value)), format!("no answer has this value{hint}"));
        }
        for answer in answers {
            let by_option =
                matches!(ask, Ask::Choice(options) if options.get(answer).is_some_and(|o| o.goto.is_some()));
            let by_value = state.on.as_ref().is_some_and(|on| on.contains_key(answer));
            if !by_option && !by_value && state.goto.is_none() {
                self.findings
                    .error(at, format!("the answer {answer:?} leads nowhere; add it to on, or give the state a goto"));
            }
        }
    }

    fn leads_on(&mut self, at: &str, state: &State) {
        if state.goto.is_none() {
            self.findings.error(at, "the answer leads nowhere; give the state a goto");
        }
    }

    fn digits(&mut self, at: &str, state: &State, count: &DigitCount) {
        self.leads_on(at, state);
        let at = format!("{at}/ask/digits");
        let fits = |n: u8| (1..=DigitCount::MOST).contains(&n);
        if ![count.length, count.min, count.max].into_iter().flatten().all(fits) {
            self.findings.error(&at, format!("lengths are 1 to {}", DigitCount::MOST));
        }
        self.milliseconds(&format!("{at}/inter_digit_ms"), count.inter_digit_ms, INTER_DIGIT_MS);
        match (count.length, count.min, count.max) {
            (None, None, _) | (None, _, None) => self.findings.error(at, "say how many digits: length, or min and max"),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                self.findings.error(at, "length says it already; remove min and max");
            }
            (None, Some(min), Some(max)) if min > max => self.findings.error(at, "min is more than max; swap them"),
            _ => {}
        }
    }

    fn choice(&mut self, at: &str, options: &IndexMap<String, ChoiceOption>) {
        if options.is_empty() {
            self.findings.error(at, "a choice without options; add at least one");
        }
        let mut keys: HashMap<char, &str> = self.flow.commands().filter_map(|(n, c)| Some((c.key?, n))).collect();
        for (value, option) in options {
            let at = format!("{at}/{}", token(value));
            self.phrases(&format!("{at}/say"), option.say.as_slice());
            self.key(&format!("{at}/key"), option.key);
            if let Some(other) = option.key.and_then(|key| keys.insert(key, value)) {
                self.findings.error(format!("{at}/key"), format!("{other:?} has this key already; choose another"));
            }
        }
        for (value, _) in self.flow.keys(options).into_iter().filter(|(_, key)| key.is_none()) {
            self.findings.warning(format!("{at}/{}", token(value)), "no key is left for this option; split the choice");
        }
        self.apart(options.iter().flat_map(|(value, option)| {
            let at = format!("{at}/{}/say", token(value));
            option.say.as_slice().iter().map(move |phrase| (at.clone(), phrase.as_str()))
        }));
    }

    fn key(&mut self, at: &str, key: Option<char>) {
        if key.is_some_and(|key| !key.is_ascii_digit() && key != '*' && key != '#') {
            self.findings.error(at, "a key is 0 to 9, * or #");
        }
    }

    fn phrases(&mut self, at: &str, phrases: &[String]) {
        if phrases.is_empty() || phrases.iter().any(|phrase| !phrase.contains(char::is_alphanumeric)) {
            self.findings.error(at, "an empty phrase cannot be said; write at least one word");
        }
        if phrases.iter().any(|phrase| phrase.contains(|c: char| c.is_ascii_digit())) {
            self.findings.warning(at, "the recognizer knows words only; write numbers in words");
        }
    }

    fn apart<'p>(&mut self, phrases: impl Iterator<Item = (String, &'p str)>) {
        let mut seen = HashSet::new();
        for (at, phrase) in phrases {
            if !seen.insert(phrase.to_lowercase()) {
                self.findings.error(at, format!("{phrase:?} is there twice; each phrase may mean one thing"));
            }
        }
    }

    fn prompt(&mut self, at: &str, texts: Option<&Texts>) {
        let Some(texts) = texts.map(Texts::as_slice) else { return };
        if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
            self.findings.error(at, "an empty prompt; write what to say, or remove it");
        }
        for text in texts {
            self.template(at, text);
        }
    }

    pub(super) fn template(&mut self, at: &str, text: &str) {
        for part in text.split('{').skip(1) {
            match part.split_once('}') {
                None => self.findings.error(at, "a { without its }; close it"),
                Some((slot, _)) if self.whole && !self.slots.contains(slot) => {
                    let hint = did_you_mean(slot, self.slots.iter().copied());
                    self.findings.error(at, format!("nothing fills the slot {slot:?}{hint}"));
                }
                Some(_) => {}
            }
        }
    }

    fn retry(&mut self, at: &str, retry: Option<&Retry>) {
        let Some(retry) = retry else { return };
        self.prompt(&format!("{at}/say"), retry.say.as_ref());
        if retry.max.is_some_and(|max| max > RETRIES_MOST) {
            self.findings.error(format!("{at}/max"), format!("a question is put again at most {RETRIES_MOST} times"));
        }
        self.milliseconds(&format!("{at}/after_ms"), retry.after_ms, SILENCE_MS);
        if let Some(target) = &retry.goto {
            self.target(&format!("{at}/goto"), target, false);
        }
    }

    fn milliseconds(&mut self, at: &str, found: Option<u32>, range: RangeInclusive<u32>) {
        if let Some(found) = found.filter(|found| !range.contains(found)) {
            let (least, most) = range.into_inner();
            self.findings.error(at, format!("{found} is not sensible here; write {least} to {most}"));
        }
    }

    fn tool(&mut self, at: &str, tool: &ToolUse) {
        let is = |known: &String| match known.strip_suffix('*') {
            Some(start) => tool.name.starts_with(start),
            None => *known == tool.name,
        };
        if !self.tools.iter().any(is) {
            let hint = did_you_mean(&tool.name, self.tools.iter().map(String::as_str));
            let known = self.tools.join(", ");
            self.findings
                .error(format!("{at}/name"), format!("there is no tool {:?}{hint} Tools are {known}", tool.name));
        }
        for (name, value) in tool.arguments.iter().flatten() {
            self.template(&format!("{at}/arguments/{}", token(name)), value.as_str().unwrap_or_default());
        }
        if tool.on_ok.is_none() {
            self.findings.error(at, "no way on when the tool worked; add on_ok");
        }
        if tool.on_failed.is_none() {
            self.findings.warning(at, "without on_failed the agent apologises and hangs up when the tool fails");
        }
    }

    fn transfer_target(&mut self, at: &str, target: &str) {
        self.template(at, target);
        let (scheme, rest) = target.split_once(':').unwrap_or(("", target));
        let plain = !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c == '<' || c == '>');
        let fits = match scheme {
            "sip" | "sips" => plain && !rest.starts_with('@') && !rest.ends_with('@'),
            "tel" => plain && rest.contains(|c: char| c.is_ascii_digit() || c == '{'),
            _ => false,
        };
        if !fits {
            self.findings.error(at, format!("{target:?} is no address; write sip:name@host or tel:+15551234"));
        }
    }

    pub(super) fn target(&mut self, at: &str, target: &Target, may_repeat: bool) {
        match target {
            Target::State(name) if !self.flow.states.contains_key(name) => {
                let hint = did_you_mean(name, self.flow.states.keys().map(String::as_str));
                self.findings.error(at, format!("there is no state {name:?}{hint}"));
            }
            Target::Repeat if !may_repeat => {
                self.findings.error(at, "there is no question to repeat here; name a state")
            }
            Target::Model if !self.flow.is_entered() => {
                self.findings.error(at, "no model gave the conversation away; give the flow entries, or name a state");
            }
            Target::State(_) | Target::Repeat | Target::Model | Target::HangUp => {}
        }
    }

    fn reachable(&mut self) {
        let flow = self.flow;
        let retries = [flow.no_input.as_ref(), flow.no_match.as_ref()];
        let retries = retries.into_iter().flatten().filter_map(|retry| retry.goto.as_ref());
        let mut open: Vec<&str> =
            flow.commands().map(|(_, command)| &command.goto).chain(retries).filter_map(state_of).collect();
        open.push(&flow.start);
        open.extend(flow.entries.iter().flatten().map(|(_, entry)| entry.state.as_str()));
        let mut seen = HashSet::new();
        while let Some(name) = open.pop() {
            if let Some(state) = flow.states.get(name).filter(|_| seen.insert(name)) {
                open.extend(targets(state).into_iter().filter_map(|(_, target)| state_of(target)));
            }
        }
        for name in flow.states.keys().filter(|name| !seen.contains(name.as_str())) {
            self.findings.warning(
                format!("/flow/states/{}", token(name)),
                "nothing leads to this state; remove it, or go there",
            );
        }
    }

    /// States that lead back to themselves though the caller is never asked anything.
    fn circles(&mut self) {
        let flow = self.flow;
        let asks = |state: &&State| state.ask.is_some() || state.model.is_some() || state.echo == Some(true);
        let silent = |name: &str| flow.states.get(name).filter(|state| !asks(state));
        for name in flow.states.keys() {
            let mut open = vec![name.as_str()];
            let mut seen = HashSet::new();
            while let Some(state) = open.pop().and_then(silent) {
                let ahead: Vec<&str> = targets(state).into_iter().filter_map(|(_, target)| state_of(target)).collect();
                if ahead.contains(&name.as_str()) {
                    let message = "leads back to itself without asking the caller anything; ask in between";
                    self.findings.error(format!("/flow/states/{}", token(name)), message);
                    break;
                }
                open.extend(ahead.into_iter().filter(|next| silent(next).is_some() && seen.insert(*next)));
            }
        }
    }
}

fn state_of(target: &Target) -> Option<&str> {
    match target {
        Target::State(name) => Some(name),
        Target::Repeat | Target::Model | Target::HangUp => None,
    }
}

/// Where a state may lead, with the place below it that says so.
fn targets(state: &State) -> Vec<(String, &Target)> {
    let mut targets: Vec<(String, &Target)> = Vec::new();
    targets.extend(state.goto.iter().map(|target| ("goto".to_owned(), target)));
    targets.extend(state.on.iter().flatten().map(|(value, target)| (format!("on/{}", token(value)), target)));
    for (key, retry) in [("no_input", &state.no_input), ("no_match", &state.no_match)] {
        targets
            .extend(retry.iter().filter_map(|retry| retry.goto.as_ref()).map(|target| (format!("{key}/goto"), target)));
    }
    if let Some(target) = state.confirm.as_ref().and_then(|confirm| confirm.no.as_ref()) {
        targets.push(("confirm/no".to_owned(), target));
    }
    if let Some(Ask::Choice(options)) = &state.ask {
        let by_option = options.iter().filter_map(|(value, option)| Some((value, option.goto.as_ref()?)));
        targets.extend(by_option.map(|(value, target)| (format!("ask/choice/{}/goto", token(value)), target)));
    }
    if let Some(tool) = &state.tool {
        targets.extend(tool.on_ok.iter().map(|target| ("tool/on_ok".to_owned(), target)));
        targets.extend(tool.on_failed.iter().map(|target| ("tool/on_failed".to_owned(), target)));
        let refused = tool.on_refused.iter().flatten();
        targets.extend(refused.map(|(code, target)| (format!("tool/on_refused/{}", token(code)), target)));
    }
    if let Some(target) = state.transfer.as_ref().and_then(|transfer| transfer.on_failed.as_ref()) {
        targets.push(("transfer/on_failed".to_owned(), target));
    }
    if let Some(talk) = &state.model {
        let exits = talk.exits.iter().map(|(name, exit)| (format!("model/exits/{}/goto", token(name)), &exit.goto));
        targets.extend(exits.chain(talk.on_failed.iter().map(|target| ("model/on_failed".to_owned(), target))));
    }
    targets
}
