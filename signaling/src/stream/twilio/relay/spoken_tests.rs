use proptest::prelude::*;

use super::*;

/// What the news make of each utterance: how many bytes of it were heard, and whether it is over.
#[derive(Default)]
struct Told(Vec<(UtteranceId, u64, bool)>);

impl Told {
    fn hear(&mut self, news: Vec<News>) {
        for news in news {
            let (News::Played(utterance, _) | News::Finished(utterance)) = news;
            if self.0.iter().all(|(known, ..)| *known != utterance) {
                self.0.push((utterance, 0, false));
            }
            let line = self.0.iter_mut().find(|(known, ..)| *known == utterance).unwrap();
            match news {
                News::Played(_, offset) => line.1 = line.1.max(offset),
                News::Finished(_) => line.2 = true,
            }
        }
    }

    fn of(&self, utterance: u32) -> (u64, bool) {
        self.0.iter().find(|(known, ..)| known.0 == utterance).map_or((0, false), |(_, offset, over)| (*offset, *over))
    }
}

/// A reply in these texts, utterances 1 and so on, whole.
fn given(texts: &[&str]) -> (Spoken, Told) {
    let (mut spoken, mut told) = (Spoken::default(), Told::default());
    for (number, text) in (1..).zip(texts) {
        told.hear(with(|news| spoken.give(Time::ZERO, UtteranceId(number), text, news)));
    }
    spoken.reply_ends();
    (spoken, told)
}

fn with(learn: impl FnOnce(&mut Vec<News>)) -> Vec<News> {
    let mut news = Vec::new();
    learn(&mut news);
    news
}

#[test]
fn pieces_need_not_be_texts() {
    let (mut spoken, mut told) = given(&["Hello, Ms. Brown.", "How are you?"]);
    assert_eq!(told.of(1), (0, false), "it has begun");
    told.hear(with(|news| spoken.played(Time::ZERO, "Hello", news)));
    assert_eq!((told.of(1), told.of(2)), ((6, false), (0, false)));
    told.hear(with(|news| spoken.played(Time::ZERO, "Ms Brown. How", news)));
    assert_eq!((told.of(1), told.of(2)), ((17, true), (3, false)));
    told.hear(with(|news| spoken.played(Time::ZERO, "are   YOU", news)));
    assert_eq!(told.of(2), (12, true));
    assert!(spoken.is_over());
}

/// As a call has shown it: twelve sentences were given, the second was on.
#[test]
fn an_interruption_tells_the_words_of_the_piece_that_was_on() {
    let sentence = |n: u32| format!("Sentence {n} of twelve: the quick brown fox.");
    let texts: Vec<String> = (1..=12).map(sentence).collect();
    for reports in [true, false] {
        let (mut spoken, mut told) = given(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        if reports {
            told.hear(with(|news| spoken.played(Time::ZERO, &texts[0], news)));
            told.hear(with(|news| spoken.played(Time::ZERO, "Sentence 2 of", news)));
        }
        told.hear(with(|news| spoken.interrupted("Sentence 2 of", news)));
        assert_eq!((told.of(1), told.of(2), told.of(3)), ((42, true), (13, false), (0, false)), "{reports}");
        assert!(spoken.is_over());
    }
}

#[test]
fn an_interruption_may_tell_the_whole_reply_so_far() {
    let (mut spoken, mut told) = given(&["Life is a complex set of things.", "It goes on."]);
    told.hear(with(|news| spoken.interrupted("Life is a complex set of", news)));
    assert_eq!(told.of(1), (24, false));
}

#[test]
fn what_is_not_found_proves_nothing_but_its_beginning() {
    for (last, heard) in [("", 0), ("Good bye", 0), ("It costs five dollars", 8), ("It co", 2)] {
        let (mut spoken, mut told) = given(&["It costs $5 today."]);
        told.hear(with(|news| spoken.interrupted(last, news)));
        assert_eq!(told.of(1).0, heard, "{last}");
    }
}

#[test]
fn without_reports_a_caller_who_does_not_interrupt_has_heard_what_there_was_time_for() {
    let (mut spoken, mut told) = given(&["Hello.", "How can I help you today?"]);
    let later = |ms| Time::from_millis(ms);
    told.hear(with(|news| spoken.not_interrupted(later(500), news)));
    assert_eq!((told.of(1), told.of(2)), ((6, true), (0, false)));
    told.hear(with(|news| spoken.not_interrupted(later(1_300), news)));
    assert_eq!(told.of(2), (25, true));
}

#[test]
fn with_reports_only_they_count() {
    let (mut spoken, mut told) = given(&["Hello there.", "Bye."]);
    told.hear(with(|news| spoken.played(Time::ZERO, "Hello", news)));
    told.hear(with(|news| spoken.not_interrupted(Time::from_millis(60_000), news)));
    assert_eq!(told.of(1), (5, false));
    let due = spoken.deadline().unwrap();
    told.hear(with(|news| spoken.timeout(due, news)));
    assert_eq!((told.of(1), told.of(2)), ((5, true), (0, false)), "the rest was never reported");
}

#[test]
fn time_alone_ends_a_text_that_nobody_reports() {
    let (mut spoken, mut told) = given(&["Hello there.", "Bye."]);
    while let Some(due) = spoken.deadline() {
        told.hear(with(|news| spoken.timeout(due, news)));
    }
    assert_eq!((told.of(1), told.of(2)), ((12, true), (4, true)));
}

/// Of such a text each character is a syllable: it takes as long as three letters.
#[test]
fn a_text_of_syllables_has_the_time_that_it_takes() {
    for text in [
        "今日はとても天気がいいので、散歩に行きませんか。",
        "오늘은 날씨가 아주 좋습니다.",
        "欢迎致电我们的客户服务中心。",
        "5550100199",
    ] {
        let (mut spoken, mut told) = given(&[text]);
        let syllables = text.chars().filter(|c| c.is_alphanumeric()).count() as u64;
        told.hear(with(|news| spoken.timeout(Time::from_millis(syllables * 300), news)));
        assert_eq!(told.of(1), (0, false), "{text}");
        let due = spoken.deadline().unwrap();
        told.hear(with(|news| spoken.timeout(due, news)));
        assert_eq!(told.of(1), (text.len() as u64, true), "{text}");
    }
}

/// It speaks half a second a letter, and reports each word: it is waited for as long as it goes on.
#[test]
fn a_voice_that_reports_is_not_given_up_while_it_speaks() {
    let texts = ["one two six ten one two six ten one two six ten", "and that is all of it"];
    let (mut spoken, mut told) = given(&texts);
    let mut now = 0;
    for word in texts.iter().flat_map(|text| text.split(' ')) {
        now += 500 * word.len() as u64;
        told.hear(with(|news| spoken.timeout(Time::from_millis(now), news)));
        told.hear(with(|news| spoken.played(Time::from_millis(now), word, news)));
    }
    assert_eq!((told.of(1), told.of(2)), ((47, true), (21, true)), "all of it was heard");
    assert!(spoken.is_over());
}

#[test]
fn a_new_reply_is_not_looked_for_in_the_old_one() {
    let (mut spoken, mut told) = given(&["Yes, of course."]);
    told.hear(with(|news| spoken.played(Time::ZERO, "Yes, of course.", news)));
    told.hear(with(|news| spoken.give(Time::ZERO, UtteranceId(9), "Yes, of course not.", news)));
    told.hear(with(|news| spoken.interrupted("Yes", news)));
    assert_eq!(told.of(9), (4, false));
}

/// Few words, so that many are said twice.
fn words() -> impl Strategy<Value = Vec<String>> {
    let word =
        prop::sample::select(vec!["a", "to", "tomorrow", "morrow", "is", "isn't", "Éa", "5", "$5", "it,", "—", "of."]);
    prop::collection::vec(word.prop_map(str::to_owned), 1..40)
}

/// Words of a text that lie wholly before a byte of it; a mark behind a word is not spoken.
fn whole_before(text: &str, byte: usize) -> usize {
    let end = |word: &str| {
        let spoken = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        word.as_ptr() as usize - text.as_ptr() as usize + spoken.len()
    };
    text.split_whitespace().filter(|word| !letters(word).is_empty() && end(word) <= byte).count()
}

fn floor(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

proptest! {
    /// However a reply is split into texts, and into pieces when it is spoken: what counts as heard are the words wholly
    /// before the cut, never one more; and not one less where the far end told of everything.
    #[test]
    fn never_a_word_more(
        words in words(), splits in prop::collection::vec(1..6_usize, 40), pieces in prop::collection::vec(1..20_usize, 60),
        cut in 0..400_usize, reports in any::<bool>(), so_far in any::<bool>(),
    ) {
        let mut texts = Vec::new();
        let mut rest = words.as_slice();
        for split in splits {
            let (text, after) = rest.split_at(split.min(rest.len()));
            rest = after;
            texts.extend((!text.is_empty()).then(|| text.join(" ")));
        }
        let (mut spoken, mut told) = given(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        // The far end speaks it piece by piece, cuts anywhere, and tells pieces when they are over.
        let reply = texts.join(" ");
        let cut = floor(&reply, cut);
        let mut from = 0;
        for piece in pieces {
            let to = reply[from..].split_inclusive(' ').take(piece).map(str::len).sum::<usize>() + from;
            let to = to.min(cut);
            if reports {
                told.hear(with(|news| spoken.played(Time::ZERO, &reply[from..to], news)));
            }
            if to == cut {
                break;
            }
            from = to;
        }
        let last = if so_far { &reply[..cut] } else { &reply[from..cut] };
        told.hear(with(|news| spoken.interrupted(last, news)));
        let heard: usize = (1..).zip(&texts).map(|(number, text)| {
            whole_before(text, usize::try_from(told.of(number).0).unwrap())
        }).sum();
        let truth = whole_before(&reply, cut);
        prop_assert!(heard <= truth, "{heard} of {truth} words of {reply:?}, cut at {cut}, told {last:?}");
        prop_assert!(heard == truth || !(reports || so_far), "{heard} of {truth} of {reply:?}, cut at {cut}, told {last:?}");
    }
}
