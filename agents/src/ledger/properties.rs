//! For any interleaving: what a commit keeps are the words that lie wholly within what was played.

use std::collections::VecDeque;
use std::time::Duration;

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
    /// `answered`: the far end says at once where it fell silent. Else it does by `Answer`, or never.
    Pause {
        answered: bool,
    },
    Resume,
    /// The far end reports its position.
    Report,
    /// What it owed to the last pause comes, whatever has happened since.
    Answer,
    /// The silenced line kept so many samples back.
    Withhold(u16),
    /// It gives them out.
    Release,
    /// The line throws away what is sent next.
    Lose,
    /// A vendor's message of the epoch before.
    Late(u16),
    Finish,
    Commit {
        answered: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..4_usize).prop_map(Step::Grow),
        3 => (1..3000_u16).prop_map(Step::Push),
        6 => (1..400_u16).prop_map(Step::Play),
        1 => any::<bool>().prop_map(|answered| Step::Pause { answered }),
        2 => Just(Step::Resume),
        2 => Just(Step::Report),
        1 => Just(Step::Answer),
        1 => (1..600_u16).prop_map(Step::Withhold),
        1 => Just(Step::Release),
        1 => Just(Step::Lose),
        1 => (1..3000_u16).prop_map(Step::Late),
        1 => Just(Step::Finish),
        1 => any::<bool>().prop_map(|answered| Step::Commit { answered }),
    ];
    prop::collection::vec(step, 1..60)
}

/// Word lengths in samples: the voice's truth.
fn lengths() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(200..4000_u64, 1..12)
}

/// Samples in a millisecond.
const MS: u64 = RATE as u64 / 1000;

#[derive(Default)]
struct Line {
    /// From here on it kept back what was sent, or has a hole.
    kept: Option<u64>,
    hole: Option<u64>,
    /// Samples that were kept back, all together: so much later than sent what follows is played.
    delayed: u64,
}

/// It plays in real time what has arrived, and keeps what a pause left.
#[derive(Default)]
struct Player {
    latency: Duration,
    /// On its way: when it arrives, and how far it reaches then.
    way: VecDeque<(Time, u64)>,
    arrived: u64,
    head: u64,
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
    line: Line,
    player: Player,
    /// Where it fell silent, which it has not told yet.
    owed: Option<u64>,
    reported: bool,
    answered: bool,
    paused: bool,
    finished: bool,
    entry: Option<LedgerEntry>,
}

impl World {
    fn new(playback: Playback, lengths: &[u64], latency_ms: u64) -> Self {
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
            line: Line::default(),
            player: Player { latency: Duration::from_millis(latency_ms), ..Player::default() },
            owed: None,
            reported: false,
            answered: false,
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
            Step::Pause { answered } => self.pause(answered),
            Step::Resume => self.resume(),
            Step::Report => self.report(self.player.head),
            Step::Answer => {
                if let Some(offset) = self.owed.take() {
                    self.report(offset);
                }
            }
            Step::Withhold(samples) => self.withhold(samples.into()),
            Step::Release => self.release(),
            Step::Lose => self.lose(),
            Step::Late(samples) => self.late(u64::from(samples)),
            Step::Finish => self.finish(),
            Step::Commit { answered } => self.commit(answered),
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
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            if self.entry.is_some() {
                continue;
            }
            if !self.paused {
                self.sent = (self.sent + MS).min(self.pushed);
                self.player.way.push_back((self.now + self.player.latency, self.sent));
            }
            while let Some((_, reach)) = self.player.way.pop_front_if(|(at, _)| *at <= self.now) {
                self.player.arrived = self.player.arrived.max(reach);
            }
            if !self.paused {
                self.player.head = (self.player.head + MS).min(self.player.arrived);
            }
        }
        if !self.paused && self.entry.is_none() {
            self.ledger.carried(self.utterance, self.sent);
        }
    }

    fn report(&mut self, offset: u64) {
        self.reported |= self.entry.is_none();
        self.ledger.reported(self.now, self.utterance, offset);
    }

    fn pause(&mut self, answered: bool) {
        if !std::mem::replace(&mut self.paused, true) {
            self.silence(answered);
        }
    }

    /// The far end is told to be silent.
    fn silence(&mut self, answered: bool) {
        self.ledger.stopped(self.now, self.utterance);
        self.owed = Some(self.player.head);
        self.answered = if self.entry.is_none() { answered } else { self.answered };
        if answered {
            self.report(self.player.head);
        }
    }

    fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.give_out();
            self.ledger.resumed(self.now, self.utterance);
        }
    }

    /// What has not left for the far end, as far as `samples` reach. A paced line has nothing else.
    fn withhold(&mut self, samples: u64) {
        if !self.paused || self.line.kept.is_some() || self.entry.is_some() {
            return;
        }
        let from = self.sent.saturating_sub(samples);
        let from = if self.ledger.playback() == Playback::Paced { from } else { from.max(self.player.arrived) };
        self.line.kept = Some(from);
        self.line.delayed += self.sent - from;
        self.player.way.iter_mut().for_each(|(_, reach)| *reach = (*reach).min(from));
        self.ledger.withheld(self.utterance, from);
    }

    fn release(&mut self) {
        if self.line.kept.is_some() {
            self.give_out();
            self.ledger.released(self.utterance);
        }
    }

    fn give_out(&mut self) {
        if self.entry.is_none() && self.line.kept.take().is_some() {
            self.player.way.push_back((self.now + self.player.latency, self.sent));
        }
    }

    fn lose(&mut self) {
        if self.entry.is_none() {
            self.line.hole.get_or_insert(self.sent);
            self.ledger.lost(self.utterance, self.sent);
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

    /// A barge-in: the line is stopped. A line that was paused has been stopped before.
    fn commit(&mut self, answered: bool) {
        if self.entry.is_some() {
            return;
        }
        if !self.paused || answered {
            self.silence(answered);
        }
        self.entry = self.ledger.commit(self.now, self.utterance, self.sent, true);
    }

    /// What left the line without a hole.
    fn left(&self) -> u64 {
        [self.line.kept, self.line.hole].into_iter().flatten().fold(self.sent, u64::min)
    }

    /// What left a loudspeaker.
    fn played(&self) -> u64 {
        self.player.head.min(self.left())
    }

    /// Most that may be claimed. A far end that has fallen silent itself is taken to have played on in real time, as if nothing
    /// were on its way; of one that has never said a thing nothing is known but what left for it.
    fn most(&self) -> u64 {
        let on_its_way = u64::try_from(self.player.latency.as_millis()).unwrap() * MS + self.line.delayed;
        match (self.answered, self.reported) {
            (true, _) => self.played(),
            (false, true) => self.left().min(self.played() + on_its_way),
            (false, false) => self.left(),
        }
    }

    /// Words wholly before this point. Those that the voice had not placed by the commit cannot be known.
    fn words_before(&self, offset: u64) -> Vec<String> {
        let whole = |word: &&AlignedWord| word.end <= offset;
        let placed = if self.finished && offset == self.length() { self.words.len() } else { self.known };
        self.words[..placed].iter().filter(whole).map(|word| word.text.clone()).collect()
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
    world.commit(true);
    let context: Vec<String> = world.ledger.entries().iter().map(|entry| entry.heard.reveal().clone()).collect();
    context.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn a_paced_wire_heard_what_was_sent(steps in steps(), lengths in lengths()) {
        let mut world = World::new(Playback::Paced, &lengths, 0);
        let context = run(&mut world, &steps);
        prop_assert_eq!(context, world.words_before(world.left()));
    }

    #[test]
    fn a_reporting_wire_never_claims_a_word_too_many(
        steps in steps(), lengths in lengths(), latency_ms in 0..500_u64,
    ) {
        let mut world = World::new(Playback::Reported, &lengths, latency_ms);
        let context = run(&mut world, &steps);
        let most = world.words_before(world.most());
        prop_assert!(most.starts_with(&context), "{:?} of {:?}", context, most);
        prop_assert!(!world.answered || most.len() <= context.len() + 1, "{:?} of {:?}", context, most);
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
