//! For any interleaving: what a commit keeps are the words that lie wholly within what was played.

use proptest::prelude::*;

use super::*;

const RATE: u32 = 8000;
const EPOCH: Epoch = Epoch(7);
const OLD: Epoch = Epoch(6);

#[derive(Clone, Debug)]
enum Step {
    /// The voice tells of so many more words.
    Grow(usize),
    Push(u16),
    /// The line goes on for so many milliseconds.
    Play(u16),
    Pause,
    Resume,
    /// The far end reports its position.
    Report,
    /// A vendor's message of the epoch before.
    Late(u16),
    Finish,
    Commit,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..4_usize).prop_map(Step::Grow),
        3 => (1..3000_u16).prop_map(Step::Push),
        6 => (1..400_u16).prop_map(Step::Play),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        2 => Just(Step::Report),
        1 => (1..3000_u16).prop_map(Step::Late),
        1 => Just(Step::Finish),
        1 => Just(Step::Commit),
    ];
    prop::collection::vec(step, 1..60)
}

/// Word lengths in samples: the voice's truth.
fn lengths() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(200..4000_u64, 1..12)
}

/// A line and a far end that hold the truth which the ledger only hears of.
struct World {
    ledger: Ledger,
    utterance: UtteranceId,
    words: Vec<AlignedWord>,
    known: usize,
    now: Time,
    pushed: u64,
    sent: u64,
    /// Where the far end's player is; it runs `delay` samples behind, and keeps what a pause left.
    head: u64,
    delay: u64,
    paused: bool,
    finished: bool,
    entry: Option<LedgerEntry>,
}

impl World {
    fn new(playback: Playback, lengths: &[u64], delay: u64) -> Self {
        let mut ledger = Ledger::new(playback, RATE);
        let text = (0..lengths.len()).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        let utterance = ledger.open(EPOCH, &text, 0);
        ledger.started(Time::ZERO, utterance, 0);
        let mut end = 0;
        let words = lengths.iter().enumerate().map(|(n, length)| {
            let start = end;
            end += length;
            AlignedWord { text: format!("w{n}"), start, end }
        });
        Self {
            ledger,
            utterance,
            words: words.collect(),
            known: 0,
            now: Time::ZERO,
            pushed: 0,
            sent: 0,
            head: 0,
            delay,
            paused: false,
            finished: false,
            entry: None,
        }
    }

    fn length(&self) -> u64 {
        self.words.last().map_or(0, |word| word.end)
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Grow(count) => self.grow(count),
            Step::Push(samples) => self.push(u64::from(samples)),
            Step::Play(ms) => self.play(u64::from(ms)),
            Step::Pause => self.pause(),
            Step::Resume => self.resume(),
            Step::Report => self.ledger.reported(self.now, self.utterance, self.head),
            Step::Late(samples) => self.late(u64::from(samples)),
            Step::Finish => self.finish(),
            Step::Commit => self.commit(),
        }
    }

    fn grow(&mut self, count: usize) {
        let to = (self.known + count).min(self.words.len());
        if self.ledger.grow(EPOCH, self.utterance, self.words[self.known..to].to_vec()) {
            self.known = to;
        }
    }

    fn push(&mut self, samples: u64) {
        let samples = samples.min(self.length() - self.pushed);
        if self.ledger.push(EPOCH, self.utterance, samples) {
            self.pushed += samples;
        }
    }

    fn play(&mut self, ms: u64) {
        self.now += std::time::Duration::from_millis(ms);
        if self.paused || self.entry.is_some() {
            return;
        }
        let before = self.sent;
        self.sent = (self.sent + ms * u64::from(RATE) / 1000).min(self.pushed);
        // The far end plays in real time what it has, `delay` behind; at the end of the audio it catches up.
        let reach = if self.sent == before { self.sent } else { self.sent.saturating_sub(self.delay) };
        self.head = self.head.max(reach);
        self.ledger.carried(self.utterance, self.sent);
    }

    fn pause(&mut self) {
        self.paused = true;
        self.ledger.stopped(self.now, self.utterance);
        self.ledger.reported(self.now, self.utterance, self.head);
    }

    fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.ledger.resumed(self.now, self.utterance);
        }
    }

    fn late(&mut self, samples: u64) {
        self.ledger.push(OLD, self.utterance, samples);
        self.ledger.grow(OLD, self.utterance, vec![AlignedWord { text: "old".into(), start: 0, end: 1 }]);
        self.ledger.finish_audio(OLD, self.utterance, true);
        self.ledger.carried(UtteranceId(99), samples);
        assert_eq!(self.ledger.commit(self.now, UtteranceId(99), samples, true), None);
    }

    fn finish(&mut self) {
        if self.pushed == self.length() && self.entry.is_none() {
            self.finished = true;
            self.ledger.finish_audio(EPOCH, self.utterance, true);
        }
    }

    fn commit(&mut self) {
        if self.entry.is_some() {
            return;
        }
        // A barge-in: the line is stopped, the far end answers.
        self.ledger.stopped(self.now, self.utterance);
        self.ledger.reported(self.now, self.utterance, self.head);
        self.entry = self.ledger.commit(self.now, self.utterance, self.sent, true);
    }

    /// Words wholly within what left a loudspeaker. Those that the voice had not placed by the commit cannot be known.
    fn truly_heard(&self) -> Vec<&str> {
        let whole = |word: &&AlignedWord| word.end <= self.head;
        let placed = if self.finished && self.head == self.length() { self.words.len() } else { self.known };
        self.words[..placed].iter().filter(whole).map(|word| word.text.as_str()).collect()
    }
}

fn run(world: &mut World, steps: &[Step]) -> Vec<String> {
    world.grow(1);
    for step in steps {
        let frozen = world.entry.is_some().then(|| world.ledger.entries().to_vec());
        world.take(step);
        if let Some(frozen) = frozen {
            assert_eq!(world.ledger.entries(), frozen, "a committed line changed");
        }
    }
    world.commit();
    let context: Vec<String> = world.ledger.entries().iter().map(|entry| entry.heard.reveal().clone()).collect();
    context.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn a_paced_wire_heard_what_was_sent(steps in steps(), lengths in lengths()) {
        let mut world = World::new(Playback::Paced, &lengths, 0);
        let context = run(&mut world, &steps);
        let sent = world.sent;
        let placed = if world.finished && sent == world.length() { world.words.len() } else { world.known };
        let expected: Vec<_> =
            world.words[..placed].iter().take_while(|word| word.end <= sent).map(|word| word.text.clone()).collect();
        prop_assert_eq!(context, expected);
    }

    #[test]
    fn a_reporting_wire_never_claims_a_word_too_many(
        steps in steps(), lengths in lengths(), delay in 0..4000_u64,
    ) {
        let mut world = World::new(Playback::Reported, &lengths, delay);
        let context = run(&mut world, &steps);
        let truth = world.truly_heard();
        prop_assert!(context.iter().all(|word| truth.contains(&word.as_str())), "{:?} of {:?}", context, truth);
        prop_assert!(truth.len() <= context.len() + 1, "{:?} of {:?}", context, truth);
    }

    #[test]
    fn a_far_end_that_speaks_itself_is_believed_to_the_word(
        words in prop::collection::vec("[a-zé]{1,6}[.,]?", 1..10), gap in " {1,3}",
        reports in prop::collection::vec(0..90_u64, 0..5),
    ) {
        let text = words.join(&gap);
        let mut ledger = Ledger::new(Playback::Spoken, 0);
        let utterance = ledger.open(EPOCH, &text, 0);
        ledger.started(Time::ZERO, utterance, 0);
        for (second, report) in (1..).zip(&reports) {
            ledger.reported(Time::from_millis(second * 1000), utterance, *report);
        }
        let given = ledger.sent(utterance).unwrap();
        let entry = ledger.commit(Time::from_millis(60_000), utterance, given, true).unwrap();
        let heard = usize::try_from(reports.into_iter().max().unwrap_or(0)).unwrap();
        let end = |number: usize| words[..number].iter().map(String::len).sum::<usize>() + (number.max(1) - 1) * gap.len();
        let whole = (0..=words.len()).rev().find(|number| *number == 0 || end(*number) <= heard).unwrap();
        prop_assert_eq!(entry.heard.reveal(), &text[..end(whole)]);
        prop_assert_eq!((entry.heard_samples, entry.rate), (0, 0));
    }
}
