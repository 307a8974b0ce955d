//! What the caller does before the conversation has begun: the leg is answered, and the first record is being written.

use serde_json::json;
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Door, Modality};
use tandem_contract::leg::LegEvent;
use tandem_contract::record::Speaker;
use tandem_media::Time;
use tandem_media::leg::MediaEvent;
use tandem_models::{Completion, Finish, ModelEvent};

use super::model::told;
use super::world::*;
use crate::brain::{BrainEvent, Persona, PipelineBrain};
use crate::session::core::SessionCore;
use crate::session::input::*;

fn text(text: &str) -> SessionInput {
    SessionInput::Leg(LegEvent::Text { text: text.to_owned().into(), attachments: Vec::new() })
}

fn by_the_caller(event: &BrainEvent) -> Option<String> {
    match event {
        BrainEvent::Said { text, .. } => Some(text.reveal().clone()),
        BrainEvent::Digits { digits, .. } => Some(format!("keys {}", digits.reveal())),
        _ => None,
    }
}

#[test]
fn what_is_said_and_keyed_while_the_record_is_begun_is_answered() {
    let dtmf = |digit| SessionInput::Leg(LegEvent::Dtmf { digit });
    let heard = |digit| SessionInput::Media(MediaEvent::Dtmf { at: Time::ZERO, digit });
    for (door, inputs, wanted) in [
        (Door::Twilio, vec![text("hello"), dtmf('5')], vec!["hello", "keys 5"]),
        (Door::Sip, vec![heard('4'), heard('2')], vec!["keys 4", "keys 2"]),
    ] {
        let (mut core, brain) = World::core(door, Modality::Voice, BotConfig::default(), |_, _| {});
        core.handle(Time::ZERO, SessionInput::Leg(LegEvent::Answered));
        for input in inputs {
            core.handle(Time::from_millis(300), input);
        }
        core.handle(Time::from_millis(900), SessionInput::Begun);
        let told: Vec<BrainEvent> = brain.try_iter().collect();
        assert_eq!(told[0], BrainEvent::Started);
        assert_eq!(told.iter().filter_map(by_the_caller).collect::<Vec<_>>(), wanted, "{door:?}");
        assert!(core.ledger().entries().iter().all(|entry| entry.at_ms == 300), "when it came");
    }
}

#[test]
fn who_goes_on_and_on_before_the_conversation_is_not_kept_whole() {
    let (mut core, brain) = World::core(Door::Twilio, Modality::Voice, BotConfig::default(), |_, _| {});
    for n in 0..1_000 {
        core.handle(Time::ZERO, text(&n.to_string()));
    }
    core.handle(Time::ZERO, SessionInput::Leg(LegEvent::Answered));
    core.handle(Time::ZERO, SessionInput::Begun);
    assert_eq!(brain.try_iter().filter_map(|event| by_the_caller(&event)).count(), 16);
}

/// A page whose bot greets nobody, and a model that answers after a while.
struct Page {
    core: SessionCore,
    now: u64,
    /// The answer to the last question is due.
    answer: Option<(u64, tandem_contract::Epoch)>,
    asked: Vec<Completion>,
    cancelled: usize,
}

/// Until the model has answered.
const ANSWER_MS: u64 = 70;

impl Page {
    fn new(wait_ms: u32) -> Self {
        let turn = json!({ "turn": { "message_wait_ms": wait_ms } });
        let config: BotConfig = serde_json::from_value(turn).unwrap();
        let mut brain = PipelineBrain::new(Persona::new(&config, Modality::Text), Modality::Text);
        let script = move |event, out: &mut Vec<_>| crate::brain::Brain::handle(&mut brain, Time::ZERO, event, out);
        let (core, _) = World::core(Door::Websocket, Modality::Text, config, script);
        Self { core, now: 0, answer: None, asked: Vec::new(), cancelled: 0 }
    }

    fn give(&mut self, input: SessionInput) {
        self.core.handle(Time::from_millis(self.now), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            match effect {
                SessionEffect::StartModel { epoch, request } => {
                    self.asked.push(request);
                    self.answer = Some((self.now + ANSWER_MS, epoch));
                }
                SessionEffect::CancelModel => {
                    self.answer = None;
                    self.cancelled += 1;
                }
                _ => {}
            }
        }
    }

    fn until(&mut self, end: u64) {
        for _ in 0..10_000 {
            let timer = self.core.poll_timeout().map(|due| due.as_millis().max(self.now));
            let answer = self.answer.map(|(due, _)| due);
            let Some(next) = [timer, answer].into_iter().flatten().min().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = next;
            if let Some((_, epoch)) = self.answer.take_if(|(due, _)| *due <= next) {
                let said = ModelEvent::Text { text: "Yes.".to_owned().into() };
                self.give(SessionInput::Model { epoch, event: said });
                self.give(SessionInput::Model { epoch, event: ModelEvent::Done { finish: Finish::Stop } });
            } else {
                self.core.handle_timeout(Time::from_millis(next));
                self.drain();
            }
        }
        panic!("the page does not get on");
    }
}

/// What happens, in each order.
fn orders() -> Vec<Vec<usize>> {
    fn rest(left: &[usize]) -> Vec<Vec<usize>> {
        if left.is_empty() {
            return vec![Vec::new()];
        }
        let first = |at: usize| {
            let others: Vec<usize> = left.iter().copied().filter(|other| *other != left[at]).collect();
            rest(&others).into_iter().map(move |rest| [vec![left[at]], rest].concat()).collect::<Vec<_>>()
        };
        (0..left.len()).flat_map(first).collect()
    }
    rest(&[0, 1, 2, 3])
}

#[test]
fn whatever_is_written_around_the_beginning_is_asked_and_answered() {
    let inputs =
        [SessionInput::Begun, SessionInput::Leg(LegEvent::Answered), text("first words"), text("second words")];
    let mut runs = 0;
    for order in orders() {
        // Gaps between the four: at once, while letters are gathered, while the model answers, after that.
        for gaps in 0..64_usize {
            for wait_ms in [0, 50, 1_000] {
                let mut page = Page::new(wait_ms);
                for (what, gap) in order.iter().zip([0, gaps % 4, gaps / 4 % 4, gaps / 16]) {
                    page.until(page.now + [0, 30, 100, 1_500][gap]);
                    page.give(inputs[*what].clone());
                }
                page.until(page.now + 10_000);
                let entries = page.core.ledger().entries();
                let of = |speaker| entries.iter().filter(|entry| entry.speaker == speaker).count();
                let told = told(page.asked.last().expect("the model is asked"));
                let wrote: Vec<String> =
                    told.into_iter().filter(|(who, _)| *who == Speaker::Caller).map(|(_, text)| text).collect();
                let wrote = wrote.join("\n");
                let case = format!("{order:?} {gaps} {wait_ms}: {wrote}");
                assert!(wrote.contains("first words") && wrote.contains("second words"), "{case}");
                assert_eq!((of(Speaker::Agent), page.cancelled), (page.asked.len(), 0), "{case}");
                assert_eq!(page.core.turn().state().name(), "listening", "{case}");
                runs += 1;
            }
        }
    }
    assert_eq!(runs, 24 * 64 * 3);
}
