use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const FRAME: usize = 160;

fn ramp(from: i16, len: i16) -> Arc<[i16]> {
    (from..from + len).collect()
}

fn next(queue: &mut PlayoutQueue) -> (Vec<i16>, Vec<Span>) {
    let (mut frame, mut spans) = (vec![99; FRAME], Vec::new());
    queue.next_frame(&mut frame, &mut spans);
    (frame, spans)
}

fn span(tag: u64, offset: u64, at: usize, len: usize, last: bool) -> Span {
    Span { tag: Tag(tag), offset, at, len, last }
}

#[test]
fn utterances_butt_within_a_frame() {
    let mut queue = PlayoutQueue::new(8_000);
    queue.push(Tag(1), ramp(1, 100)).unwrap();
    queue.finish(Tag(1));
    queue.push(Tag(2), ramp(1_001, 20)).unwrap();
    queue.finish(Tag(2));
    queue.finish(Tag(3));
    queue.push(Tag(4), ramp(2_001, 60)).unwrap();
    let (frame, spans) = next(&mut queue);
    assert_eq!(
        spans,
        [span(1, 0, 0, 100, true), span(2, 0, 100, 20, true), span(3, 0, 120, 0, true), span(4, 0, 120, 40, false)]
    );
    assert_eq!((frame[99], frame[100], frame[119], frame[120], frame[159]), (100, 1_001, 1_020, 2_001, 2_040));
    assert_eq!(queue.cursor(), Some((Tag(4), 40)));
}

#[test]
fn an_underrun_is_silence_and_no_end() {
    let mut queue = PlayoutQueue::new(8_000);
    queue.push(Tag(1), ramp(1, 200)).unwrap();
    next(&mut queue);
    let (frame, spans) = next(&mut queue);
    assert_eq!(spans, [span(1, 160, 0, 40, false)]);
    assert_eq!(frame[39..41], [200, 0]);
    assert!(!queue.has_next());
    assert_eq!(next(&mut queue), (vec![0; FRAME], vec![]));
    assert_eq!(queue.cursor(), Some((Tag(1), 200)));
    queue.push(Tag(1), ramp(201, 10)).unwrap();
    assert_eq!(next(&mut queue).1, [span(1, 200, 0, 10, false)]);
    queue.finish(Tag(1));
    assert!(queue.has_next());
    assert_eq!(next(&mut queue).1, [span(1, 210, 0, 0, true)]);
    assert_eq!(queue.cursor(), None);
}

#[test]
fn a_pause_silences_the_next_frame_and_resume_goes_on_at_the_same_sample() {
    let mut queue = PlayoutQueue::new(8_000);
    queue.push(Tag(1), vec![8_000; 480].into()).unwrap();
    next(&mut queue);
    queue.pause();
    assert_eq!(next(&mut queue), (vec![0; FRAME], vec![]));
    assert_eq!(queue.cursor(), Some((Tag(1), 160)));
    queue.resume();
    let (frame, spans) = next(&mut queue);
    assert_eq!(spans, [span(1, 160, 0, 160, false)]);
    assert!(frame[..16].is_sorted() && frame[0] < 600 && frame[15] < 8_000, "fades in over 2 ms: {:?}", &frame[..20]);
    assert!(frame[16..].iter().all(|&s| s == 8_000));
    assert_eq!(next(&mut queue).0, vec![8_000; FRAME]);
}

#[test]
fn clear_tells_what_had_gone_out_and_ends_the_pause() {
    let mut queue = PlayoutQueue::new(8_000);
    queue.push(Tag(1), ramp(1, 200)).unwrap();
    queue.push(Tag(2), ramp(1, 200)).unwrap();
    next(&mut queue);
    queue.pause();
    assert_eq!(queue.clear(), Some((Tag(1), 160)));
    assert_eq!(queue, PlayoutQueue::new(8_000));
    assert_eq!(queue.clear(), None);
}

#[test]
fn audio_behind_the_end_or_beyond_the_bound_is_refused() {
    let mut queue = PlayoutQueue::new(8_000);
    queue.push(Tag(1), ramp(1, 10)).unwrap();
    queue.finish(Tag(1));
    assert_eq!(queue.push(Tag(1), ramp(1, 10)), Err(PushError::Finished));
    let minute: Arc<[i16]> = vec![1; 480_000].into();
    for _ in 0..9 {
        queue.push(Tag(2), minute.clone()).unwrap();
    }
    assert_eq!(queue.push(Tag(2), minute.clone()), Err(PushError::Full));
    assert_eq!(queue.push(Tag(2), ramp(1, 1)), Err(PushError::Finished));
}

#[derive(Clone, Debug)]
enum Step {
    Push(u64, usize),
    Finish(u64),
    Pause,
    Resume,
    Clear,
    Frame,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..5, 0usize..400).prop_map(|(tag, len)| Step::Push(tag, len)),
        2 => (0u64..5).prop_map(Step::Finish),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::Clear),
        6 => Just(Step::Frame),
    ]
}

/// What the queue should hold, told apart by sample values: each sample names its utterance and its place in it.
#[derive(Default)]
struct Expected {
    pushed: BTreeMap<u64, usize>,
    finished: Vec<u64>,
    over: Vec<u64>,
    sent: BTreeMap<u64, u64>,
    order: Vec<u64>,
    paused: bool,
    /// After a clear the tags of later utterances are new ones, as a session's are.
    era: u64,
}

impl Expected {
    fn value(tag: u64, offset: usize) -> i16 {
        i16::try_from((tag * 7_919 + offset as u64 * 31) % 30_000 + 1).unwrap()
    }

    fn apply(&mut self, step: &Step, queue: &mut PlayoutQueue) -> Result<(), TestCaseError> {
        match *step {
            Step::Push(tag, len) => {
                let tag = self.era * 10 + tag;
                if self.over.contains(&tag) {
                    return Ok(());
                }
                let from = self.pushed.get(&tag).copied().unwrap_or(0);
                let samples = (from..from + len).map(|offset| Self::value(tag, offset)).collect();
                let pushed = queue.push(Tag(tag), samples);
                prop_assert_eq!(pushed.is_err(), self.finished.contains(&tag));
                if pushed.is_ok() {
                    self.pushed.insert(tag, from + len);
                }
            }
            Step::Finish(tag) => {
                let tag = self.era * 10 + tag;
                if !self.over.contains(&tag) {
                    queue.finish(Tag(tag));
                    self.finished.push(tag);
                }
            }
            Step::Pause => {
                queue.pause();
                self.paused = true;
            }
            Step::Resume => {
                queue.resume();
                self.paused = false;
            }
            Step::Clear => {
                let cursor = queue.clear();
                self.check_cursor(cursor)?;
                self.era += 1;
                self.paused = false;
            }
            Step::Frame => self.frame(queue)?,
        }
        Ok(())
    }

    fn check_cursor(&self, cursor: Option<(Tag, u64)>) -> Result<(), TestCaseError> {
        if let Some((Tag(tag), offset)) = cursor {
            prop_assert_eq!(Some(&offset), self.sent.get(&tag));
            prop_assert!(!self.over.contains(&tag));
        }
        Ok(())
    }

    fn frame(&mut self, queue: &mut PlayoutQueue) -> Result<(), TestCaseError> {
        let fading = queue.fade_left as usize;
        let (frame, spans) = next(queue);
        prop_assert!(!self.paused || spans.is_empty(), "nothing leaves during a pause");
        let mut at = 0;
        for span in &spans {
            let Tag(tag) = span.tag;
            prop_assert_eq!(tag / 10, self.era, "nothing leaves after a clear");
            prop_assert_eq!(span.at, at, "no gap between utterances");
            prop_assert!(!self.over.contains(&tag));
            let sent = self.sent.entry(tag).or_default();
            prop_assert_eq!(span.offset, *sent);
            for (i, &sample) in frame[at..at + span.len].iter().enumerate() {
                let expected = Self::value(tag, usize::try_from(*sent).unwrap() + i);
                prop_assert!(sample == expected || at + i < fading, "sample {} of {tag}", *sent + i as u64);
            }
            *sent += span.len as u64;
            at += span.len;
            if span.last {
                prop_assert_eq!(*sent, self.pushed.get(&tag).copied().unwrap_or(0) as u64);
                prop_assert!(self.finished.contains(&tag));
                self.over.push(tag);
            }
            if self.order.last() != Some(&tag) {
                prop_assert!(!self.order.contains(&tag), "an utterance is not torn");
                self.order.push(tag);
            }
        }
        prop_assert!(frame[at..].iter().all(|&s| s == 0), "the rest is silence");
        self.check_cursor(queue.cursor())
    }
}

proptest! {
    #[test]
    fn what_was_sent_is_what_the_cursor_says(steps in proptest::collection::vec(step(), 0..120)) {
        let mut queue = PlayoutQueue::new(8_000);
        let mut expected = Expected::default();
        for step in &steps {
            expected.apply(step, &mut queue)?;
            let json = serde_json::to_string(&queue).unwrap();
            prop_assert_eq!(&serde_json::from_str::<PlayoutQueue>(&json).unwrap(), &queue);
        }
    }
}
