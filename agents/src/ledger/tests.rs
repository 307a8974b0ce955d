use super::*;

const RATE: u32 = 8000;
const EPOCH: Epoch = Epoch(3);

fn word(text: &str, start: u64, end: u64) -> AlignedWord {
    AlignedWord { text: text.to_owned(), start, end }
}

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

/// "Good morning, caller." with a word every 1000 samples, all of it pushed.
fn greeting(playback: Playback) -> (Ledger, UtteranceId) {
    let mut ledger = Ledger::new(playback, RATE);
    let utterance = ledger.open(EPOCH, "Good morning, caller.", 0);
    ledger.grow(EPOCH, utterance, vec![word("good", 0, 1000), word("morning", 1000, 2000), word("caller", 2000, 3000)]);
    ledger.push(EPOCH, utterance, 3000);
    ledger.finish_audio(EPOCH, utterance, true);
    ledger.started(ms(0), utterance, 0);
    (ledger, utterance)
}

fn heard(entry: Option<LedgerEntry>) -> String {
    entry.unwrap().heard.into_inner()
}

#[test]
fn a_word_is_heard_when_its_last_sample_was_played() {
    for (offset, expected) in
        [(0, ""), (999, ""), (1000, "Good"), (1999, "Good"), (2000, "Good morning,"), (3000, "Good morning, caller.")]
    {
        let (mut ledger, utterance) = greeting(Playback::Paced);
        assert_eq!(heard(ledger.commit(ms(500), utterance, offset, true)), expected, "{offset}");
    }
}

#[test]
fn what_comes_after_the_commit_changes_nothing() {
    let (mut ledger, utterance) = greeting(Playback::Paced);
    ledger.commit(ms(500), utterance, 1500, true);
    let before = ledger.clone();
    assert!(!ledger.grow(EPOCH, utterance, vec![word("again", 3000, 3100)]));
    assert!(!ledger.push(EPOCH, utterance, 500));
    ledger.carried(utterance, 3000);
    ledger.reported(ms(600), utterance, 3000);
    assert_eq!(ledger.commit(ms(600), utterance, 3000, false), None);
    assert_eq!(ledger, before);
}

#[test]
fn an_older_epoch_is_not_listened_to() {
    let mut ledger = Ledger::new(Playback::Paced, RATE);
    let utterance = ledger.open(EPOCH, "yes", 0);
    assert!(!ledger.grow(Epoch(2), utterance, vec![word("yes", 0, 1)]));
    assert!(!ledger.push(Epoch(2), utterance, 4000));
    assert_eq!(heard(ledger.commit(ms(1), utterance, 4000, true)), "");
}

#[test]
fn a_voice_without_word_times_is_divided_by_its_length() {
    let mut ledger = Ledger::new(Playback::Paced, RATE);
    let utterance = ledger.open(EPOCH, "aaa bbb ccc ddd", 0);
    ledger.push(EPOCH, utterance, 4000);
    ledger.finish_audio(EPOCH, utterance, true);
    assert_eq!(heard(ledger.commit(ms(300), utterance, 2100, true)), "aaa bbb");
}

#[test]
fn a_voice_that_is_still_speaking_is_taken_to_be_slow() {
    let mut ledger = Ledger::new(Playback::Paced, RATE);
    let utterance = ledger.open(EPOCH, "aaa bbb ccc ddd", 0);
    ledger.push(EPOCH, utterance, 4000);
    // 16 characters of 100 ms are 12,800 samples: 3,200 a word.
    assert_eq!(heard(ledger.commit(ms(500), utterance, 4000, true)), "aaa");
}

#[test]
fn a_broken_voice_did_not_say_the_rest() {
    let mut ledger = Ledger::new(Playback::Paced, RATE);
    let utterance = ledger.open(EPOCH, "one two", 0);
    ledger.grow(EPOCH, utterance, vec![word("one", 0, 900)]);
    ledger.push(EPOCH, utterance, 1000);
    ledger.finish_audio(EPOCH, utterance, false);
    assert_eq!(heard(ledger.commit(ms(500), utterance, 1000, false)), "one");
}

#[test]
fn words_that_are_not_those_of_the_text_stand_for_themselves() {
    let mut ledger = Ledger::new(Playback::Paced, RATE);
    let utterance = ledger.open(EPOCH, "at 10:30 sharp", 0);
    let spoken = vec![word("at", 0, 10), word("ten", 10, 20), word("thirty", 20, 30), word("sharp", 30, 40)];
    ledger.grow(EPOCH, utterance, spoken);
    ledger.push(EPOCH, utterance, 40);
    assert_eq!(heard(ledger.commit(ms(1), utterance, 35, true)), "at ten thirty");
}

#[test]
fn lines_stand_in_the_order_in_which_they_began() {
    let (mut ledger, utterance) = greeting(Playback::Paced);
    ledger.caller(Epoch(4), "stop".to_owned().into(), 400);
    ledger.commit(ms(500), utterance, 1000, true);
    let speakers: Vec<Speaker> = ledger.entries().iter().map(|entry| entry.speaker).collect();
    assert_eq!(speakers, [Speaker::Agent, Speaker::Caller]);
}

#[test]
fn the_smaller_of_sent_and_reported_counts() {
    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.carried(utterance, 3000);
    ledger.stopped(ms(300), utterance);
    ledger.reported(ms(310), utterance, 1200);
    ledger.reported(ms(320), utterance, 2050);
    let entry = ledger.commit(ms(600), utterance, 2900, true).unwrap();
    assert_eq!((entry.heard_samples, entry.heard.reveal().as_str()), (2050, "Good morning,"));

    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.stopped(ms(300), utterance);
    ledger.reported(ms(310), utterance, 999_999);
    assert_eq!(ledger.commit(ms(600), utterance, 1000, true).unwrap().heard_samples, 1000);
}

#[test]
fn a_silent_far_end_is_taken_to_play_on_until_it_was_stopped() {
    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.reported(ms(100), utterance, 640);
    ledger.carried(utterance, 2800);
    ledger.stopped(ms(200), utterance);
    // 640 and 100 ms of 8 kHz.
    assert_eq!(ledger.commit(ms(500), utterance, 2800, true).unwrap().heard_samples, 1440);
}

#[test]
fn what_a_pause_left_at_the_far_end_is_played_after_it() {
    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.carried(utterance, 1800);
    ledger.stopped(ms(200), utterance);
    ledger.reported(ms(210), utterance, 1100);
    ledger.resumed(ms(900), utterance);
    // 1100 and 50 ms of 8 kHz: not yet what was sent before the pause.
    assert_eq!(ledger.cursor(ms(950), utterance), Some(1500));
    ledger.carried(utterance, 3000);
    ledger.reported(ms(1100), utterance, 3000);
    assert_eq!(heard(ledger.commit(ms(1200), utterance, 3000, false)), "Good morning, caller.");
}

#[test]
fn a_ledger_survives_serialisation() {
    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.caller(EPOCH, "hello".to_owned().into(), 5);
    ledger.reported(ms(1), utterance, 5);
    ledger.stopped(ms(2), utterance);
    let json = serde_json::to_string(&ledger).unwrap();
    assert_eq!(serde_json::from_str::<Ledger>(&json).unwrap(), ledger);
}

#[test]
fn what_the_line_kept_back_was_not_heard() {
    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.carried(utterance, 2160);
    ledger.stopped(ms(260), utterance);
    ledger.withheld(utterance, 2000);
    ledger.withheld(utterance, 1840);
    let entry = ledger.commit(ms(600), utterance, 2160, true).unwrap();
    assert_eq!((entry.heard_samples, entry.heard.reveal().as_str()), (1840, "Good"));

    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.carried(utterance, 2160);
    ledger.stopped(ms(260), utterance);
    ledger.withheld(utterance, 1840);
    ledger.resumed(ms(400), utterance);
    let entry = ledger.commit(ms(600), utterance, 3000, false).unwrap();
    assert_eq!(entry.heard_samples, 3000, "it went out when the line went on");

    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.carried(utterance, 2160);
    ledger.stopped(ms(260), utterance);
    ledger.resumed(ms(270), utterance);
    ledger.withheld(utterance, 2160);
    ledger.released(utterance);
    let entry = ledger.commit(ms(600), utterance, 3000, false).unwrap();
    assert_eq!(
        entry.heard_samples, 3000,
        "a frame behind a short pause was taken for a late one, and went out with the next"
    );
}

#[test]
fn behind_a_hole_nothing_was_heard_whoever_says_so() {
    let (mut ledger, utterance) = greeting(Playback::Reported);
    ledger.carried(utterance, 2160);
    ledger.lost(utterance, 1840);
    ledger.lost(utterance, 2000);
    ledger.stopped(ms(260), utterance);
    ledger.resumed(ms(400), utterance);
    ledger.carried(utterance, 3000);
    ledger.reported(ms(500), utterance, 3000);
    let entry = ledger.commit(ms(600), utterance, 3000, false).unwrap();
    assert_eq!((entry.heard_samples, entry.heard.reveal().as_str()), (1840, "Good"));
}
