//! The heard-truth ledger: the ordered record of what was said and of what was heard (design section 5). A pure core.
//!
//! The playout queue is the only authority. An agent utterance is open from the moment its text exists until it is
//! committed; its alignment may grow all that time. A commit reads how far the line had carried it and keeps the words
//! that lie wholly before that point. Nothing that arrives later changes a committed line: neither more alignment, nor
//! more reports, nor messages of an older epoch.
//!
//! What the model is told, what the transcript shows and what the page strikes out are all these lines.

mod alignment;
mod cursor;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tandem_contract::event::WordSpan;
use tandem_contract::record::{LedgerEntry, Speaker};
use tandem_contract::{Epoch, Private, UtteranceId};
use tandem_media::Time;
use tandem_speech::AlignedWord;

use alignment::Alignment;
pub use cursor::Playback;
use cursor::PlayoutCursor;

/// Most lines of a session, and most text in them: six hours of lively conversation. A page that writes day and night must
/// not eat the memory of the node. The turns of a record are no more than the agent's lines.
const LINES_MAX: usize = 4_000;
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// JSON of a line beside its texts, bytes, about.
const LINE_BYTES: usize = 160;

/// The ledger of one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    playback: Playback,
    /// Hz of every offset; zero for chat.
    rate: u32,
    /// Number of the utterance begun last.
    last: u32,
    /// In the order in which the utterances began.
    entries: Vec<LedgerEntry>,
    /// Bytes of text in the entries.
    text: usize,
    /// Agent utterances that are not committed yet, oldest first.
    open: Vec<OpenUtterance>,
}

/// What an agent utterance is before its commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OpenUtterance {
    utterance: UtteranceId,
    epoch: Epoch,
    text: Private<String>,
    at_ms: u64,
    alignment: Alignment,
    cursor: PlayoutCursor,
}

impl Ledger {
    /// `rate` in Hz, of all offsets; zero for a conversation without audio.
    pub fn new(playback: Playback, rate: u32) -> Self {
        Self { playback, rate, last: 0, entries: Vec::new(), text: 0, open: Vec::new() }
    }

    pub fn playback(&self) -> Playback {
        self.playback
    }

    /// The committed lines, in the order in which their utterances began: this is the model's context.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// Whether it is as long as a ledger may be. More lines are still taken: a goodbye is one.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= LINES_MAX || self.text >= TEXT_BYTES_MAX
    }

    /// Bytes of JSON, about. Said and heard are written both.
    pub fn size(&self) -> usize {
        self.entries.len() * LINE_BYTES + 2 * self.text
    }

    /// An agent utterance begins: its text goes to the voice. `at_ms` is milliseconds since the session began.
    pub fn open(&mut self, epoch: Epoch, text: &str, at_ms: u64) -> UtteranceId {
        let utterance = self.number();
        let (mut alignment, mut cursor) = (Alignment::default(), PlayoutCursor::default());
        if self.playback == Playback::Spoken {
            alignment = Alignment::of_text(text);
            cursor.carried(alignment.pushed());
        }
        let text = Private::new(text.to_owned());
        self.open.push(OpenUtterance { utterance, epoch, text, at_ms, alignment, cursor });
        utterance
    }

    /// Whether the utterance is still to be committed.
    pub fn is_open(&self, utterance: UtteranceId) -> bool {
        self.open.iter().any(|open| open.utterance == utterance)
    }

    /// The voice says where more words sit. False: the utterance is committed, gone, or of another epoch.
    pub fn grow(&mut self, epoch: Epoch, utterance: UtteranceId, words: Vec<AlignedWord>) -> bool {
        self.of_epoch(epoch, utterance).map(|open| open.alignment.grow(words)).is_some()
    }

    /// More samples of it were queued for the line. False as for [`Ledger::grow`].
    pub fn push(&mut self, epoch: Epoch, utterance: UtteranceId, samples: u64) -> bool {
        self.of_epoch(epoch, utterance).map(|open| open.alignment.push(samples)).is_some()
    }

    /// No more samples will come. `whole`: the voice said all of the text, so that what is not aligned lies within them.
    pub fn finish_audio(&mut self, epoch: Epoch, utterance: UtteranceId, whole: bool) -> bool {
        self.of_epoch(epoch, utterance).map(|open| open.alignment.finish(whole)).is_some()
    }

    /// Its first sample went out.
    pub fn started(&mut self, now: Time, utterance: UtteranceId, at_ms: u64) {
        if let Some(open) = self.find(utterance) {
            open.at_ms = at_ms;
            open.cursor.started(now);
        }
    }

    /// So many samples of it have gone out.
    pub fn carried(&mut self, utterance: UtteranceId, offset: u64) {
        if let Some(open) = self.find(utterance) {
            open.cursor.carried(offset);
        }
    }

    /// The far end says that it has played so many samples (spoken: bytes) of it. Ignored on a wire that plays what it gets at once.
    pub fn reported(&mut self, now: Time, utterance: UtteranceId, offset: u64) {
        if let Some(open) = self.find(utterance) {
            open.cursor.reported(now, offset);
        }
    }

    /// The line kept it from `offset` on back, though the queue had sent it. Void once the line goes on.
    pub fn withheld(&mut self, utterance: UtteranceId, offset: u64) {
        if let Some(open) = self.find(utterance) {
            open.cursor.withheld(offset);
        }
    }

    /// The line gives out what it had kept: a frame behind a short pause may have been taken for one that came too late.
    pub fn released(&mut self, utterance: UtteranceId) {
        if let Some(open) = self.find(utterance) {
            open.cursor.released();
        }
    }

    /// The line threw it away from `offset` on: nothing behind that counts any more.
    pub fn lost(&mut self, utterance: UtteranceId, offset: u64) {
        if let Some(open) = self.find(utterance) {
            open.cursor.lost(offset);
        }
    }

    /// The line went silent on purpose: a pause, a barge-in. The far end was told to be silent too.
    pub fn stopped(&mut self, now: Time, utterance: UtteranceId) {
        if let Some(open) = self.find(utterance) {
            open.cursor.stopped(now);
        }
    }

    /// The line goes on where the queue had stopped, and the far end where it fell silent.
    pub fn resumed(&mut self, now: Time, utterance: UtteranceId) {
        let (playback, rate) = (self.playback, self.rate);
        if let Some(open) = self.find(utterance) {
            open.cursor.resumed(playback, rate, now);
        }
    }

    /// How much of it was heard by now, in samples.
    pub fn cursor(&self, now: Time, utterance: UtteranceId) -> Option<u64> {
        let open = self.look(utterance)?;
        Some(open.cursor.heard(self.playback, self.rate, now))
    }

    /// How much of it the line has carried.
    pub fn sent(&self, utterance: UtteranceId) -> Option<u64> {
        self.look(utterance).map(|open| open.cursor.sent())
    }

    /// Since when the far end is to be silent; none while it plays.
    pub fn stopped_at(&self, utterance: UtteranceId) -> Option<Time> {
        self.look(utterance)?.cursor.stopped_at()
    }

    /// What the voice was given to say.
    pub fn text(&self, utterance: UtteranceId) -> Option<Private<String>> {
        self.look(utterance).map(|open| open.text.clone())
    }

    /// What the voice has left unsaid of an utterance that it has begun. None: nothing.
    pub fn unspoken(&self, utterance: UtteranceId) -> Option<String> {
        let open = self.look(utterance).filter(|open| open.alignment.pushed() > 0)?;
        let rest = open.alignment.unspoken(open.text.reveal(), self.rate);
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    /// Where its words sit as far as is known, for those who show them.
    pub fn words(&self, utterance: UtteranceId) -> Vec<WordSpan> {
        let Some(open) = self.look(utterance) else { return Vec::new() };
        let words = open.alignment.words(open.text.reveal(), self.rate);
        words.into_iter().map(|word| WordSpan { text: word.text.into(), start: word.start, end: word.end }).collect()
    }

    /// The utterance is over; the line has carried `offset` samples of it. Writes its line and returns it.
    /// None: it was committed before, or never begun.
    pub fn commit(&mut self, now: Time, utterance: UtteranceId, offset: u64, interrupted: bool) -> Option<LedgerEntry> {
        let mut open = self.take(utterance)?;
        open.cursor.ends_at(offset.min(open.alignment.pushed()));
        let samples = open.cursor.heard(self.playback, self.rate, now);
        let heard = open.alignment.heard(open.text.reveal(), self.rate, samples);
        Some(self.write(LedgerEntry {
            utterance,
            epoch: open.epoch,
            speaker: Speaker::Agent,
            at_ms: open.at_ms,
            heard: heard.into(),
            text: open.text,
            heard_samples: if self.playback == Playback::Spoken { 0 } else { samples },
            rate: self.rate,
            interrupted,
        }))
    }

    /// A text utterance was handed over (chat): all of it counts as heard.
    pub fn deliver(&mut self, utterance: UtteranceId) -> Option<LedgerEntry> {
        let open = self.take(utterance)?;
        Some(self.write(LedgerEntry {
            utterance,
            epoch: open.epoch,
            speaker: Speaker::Agent,
            at_ms: open.at_ms,
            heard: open.text.clone(),
            text: open.text,
            heard_samples: 0,
            rate: 0,
            interrupted: false,
        }))
    }

    /// Nothing of it was ever played: it leaves no trace.
    pub fn discard(&mut self, utterance: UtteranceId) {
        self.open.retain(|open| open.utterance != utterance);
    }

    /// What the caller said, pressed or wrote, as it was understood.
    pub fn caller(&mut self, epoch: Epoch, text: Private<String>, at_ms: u64) -> LedgerEntry {
        let utterance = self.number();
        self.write(LedgerEntry {
            utterance,
            epoch,
            speaker: Speaker::Caller,
            at_ms,
            heard: text.clone(),
            text,
            heard_samples: 0,
            rate: 0,
            interrupted: false,
        })
    }

    fn number(&mut self) -> UtteranceId {
        self.last += 1;
        UtteranceId(self.last)
    }

    fn look(&self, utterance: UtteranceId) -> Option<&OpenUtterance> {
        self.open.iter().find(|open| open.utterance == utterance)
    }

    fn find(&mut self, utterance: UtteranceId) -> Option<&mut OpenUtterance> {
        self.open.iter_mut().find(|open| open.utterance == utterance)
    }

    fn of_epoch(&mut self, epoch: Epoch, utterance: UtteranceId) -> Option<&mut OpenUtterance> {
        self.find(utterance).filter(|open| open.epoch == epoch)
    }

    fn take(&mut self, utterance: UtteranceId) -> Option<OpenUtterance> {
        let at = self.open.iter().position(|open| open.utterance == utterance)?;
        Some(self.open.remove(at))
    }

    /// A line whose utterance began earlier goes before later ones, however late its end was known.
    fn write(&mut self, entry: LedgerEntry) -> LedgerEntry {
        let at = self.entries.partition_point(|other| other.utterance < entry.utterance);
        self.text += entry.text.reveal().len();
        self.entries.insert(at, entry.clone());
        entry
    }
}
