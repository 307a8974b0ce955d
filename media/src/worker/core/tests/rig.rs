//! Two workers in virtual time with a seeded network between them: leg n of one is wired to leg n of the other.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::Time;
use crate::codec;
use crate::emulator::{Conditions, Emulator};
use crate::leg::{CaptureId, Codec, Direction, Effect, LegId, MediaCommand, MediaEvent, RtpLegSetup, RtpRemote, Tag};
use crate::rtp::{Header, Identity, Packet, Ssrc};
use crate::worker::core::{LegInput, WorkerCore};

/// Payload type of telephone events in these tests.
pub(super) const EVENTS: u8 = 101;

pub(super) const SILENCE: u8 = codec::silence(Codec::Pcma);

/// A tone without digital silence in it: every sample is told from silence on the wire.
pub(super) fn tone(len: usize) -> Arc<[i16]> {
    (0..len).map(|n| if n % 16 < 8 { 4_000 + n as i16 % 777 } else { -4_000 - n as i16 % 555 }).collect()
}

/// What the codec makes of it.
pub(super) fn coded(samples: &[i16]) -> (Vec<u8>, Vec<i16>) {
    let (mut octets, mut back) = (Vec::new(), Vec::new());
    codec::encode(Codec::Pcma, samples, &mut octets);
    codec::decode(Codec::Pcma, &octets, &mut back);
    (octets, back)
}

pub(super) fn audible(sent: &[Sent]) -> Vec<u8> {
    let audio = sent.iter().filter(|packet| packet.header.payload_type != EVENTS);
    audio.flat_map(|packet| packet.payload.iter().copied()).filter(|&octet| octet != SILENCE).collect()
}

pub(super) fn play(rig: &mut Rig, tag: u64, samples: Arc<[i16]>) {
    rig.agent.command(LegId(0), MediaCommand::Push { tag: Tag(tag), samples });
    rig.agent.command(LegId(0), MediaCommand::Finish { tag: Tag(tag) });
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A packet that left, as it was on the wire.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Time,
    pub(super) leg: LegId,
    pub(super) to: SocketAddr,
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

/// One worker, and all that it did.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) core: WorkerCore,
    pub(super) commands: VecDeque<(LegId, MediaCommand)>,
    pub(super) events: Vec<(LegId, MediaEvent)>,
    pub(super) sent: Vec<Sent>,
}

impl Side {
    /// Runs the slots that are due. The datagrams that left.
    pub(super) fn run(&mut self, now: Time) -> Vec<(LegId, Vec<u8>)> {
        let commands = &mut self.commands;
        while self.core.poll(now, |leg| {
            let at = commands.iter().position(|(of, _)| *of == leg)?;
            commands.remove(at).map(|(_, command)| LegInput::Command(command))
        }) {}
        self.drain(now)
    }

    pub(super) fn drain(&mut self, now: Time) -> Vec<(LegId, Vec<u8>)> {
        let mut left = Vec::new();
        while let Some(effect) = self.core.effects().pop() {
            match effect {
                Effect::Transmit { leg, to, datagram } => {
                    let octets = self.core.effects().octets(&datagram).to_vec();
                    let Packet { header, payload } = Packet::parse(&octets).unwrap();
                    self.sent.push(Sent { at: now, leg, to, header, payload: payload.to_vec() });
                    left.push((leg, octets));
                }
                Effect::Event { leg, event } => self.events.push((leg, event)),
                Effect::Frame { .. } | Effect::Closed { .. } => {}
            }
        }
        left
    }

    /// A leg whose session hears everything.
    pub(super) fn open(&mut self, now: Time, setup: &RtpLegSetup) -> LegId {
        let leg = self.core.add_rtp(now, setup).unwrap();
        self.core.handle_command(now, leg, MediaCommand::Capture { id: CaptureId(0) });
        leg
    }

    pub(super) fn command(&mut self, leg: LegId, command: MediaCommand) {
        self.commands.push_back((leg, command));
    }

    /// What the leg's session heard, all frames one after the other.
    pub(super) fn audio(&self, of: LegId) -> Vec<i16> {
        let frames = self.events.iter().filter(|(leg, _)| *leg == of).filter_map(|(_, event)| match event {
            MediaEvent::Audio { samples, .. } => Some(samples),
            _ => None,
        });
        frames.flat_map(|samples| samples.iter().copied()).collect()
    }

    /// Events other than audio and progress.
    pub(super) fn told(&self) -> Vec<&MediaEvent> {
        let loud = |event: &&MediaEvent| !matches!(event, MediaEvent::Audio { .. } | MediaEvent::Progress { .. });
        self.events.iter().map(|(_, event)| event).filter(loud).collect()
    }
}

/// The agent's worker and the callers' worker.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) now: Time,
    pub(super) agent: Side,
    pub(super) caller: Side,
    to_agent: Emulator<(LegId, Vec<u8>)>,
    to_caller: Emulator<(LegId, Vec<u8>)>,
}

pub(super) fn agent_addr(leg: LegId) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 20_000 + u16::try_from(leg.0).unwrap() * 2)
}

pub(super) fn caller_addr(leg: LegId) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 40_000 + u16::try_from(leg.0).unwrap() * 2)
}

pub(super) fn remote(addr: SocketAddr, direction: Direction) -> RtpRemote {
    RtpRemote { addr, codec: Codec::Pcma, dtmf: Some(EVENTS), direction }
}

/// A leg that sends to `addr`, with numbers that wrap soon.
pub(super) fn leg_setup(addr: SocketAddr) -> RtpLegSetup {
    RtpLegSetup {
        identity: Identity { ssrc: Ssrc(addr.port().into()), sequence: u16::MAX - 10, timestamp: u32::MAX - 3_000 },
        remote: Some(remote(addr, Direction::SendRecv)),
        vad: None,
        inactivity: None,
    }
}

impl Rig {
    /// One call over a network of these conditions, the same both ways.
    pub(super) fn new(seed: u64, conditions: Conditions) -> Self {
        let mut rig = Self {
            now: Time::from_millis(5),
            agent: Side::default(),
            caller: Side::default(),
            to_agent: Emulator::new(seed, conditions),
            to_caller: Emulator::new(seed + 1, conditions),
        };
        rig.agent.open(rig.now, &leg_setup(caller_addr(LegId(0))));
        rig.caller.open(rig.now, &leg_setup(agent_addr(LegId(0))));
        rig
    }

    /// A network that only takes 7 ms.
    pub(super) fn calm() -> Self {
        Self::new(1, Conditions { delay: Duration::from_millis(7), ..Conditions::default() })
    }

    /// Lets time pass, a millisecond at a time.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(1);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        for datagram in self.agent.run(now) {
            self.to_caller.send(now, datagram);
        }
        for datagram in self.caller.run(now) {
            self.to_agent.send(now, datagram);
        }
        while let Some((leg, octets)) = self.to_agent.poll(now) {
            self.agent.core.handle_packet(now, leg, caller_addr(leg), &octets);
            for datagram in self.agent.drain(now) {
                self.to_caller.send(now, datagram);
            }
        }
        while let Some((leg, octets)) = self.to_caller.poll(now) {
            self.caller.core.handle_packet(now, leg, agent_addr(leg), &octets);
        }
        self.caller.drain(now);
    }
}
