//! A voice that dies in the middle of an utterance.

use tandem_contract::call::Door;
use tandem_contract::record::Speaker;

use super::world::*;
use crate::brain::BrainEvent;
use crate::session::input::SessionEffect;

const FIRST: &str = "Your appointment is on Tuesday at nine.";
const SECOND: &str = "Is that right?";

fn heard(world: &World) -> Vec<&str> {
    world.entries(Speaker::Agent).iter().map(|entry| entry.heard.reveal().as_str()).collect()
}

/// A world whose voice dies in this word of the first sentence.
fn broken(word: u64) -> World {
    let mut world = World::new(Door::Sip, |event, out| {
        if let BrainEvent::Digits { epoch, .. } = event {
            out.extend([say(epoch, FIRST), say(epoch, SECOND)]);
        }
    });
    world.speaker.breaks_at = Some(word);
    world.press('1');
    world
}

#[test]
fn the_rest_of_the_sentence_is_said_before_the_next() {
    let words: Vec<&str> = FIRST.split_whitespace().collect();
    for word in 0..words.len() {
        let mut world = broken(u64::try_from(word).unwrap());
        world.until(9_000);
        assert_eq!(heard(&world), [&words[..word].join(" "), &words[word..].join(" "), SECOND], "word {word}");
        // What left the line: the words before the break, half a word, and the rest from that word on.
        let sent: u64 = world.sent.values().sum();
        assert_eq!(sent, (7 + 3) * WORD + WORD / 2, "word {word}");
        world.assert_heard_is_played();
        assert_eq!(world.core.turn().state().name(), "listening");
    }
}

#[test]
fn a_voice_that_places_no_words_loses_none() {
    for word in 1..7 {
        let mut world = World::new(Door::Sip, |event, out| {
            if let BrainEvent::Digits { epoch, .. } = event {
                out.push(say(epoch, "one two three four five six seven"));
            }
        });
        world.speaker = FakeVoice { breaks_at: Some(word), places_no_words: true };
        world.press('1');
        world.until(9_000);
        let rest = world.entries(Speaker::Agent)[1].heard.reveal().clone();
        let first: Vec<&str> = "one two three four five six seven".split_whitespace().collect();
        let from = first.iter().position(|other| rest.starts_with(other)).unwrap();
        assert!(from <= usize::try_from(word).unwrap(), "word {word}: {rest}");
        assert!(rest.ends_with("seven"), "{rest}");
    }
}

#[test]
fn who_interrupts_the_rest_has_heard_what_was_played() {
    for onset in (300..3_500).step_by(110) {
        let mut world = broken(3);
        world.voice(onset, onset + 900);
        world.until(onset + 4_000);
        world.assert_heard_is_played();
        assert!(world.entries(Speaker::Agent).iter().any(|entry| entry.interrupted), "{onset}");
    }
}

#[test]
fn a_voice_that_dies_again_and_again_is_not_asked_for_ever() {
    let mut world = broken(3);
    for ms in (0..20_000).step_by(10) {
        world.speaker.breaks_at.get_or_insert(1);
        world.until(ms);
    }
    assert_eq!(world.core.turn().state().name(), "listening");
    assert_eq!(
        world.when(|effect| matches!(effect, SessionEffect::StartVoice { .. })).len(),
        1 + 2 + 1,
        "and the next sentence"
    );
}
