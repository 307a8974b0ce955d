//! The callers' RTP: one thread, one socket a call, 20 ms a frame, on a schedule that does not drift.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use tokio::sync::oneshot;

use crate::hearing::{Heard, Hearing};
use crate::plan::CallPlan;

/// Frames leave this far apart.
const FRAME: Duration = Duration::from_millis(20);
/// Calls that may wait to be taken over by the thread; then the caller's task waits.
const WAITING_CALLS: usize = 1024;
/// Bytes of an RTP header without extensions.
const HEADER: usize = 12;
/// The thread looks for due frames and new calls this often.
const TICK: Duration = Duration::from_millis(1);

/// A call that was answered.
pub struct Answered {
    pub plan: CallPlan,
    pub socket: UdpSocket,
    pub remote: SocketAddr,
    pub done: oneshot::Sender<Heard>,
}

/// Hands calls to the thread.
#[derive(Clone)]
pub struct Callers {
    /// Full: the sender waits; the thread takes all that is there every millisecond.
    calls: SyncSender<Answered>,
}

impl Callers {
    /// Starts the thread; it ends when the last handle and the last call are gone.
    ///
    /// # Errors
    /// When the system has no poller or thread to give.
    pub fn start() -> io::Result<Self> {
        let (calls, receiver) = sync_channel(WAITING_CALLS);
        let wheel = Wheel::new(receiver)?;
        std::thread::Builder::new().name("callers".to_owned()).spawn(move || wheel.run())?;
        Ok(Self { calls })
    }

    pub fn add(&self, call: Answered) {
        // The thread outlives all handles, so this fails only if it died; then `done` is dropped and says so.
        let _ = self.calls.send(call);
    }
}

/// A socket for a call's RTP.
///
/// # Errors
/// When the system has no port left.
pub fn socket() -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let local = socket.local_addr()?;
    Ok((socket, local))
}

struct Caller {
    call: Answered,
    begun: Instant,
    frame: u64,
    hearing: Hearing,
}

impl Caller {
    fn due(&self) -> Instant {
        self.begun + FRAME * u32::try_from(self.frame).unwrap_or(u32::MAX)
    }

    fn ms(&self, now: Instant) -> f64 {
        now.duration_since(self.begun).as_secs_f64() * 1000.0
    }
}

struct Wheel {
    poll: Poll,
    calls: Receiver<Answered>,
    callers: Vec<Option<Caller>>,
    /// Indices of running callers, the next to send first: all send at the same interval, so the order never changes.
    order: VecDeque<usize>,
    open: bool,
}

impl Wheel {
    fn new(calls: Receiver<Answered>) -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, calls, callers: Vec::new(), order: VecDeque::new(), open: true })
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while self.open || !self.order.is_empty() {
            if self.poll.poll(&mut events, Some(TICK)).is_err() {
                continue;
            }
            for event in &events {
                self.receive(event.token().0);
            }
            self.take_calls();
            self.send_due(Instant::now());
        }
    }

    fn take_calls(&mut self) {
        loop {
            match self.calls.try_recv() {
                Ok(mut call) => {
                    let index = self.callers.len();
                    if self.poll.registry().register(&mut call.socket, Token(index), Interest::READABLE).is_ok() {
                        let caller = Caller { call, begun: Instant::now(), frame: 0, hearing: Hearing::new() };
                        self.callers.push(Some(caller));
                        self.order.push_front(index);
                    }
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                    self.open = false;
                    return;
                }
            }
        }
    }

    fn receive(&mut self, index: usize) {
        let Some(caller) = self.callers.get_mut(index).and_then(Option::as_mut) else { return };
        let mut packet = [0; 2048];
        while let Ok(length) = caller.call.socket.recv(&mut packet) {
            let now = caller.ms(Instant::now());
            if length > HEADER && packet[1] & 0x7f == 0 {
                caller.hearing.received(&packet[HEADER..length], now);
            }
        }
    }

    fn send_due(&mut self, now: Instant) {
        while let Some(index) = self.order.front().copied() {
            let Some(caller) = self.callers[index].as_mut() else {
                self.order.pop_front();
                continue;
            };
            if caller.due() > now {
                return;
            }
            self.order.pop_front();
            if caller.frame >= caller.call.plan.frames {
                self.finish(index, now);
                continue;
            }
            let packet = caller.call.plan.packet(caller.frame);
            // A full socket buffer drops the packet, as a network would.
            let _ = caller.call.socket.send_to(&packet, caller.call.remote);
            caller.hearing.sent(&caller.call.plan, caller.frame, caller.ms(now));
            caller.frame += 1;
            self.order.push_back(index);
        }
    }

    fn finish(&mut self, index: usize, now: Instant) {
        let Some(mut caller) = self.callers[index].take() else { return };
        let _ = self.poll.registry().deregister(&mut caller.call.socket);
        let end = caller.ms(now);
        let _ = caller.call.done.send(caller.hearing.finish(end));
    }
}
