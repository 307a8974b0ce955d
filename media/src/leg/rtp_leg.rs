//! A telephone leg: RTP in, RTP out, a packet every 20 ms.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::warn;

use super::echo::Echo;
use super::inactivity::Inactivity;
use super::listening::Listening;
use super::peer::{Arrival, Peer, payload_type};
use super::speaking::Speaking;
use super::{Direction, Effects, LegId, LegStats, MediaCommand, MediaEvent, RtpRemote, VadSettings};
use crate::Time;
use crate::codec;
use crate::dtmf::DtmfSender;
use crate::resample::ResampleError;
use crate::rtp::{Identity, Sender};

/// Ticks of the RTP clock in a slot: 20 ms at 8 kHz, for G.711 and telephone events alike.
const SLOT_TICKS: u16 = 160;

/// What a telephone leg is to be.
#[derive(Clone, Copy, Debug)]
pub struct RtpLegSetup {
    pub identity: Identity,
    pub remote: Option<RtpRemote>,
    pub vad: Option<VadSettings>,
    pub inactivity: Option<Duration>,
}

/// The audio half of a leg whose wire is RTP. Packets go out in every slot from the moment the remote is known, silence
/// included: it keeps address translators open and the caller's player running. On hold (RFC 3264 section 8.4) nothing goes
/// out, and what is queued waits.
#[derive(Debug)]
pub struct RtpLeg {
    id: LegId,
    peer: Option<Peer>,
    sender: Sender,
    speaking: Speaking,
    listening: Listening,
    digits: DtmfSender,
    echo: Echo,
    inactivity: Inactivity,
    stats: LegStats,
    /// The last packet was silence: the next audio begins a talkspurt.
    silent: bool,
    /// The session was told that we are on hold.
    held: bool,
    heard: Vec<i16>,
}

impl RtpLeg {
    /// # Errors
    /// When the voice detector cannot be made.
    pub fn new(id: LegId, now: Time, setup: &RtpLegSetup) -> Result<Self, ResampleError> {
        Ok(Self {
            id,
            peer: setup.remote.map(|remote| Peer::new(now, remote)),
            sender: Sender::new(setup.identity),
            speaking: Speaking::new(id, codec::RATE),
            listening: Listening::new(codec::RATE, setup.vad)?,
            digits: DtmfSender::default(),
            echo: Echo::Off,
            inactivity: Inactivity::new(now, setup.inactivity),
            stats: LegStats::default(),
            silent: true,
            held: false,
            heard: Vec::new(),
        })
    }

    /// A datagram arrived on the leg's socket.
    pub fn handle_packet(&mut self, now: Time, from: SocketAddr, datagram: &[u8], effects: &mut Effects) {
        let Some(peer) = &mut self.peer else {
            self.stats.packets_invalid += 1;
            return;
        };
        let arrival = peer.handle(now, from, datagram);
        match arrival {
            Arrival::Report => return,
            Arrival::Invalid => {
                self.stats.packets_invalid += 1;
                return;
            }
            Arrival::Audio { .. } | Arrival::Event(_) | Arrival::OnProbation => {
                self.stats.packets_received += 1;
                self.inactivity.packet(now);
            }
        }
        match arrival {
            Arrival::Audio { header, payload, fresh: true } if !self.is_held() && !self.speaking.has_floor() => {
                let ticks = u32::try_from(payload.len()).unwrap_or(0);
                if let Some((marker, timestamp)) = self.echo.packet(&header, ticks, &mut self.sender) {
                    self.transmit(header.payload_type, marker, timestamp, payload, effects);
                }
            }
            Arrival::Event(Some(digit)) => effects.event(self.id, MediaEvent::Dtmf { at: now, digit }),
            _ => {}
        }
    }

    /// A command of the session.
    pub fn handle_command(&mut self, now: Time, command: MediaCommand, effects: &mut Effects) {
        match command {
            MediaCommand::Capture { id } => self.listening.capture(self.id, now, id, effects),
            MediaCommand::StopCapture => self.listening.stop_capture(self.id, now, effects),
            MediaCommand::Push { tag, samples } => self.speaking.push(tag, samples),
            MediaCommand::Finish { tag } => self.speaking.finish(tag),
            MediaCommand::Pause => self.speaking.pause(),
            MediaCommand::Resume => self.speaking.resume(),
            MediaCommand::Clear => self.speaking.clear(),
            MediaCommand::Loop { on } => self.echo.switch(on),
            MediaCommand::Remote(remote) => self.redirect(now, remote),
            MediaCommand::Dtmf { digit } => self.press(digit),
            MediaCommand::Close => {}
        }
    }

    fn redirect(&mut self, now: Time, remote: RtpRemote) {
        // Who signals lives, and packets that were not due were not missed.
        self.inactivity.packet(now);
        match &mut self.peer {
            Some(peer) => peer.redirect(now, remote),
            None => self.peer = Some(Peer::new(now, remote)),
        }
    }

    fn direction(&self) -> Direction {
        self.peer.as_ref().map_or(Direction::SendRecv, Peer::direction)
    }

    /// We may not send.
    fn is_held(&self) -> bool {
        !self.direction().sends()
    }

    fn tell_hold(&mut self, now: Time, effects: &mut Effects) {
        let on = self.is_held();
        if on != self.held {
            self.held = on;
            effects.event(self.id, MediaEvent::Held { at: now, on });
        }
    }

    fn press(&mut self, digit: char) {
        if let Err(error) = self.digits.press(digit) {
            warn!(leg = self.id.0, %error, "digit not sent");
        }
    }

    /// The leg's slot: one packet out, 20 ms of the caller in.
    pub fn slot(&mut self, now: Time, late: bool, effects: &mut Effects) {
        self.speaking.answer(now, effects);
        self.tell_hold(now, effects);
        if self.held {
            self.stay_silent();
        } else {
            self.send(now, effects);
            self.stats.playout_late += u64::from(late && self.peer.is_some());
        }
        self.listen(now, effects);
        // A telephone on hold or muted may well send nothing; only one that does both is missed.
        if self.direction() == Direction::SendRecv && self.inactivity.is_over(now) {
            effects.event(self.id, MediaEvent::Inactive { at: now });
        }
    }

    /// Slots passed in which the worker did not run: their packets never left, the clock went on.
    pub fn skip(&mut self, slots: u32) {
        self.sender.advance(slots.saturating_mul(SLOT_TICKS.into()));
        self.stats.playout_late += u64::from(slots);
    }

    /// A slot on hold: the clock goes on, and what comes after begins a talkspurt.
    fn stay_silent(&mut self) {
        self.echo.interrupt();
        self.sender.advance(SLOT_TICKS.into());
        self.silent = true;
    }

    fn send(&mut self, now: Time, effects: &mut Effects) {
        let Some(peer) = &self.peer else { return };
        let timestamp = self.sender.timestamp();
        if let Some(payload_type) = peer.dtmf()
            && let Some(event) = self.digits.next_packet(timestamp, SLOT_TICKS)
        {
            self.echo.interrupt();
            self.transmit(payload_type, event.marker, event.timestamp, &event.payload, effects);
            self.sender.advance(SLOT_TICKS.into());
        } else if self.speaking.has_floor() {
            self.echo.interrupt();
            self.send_frame(now, effects);
        } else if self.echo.slot(SLOT_TICKS.into(), &mut self.sender) {
            self.send_frame(now, effects);
        }
    }

    /// Sends what the playout queue has, or silence.
    fn send_frame(&mut self, now: Time, effects: &mut Effects) {
        let Some(peer) = &self.peer else { return };
        let (codec, to, timestamp) = (peer.codec(), peer.target(), self.sender.timestamp());
        let (frame, spans) = self.speaking.next_frame(now, effects);
        let silent = spans.iter().all(|span| span.len == 0);
        let marker = self.silent && !silent;
        let sender = &mut self.sender;
        effects.transmit(self.id, to, |out| {
            sender.write(payload_type(codec), marker, timestamp, out);
            if silent {
                out.resize(out.len() + frame.len(), codec::silence(codec));
            } else {
                codec::encode(codec, frame, out);
            }
        });
        self.sender.advance(SLOT_TICKS.into());
        self.silent = silent;
        self.stats.packets_sent += 1;
    }

    fn transmit(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8], effects: &mut Effects) {
        let Some(to) = self.peer.as_ref().map(Peer::target) else { return };
        let sender = &mut self.sender;
        effects.transmit(self.id, to, |out| {
            sender.write(payload_type, marker, timestamp, out);
            out.extend_from_slice(payload);
        });
        self.silent = true;
        self.stats.packets_sent += 1;
    }

    fn listen(&mut self, now: Time, effects: &mut Effects) {
        let Some(peer) = &mut self.peer else { return };
        self.heard.clear();
        let captured = peer.pull(now, &mut self.heard);
        if self.held {
            // Music on hold is not the caller.
            self.heard.fill(0);
        }
        if !self.echo.is_on() {
            self.listening.hear(self.id, now, captured, &self.heard, effects);
        }
    }

    /// The leg's end: no slot follows, so what was commanded right before is answered now.
    pub fn close(&mut self, now: Time, effects: &mut Effects) -> LegStats {
        self.speaking.answer(now, effects);
        self.stats()
    }

    /// What was counted so far.
    pub fn stats(&self) -> LegStats {
        let Some(peer) = &self.peer else { return self.stats.clone() };
        let path = peer.stats();
        LegStats {
            codec: peer.codec().as_str().into(),
            packets_lost: path.lost + path.skipped,
            packets_late: path.late,
            packets_duplicate: path.duplicate,
            packets_invalid: self.stats.packets_invalid + path.refused,
            jitter_us: peer.jitter_us(),
            ..self.stats.clone()
        }
    }
}
