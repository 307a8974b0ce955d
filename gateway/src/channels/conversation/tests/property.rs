//! Whatever may happen, in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::story::Story;
use super::*;

/// The numbers in what waits, message by message, and in what is being fetched.
fn kept(core: &Conversation) -> (Vec<Vec<u32>>, Vec<u32>) {
    let core = serde_json::to_value(core).unwrap();
    let of = |piece: &serde_json::Value| numbers(piece["message"]["text"].as_str().unwrap());
    let asking = core["fetching"]["messages"].as_array().into_iter().flatten();
    (core["bench"]["waiting"].as_array().unwrap().iter().map(of).collect(), asking.flat_map(of).collect())
}

fn numbers(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// What may happen, in any order, and a choice for it. More often than the rest: pictures, and sessions that listen, for the time
/// that it takes to be asked.
fn event() -> impl Strategy<Value = (u8, prop::sample::Index)> {
    (prop_oneof![12 => 0..23_u8, 2 => Just(14), 2 => Just(5), 5 => Just(13)], any::<prop::sample::Index>())
}

proptest! {
    /// Whatever comes in whatever order, with pictures or without: one question at a time, each message answered at most once and in order, one post at a
    /// time, and silence while a person has the conversation. What was told is owed until its answer has left. No message is lost but what a person reads, what is too much, and what sessions that end
    /// before they are asked leave behind: all of one that only greets, and what has come back from an earlier one.
    #[test]
    fn nothing_is_said_twice_or_over_a_person(events in prop::collection::vec(event(), 1..120)) {
        let mut world = World::new();
        let (mut written, mut told, mut leaving, mut story) = (0_u32, Vec::new(), None, Story::new());
        let (mut fetching, mut owed, mut returned) = (None, BTreeSet::new(), BTreeSet::new());
        let (mut asked, mut answered, mut cut_off) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut closing = false;
        for (event, pick) in events {
            let (waiting, asking) = kept(&world.core);
            let (opening, busy) = (world.core.talk == Talk::Opening, world.core.talk == Talk::Busy);
            let transferring = world.core.transferring;
            match event {
                0..=2 => {
                    written += 1;
                    world.writes(&written.to_string(), &written.to_string());
                }
                3 => world.writes(&written.to_string(), &written.to_string()),
                4 => world.news(SessionNews::Text { text: "A first sentence comes here. A second sentence too.".to_owned().into() }),
                5 | 6 => world.news(SessionNews::Typing { on: false }),
                7 => story.person_writes(),
                8 => story.status_changes(),
                9 => story.something_changes(),
                // The news of it come when they come.
                16 | 17 if story.under_way() > 0 => for input in story.comes(pick.index(story.under_way())) {
                    world.give(input);
                }
                10 => world.news(SessionNews::Transfer),
                11 => world.news(SessionNews::Gone),
                18 => world.news(SessionNews::Displaced),
                19 if opening => world.news(SessionNews::Refused { again: true }),
                20 if opening => world.news(SessionNews::Refused { again: false }),
                // Seldom: nothing begins after it.
                21 if pick.index(8) == 0 => {
                    world.give(Input::Closing);
                    closing = true;
                }
                22 if leaving.take().is_some() => world.posted(Delivery::Later),
                14 => {
                    written += 1;
                    world.shows(&written.to_string(), &written.to_string(), 0..1);
                }
                15 => if let Some((run, text)) = fetching.take() {
                    world.give(Input::Fetched { run, text, attachments: vec![image("a")] });
                }
                12 if leaving.is_some() => {
                    world.posted(Delivery::Done);
                    if leaving.take() == Some(Post::HandOver) {
                        story.handed_over();
                    }
                }
                _ => world.pass(SOON * 2),
            }
            let person = story.by_person();
            match event {
                0..=2 | 14 if waiting.len() < 32 => _ = owed.insert(written),
                5 | 6 if busy && !transferring => answered.append(&mut asked),
                // The next start does it.
                11 if closing => {
                    owed.retain(|number| !asking.contains(number));
                    cut_off.extend(asking);
                    if busy {
                        cut_off.append(&mut asked);
                    }
                }
                11 if opening => owed.clear(),
                20 if opening => owed.clear(),
                // What comes back for the second time.
                11 => for number in asking.into_iter().filter(|number| !returned.insert(*number)) {
                    owed.remove(&number);
                }
                _ => {}
            }
            if person {
                for numbers in [&mut owed, &mut asked, &mut answered, &mut cut_off] {
                    numbers.clear();
                }
            }
            for effect in std::mem::take(&mut world.out) {
                match effect {
                    Effect::Fetch { run, text, .. } => {
                        prop_assert!(!person, "fetched over a person");
                        fetching = Some((run, text));
                    }
                    // The room drops what it fetches.
                    Effect::End { .. } | Effect::Transferred { done: true, .. } => fetching = None,
                    Effect::Tell { text, .. } => {
                        prop_assert!(!person, "asked over a person");
                        prop_assert!(fetching.is_none(), "told before what was attached had come");
                        // Beside the words it may say that too much was attached.
                        let numbers: Vec<u32> = numbers(text.reveal());
                        owed.retain(|number| !numbers.contains(number));
                        told.extend(numbers.iter().copied());
                        asked.extend(numbers);
                    }
                    Effect::Post { post } => {
                        prop_assert!(leaving.is_none() && !person, "sent over a person, or two at once");
                        leaving = Some(post);
                    }
                    _ => {}
                }
            }
            let (waiting, asking) = kept(&world.core);
            let kept: BTreeSet<u32> = waiting.iter().flatten().chain(&asking).copied().collect();
            prop_assert!(owed.is_subset(&kept), "{owed:?} are owed, {kept:?} are there");
            if world.core.talk != Talk::Busy {
                answered.append(&mut asked);
            }
            if world.core.tray.is_empty() {
                answered.clear();
            }
            let mut unanswered = asked.iter().chain(&answered).chain(&cut_off);
            let forgotten = unanswered.find(|number| !world.core.owes(&number.to_string()));
            prop_assert_eq!(forgotten, None, "told, and its answer has not left");
        }
        prop_assert!(told.windows(2).all(|two| two[0] < two[1]), "{told:?}");
    }
}
