//! The worker's thread.
//!
//! Owns: the sockets, the rings and the [`WorkerCore`] of its legs. Receives: datagrams, ring entries, control requests.
//! Sends: datagrams, media events, stream frames. Ends when it is shut down, or when all handles on it and all legs are gone.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use metrics::counter;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

use super::core::{LegInput, WorkerCore};
use super::handle::{Control, Opened};
use super::inlet::{Haste, StreamInlet};
use super::ports::Ports;
use super::rings::{Rings, StreamRings};
use super::timer::Timer;
use super::{LegHandle, LegSetup, StreamPort, WireSetup, WorkerError, WorkerHandle};
use crate::Time;
use crate::codec;
use crate::leg::{Effect, LegId, LegStats, MediaEvent, RtpLegSetup, RtpRemote, StreamLegSetup};
use crate::rtp::{Identity, Ssrc};
use crate::time::Clock;

/// Requests that may wait to be taken: one burst of calls.
const CONTROL_RING: usize = 256;
/// Commands of a leg: what a session may say between two slots.
const COMMAND_RING: usize = 64;
/// Events of a leg: more than a second of audio frames for a session that is busy.
const EVENT_RING: usize = 64;
/// Caller audio of a stream leg: 1.28 s of 20 ms frames.
const INCOMING_RING: usize = 64;
/// Agent audio of a stream leg: 640 ms for a client that reads in bursts.
const OUTGOING_RING: usize = 32;
/// Stream legs that are not to wait for their slots; those that do not fit wait.
const READY_RING: usize = 1024;
/// Datagrams taken from one socket before the others have their turn.
const PER_SOCKET: usize = 32;
/// Slots run in one wake before sockets and requests have their turn: two turns of a full worker.
const PER_WAKE: usize = 4096;
/// Slots run between two sockets or requests, so that a burst of these does not delay what is to leave.
const BETWEEN: usize = 8;
/// Largest datagram looked at; RTP of a telephone is below 1,000 octets.
const DATAGRAM: usize = 2048;
/// Readiness events taken in one wake.
const EVENTS: usize = 1024;
/// How long sessions may take to read their last events when the worker is shut down.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often it is tried to tell a session whose ring is full that its leg is closed.
const RETRY: Duration = Duration::from_millis(20);

/// Shortest time between two wakes. Packets of many callers come one by one; taken a handful at a time they cost a third less,
/// and none waits longer than this.
const BATCH: Duration = Duration::from_micros(500);

const WAKE: Token = Token(usize::MAX);
pub(super) const TIMER: Token = Token(usize::MAX - 1);

/// What a worker must know before it starts.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Ports for RTP; even ones are used.
    pub rtp_ports: RangeInclusive<u16>,
}

impl Default for WorkerSettings {
    /// The project's RTP ports, 20000 to 29999.
    fn default() -> Self {
        Self { rtp_ports: 20_000..=29_999 }
    }
}

/// The thread's state.
#[derive(Debug)]
pub struct Worker {
    clock: Clock,
    poll: Poll,
    waker: Arc<Waker>,
    control: mpsc::Receiver<Control>,
    /// Cloned for stream legs.
    announce: mpsc::Sender<LegId>,
    ready: mpsc::Receiver<LegId>,
    ports: Ports,
    core: WorkerCore,
    wires: Wires,
    /// Sockets that are known to hold datagrams.
    readable: Vec<LegId>,
    life: Life,
    /// When the last poll ended.
    woke: Time,
    timer: Timer,
    buffer: Box<[u8; DATAGRAM]>,
}

#[derive(Debug)]
enum Life {
    Running,
    /// No handle is left: ends with the last leg.
    Abandoned,
    Stopping {
        until: Time,
        reply: oneshot::Sender<()>,
    },
}

/// Sockets and rings by leg number.
#[derive(Debug, Default)]
struct Wires {
    open: Vec<Option<Wire>>,
    /// Rings of closed legs whose session has yet to read its last events.
    closing: Vec<Rings>,
}

#[derive(Debug)]
struct Wire {
    /// None for stream legs.
    socket: Option<UdpSocket>,
    rings: Rings,
}

impl Worker {
    /// Starts a worker's thread. All times that it tells are of this clock.
    ///
    /// # Errors
    /// When the system refuses the thread or what it polls with.
    pub fn start(clock: Clock, settings: WorkerSettings) -> io::Result<WorkerHandle> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry())?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        // Full: the one who opens a leg waits.
        let (requests, control) = mpsc::channel(CONTROL_RING);
        // Full: the caller audio waits for its leg's slot.
        let (announce, ready) = mpsc::channel(READY_RING);
        let handle = WorkerHandle::new(requests, Arc::clone(&waker));
        let worker = Self {
            clock,
            poll,
            waker,
            control,
            announce,
            ready,
            ports: Ports::new(settings.rtp_ports, rand::random()),
            core: WorkerCore::default(),
            wires: Wires::default(),
            readable: Vec::new(),
            life: Life::Running,
            woke: Time::ZERO,
            timer,
            buffer: Box::new([0; DATAGRAM]),
        };
        thread::Builder::new().name("media".to_owned()).spawn(move || worker.run())?;
        Ok(handle)
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.is_over() {
            self.gather();
            let timeout = self.timeout();
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                error!(%error, "the media worker cannot poll its sockets and stops");
                break;
            }
            self.woke = self.clock.now();
            for event in &events {
                match event.token() {
                    WAKE => {}
                    TIMER => self.timer.ran_out(),
                    socket => self.note_readable(socket),
                }
            }
            self.run_slots(PER_WAKE);
            self.receive();
            self.take_ready();
            self.take_control();
            self.wires.closing.retain_mut(|rings| !rings.flush());
        }
        if let Life::Stopping { reply, .. } = self.life {
            // Nobody waits for the end any more: that is fine.
            let _ = reply.send(());
        }
    }

    /// Lets packets come together, unless a slot is due before.
    fn gather(&self) {
        let now = self.clock.now();
        let until = self.core.poll_timeout().into_iter().chain([self.woke + BATCH]).min();
        let left = until.map_or(Duration::ZERO, |until| until.since(now));
        if self.readable.is_empty() && !left.is_zero() {
            thread::park_timeout(left);
        }
    }

    /// How long to sleep.
    fn timeout(&mut self) -> Option<Duration> {
        if !self.readable.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = self.clock.now();
        let retry = (!self.wires.closing.is_empty()).then_some(now + RETRY);
        let due = self.core.poll_timeout().into_iter().chain(retry).min();
        self.timer.arm(now, due)
    }

    fn is_over(&self) -> bool {
        let silent = self.core.is_empty() && self.wires.closing.is_empty();
        match &self.life {
            Life::Running => false,
            Life::Abandoned => silent,
            Life::Stopping { until, .. } => silent || self.clock.now() >= *until,
        }
    }

    fn note_readable(&mut self, token: Token) {
        let leg = u32::try_from(token.0).map(LegId);
        self.readable.extend(leg.ok().filter(|leg| !self.readable.contains(leg)));
    }

    /// Runs slots that are due now, at most so many; each leg's packet leaves before the next leg is served. Slots that fall
    /// due meanwhile wait for the next call: a worker with more legs than it can serve still hears its sockets and requests.
    fn run_slots(&mut self, limit: usize) {
        let now = self.clock.now();
        for _ in 0..limit {
            let wires = &mut self.wires;
            if !self.core.poll(now, |leg| wires.next_input(leg)) {
                return;
            }
            self.wires.perform(&mut self.core);
        }
    }

    /// Takes what sockets hold, a bounded number of each; what is left is taken after the others had their turn.
    fn receive(&mut self) {
        for leg in std::mem::take(&mut self.readable) {
            if self.receive_from(leg) {
                self.readable.push(leg);
            }
            self.run_slots(BETWEEN);
        }
    }

    /// True when there may be more.
    fn receive_from(&mut self, leg: LegId) -> bool {
        for _ in 0..PER_SOCKET {
            let Some(socket) = self.wires.socket(leg) else { return false };
            match socket.recv_from(&mut self.buffer[..]) {
                Ok((len, from)) => {
                    let now = self.clock.now();
                    self.core.handle_packet(now, leg, from, &self.buffer[..len]);
                    self.wires.perform(&mut self.core);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        debug!(leg = leg.0, %error, "nothing received");
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Stream legs that are not to wait for their slots.
    fn take_ready(&mut self) {
        for _ in 0..READY_RING {
            let Ok(leg) = self.ready.try_recv() else { return };
            let wires = &mut self.wires;
            self.core.hurry(self.clock.now(), leg, |leg| wires.next_input(leg));
            self.wires.perform(&mut self.core);
        }
    }

    fn take_control(&mut self) {
        loop {
            match self.control.try_recv() {
                Ok(Control::Open { setup, reply }) => {
                    let opened = self.open(&setup);
                    // The one who asked is gone: the handle in the answer is dropped, and with it the leg.
                    let _ = reply.send(opened);
                }
                Ok(Control::Shutdown { reply }) => self.stop(reply),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    if matches!(self.life, Life::Running) {
                        self.life = Life::Abandoned;
                    }
                    return;
                }
            }
            self.run_slots(BETWEEN);
        }
    }

    fn stop(&mut self, reply: oneshot::Sender<()>) {
        let now = self.clock.now();
        self.core.close_all(now);
        self.wires.perform(&mut self.core);
        self.life = Life::Stopping { until: now + FAREWELL, reply };
    }

    fn open(&mut self, setup: &LegSetup) -> Result<Opened, WorkerError> {
        if !matches!(self.life, Life::Running) {
            return Err(WorkerError::Stopped);
        }
        match setup.wire {
            WireSetup::Rtp { bind, remote } => self.open_rtp(setup, bind, remote),
            WireSetup::Stream { rate } => self.open_stream(setup, rate),
        }
    }

    fn open_rtp(
        &mut self,
        setup: &LegSetup,
        bind: std::net::IpAddr,
        remote: Option<RtpRemote>,
    ) -> Result<Opened, WorkerError> {
        let mut socket = self.ports.bind(bind)?;
        let local = socket.local_addr().map_err(WorkerError::Socket)?;
        let identity = Identity { ssrc: Ssrc(rand::random()), sequence: rand::random(), timestamp: rand::random() };
        let leg_setup = RtpLegSetup { identity, remote, vad: setup.vad, inactivity: setup.inactivity };
        let now = self.clock.now();
        let leg = self.core.add_rtp(now, &leg_setup)?;
        if let Err(error) = self.poll.registry().register(&mut socket, Token(leg.0 as usize), Interest::READABLE) {
            self.core.forget(leg);
            return Err(WorkerError::Socket(error));
        }
        let (rings, mut handle) = session_rings(codec::RATE, None);
        handle.local = Some(local);
        self.wires.insert(leg, Wire { socket: Some(socket), rings });
        Ok(Opened { leg: handle, port: None })
    }

    fn open_stream(&mut self, setup: &LegSetup, rate: u32) -> Result<Opened, WorkerError> {
        if rate == 0 || !rate.is_multiple_of(50) {
            return Err(WorkerError::Rate(rate));
        }
        let leg_setup = StreamLegSetup { rate, vad: setup.vad, inactivity: setup.inactivity };
        let leg = self.core.add_stream(self.clock.now(), &leg_setup)?;
        // Full: the door drops the frame.
        let (audio_in, incoming) = mpsc::channel(INCOMING_RING);
        // Full: the worker drops the frame and counts it late.
        let (outgoing, audio_out) = mpsc::channel(OUTGOING_RING);
        let urgent = Arc::new(AtomicBool::new(false));
        let haste = Haste::new(leg, self.announce.clone(), Arc::clone(&self.waker));
        let inlet = StreamInlet::new(self.clock, audio_in, Arc::clone(&urgent), haste.clone());
        let (rings, mut handle) = session_rings(rate, Some(StreamRings { incoming, outgoing, urgent }));
        handle.haste = Some(haste);
        self.wires.insert(leg, Wire { socket: None, rings });
        Ok(Opened { leg: handle, port: Some(StreamPort { incoming: inlet, outgoing: audio_out }) })
    }
}

fn session_rings(rate: u32, stream: Option<StreamRings>) -> (Rings, LegHandle) {
    // Full: the session waits; a session that floods its own leg slows only itself.
    let (commands, taken) = mpsc::channel(COMMAND_RING);
    // Full: audio and progress are dropped, other events wait in the leg.
    let (told, events) = mpsc::channel(EVENT_RING);
    (Rings::new(taken, told, stream), LegHandle { commands, events, rate, haste: None, local: None })
}

impl Wires {
    fn insert(&mut self, leg: LegId, wire: Wire) {
        let index = leg.0 as usize;
        if self.open.len() <= index {
            self.open.resize_with(index + 1, || None);
        }
        self.open[index] = Some(wire);
    }

    fn get(&mut self, leg: LegId) -> Option<&mut Wire> {
        self.open.get_mut(leg.0 as usize)?.as_mut()
    }

    fn socket(&mut self, leg: LegId) -> Option<&UdpSocket> {
        self.get(leg)?.socket.as_ref()
    }

    fn next_input(&mut self, leg: LegId) -> Option<LegInput> {
        self.get(leg)?.rings.next_input()
    }

    /// Does what the core wants done.
    fn perform(&mut self, core: &mut WorkerCore) {
        while let Some(effect) = core.effects().pop() {
            match effect {
                Effect::Transmit { leg, to, datagram } => {
                    let Some(socket) = self.socket(leg) else { continue };
                    if let Err(error) = socket.send_to(core.effects().octets(&datagram), to) {
                        // As good as lost on the way; the next one leaves in 20 ms.
                        debug!(leg = leg.0, %error, "packet not sent");
                    }
                }
                Effect::Event { leg, event } => self.tell(leg, event),
                Effect::Frame { leg, frame } => {
                    if let Some(wire) = self.get(leg) {
                        wire.rings.hand_out(frame);
                    }
                }
                Effect::Closed { leg } => self.close(leg),
            }
        }
    }

    fn tell(&mut self, leg: LegId, event: MediaEvent) {
        let Some(wire) = self.get(leg) else { return };
        let event = match event {
            MediaEvent::Closed { at, stats } => {
                let stats = wire.rings.complete(stats);
                count(&stats);
                MediaEvent::Closed { at, stats }
            }
            other => other,
        };
        wire.rings.tell(event);
    }

    /// The socket closes here; dropping it also takes it out of the poll.
    fn close(&mut self, leg: LegId) {
        let wire = self.open.get_mut(leg.0 as usize).and_then(Option::take);
        if let Some(Wire { mut rings, .. }) = wire
            && !rings.flush()
        {
            self.closing.push(rings);
        }
    }
}

fn count(stats: &LegStats) {
    counter!("tandem_rtp_lost_total").increment(stats.packets_lost);
    counter!("tandem_playout_late_total").increment(stats.playout_late);
}

#[cfg(test)]
mod tests;
