//! Callers who want a person get one, in virtual time, and no model is asked about it.

use serde_json::json;
use tandem_contract::bot::{BotConfig, Wording};
use tandem_contract::call::{Door, Modality};
use tandem_contract::event::SessionEvent;
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::record::{Speaker, TimelineEvent};
use tandem_media::Time;
use tandem_speech::RecognizerEvent;

use super::model::{answer, questions};
use super::world::*;
use crate::brain::{Abilities, from_config};
use crate::session::input::*;
use crate::wording::english;

fn world(door: Door, modality: Modality) -> World {
    let people = matches!(door, Door::Sip | Door::Chatwoot);
    with(door, modality, people, json!({}))
}

fn with(door: Door, modality: Modality, people: bool, wording: serde_json::Value) -> World {
    let config: BotConfig = serde_json::from_value(json!({
        "wording": wording,
        "system_prompt": { "role": "You are a clinic." },
        "workflow_features": {
            "human_escalation": { "enabled": true, "unavailable_action": "queue_callback",
                "triggers": [{ "condition": "user_requests_human", "action": "immediate_handoff" }] },
            "call_transfer": { "enabled": true,
                "transfer_destinations": [{ "name": "desk", "phone": "sip:desk@192.0.2.7" }] },
        },
    }))
    .unwrap();
    let abilities = Abilities { model: true, people, keys: false };
    let mut brain = from_config(&config, modality, abilities).unwrap();
    World::with(door, modality, move |event, out| brain.handle(Time::ZERO, event, out))
}

fn transfers(world: &World) -> Vec<u64> {
    world.when(|effect| matches!(effect, SessionEffect::Leg(LegCommand::Transfer { .. })))
}

fn actions(world: &World) -> Vec<String> {
    let action = |event: &SessionEvent| match event {
        SessionEvent::Timeline { entry } => match &entry.what {
            TimelineEvent::Escalation { action } => Some(action.clone()),
            _ => None,
        },
        _ => None,
    };
    world.events().into_iter().filter_map(action).collect()
}

#[test]
fn a_caller_who_wants_a_person_is_put_through_and_no_model_is_asked() {
    let mut world = world(Door::Sip, Modality::Voice);
    world.answer = Some(RecognizerEvent::Final { text: "let me talk to a human".into(), confidence: 1.0 });
    world.until(500);
    world.voice(600, 1_800);
    world.until(9_000);
    assert_eq!((transfers(&world).len(), questions(&world).len()), (1, 0));
    assert_eq!(world.core.turn().state().name(), "transferring");
    assert_eq!(world.entries(Speaker::Agent).len(), 1, "it was said before, whole");
    world.assert_heard_is_played();
    // Nobody is there: the model has the caller back.
    world.give(SessionInput::Leg(LegEvent::TransferProgress { status: 486 }));
    world.until(22_000);
    assert_eq!(actions(&world), ["immediate_handoff", "queue_callback"]);
    assert_eq!(world.core.turn().state().name(), "listening");
    world.press('1');
    let (epoch, _) = questions(&world).pop().unwrap();
    answer(&mut world, epoch, "We are open.");
    world.until(26_000);
    world.assert_heard_is_played();
    assert_eq!(world.core.turn().state().name(), "listening");
}

#[test]
fn a_chat_is_handed_to_its_people_and_where_there_are_none_it_goes_on() {
    let mut people = world(Door::Chatwoot, Modality::Text);
    people.write("Hello, I need to speak to someone");
    people.until(1_000);
    assert_eq!((transfers(&people).len(), questions(&people).len()), (1, 0));
    let mut page = world(Door::Websocket, Modality::Text);
    page.write("Hello, I need to speak to someone");
    page.until(1_000);
    assert_eq!((transfers(&page).len(), questions(&page).len()), (0, 0));
    assert_eq!(actions(&page), ["queue_callback"]);
    page.write("When are you open?");
    assert_eq!(questions(&page).len(), 1);
}

const CALL_US: &str = "Please call 555 0100 to speak with a person.";

/// A telephone can be sent on; a browser (Twilio's media streams are to a session as one) and messages reach nobody.
#[test]
fn nobody_is_promised_a_person_where_there_is_no_way_to_one() {
    for (door, modality, people) in [
        (Door::Sip, Modality::Voice, true),
        (Door::Websocket, Modality::Voice, false),
        (Door::Messages, Modality::Text, false),
    ] {
        let wording = if door == Door::Websocket { json!({ "no_transfer": CALL_US }) } else { json!({}) };
        let mut world = with(door, modality, people, wording);
        world.far_delay = (door == Door::Websocket).then_some(0);
        world.answer = Some(RecognizerEvent::Final { text: "let me talk to a human".into(), confidence: 1.0 });
        world.until(500);
        match modality {
            Modality::Voice => world.voice(600, 1_800),
            Modality::Text => world.write("let me talk to a human"),
        }
        world.until(14_500);
        let said: Vec<String> = world.entries(Speaker::Agent).iter().map(|line| line.text.reveal().clone()).collect();
        assert_eq!(transfers(&world).len(), usize::from(people), "{door:?}: {said:?}");
        let promised = said.iter().any(|said| said.contains("put you through") && said.starts_with("One moment"));
        assert_eq!(promised, people, "{door:?}: {said:?}");
        if people {
            continue;
        }
        let here = if door == Door::Websocket { CALL_US } else { english(Wording::NoTransfer) };
        assert_eq!(said, [here, english(Wording::CallBack), english(Wording::HowElse)]);
        world.until(15_000);
        match modality {
            Modality::Voice => world.press('1'),
            Modality::Text => world.write("When are you open?"),
        }
        world.until(16_000);
        let (epoch, question) = questions(&world).pop().unwrap();
        assert!(question.tools.iter().all(|tool| tool.name != "transfer"), "nor by the model");
        answer(&mut world, epoch, "We are open.");
        world.until(24_000);
        let answered = world.entries(Speaker::Agent).into_iter().any(|line| line.text.reveal() == "We are open.");
        assert!(answered, "the conversation goes on");
    }
}
