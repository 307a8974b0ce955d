//! The playout cursor: how much of an utterance was heard.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

/// What happens to agent audio at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Playback {
    /// It is played as it arrives (RTP): what the queue has sent was heard.
    Paced,
    /// It is buffered there, and the far end reports what it has played: the smaller of both counts. Silenced, it keeps
    /// what was left, and plays that first if the line goes on.
    Reported,
    /// It is text that the far end speaks itself, word by word, and it reports how far it was (in bytes of the text): that was
    /// heard, and nothing else. A ledger of this kind has no rate.
    Spoken,
}

/// The cursor of one utterance. Offsets in samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlayoutCursor {
    /// How far our queue is.
    server: u64,
    /// The silenced line kept back what is from here on.
    withheld: Option<u64>,
    /// The line has a hole from here on. The heard text is a beginning: it ends at the hole, whatever came behind it.
    lost: Option<u64>,
    /// The latest report while the line was on (or the start of playout, which is a report of zero).
    report: Option<Report>,
    stop: Option<Stop>,
    /// Whether the far end has ever reported.
    reports: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    at: Time,
    offset: u64,
}

/// The far end was told to be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stop {
    at: Time,
    /// The largest report since. A report that was on its way when we stopped is smaller than the answer to the stop.
    answer: Option<u64>,
}

impl PlayoutCursor {
    pub(super) fn started(&mut self, now: Time) {
        self.report.get_or_insert(Report { at: now, offset: 0 });
    }

    pub(super) fn carried(&mut self, offset: u64) {
        self.server = self.server.max(offset);
    }

    /// The queue's last word, which a pause may have taken back below an earlier progress.
    pub(super) fn ends_at(&mut self, offset: u64) {
        self.server = offset;
    }

    pub(super) fn reported(&mut self, now: Time, offset: u64) {
        self.reports = true;
        match &mut self.stop {
            Some(stop) => stop.answer = Some(stop.answer.unwrap_or(0).max(offset)),
            None => self.report = Some(Report { at: now, offset: offset.max(self.report.map_or(0, |old| old.offset)) }),
        }
    }

    pub(super) fn withheld(&mut self, offset: u64) {
        self.withheld = Some(self.withheld.map_or(offset, |before| before.min(offset)));
    }

    pub(super) fn released(&mut self) {
        self.withheld = None;
    }

    pub(super) fn lost(&mut self, offset: u64) {
        self.lost = Some(self.lost.map_or(offset, |before| before.min(offset)));
    }

    pub(super) fn stopped(&mut self, now: Time) {
        self.stop.get_or_insert(Stop { at: now, answer: None });
    }

    pub(super) fn resumed(&mut self, playback: Playback, rate: u32, now: Time) {
        let offset = self.heard(playback, rate, now);
        self.stop = None;
        self.withheld = None;
        self.report = Some(Report { at: now, offset });
    }

    /// What has left for the far end, without a hole.
    pub(super) fn sent(&self) -> u64 {
        [self.withheld, self.lost].into_iter().flatten().fold(self.server, u64::min)
    }

    pub(super) fn stopped_at(&self) -> Option<Time> {
        self.stop.map(|stop| stop.at)
    }

    /// Paced: what was sent. Reported: the smaller of what was sent and what was reported; silent since its last report,
    /// the far end is taken to have gone on in real time until it was stopped, but never beyond what was sent. A far
    /// end that has never reported is taken at our own word.
    /// Spoken: what was reported.
    pub(super) fn heard(&self, playback: Playback, rate: u32, now: Time) -> u64 {
        if playback == Playback::Spoken {
            return self.report.map_or(0, |report| report.offset).min(self.sent());
        }
        if playback == Playback::Paced || !self.reports {
            return self.sent();
        }
        if let Some(answer) = self.stop.and_then(|stop| stop.answer) {
            return answer.min(self.sent());
        }
        let until = self.stop.map_or(now, |stop| stop.at);
        let estimate = self.report.map_or(0, |report| report.offset + samples(until.since(report.at), rate));
        estimate.min(self.sent())
    }
}

fn samples(duration: Duration, rate: u32) -> u64 {
    u64::try_from(duration.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(u64::MAX)
}
