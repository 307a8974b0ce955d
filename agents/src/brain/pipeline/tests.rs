use serde_json::json;
use tandem_contract::UtteranceId;
use tandem_contract::bot::BotConfig;
use tandem_models::{ModelError, Usage};

use super::*;
use crate::wording::english;

const ONE: Epoch = Epoch(1);

fn config() -> BotConfig {
    serde_json::from_value(json!({
        "system_prompt": { "role": "You are a clinic.", "constraints": ["Give no advice."], "greeting": "Clinic, hello?" },
        "tools_available": [{ "tool_name": "opening_hours", "status": "implemented" },
                            { "tool_name": "fly", "status": "missing" }],
        "llm_config": { "provider": "openai", "model": "m", "parameters": { "temperature": 0.3, "max_tokens": 90 } },
        "workflow_features": { "call_transfer": { "enabled": true,
            "transfer_destinations": [{ "name": "desk", "phone": "sip:desk@192.0.2.7" }] } },
    }))
    .unwrap()
}

struct Talk {
    brain: PipelineBrain,
    out: Vec<BrainEffect>,
}

impl Talk {
    fn new(modality: Modality) -> Self {
        let mut talk = Self {
            brain: PipelineBrain::new(Persona::new(&config(), modality).with_people(&config()), modality),
            out: Vec::new(),
        };
        talk.give(BrainEvent::Started);
        talk
    }

    fn give(&mut self, event: BrainEvent) {
        self.out.clear();
        // The core is serialised between any two events: a session may be handed over.
        let stored = serde_json::to_string(&self.brain).unwrap();
        self.brain = serde_json::from_str(&stored).unwrap();
        self.brain.handle(Time::ZERO, event, &mut self.out);
    }

    fn asked(epoch: Epoch) -> Self {
        let mut talk = Self::new(Modality::Voice);
        talk.give(BrainEvent::Said { epoch, text: "Open?".to_owned().into() });
        talk
    }

    fn model(&mut self, epoch: Epoch, event: ModelEvent) {
        self.give(BrainEvent::Model { epoch, event });
    }

    fn call(&mut self, name: &str, arguments: Value) {
        let call =
            ToolCall { id: format!("id-{name}"), name: name.to_owned(), arguments: arguments.into(), signature: None };
        self.model(ONE, ModelEvent::ToolCall { call });
        assert!(self.out.is_empty(), "tools are called when the model has finished");
    }

    fn said(&self) -> Vec<&str> {
        let mut said = Vec::new();
        for effect in &self.out {
            if let BrainEffect::Say { text, .. } = effect {
                said.push(text.as_str());
            }
        }
        said
    }

    fn prompt(&self) -> Option<&Prompt> {
        self.out
            .iter()
            .find_map(|effect| if let BrainEffect::Complete { prompt, .. } = effect { Some(prompt) } else { None })
    }

    fn hangs_up(&self) -> bool {
        self.out.contains(&BrainEffect::HangUp)
    }
}

fn text(text: &str) -> ModelEvent {
    ModelEvent::Text { text: text.to_owned().into() }
}

fn done(finish: Finish) -> ModelEvent {
    ModelEvent::Done { finish }
}

fn failure() -> ModelEvent {
    ModelEvent::Failed { error: ModelError::Timeout { vendor: "x".into(), limit_ms: 1 } }
}

#[test]
fn the_config_is_what_the_model_is_told() {
    let mut talk = Talk::new(Modality::Voice);
    assert_eq!(talk.said(), ["Clinic, hello?"]);
    talk.give(BrainEvent::Said { epoch: ONE, text: "Open?".to_owned().into() });
    let completion = talk.prompt().unwrap().completion(&[]);
    assert_eq!((completion.temperature, completion.max_tokens), (Some(0.3), Some(90)));
    let tools: Vec<_> = completion.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["opening_hours", "hang_up", "transfer"]);
    let tandem_models::Message::System { text } = &completion.messages[0] else { panic!("no system message") };
    assert!(
        text.starts_with("You are a clinic.\n\nConstraints:\n- Give no advice.\n\nYou are speaking on the telephone")
    );
}

#[test]
fn an_answer_is_spoken_clause_by_clause_and_written_whole() {
    let mut talk = Talk::asked(ONE);
    talk.model(ONE, text("We open at nine. On"));
    assert_eq!(talk.said(), ["We open at nine."]);
    talk.model(ONE, ModelEvent::Usage { usage: Usage::default() });
    assert!(talk.out.is_empty());
    talk.model(ONE, text(" Sundays we are closed."));
    talk.model(ONE, done(Finish::Stop));
    assert_eq!(talk.said(), ["On Sundays we are closed."]);
    assert_eq!(talk.out.last(), Some(&BrainEffect::Done { epoch: ONE }));

    let mut chat = Talk::new(Modality::Text);
    chat.give(BrainEvent::Said { epoch: ONE, text: "Open?".to_owned().into() });
    let whole = "We open at nine.\n\n- On Sundays we are closed.";
    let mut read = Vec::new();
    for event in [text("We open at nine.\n\n- On"), text(" Sundays we are closed."), done(Finish::Stop)] {
        chat.model(ONE, event);
        read.extend(chat.out.iter().filter_map(|effect| match effect {
            BrainEffect::Write { text, .. } => Some(text.reveal().clone()),
            _ => None,
        }));
    }
    assert_eq!(read, ["We open at nine.\n\n", "- On Sundays we are closed."]);
    assert_eq!((chat.said(), read.concat()), (vec![whole], whole.to_owned()));
}

#[test]
fn a_conversation_that_goes_on_is_not_greeted_again() {
    let mut brain = PipelineBrain::new(Persona::new(&config(), Modality::Text), Modality::Text);
    let mut out = Vec::new();
    brain.handle(Time::ZERO, BrainEvent::Continued, &mut out);
    assert!(matches!(out.as_slice(), [BrainEffect::Listen(_)]), "{out:?}");
}

#[test]
fn words_for_an_older_question_are_not_said() {
    let mut talk = Talk::asked(ONE);
    talk.give(BrainEvent::Said { epoch: Epoch(3), text: "Sunday?".to_owned().into() });
    talk.model(ONE, text("We open at nine. And"));
    talk.model(ONE, done(Finish::Stop));
    assert!(talk.out.is_empty());
    talk.model(Epoch(3), text("Closed on Sundays."));
    talk.model(Epoch(3), done(Finish::Stop));
    assert_eq!(talk.said(), ["Closed on Sundays."], "nothing of the older answer is left over");
}

#[test]
fn tools_are_called_and_their_results_asked_about() {
    let mut talk = Talk::asked(ONE);
    talk.model(ONE, text("One moment."));
    talk.call("opening_hours", json!({}));
    talk.call("fly", json!({}));
    talk.model(ONE, done(Finish::ToolCalls));
    assert_eq!(talk.said(), ["One moment."]);
    let called =
        |effect: &BrainEffect| matches!(effect, BrainEffect::CallTool { call: 1, tool, .. } if tool == "opening_hours");
    assert!(talk.out.iter().any(called) && talk.prompt().is_none(), "{:?}", talk.out);
    // The caller interrupted "One moment" meanwhile: the result belongs to the epoch that it came in.
    talk.give(BrainEvent::ToolDone { epoch: Epoch(2), call: 1, result: Ok(json!({ "text": "nine to five" })) });
    let [exchange] = talk.prompt().unwrap().exchanges.as_slice() else { panic!("{:?}", talk.out) };
    let results: Vec<_> = exchange.results.iter().map(|result| result.reveal().as_str()).collect();
    assert!(results[0].contains("nine to five") && results[1].contains("unknown_tool"), "{results:?}");
    assert_eq!((exchange.epoch, exchange.after), (ONE, 1));
    talk.model(Epoch(2), text("Nine to five."));
    talk.model(Epoch(2), done(Finish::Stop));
    assert_eq!(talk.said(), ["Nine to five."]);
    talk.give(BrainEvent::ToolDone { epoch: Epoch(2), call: 1, result: Ok(json!({})) });
    assert!(talk.out.is_empty(), "a result that came twice");
}

#[test]
fn a_model_that_goes_in_circles_is_stopped() {
    let mut talk = Talk::asked(ONE);
    for _ in 0..ROUNDS_MAX {
        assert!(talk.prompt().is_some());
        talk.call("fly", json!({}));
        talk.model(ONE, done(Finish::ToolCalls));
    }
    assert_eq!((talk.prompt(), talk.said()), (None, vec![english(Wording::SayAgain)]));
}

#[test]
fn the_model_hangs_up_and_transfers() {
    let mut talk = Talk::asked(ONE);
    talk.model(ONE, text("Goodbye then!"));
    talk.call("hang_up", json!({}));
    talk.model(ONE, done(Finish::ToolCalls));
    assert!(talk.hangs_up() && talk.said() == ["Goodbye then!"]);

    let mut talk = Talk::asked(ONE);
    talk.call("transfer", json!({ "destination": "moon" }));
    talk.model(ONE, done(Finish::ToolCalls));
    assert!(talk.prompt().is_some(), "an unknown destination is the model's to mend");
    talk.call("transfer", json!({ "destination": "desk" }));
    talk.model(ONE, done(Finish::ToolCalls));
    let target = Private::new("sip:desk@192.0.2.7".to_owned());
    assert!(talk.out.contains(&BrainEffect::Transfer { target }));
    talk.give(BrainEvent::TransferProgress { epoch: Epoch(2), status: 486 });
    assert_eq!(talk.said(), [english(Wording::NobodyFree), english(Wording::HowElse)]);
}

#[test]
fn a_failure_is_told_and_three_in_a_row_end_the_call() {
    let mut talk = Talk::asked(ONE);
    talk.model(ONE, text("We open at nine. But not on"));
    talk.model(ONE, failure());
    assert_eq!(talk.said(), [english(Wording::LostThread)], "half a sentence is not said");
    for said in [english(Wording::SayAgain), english(Wording::Difficulties)] {
        talk.give(BrainEvent::Said { epoch: ONE, text: "Open?".to_owned().into() });
        talk.model(ONE, failure());
        assert_eq!(talk.said(), [said]);
    }
    assert!(talk.hangs_up());

    let mut talk = Talk::asked(ONE);
    talk.model(ONE, done(Finish::Filtered));
    assert_eq!(talk.said(), [english(Wording::CannotHelp)]);
    for said in [Wording::SayAgain, Wording::SayAgain, Wording::Difficulties] {
        talk.give(BrainEvent::Said { epoch: ONE, text: "Open?".to_owned().into() });
        talk.model(ONE, done(Finish::Stop));
        assert_eq!(talk.said(), [english(said)], "an empty answer is no answer");
    }
    assert!(talk.hangs_up());
}

#[test]
fn who_can_not_be_helped_by_saying_it_again_is_not_asked_to() {
    use tandem_models::budget::Period;
    use tandem_models::spending::Scope;
    let vendor = || "x".to_owned();
    let mut config = config();
    config.livekit_config = serde_json::from_value(json!({ "stt_language": "de-DE" })).unwrap();
    config.wording = serde_json::from_value(json!({ "lost_thread": "Wo war ich?" })).unwrap();
    for (error, said) in [
        (
            ModelError::Timeout { vendor: vendor(), limit_ms: 1 },
            "Entschuldigung, ich kann gerade nicht antworten. Bitte sagen Sie das noch einmal.",
        ),
        (ModelError::Unauthorized { vendor: vendor(), setting: String::new() }, GERMAN_UNAVAILABLE),
        (ModelError::Refused { vendor: vendor(), detail: String::new() }, GERMAN_UNAVAILABLE),
        (
            ModelError::OutOfBudget {
                whose: Scope::Session { session: tandem_contract::SessionId::new(tandem_contract::NodeId(1)) },
                period: Period::Day,
            },
            GERMAN_UNAVAILABLE,
        ),
    ] {
        let mut talk = Talk::asked(ONE);
        talk.brain = PipelineBrain::new(Persona::new(&config, Modality::Voice), Modality::Voice);
        talk.give(BrainEvent::Said { epoch: ONE, text: "Offen?".to_owned().into() });
        talk.model(ONE, ModelEvent::Failed { error: error.clone() });
        assert_eq!(talk.said(), [said], "{error}");
        talk.give(BrainEvent::Said { epoch: ONE, text: "Offen?".to_owned().into() });
        talk.model(ONE, text("Wir öffnen um neun. Aber"));
        talk.model(ONE, ModelEvent::Failed { error });
        assert_eq!(talk.said(), ["Wo war ich?"], "the bot's own words");
    }
}

const GERMAN_UNAVAILABLE: &str =
    "Entschuldigung, ich kann im Moment keine Fragen beantworten. Bitte versuchen Sie es später noch einmal.";

#[test]
fn silence_and_deafness_come_to_an_end() {
    for event in [|epoch| BrainEvent::Silent { epoch }, |epoch| BrainEvent::NotHeard { epoch }] {
        let mut talk = Talk::new(Modality::Voice);
        for n in 1..=2 {
            talk.give(event(Epoch(n)));
            assert!(!talk.hangs_up() && talk.said().len() == 1);
        }
        talk.give(BrainEvent::Said { epoch: Epoch(3), text: "Here!".to_owned().into() });
        for n in 4..=6 {
            talk.give(event(Epoch(n)));
            assert_eq!(talk.hangs_up(), n == 6);
        }
    }
    let mut talk = Talk::new(Modality::Voice);
    talk.give(BrainEvent::NotUnderstood { epoch: ONE });
    let heard = BrainEvent::Heard { utterance: UtteranceId(1), heard: "x".to_owned().into(), interrupted: true };
    talk.give(heard);
    assert!(talk.out.is_empty());
}

#[test]
fn what_a_silent_caller_hears_is_the_bots_and_so_is_who_may_talk_over_the_greeting() {
    let mut config = config();
    let turn = json!({ "silence_prompts": ["Hello?", "Anybody?", "Last call."], "greeting_interruptible": false });
    config.turn = serde_json::from_value(turn).unwrap();
    let brain = |config: &BotConfig| PipelineBrain::new(Persona::new(config, Modality::Voice), Modality::Voice);
    let mut talk = Talk { brain: brain(&config), out: Vec::new() };
    talk.give(BrainEvent::Started);
    let uninterruptible = |effect: &BrainEffect| matches!(effect, BrainEffect::Say { interruptible: false, .. });
    assert!(talk.out.iter().any(uninterruptible), "{:?}", talk.out);
    for (n, prompt) in (1..).zip(["Hello?", "Anybody?", "Last call.", english(Wording::Goodbye)]) {
        talk.give(BrainEvent::Silent { epoch: Epoch(n) });
        assert_eq!((talk.said(), talk.hangs_up()), (vec![prompt], prompt == english(Wording::Goodbye)));
        assert!(!talk.out.iter().any(uninterruptible));
    }
    config.turn = serde_json::from_value(json!({ "silence_prompts": [] })).unwrap();
    let mut talk = Talk { brain: brain(&config), out: Vec::new() };
    talk.give(BrainEvent::Silent { epoch: Epoch(1) });
    assert!(talk.hangs_up());
}

fn own_tool(modality: Modality) -> Talk {
    let config = json!({ "tools_available": [{
        "tool_name": "order_status",
        "status": "implemented",
        "description": "Where an order is.",
        "parameters": { "type": "object", "properties": { "order": { "type": "string" } } },
        "http": { "url": "https://crm.example/orders/{order}" },
        "say": "One moment, please.",
    }] });
    let config: BotConfig = serde_json::from_value(config).unwrap();
    let mut talk = Talk { brain: PipelineBrain::new(Persona::new(&config, modality), modality), out: Vec::new() };
    talk.give(BrainEvent::Started);
    talk.give(BrainEvent::Said { epoch: ONE, text: "Where is it?".to_owned().into() });
    talk
}

#[test]
fn a_tool_is_announced_once_where_the_model_says_nothing() {
    let mut talk = own_tool(Modality::Voice);
    let spec = talk.brain.persona.tools[0].clone();
    assert_eq!((spec.name.as_str(), spec.description.as_str()), ("order_status", "Where an order is."));
    assert_eq!(spec.parameters["properties"]["order"]["type"], "string");
    for (call, said) in [(1, vec!["One moment, please."]), (2, vec![])] {
        talk.call("order_status", json!({ "order": "A1" }));
        talk.model(ONE, done(Finish::ToolCalls));
        assert_eq!(talk.said(), said);
        assert!(matches!(talk.out.last(), Some(BrainEffect::CallTool { .. })));
        talk.give(BrainEvent::ToolDone { epoch: ONE, call, result: Ok(json!({ "state": "shipped" })) });
    }
    talk.model(ONE, done(Finish::Stop));
    assert_eq!(talk.said(), [english(Wording::SayAgain)], "an announcement is no answer");

    let mut talk = own_tool(Modality::Voice);
    talk.model(ONE, ModelEvent::Text { text: "Let me look that up. ".to_owned().into() });
    talk.call("order_status", json!({}));
    talk.model(ONE, done(Finish::ToolCalls));
    assert!(!talk.said().contains(&"One moment, please."));

    let mut talk = own_tool(Modality::Text);
    talk.call("order_status", json!({}));
    talk.model(ONE, done(Finish::ToolCalls));
    assert_eq!(talk.said(), <[&str; 0]>::default());
}

#[test]
fn a_tool_that_runs_when_the_caller_goes_on_is_not_forgotten() {
    let mut talk = own_tool(Modality::Voice);
    talk.call("order_status", json!({ "order": "A1" }));
    talk.model(ONE, done(Finish::ToolCalls));
    talk.give(BrainEvent::Said { epoch: Epoch(2), text: "Hello?".to_owned().into() });
    let results = |talk: &Talk| match talk.out.last() {
        Some(BrainEffect::Complete { prompt, .. }) => {
            prompt.exchanges.iter().flat_map(|e| &e.results).map(|result| result.reveal().clone()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let told = results(&talk);
    assert!(told.len() == 1 && told[0].contains("\"running\"") && told[0].contains("do not call it again"), "{told:?}");
    talk.give(BrainEvent::ToolDone { epoch: Epoch(2), call: 1, result: Ok(json!({ "state": "shipped" })) });
    assert_eq!(talk.out, [], "the caller is being answered");
    talk.give(BrainEvent::Said { epoch: Epoch(3), text: "And?".to_owned().into() });
    assert_eq!(results(&talk), [r#"{"state":"shipped"}"#]);
    talk.give(BrainEvent::FloorFree { epoch: Epoch(4) });
    assert_eq!(talk.out, [], "the model knows");

    let mut talk = own_tool(Modality::Voice);
    talk.call("order_status", json!({}));
    talk.give(BrainEvent::Said { epoch: Epoch(2), text: "Hello?".to_owned().into() });
    assert_eq!(results(&talk), <[&str; 0]>::default(), "it was not called yet");
}

#[test]
fn what_a_tool_found_meanwhile_is_told_when_the_floor_is_free_behind_all_that_was_said() {
    let mut talk = own_tool(Modality::Voice);
    talk.call("order_status", json!({ "order": "A1" }));
    talk.model(ONE, done(Finish::ToolCalls));
    talk.give(BrainEvent::Said { epoch: Epoch(2), text: "Are you open?".to_owned().into() });
    talk.model(Epoch(2), text("Until six. "));
    talk.model(Epoch(2), done(Finish::Stop));
    talk.give(BrainEvent::FloorFree { epoch: Epoch(3) });
    assert_eq!(talk.out, [], "there is nothing to tell yet");
    talk.give(BrainEvent::ToolDone { epoch: Epoch(3), call: 1, result: Ok(json!({ "state": "shipped" })) });
    talk.give(BrainEvent::FloorFree { epoch: Epoch(4) });
    let [exchange] = talk.prompt().unwrap().exchanges.as_slice() else { panic!("{:?}", talk.out) };
    assert_eq!(
        (exchange.epoch, exchange.after, exchange.results[0].reveal().as_str()),
        (Epoch(4), 0, r#"{"state":"shipped"}"#)
    );
    // Nobody asked anything: a model that has nothing to add is no failure.
    talk.model(Epoch(4), done(Finish::Stop));
    assert_eq!(talk.said(), <[&str; 0]>::default());
    talk.give(BrainEvent::FloorFree { epoch: Epoch(5) });
    assert_eq!(talk.out, [], "it was told");
}

/// llama.cpp names no calls: the first of every answer is `call_0`.
#[test]
fn calls_whose_names_are_the_same_are_not_taken_for_one_another() {
    let mut talk = own_tool(Modality::Voice);
    for n in 1..=3 {
        talk.model(Epoch(n), done(Finish::Stop));
        talk.give(BrainEvent::Said { epoch: Epoch(n), text: "Where is it?".to_owned().into() });
        let (id, arguments) = ("call_0".to_owned(), json!({ "order": n }).into());
        let call = ToolCall { id, name: "order_status".to_owned(), arguments, signature: None };
        talk.model(Epoch(n), ModelEvent::ToolCall { call });
        talk.model(Epoch(n), done(Finish::ToolCalls));
    }
    talk.give(BrainEvent::Said { epoch: Epoch(4), text: "Well?".to_owned().into() });
    let done_of = |talk: &mut Talk, call: u32| {
        talk.give(BrainEvent::ToolDone { epoch: Epoch(4), call, result: Ok(json!({ "found": call })) });
    };
    done_of(&mut talk, 2);
    done_of(&mut talk, 1);
    talk.give(BrainEvent::FloorFree { epoch: Epoch(5) });
    let told: Vec<_> =
        talk.prompt().unwrap().exchanges.iter().map(|e| (e.epoch.0, e.results[0].reveal().clone())).collect();
    assert!(told[0].0 == 3 && told[0].1.contains("\"running\""), "{told:?}");
    assert_eq!(told[1..], [(5, r#"{"found":1}"#.to_owned()), (5, r#"{"found":2}"#.to_owned())]);
    done_of(&mut talk, 3);
    talk.give(BrainEvent::FloorFree { epoch: Epoch(6) });
    let moved: Vec<_> = talk.prompt().unwrap().exchanges.iter().map(|e| (e.epoch.0, e.numbers[0])).collect();
    assert_eq!(moved, [(5, 1), (5, 2), (6, 3)], "what was told before stays where it is");
}

fn patient_tool(after_ms: u32) -> Talk {
    let mut talk = own_tool(Modality::Voice);
    let mut persona = Persona::clone(&talk.brain.persona);
    persona.fillers.get_mut("order_status").unwrap().after_ms = after_ms;
    talk.brain.persona = Arc::new(persona);
    talk.call("order_status", json!({ "order": "A1" }));
    talk.model(ONE, done(Finish::ToolCalls));
    talk
}

#[test]
fn an_announcement_that_can_wait_is_made_while_the_tool_runs_and_the_caller_is_silent() {
    let mut talk = patient_tool(700);
    assert_eq!(talk.said(), <[&str; 0]>::default());
    assert!(talk.out.contains(&BrainEffect::Watch { epoch: ONE, call: 1, after_ms: 700 }), "{:?}", talk.out);
    talk.give(BrainEvent::ToolRuns { epoch: ONE, call: 1 });
    assert_eq!(talk.said(), ["One moment, please."]);
    talk.give(BrainEvent::ToolRuns { epoch: ONE, call: 1 });
    assert_eq!(talk.out, [], "once");
    talk.give(BrainEvent::ToolDone { epoch: ONE, call: 1, result: Ok(json!({})) });
    assert_eq!(talk.prompt().unwrap().exchanges[0].after, 1, "as if it had been said before");

    let mut talk = patient_tool(700);
    talk.give(BrainEvent::ToolRuns { epoch: Epoch(2), call: 1 });
    assert_eq!(talk.out, [], "the caller has spoken since");
    let mut talk = patient_tool(700);
    talk.give(BrainEvent::ToolDone { epoch: ONE, call: 1, result: Ok(json!({})) });
    talk.give(BrainEvent::ToolRuns { epoch: ONE, call: 1 });
    assert_eq!(talk.out, [], "it has answered");
}
