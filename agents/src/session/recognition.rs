//! What the session hears with: the grammar, and the recognition that is open.

use std::sync::Arc;
use std::time::Duration;

use tandem_contract::bot::BotConfig;
use tandem_media::Time;
use tandem_media::leg::{CaptureId, MediaCommand};
use tandem_speech::{Grammar, RecognizerEvent, SpeechError};
use tracing::warn;

use super::core::SessionCore;
use super::input::{Measure, RecognitionId, SessionEffect};
use crate::turn::{Ending, Lexicon, Sense, TurnInput};
use crate::words;
use tandem_contract::record::{Speaker, Stage};

/// How soon a recognition is begun anew that failed for the moment, and how often. All of it lies within the audio that
/// the worker keeps for a capture that begins late (600 ms), so that nothing of the utterance is lost.
const RETRY_AFTER: Duration = Duration::from_millis(100);
const RETRIES_MAX: u8 = 3;

/// The engine's part in the open recognition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Engine {
    /// None works on it: nothing was asked, or it has ended.
    #[default]
    Idle,
    Running,
    /// It failed before the caller had finished. With a time: it is tried again then.
    Broken {
        retry: Option<Time>,
    },
}

#[derive(Debug)]
pub(super) struct Ears {
    lexicon: Lexicon,
    pub(super) grammar: Option<Grammar>,
    /// What the open recognition listens for.
    listening_for: Option<Grammar>,
    last: RecognitionId,
    engine: Engine,
    /// How often the open recognition was begun anew.
    retries: u8,
    /// Of the latest partial.
    words: u32,
    sense: Sense,
    /// The caller's utterance is over; a result is awaited.
    finishing: bool,
    /// Of the latest voice.
    pub(super) onset: Time,
    /// When it ended. None: it is on.
    pub(super) ended: Option<Time>,
}

impl Ears {
    pub(super) fn new(config: &BotConfig) -> Self {
        Self {
            lexicon: Lexicon::new(config),
            grammar: None,
            listening_for: None,
            last: RecognitionId::default(),
            engine: Engine::Idle,
            retries: 0,
            words: 0,
            sense: Sense::Words,
            finishing: false,
            onset: Time::ZERO,
            ended: Some(Time::ZERO),
        }
    }

    fn ending(&self, text: &str) -> Ending {
        match &self.listening_for {
            Some(Grammar::Open) | None => self.lexicon.ending(text),
            Some(grammar) => answer_so_far(grammar, text),
        }
    }

    fn sense(&self, text: &str) -> Sense {
        match &self.listening_for {
            Some(Grammar::Phrases { phrases }) => match self.lexicon.sense(text, phrases) {
                Sense::Words if shares_a_word(text, phrases) => Sense::Answer,
                sense => sense,
            },
            Some(Grammar::Jsgf { .. }) => Sense::Answer,
            Some(Grammar::Digits { .. }) if words::digits(text).is_some() => Sense::Answer,
            Some(Grammar::Digits { .. } | Grammar::Open) | None => self.lexicon.sense(text, &[]),
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        if let Engine::Broken { retry } = self.engine { retry } else { None }
    }
}

impl SessionCore {
    /// Audio of an earlier capture may still be on its way when the next one begins with the same samples.
    pub(super) fn caller_audio(&mut self, capture: CaptureId, samples: Arc<[i16]>) {
        if self.ears.engine == Engine::Running && !self.ears.finishing && capture.0 == self.ears.last.0 {
            self.out(SessionEffect::PushAudio(samples));
        }
    }

    pub(super) fn open_recognition(&mut self) {
        self.ahead.new_utterance();
        let ears = &mut self.ears;
        ears.finishing = false;
        ears.retries = 0;
        (ears.words, ears.sense) = (0, Sense::Words);
        ears.listening_for.clone_from(&ears.grammar);
        self.start_recognizer();
    }

    fn start_recognizer(&mut self) {
        let ears = &mut self.ears;
        ears.last.0 += 1;
        // Nothing to listen for: the voice still counts, and is not understood at its end.
        ears.engine = Engine::Idle;
        if let Some(grammar) = ears.listening_for.clone() {
            ears.engine = Engine::Running;
            let recognition = ears.last;
            self.out(SessionEffect::StartRecognizer { recognition, grammar });
            self.out(SessionEffect::Media(MediaCommand::Capture { id: CaptureId(recognition.0) }));
        }
    }

    pub(super) fn finish_recognition(&mut self, now: Time) {
        self.stages.end(Stage::EndpointingWait, now);
        self.ears.finishing = true;
        match self.ears.engine {
            Engine::Running => {
                self.out(SessionEffect::FinishRecognizer);
                self.out(SessionEffect::Media(MediaCommand::StopCapture));
            }
            Engine::Idle => self.drive(now, TurnInput::Unmatched),
            Engine::Broken { .. } => {
                self.ears.engine = Engine::Idle;
                self.drive(now, TurnInput::Unheard);
            }
        }
    }

    pub(super) fn cancel_recognition(&mut self) {
        if std::mem::take(&mut self.ears.engine) == Engine::Running {
            self.out(SessionEffect::CancelRecognizer);
            self.out(SessionEffect::Media(MediaCommand::StopCapture));
        }
    }

    pub(super) fn recognition_timeout(&mut self, now: Time) {
        if self.ears.deadline().is_some_and(|due| due <= now) {
            self.ears.retries += 1;
            self.start_recognizer();
        }
    }

    pub(super) fn recognizer_event(&mut self, now: Time, recognition: RecognitionId, event: RecognizerEvent) {
        if recognition != self.ears.last || self.ears.engine != Engine::Running {
            return;
        }
        match event {
            // An answer that its grammar knows to have only begun is not over, however it sounded.
            RecognizerEvent::EndOfTurn { text, eager: true, .. } if self.ears.ending(&text) != Ending::Unfinished => {
                self.ahead_eager(now, &text);
                self.partial(now, &text, Ending::Complete);
            }
            RecognizerEvent::Partial { text } | RecognizerEvent::EndOfTurn { text, eager: true, .. } => {
                let ending = self.ears.ending(&text);
                self.ahead_words(now, &text, ending);
                self.partial(now, &text, ending);
            }
            RecognizerEvent::TurnResumed => {
                self.ahead_resumed();
                let (words, sense) = (self.ears.words, self.ears.sense);
                self.drive(now, TurnInput::Partial { words, ending: Ending::Unfinished, sense });
            }
            RecognizerEvent::Final { text, .. } | RecognizerEvent::EndOfTurn { text, .. } => {
                self.cancel_recognition();
                // A recognizer that ends the turn by itself is what the caller waited for.
                self.stages.end(Stage::EndpointingWait, now);
                self.stages.end(Stage::Transcript, now);
                let understood = TurnInput::Understood { words: words_of(&text), sense: self.sense(&text) };
                self.caller_said(now, text, understood);
            }
            RecognizerEvent::Rejected => {
                self.cancel_recognition();
                // Who says what a grammar does not hold has said something.
                let open = self.ears.listening_for == Some(Grammar::Open);
                self.no_result(now, if open { TurnInput::Rejected } else { TurnInput::Unmatched });
            }
            RecognizerEvent::Failed(error) => self.recognizer_failed(now, &error),
        }
    }

    fn partial(&mut self, now: Time, text: &str, ending: Ending) {
        let (words, sense) = (words_of(text), self.sense(text));
        (self.ears.words, self.ears.sense) = (words, sense);
        self.drive(now, TurnInput::Partial { words, ending, sense });
    }

    /// What the words mean while the agent speaks, or works. To a question, and to a grammar that holds them, they are an answer.
    fn sense(&self, text: &str) -> Sense {
        if self.output.is_ending() && self.ears.lexicon.takes_leave(text) {
            return Sense::Backchannel;
        }
        let asked = match self.output.on_line() {
            Some(utterance) => self.ledger.text(utterance),
            None => {
                let last = self.ledger.entries().last().filter(|entry| entry.speaker == Speaker::Agent);
                last.map(|entry| entry.text.clone())
            }
        };
        let asked = asked.is_some_and(|text| text.reveal().trim_end().ends_with(['?', '？']));
        match self.ears.sense(text) {
            Sense::Backchannel | Sense::Words if asked => Sense::Answer,
            sense => sense,
        }
    }

    fn recognizer_failed(&mut self, now: Time, error: &SpeechError) {
        warn!(%error, retries = self.ears.retries, "the recognizer failed");
        let (reason, passes) = match error {
            SpeechError::Busy { .. } => ("busy", true),
            SpeechError::RateLimited { .. } => ("rate_limited", true),
            SpeechError::Unauthorized { .. } => ("unauthorized", false),
            SpeechError::Failed { retry, .. } => ("failed", *retry),
            SpeechError::NotSupported { .. } => ("not_supported", false),
            SpeechError::Unavailable { .. } => ("unavailable", false),
        };
        self.measure(Measure::RecognizerFailed(reason));
        self.cancel_recognition();
        let retry = (passes && self.ears.retries < RETRIES_MAX).then(|| now + RETRY_AFTER);
        self.ears.engine = if self.ears.finishing { Engine::Idle } else { Engine::Broken { retry } };
        self.no_result(now, TurnInput::Unheard);
    }

    /// Counts when the caller has finished: a voice that goes on may not be cut off by an engine that gave up.
    fn no_result(&mut self, now: Time, why: TurnInput) {
        if self.ears.finishing {
            self.stages.end(Stage::Transcript, now);
            self.drive(now, why);
        }
    }
}

/// Where a script has no spaces between words, two of its characters are taken for one.
fn words_of(text: &str) -> u32 {
    let dense = |word: &String| word.chars().filter(|c| is_dense(*c)).count().div_ceil(2).max(1);
    u32::try_from(words::plain(text).iter().map(dense).sum::<usize>()).unwrap_or(u32::MAX)
}

/// Thai, Lao, Burmese, Khmer, Japanese, Chinese.
fn is_dense(c: char) -> bool {
    matches!(u32::from(c), 0xe00..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xf900..=0xfaff)
}

/// Said in other words than the grammar's, but surely to its question.
fn shares_a_word(text: &str, phrases: &[String]) -> bool {
    let said = words::tokens(text);
    phrases.iter().any(|phrase| words::tokens(phrase).iter().any(|word| said.contains(word)))
}

/// How what was recognized so far ends, where a grammar says what an answer is: what is surely only the beginning of one is
/// unfinished.
fn answer_so_far(grammar: &Grammar, text: &str) -> Ending {
    let said = words::tokens(text);
    if said.is_empty() {
        return Ending::Unknown;
    }
    let answer = match grammar {
        Grammar::Digits { min, .. } => words::digits(text).is_some_and(|digits| digits.len() >= usize::from(*min)),
        Grammar::Phrases { phrases } => {
            let phrases = phrases.iter().map(|phrase| words::tokens(phrase));
            let mut begun = phrases.filter(|phrase| phrase.starts_with(&said)).peekable();
            begun.peek().is_none() || begun.any(|phrase| phrase.len() == said.len())
        }
        Grammar::Jsgf { .. } | Grammar::Open => true,
    };
    if answer { Ending::Complete } else { Ending::Unfinished }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_beginning_of_an_answer_is_none_yet() {
        let phrases =
            Grammar::Phrases { phrases: vec!["yes".into(), "book an appointment".into(), "yes please".into()] };
        for (text, answer) in
            [("yes", true), ("book", false), ("Book an", false), ("book an appointment", true), ("noise", true)]
        {
            assert_eq!(answer_so_far(&phrases, text) == Ending::Complete, answer, "{text}");
        }
        let digits = Grammar::Digits { min: 5, max: 5 };
        assert_eq!(answer_so_far(&digits, "one two"), Ending::Unfinished);
        assert_eq!(answer_so_far(&digits, "one two three four five"), Ending::Complete);
        assert_eq!(answer_so_far(&digits, ""), Ending::Unknown);
    }

    #[test]
    fn recognizers_that_punctuate_say_the_same() {
        let phrases = ["yes", "no thanks", "nine thirty", "that's right"].map(str::to_owned).to_vec();
        let grammar = Grammar::Phrases { phrases };
        for (text, ending) in [
            ("Yes.", Ending::Complete),
            ("No,", Ending::Unfinished),
            ("No, thanks.", Ending::Complete),
            ("Nine", Ending::Unfinished),
            ("Nine thirty?", Ending::Complete),
            ("9:30.", Ending::Complete),
            ("That\u{2019}s right!", Ending::Complete),
            ("...", Ending::Unknown),
        ] {
            assert_eq!(answer_so_far(&grammar, text), ending, "{text}");
        }
        let digits = Grammar::Digits { min: 3, max: 3 };
        let ends = ["1-2-3", "One, two.", "1 2 3."].map(|text| answer_so_far(&digits, text));
        assert_eq!(ends, [Ending::Complete, Ending::Unfinished, Ending::Complete]);
        assert_eq!((words_of("1-2-3"), words_of("- Yes. -")), (3, 1));
        assert_eq!(
            (words_of("\u{6211}\u{60f3}\u{9884}\u{7ea6}"), words_of("\u{6211}")),
            (2, 1),
            "no spaces between them"
        );
    }

    #[test]
    fn what_is_asked_for_is_an_answer_however_short() {
        let mut ears = Ears::new(&BotConfig::default());
        let sense = |ears: &Ears| ["so", "hours", "four", "stop"].map(|text| ears.sense(text));
        let of_none = [Sense::Words, Sense::Words, Sense::Words, Sense::Interruption];
        assert_eq!(sense(&ears), of_none);
        ears.listening_for = Some(Grammar::Open);
        assert_eq!(sense(&ears), of_none);
        ears.listening_for = Some(Grammar::Phrases { phrases: vec!["opening hours".into()] });
        assert_eq!(sense(&ears), [Sense::Words, Sense::Answer, Sense::Words, Sense::Interruption]);
        ears.listening_for = Some(Grammar::Digits { min: 1, max: 4 });
        assert_eq!(sense(&ears), [Sense::Words, Sense::Words, Sense::Answer, Sense::Interruption]);
    }

    #[test]
    fn free_speech_is_judged_by_its_words_and_an_answer_by_its_grammar() {
        let config = json!({ "livekit_config": { "stt_language": "es-ES" } });
        let mut ears = Ears::new(&serde_json::from_value(config).unwrap());
        ears.listening_for = Some(Grammar::Open);
        assert_eq!((ears.ending("quiero una cita y"), ears.ending("a las dos")), (Ending::Trailing, Ending::Unknown));
        ears.listening_for = Some(Grammar::Phrases { phrases: vec!["y".into()] });
        assert_eq!(ears.ending("y"), Ending::Complete);
    }
}
