use proptest::prelude::*;

use super::*;

const RATE: u32 = 8_000;
/// Milliseconds of a character in these tests.
const CHARACTER: usize = 60;

/// One piece a character of `text`, from `at` ms on.
fn characters(text: &str, at: usize) -> Vec<(String, f64, f64)> {
    let time = |index: usize| (at + index * CHARACTER) as f64;
    text.chars().enumerate().map(|(index, c)| (c.to_string(), time(index), time(index + 1))).collect()
}

fn pieces(parts: &[(String, f64, f64)]) -> Vec<Piece<'_>> {
    parts.iter().map(|(text, start, end)| Piece { text, start: *start, end: *end }).collect()
}

fn chunk(begins: usize, length: usize) -> Chunk {
    Chunk { begins: begins as f64, length: length as f64 }
}

fn samples(ms: usize) -> u64 {
    (ms * RATE as usize / 1000) as u64
}

fn word(text: &str, start_ms: usize, end_ms: usize) -> AlignedWord {
    AlignedWord { text: text.to_owned(), start: samples(start_ms), end: samples(end_ms) }
}

#[test]
fn a_word_may_span_chunks_and_is_told_before_the_audio_that_ends_it() {
    let mut words = Placement::new("Good day.", RATE, Base::Chunk);
    words.align(&pieces(&characters("Go", 0)), chunk(0, 120));
    assert_eq!(words.within(samples(120)), []);
    words.align(&pieces(&characters("od day. ", 0)), chunk(120, 480));
    assert_eq!(words.within(samples(600)), [word("Good", 0, 240), word("day.", 300, 480)]);
    assert_eq!(words.rest(samples(600)), []);
}

#[test]
fn times_of_the_whole_utterance_are_known_from_times_of_a_chunk() {
    for absolute in [false, true] {
        let mut words = Placement::new("one two three", RATE, Base::Unsaid);
        words.align(&pieces(&characters("one two ", 0)), chunk(0, 480));
        words.align(&pieces(&characters("three", if absolute { 480 } else { 0 })), chunk(480, 300));
        let told = words.within(samples(780));
        assert_eq!(told, [word("one", 0, 180), word("two", 240, 420), word("three", 480, 780)], "absolute: {absolute}");
    }
}

#[test]
fn punctuation_belongs_to_its_word_whether_it_is_told_or_not() {
    let mut words = Placement::new("- \"Hello,\" world - so!", RATE, Base::Utterance);
    let told = [("Hello".to_owned(), 0.0, 400.0), ("world".to_owned(), 500.0, 900.0), ("so".to_owned(), 900.0, 990.0)];
    words.align(&pieces(&told), chunk(0, 1000));
    assert_eq!(
        words.within(samples(1000)),
        [word("- \"Hello,\"", 0, 400), word("world -", 500, 900), word("so!", 900, 990)]
    );
}

#[test]
fn a_text_that_is_begun_anew_is_not_told_twice() {
    let mut words = Placement::new("one two three", RATE, Base::Utterance);
    words.align(&pieces(&characters("one tw", 0)), chunk(0, 360));
    assert_eq!(words.within(samples(360)), [word("one", 0, 180)]);
    words.align(&pieces(&characters("one two three", 0)), chunk(360, 420));
    assert_eq!(words.within(samples(780)), [word("two", 240, 420), word("three", 480, 780)]);
}

#[test]
fn what_is_spelled_out_is_placed_by_length() {
    let mut words = Placement::new("Room 20 now", RATE, Base::Chunk);
    words.align(&pieces(&characters("Room twenty now", 0)), chunk(0, 900));
    assert_eq!(words.within(samples(900)), [word("Room", 0, 240)]);
    let rest = words.rest(samples(900));
    assert_eq!(rest.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), ["20", "now"]);
    assert_eq!((rest[0].start, rest[1].end), (samples(240), samples(900)));
}

#[test]
fn without_alignment_there_are_no_words() {
    let mut words = Placement::new("one two", RATE, Base::Unsaid);
    words.align(&[], chunk(0, 900));
    assert_eq!((words.within(samples(900)), words.rest(samples(900))), (Vec::new(), Vec::new()));
}

/// Texts of a few words, some with punctuation, some without a sound.
fn texts() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-zA-Z0-9é]{1,8}[,.!?]?|-", 1..12)
        .prop_map(|words| words.join(" "))
        .prop_filter("something to say", |text| text.chars().any(char::is_alphanumeric))
}

proptest! {
    /// However the vendor cuts, counts and shifts: the words are those of the text, in order, apart, inside the audio.
    #[test]
    fn the_words_are_those_of_the_text(
        text in texts(),
        cuts in prop::collection::vec(1_usize..12, 1..40),
        absolute in any::<bool>(),
        // Alignment that runs ahead of the audio, or lags behind it, percent.
        pace in 50_usize..200,
        missing in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let base = if absolute { Base::Utterance } else { Base::Chunk };
        let mut words = Placement::new(&text, RATE, base);
        let all: Vec<char> = text.chars().collect();
        let (mut at, mut audio, mut told) = (0, 0, Vec::new());
        for (index, cut) in cuts.iter().cycle().enumerate() {
            if at >= all.len() {
                break;
            }
            let part: String = all[at..(at + cut).min(all.len())].iter().collect();
            let length = part.chars().count() * CHARACTER * pace / 100;
            if !missing.get(index).copied().unwrap_or(false) {
                let parts = characters(&part, if absolute { at * CHARACTER } else { 0 });
                words.align(&pieces(&parts), chunk(audio, length));
            }
            (at, audio) = (at + cut, audio + length);
            told.extend(words.within(samples(audio)));
        }
        told.extend(words.rest(samples(audio)));
        let mut end = 0;
        for word in &told {
            prop_assert!(end <= word.start && word.start < word.end, "{told:?}");
            end = word.end;
        }
        prop_assert!(end <= samples(audio));
        let joined = told.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        let prefix = text == joined || text.starts_with(&format!("{joined} "));
        prop_assert!(joined.is_empty() || prefix, "{joined:?} of {text:?}");
        // With nothing missing and time for all, nothing is left out.
        if missing.is_empty() && pace == 100 {
            prop_assert_eq!(joined, text);
        }
    }

    /// Whatever a vendor sends.
    #[test]
    fn nonsense_places_nothing_outside(
        text in texts(),
        nonsense in prop::collection::vec(("[a-z]{0,3}", -1e4_f64..1e6, -1e4_f64..1e6), 0..30),
        audio in 0_u64..100_000,
    ) {
        let mut words = Placement::new(&text, RATE, Base::Unsaid);
        for (index, part) in nonsense.chunks(3).enumerate() {
            words.align(&pieces(part), chunk(index * 100, 100));
        }
        let mut told = words.within(audio);
        told.extend(words.rest(audio));
        let mut end = 0;
        for word in &told {
            prop_assert!(end <= word.start && word.start < word.end && word.end <= audio, "{told:?}");
            end = word.end;
        }
    }
}
