//! What a caller does, and what it measures: speaks, waits for the answer, interrupts every second one, and so on.

use std::collections::VecDeque;
use std::time::Duration;

use tandem_media::Time;

use super::player::{Played, Player, ms};

/// The agent has finished when nothing came, and nothing was played, for so long.
const QUIET: Duration = Duration::from_millis(600);
/// An agent that never finishes is spoken to all the same.
const QUIET_LIMIT: Duration = Duration::from_secs(15);
/// Who was to be interrupted and has been silent for so long has finished before.
const FINISHED: Duration = Duration::from_millis(300);

/// How callers talk.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Talk {
    /// Lines of each caller
    #[arg(long, default_value_t = 4)]
    pub turns: u32,
    /// Interrupt every so manieth answer; 0: none
    #[arg(long, default_value_t = 2)]
    pub barge_every: u32,
    /// After so much of the answer, ms
    #[arg(long, default_value_t = 1_200)]
    pub barge_after_ms: u64,
    /// An answer that takes longer is missed, ms
    #[arg(long, default_value_t = 8_000)]
    pub timeout_ms: u64,
    /// Callers begin to speak within so long of each other, ms
    #[arg(long, default_value_t = 6_000)]
    pub spread_ms: u64,
}

/// Figures of one or of many callers; times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Last frame of a line sent to first frame of the answer received, the wait for the end of the turn included. Without
    /// those whose line was spoken into an agent that spoke already.
    pub responses: Vec<f64>,
    /// The same for interruptions.
    pub after_barge_in: Vec<f64>,
    /// First frame of an interruption sent to `clear` received.
    pub clears: Vec<f64>,
    /// Interruptions, with and without a `clear` until their end.
    pub barge_ins: u64,
    /// Lines without an answer, and answers that were over before they could be interrupted.
    pub missed: u64,
    /// Lines that the agent spoke into.
    pub early: u64,
    pub marks: u64,
    pub played: Played,
    /// Of each frame of the callers: how late it left.
    pub sent_late: Vec<f64>,
    pub connected: Vec<f64>,
}

impl Heard {
    pub fn add(&mut self, other: Self) {
        self.responses.extend(other.responses);
        self.after_barge_in.extend(other.after_barge_in);
        self.clears.extend(other.clears);
        self.barge_ins += other.barge_ins;
        self.missed += other.missed;
        self.early += other.early;
        self.marks += other.marks;
        self.played.add(other.played);
        self.sent_late.extend(other.sent_late);
        self.connected.extend(other.connected);
    }
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Noise,
    /// Frame of a line.
    Line {
        line: usize,
        frame: usize,
    },
    /// Frame of an interruption.
    Interruption {
        line: usize,
        frame: usize,
    },
}

/// Lengths in frames of what there is to say; the same for all callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    pub lines: Vec<usize>,
    pub interruptions: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Doing {
    /// Until the others are there too.
    Waiting,
    /// Lets the agent finish, from then on.
    Quiet(Time),
    Speaking(Speech),
    Answer {
        since: Time,
        early: bool,
        interruption: bool,
    },
    /// Hears the answer, to interrupt it then.
    Listening(Time),
    Done,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Speech {
    interruption: bool,
    frame: usize,
    first: Time,
    early: bool,
    clear: Option<Time>,
}

/// One caller. It is told each frame that left and all that came.
pub struct Caller<'a> {
    talk: &'a Talk,
    lengths: &'a Lengths,
    /// The line that it begins with.
    offset: usize,
    turn: u32,
    doing: Doing,
    player: Player,
    /// Marks that come back when all before them is played. As many as the server sends in the seconds that it is ahead.
    marks: VecDeque<(Time, String)>,
    heard: Heard,
}

impl<'a> Caller<'a> {
    pub fn new(talk: &'a Talk, lengths: &'a Lengths, offset: usize) -> Self {
        let (player, heard) = (Player::default(), Heard::default());
        Self { talk, lengths, offset, turn: 0, doing: Doing::Waiting, player, marks: VecDeque::new(), heard }
    }

    pub fn is_waiting(&self) -> bool {
        self.doing == Doing::Waiting
    }

    /// Everybody is there: it may speak from then on.
    pub fn begin(&mut self, at: Time) {
        self.doing = Doing::Quiet(at);
    }

    pub fn is_done(&self) -> bool {
        self.doing == Doing::Done
    }

    /// Decides what the frame that leaves now carries.
    pub fn frame(&mut self, now: Time) -> Frame {
        match self.doing {
            Doing::Quiet(since) if now >= since && self.may_speak(now, since) => self.next_line(),
            Doing::Answer { since, .. } if now.since(since) > self.timeout() => self.miss(now),
            Doing::Listening(until) if now >= until => self.interrupt(now),
            _ => {}
        }
        self.speech()
    }

    fn may_speak(&self, now: Time, since: Time) -> bool {
        self.player.is_quiet(now, QUIET) || now.since(since) > QUIET_LIMIT
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.talk.timeout_ms)
    }

    fn speech(&self) -> Frame {
        let Doing::Speaking(Speech { interruption, frame, .. }) = self.doing else { return Frame::Noise };
        let line = self.line(interruption);
        if interruption { Frame::Interruption { line, frame } } else { Frame::Line { line, frame } }
    }

    fn line(&self, interruption: bool) -> usize {
        let of = if interruption { &self.lengths.interruptions } else { &self.lengths.lines };
        (self.offset + self.turn as usize) % of.len()
    }

    fn length(&self, interruption: bool) -> usize {
        let of = if interruption { &self.lengths.interruptions } else { &self.lengths.lines };
        of[self.line(interruption)]
    }

    fn next_line(&mut self) {
        self.doing = match self.turn < self.talk.turns {
            true => Doing::Speaking(Speech::default()),
            false => Doing::Done,
        };
    }

    fn miss(&mut self, now: Time) {
        self.heard.missed += 1;
        self.next_turn(now);
    }

    fn next_turn(&mut self, now: Time) {
        self.turn += 1;
        self.doing = Doing::Quiet(now);
    }

    fn interrupt(&mut self, now: Time) {
        if self.player.is_quiet(now, FINISHED) {
            return self.miss(now);
        }
        self.doing = Doing::Speaking(Speech { interruption: true, ..Speech::default() });
    }

    /// A frame that was due at `due` has left.
    pub fn sent(&mut self, now: Time, due: Time) {
        if !self.is_waiting() {
            self.heard.sent_late.push(ms(now.since(due)));
        }
        let Doing::Speaking(speech) = &mut self.doing else { return };
        if speech.frame == 0 {
            speech.first = now;
        }
        speech.frame += 1;
        let speech = speech.clone();
        if speech.frame == self.length(speech.interruption) {
            self.spoken(now, &speech);
        }
    }

    fn spoken(&mut self, now: Time, speech: &Speech) {
        if speech.interruption {
            self.heard.barge_ins += 1;
            self.heard.clears.extend(speech.clear.map(|clear| ms(clear.since(speech.first))));
        }
        self.doing = Doing::Answer { since: now, early: speech.early, interruption: speech.interruption };
    }

    /// Agent audio came: mu-law.
    pub fn received(&mut self, now: Time, audio: &[u8]) {
        if audio.iter().all(|code| matches!(code, 0xff | 0x7f)) {
            // Digital silence is no agent that speaks.
            return;
        }
        self.player.received(now, Duration::from_micros(audio.len() as u64 * 125));
        match &mut self.doing {
            Doing::Speaking(speech) if speech.frame > 0 => speech.early |= !speech.interruption,
            Doing::Answer { since, early, interruption } => {
                let (response, early, interruption) = (ms(now.since(*since)), *early, *interruption);
                self.answered(now, response, early, interruption);
            }
            _ => {}
        }
    }

    fn answered(&mut self, now: Time, response: f64, early: bool, interruption: bool) {
        if interruption {
            self.heard.after_barge_in.push(response);
            return self.next_turn(now);
        }
        self.heard.early += u64::from(early);
        if !early {
            self.heard.responses.push(response);
        }
        let every = self.talk.barge_every;
        if every > 0 && (self.turn + 1).is_multiple_of(every) {
            self.doing = Doing::Listening(now + Duration::from_millis(self.talk.barge_after_ms));
        } else {
            self.next_turn(now);
        }
    }

    /// The server wants what was not played thrown away; the marks of that come back at once.
    pub fn cleared(&mut self, now: Time) {
        self.player.cleared(now);
        for (due, _) in &mut self.marks {
            *due = now.min(*due);
        }
        if let Doing::Speaking(speech) = &mut self.doing
            && speech.frame > 0
        {
            speech.clear.get_or_insert(now);
        }
    }

    /// The server wants to know when all that it sent is played.
    pub fn marked(&mut self, now: Time, name: String) {
        self.heard.marks += 1;
        self.marks.push_back((self.player.ends().max(now), name));
    }

    /// When the next mark goes back.
    pub fn timeout_of_marks(&self) -> Option<Time> {
        self.marks.front().map(|(due, _)| *due)
    }

    pub fn poll_mark(&mut self, now: Time) -> Option<String> {
        self.marks.pop_front_if(|(due, _)| *due <= now).map(|(_, name)| name)
    }

    pub fn finish(self) -> Heard {
        Heard { played: self.player.figures, ..self.heard }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const AGENT: [u8; 160] = [0x20; 160];
    /// Frames of each line, and of each interruption.
    const SAYS: (usize, usize) = (50, 100);

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        talk: Talk,
    }

    /// What the agent does in these frames of 20 ms, counted from the caller's first: from, and until before.
    #[derive(Default)]
    struct Agent {
        speaks: Vec<(u64, u64)>,
        clears: Vec<u64>,
    }

    /// Holds a call until the caller is done; says when it was, and how many frames were speech.
    fn hold(flags: &[&str], agent: &Agent) -> (Heard, u64, usize) {
        let talk = Cli::parse_from(["x"].iter().chain(flags)).talk;
        let lengths = Lengths { lines: vec![SAYS.0; 2], interruptions: vec![SAYS.1; 2] };
        let mut caller = Caller::new(&talk, &lengths, 1);
        caller.begin(Time::ZERO);
        let mut said = 0;
        for number in 1..10_000 {
            let now = Time::from_millis(number * 20);
            said += usize::from(caller.frame(now) != Frame::Noise);
            caller.sent(now, now);
            let between = now + Duration::from_millis(5);
            if agent.speaks.iter().any(|span| (span.0..span.1).contains(&number)) {
                caller.received(between, &AGENT);
            }
            if agent.clears.contains(&number) {
                caller.cleared(between);
            }
            if caller.is_done() {
                return (caller.finish(), number, said);
            }
        }
        panic!("never done");
    }

    /// Line in frames 1 to 50; the answer from 80 on; at 140 an interruption of 100 frames; the answer to it from 270 on.
    #[test]
    fn turns_and_interruptions_are_counted_once() {
        let agent = Agent { speaks: vec![(80, 150), (270, 300)], clears: vec![152] };
        let (heard, _, said) = hold(&["--turns", "1", "--barge-every", "1", "--spread-ms", "0"], &agent);
        assert_eq!((heard.responses, heard.after_barge_in), (vec![605.0], vec![605.0]));
        assert_eq!((heard.clears, heard.barge_ins), (vec![225.0], 1));
        assert_eq!((heard.missed, heard.early, heard.played.gaps), (0, 0, 0));
        assert_eq!(said, SAYS.0 + SAYS.1);
    }

    #[test]
    fn an_interruption_without_clear_is_told_as_one() {
        let agent = Agent { speaks: vec![(80, 400)], clears: vec![270] };
        let (heard, ..) = hold(&["--turns", "1", "--barge-every", "1"], &agent);
        assert_eq!((heard.clears.len(), heard.barge_ins), (0, 1), "it came after the interruption's end");
    }

    #[test]
    fn silence_is_missed_after_its_time() {
        let (heard, done, _) = hold(&["--turns", "2", "--timeout-ms", "1000"], &Agent::default());
        assert_eq!((heard.missed, heard.responses.len()), (2, 0));
        assert!((200..300).contains(&done), "{done}");
    }

    #[test]
    fn an_answer_that_is_over_cannot_be_interrupted() {
        let agent = Agent { speaks: vec![(80, 90)], clears: Vec::new() };
        let (heard, ..) = hold(&["--turns", "1", "--barge-every", "1"], &agent);
        assert_eq!((heard.responses.len(), heard.barge_ins, heard.missed), (1, 0, 1));
    }

    #[test]
    fn an_agent_that_speaks_into_the_line_is_early_and_no_response() {
        let agent = Agent { speaks: vec![(20, 80)], clears: Vec::new() };
        let (heard, ..) = hold(&["--turns", "1"], &agent);
        assert_eq!((heard.early, heard.responses.len(), heard.missed), (1, 0, 0));
    }

    #[test]
    fn digital_silence_is_no_answer() {
        let (talk, lengths) = (Cli::parse_from(["x"]).talk, Lengths { lines: vec![1], interruptions: vec![1] });
        let mut caller = Caller::new(&talk, &lengths, 0);
        caller.received(Time::ZERO, &[0xff; 160]);
        assert_eq!(caller.finish().played, Played::default());
    }

    #[test]
    fn marks_come_back_when_all_before_them_is_played_or_thrown_away() {
        let (talk, lengths) = (Cli::parse_from(["x"]).talk, Lengths { lines: vec![1], interruptions: vec![1] });
        let mut caller = Caller::new(&talk, &lengths, 0);
        let at = Time::from_millis;
        caller.received(at(0), &AGENT);
        caller.marked(at(1), "a".to_owned());
        caller.received(at(2), &AGENT);
        caller.marked(at(3), "b".to_owned());
        assert_eq!((caller.timeout_of_marks(), caller.poll_mark(at(19))), (Some(at(20)), None));
        assert_eq!(caller.poll_mark(at(20)).as_deref(), Some("a"));
        caller.cleared(at(25));
        assert_eq!(caller.poll_mark(at(25)).as_deref(), Some("b"));
        caller.marked(at(30), "c".to_owned());
        assert_eq!(caller.poll_mark(at(30)).as_deref(), Some("c"), "nothing is left to play");
    }
}
