//! The caller's side of an RTP leg: which packets are the caller's, and what is in them.

use std::net::SocketAddr;

use super::latch::Latch;
use super::{Codec, Direction, RtpRemote};
use crate::Time;
use crate::codec;
use crate::dtmf::{DtmfReceiver, Event};
use crate::jitter::{Inserted, InterarrivalJitter, JitterStats, ReceivePath};
use crate::rtp::{Admission, Header, Packet, Receiver, RtpError};

/// What a datagram turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival<'a> {
    /// Audio; `fresh` unless it was late, a duplicate or refused.
    Audio { header: Header, payload: &'a [u8], fresh: bool },
    /// A telephone event; a digit where it is the first packet of a press.
    Event(Option<char>),
    /// A packet of a source that has yet to prove itself.
    OnProbation,
    /// RTCP: not answered, not counted.
    Report,
    /// Not the caller's, or not what was agreed.
    Invalid,
}

#[derive(Debug)]
pub(super) struct Peer {
    remote: RtpRemote,
    latch: Latch,
    source: Receiver,
    digits: DtmfReceiver,
    path: ReceivePath,
    interarrival: InterarrivalJitter,
    /// Counts of paths before the codec changed.
    before: JitterStats,
}

impl Peer {
    pub(super) fn new(now: Time, remote: RtpRemote) -> Self {
        Self {
            remote,
            latch: Latch::new(now, remote.addr),
            source: Receiver::default(),
            digits: DtmfReceiver::default(),
            path: ReceivePath::new(remote.codec),
            interarrival: InterarrivalJitter::new(codec::RATE),
            before: JitterStats::default(),
        }
    }

    /// The signalled remote changed (a re-INVITE). A new address opens the latch, a new codec starts a new path.
    pub(super) fn redirect(&mut self, now: Time, mut remote: RtpRemote) {
        if remote.addr.ip().is_unspecified() {
            remote.addr = self.remote.addr;
        }
        if remote.addr != self.remote.addr {
            self.latch = self.latch.moved(now, remote.addr);
        }
        if remote.codec != self.remote.codec {
            self.before = self.stats();
            self.path = ReceivePath::new(remote.codec);
        }
        self.remote = remote;
    }

    pub(super) fn codec(&self) -> Codec {
        self.remote.codec
    }

    pub(super) fn direction(&self) -> Direction {
        self.remote.direction
    }

    /// Payload type of telephone events, if agreed.
    pub(super) fn dtmf(&self) -> Option<u8> {
        self.remote.dtmf
    }

    pub(super) fn target(&self) -> SocketAddr {
        self.latch.target()
    }

    pub(super) fn handle<'a>(&mut self, now: Time, from: SocketAddr, datagram: &'a [u8]) -> Arrival<'a> {
        if !self.latch.allows(now, from) {
            return Arrival::Invalid;
        }
        let Packet { header, payload } = match Packet::parse(datagram) {
            Ok(packet) => packet,
            Err(RtpError::Rtcp) => return Arrival::Report,
            Err(_) => return Arrival::Invalid,
        };
        let audio = header.payload_type == payload_type(self.remote.codec);
        let event = Event::parse(payload).filter(|_| Some(header.payload_type) == self.remote.dtmf);
        if payload.is_empty() || !audio && event.is_none() {
            return Arrival::Invalid;
        }
        self.latch.lock(from);
        match self.source.admit(&header) {
            Admission::Current => {}
            Admission::NewStream => {
                self.path.reset();
                self.digits = DtmfReceiver::default();
                self.interarrival = InterarrivalJitter::new(codec::RATE);
            }
            Admission::OnProbation => return Arrival::OnProbation,
        }
        match event {
            Some(event) => {
                self.path.insert_other(now, header.sequence, header.timestamp);
                Arrival::Event(self.digits.handle(header.marker, header.timestamp, event))
            }
            None => self.audio(now, header, payload),
        }
    }

    fn audio<'a>(&mut self, now: Time, header: Header, payload: &'a [u8]) -> Arrival<'a> {
        self.interarrival.observe(now, header.timestamp);
        let inserted = self.path.insert(now, header.sequence, header.timestamp, payload);
        let fresh = matches!(inserted, Inserted::Queued | Inserted::Restarted);
        Arrival::Audio { header, payload, fresh }
    }

    /// Appends the 20 ms that this slot plays; when its last sample reached us.
    pub(super) fn pull(&mut self, now: Time, out: &mut Vec<i16>) -> Time {
        let waited = self.path.buffer().delay(now).unwrap_or_default();
        self.path.pull(now, out);
        now - waited
    }

    pub(super) fn stats(&self) -> JitterStats {
        let (a, b) = (self.before, self.path.buffer().stats());
        JitterStats {
            lost: a.lost + b.lost,
            late: a.late + b.late,
            duplicate: a.duplicate + b.duplicate,
            refused: a.refused + b.refused,
            skipped: a.skipped + b.skipped,
            concealed: a.concealed + b.concealed,
            merged: a.merged + b.merged,
        }
    }

    /// Interarrival jitter, microseconds.
    pub(super) fn jitter_us(&self) -> u64 {
        u64::try_from(self.interarrival.duration().as_micros()).unwrap_or(u64::MAX)
    }
}

/// RFC 3551 section 6, table 4.
pub(super) fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
    }
}
