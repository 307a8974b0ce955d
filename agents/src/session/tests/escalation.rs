//! Callers who want a person get one, in virtual time, and no model is asked about it.

use serde_json::json;
use tandem_contract::bot::BotConfig;
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

fn world(door: Door, modality: Modality) -> World {
    let config: BotConfig = serde_json::from_value(json!({
        "system_prompt": { "role": "You are a clinic." },
        "workflow_features": {
            "human_escalation": { "enabled": true, "unavailable_action": "queue_callback",
                "triggers": [{ "condition": "user_requests_human", "action": "immediate_handoff" }] },
            "call_transfer": { "enabled": true,
                "transfer_destinations": [{ "name": "desk", "phone": "sip:desk@192.0.2.7" }] },
        },
    }))
    .unwrap();
    let abilities = Abilities { model: true, people: door == Door::Chatwoot, keys: false };
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
