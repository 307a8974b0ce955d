//! What one media worker costs, and how long an echo takes through it.
//!
//! `cargo run --release -p tandem-media --example echo_bench -- [--seconds S] [LEGS...]` (10 s; 200 and 1,000 legs).
//!
//! Each leg is a telephone leg on a UDP socket of its own; one socket sends 50 packets a second to each of them, spread over
//! the 20 ms, and reads what comes back. *echo*: the legs loop; the time from sending a packet to reading it back is printed.
//! A looped packet leaves when it came, so there is no frame period and no slot in that time. *talk*: the legs play audio, run
//! the voice detector on white noise and deliver each frame to a task; only the worker's own CPU time is counted.

#![expect(clippy::print_stdout, reason = "a measurement prints its table")]

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};
use tandem_media::leg::{CaptureId, Codec, Direction, MediaCommand, RtpRemote, Tag, VadSettings};
use tandem_media::rtp::{HEADER_LEN, Identity, Sender, Ssrc};
use tandem_media::time::Clock;
use tandem_media::worker::{LegHandle, LegSetup, WireSetup, Worker, WorkerHandle, WorkerSettings};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Packets of the first second are not counted: sockets warm up, the wheel fills.
const WARM_UP: Duration = Duration::from_secs(1);
/// Marks a payload of ours; silence has no such octets.
const MARK: [u8; 8] = *b"echobnch";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Echo,
    Talk,
}

struct Caller {
    clock: Clock,
    socket: UdpSocket,
    poll: Poll,
    legs: Vec<(SocketAddr, Sender)>,
    noise: u64,
    sent: u64,
    /// Microseconds from sending to reading back.
    trips: Vec<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut seconds = 10;
    let mut counts = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            seconds = arguments.next().ok_or("--seconds needs a number")?.parse()?;
        } else {
            counts.push(argument.parse()?);
        }
    }
    if counts.is_empty() {
        counts = vec![200, 1_000];
    }
    println!(
        "| mode | legs | echo p50 ms | p99 ms | max ms | lost | late frames | worker CPU s / call-minute | legs a core |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for &legs in &counts {
        for mode in [Mode::Echo, Mode::Talk] {
            measure(mode, legs, Duration::from_secs(seconds))?;
        }
    }
    Ok(())
}

fn measure(mode: Mode, legs: usize, duration: Duration) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let clock = Clock::new();
    let worker = Worker::start(clock, WorkerSettings::default())?;
    let mut caller = Caller::new(clock)?;
    let remote = caller.socket.local_addr()?;
    let mut sessions = Vec::new();
    for _ in 0..legs {
        let leg = runtime.block_on(open(&worker, mode, remote))?;
        caller.add(&leg)?;
        sessions.push(runtime.spawn(session(leg, mode)));
    }
    caller.run(WARM_UP)?;
    (caller.sent, caller.trips) = (0, Vec::new());
    let (cpu, started) = (worker_cpu()?, clock.now());
    caller.run(duration)?;
    let cpu = worker_cpu()?.saturating_sub(cpu);
    let minutes = clock.now().since(started).as_secs_f64() / 60.0 * legs as f64;
    let late = runtime.block_on(async {
        worker.shutdown().await;
        let mut late = 0;
        for session in sessions {
            late += session.await.unwrap_or_default();
        }
        late
    });
    let cpu_a_minute = cpu.as_secs_f64() / minutes;
    let echoes = caller.echoes(mode);
    println!("| {mode:?} | {legs} | {echoes} | {late} | {cpu_a_minute:.4} | {:.0} |", 60.0 / cpu_a_minute);
    Ok(())
}

async fn open(worker: &WorkerHandle, mode: Mode, addr: SocketAddr) -> Result<LegHandle, Box<dyn Error>> {
    let talk = mode == Mode::Talk;
    let remote = Some(RtpRemote { addr, codec: Codec::Pcmu, dtmf: None, direction: Direction::SendRecv });
    let leg = worker
        .open_rtp(LegSetup {
            wire: WireSetup::Rtp { bind: LOCALHOST, remote },
            vad: talk.then(VadSettings::default),
            inactivity: Some(Duration::from_secs(30)),
        })
        .await?;
    leg.commands.send(MediaCommand::Loop { on: !talk }).await?;
    Ok(leg)
}

/// A session that only reads. Late frames of its leg.
async fn session(mut leg: LegHandle, mode: Mode) -> u64 {
    if mode == Mode::Talk {
        let _ = leg.commands.send(MediaCommand::Capture { id: CaptureId(0) }).await;
        let minute: Vec<i16> = (0..480_000).map(|n| ((n % 80) * 100 - 4_000) as i16).collect();
        if leg.commands.send(MediaCommand::Push { tag: Tag(1), samples: minute.into() }).await.is_err() {
            return 0;
        }
    }
    while let Some(event) = leg.events.recv().await {
        if let tandem_media::leg::MediaEvent::Closed { stats, .. } = event {
            return stats.playout_late;
        }
    }
    0
}

/// CPU time of the worker's thread so far.
fn worker_cpu() -> io::Result<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if std::fs::read_to_string(path.join("comm"))?.trim() == "media" {
            let spent = std::fs::read_to_string(path.join("schedstat"))?;
            let nanos = spent.split(' ').next().and_then(|nanos| nanos.parse().ok());
            total += nanos.unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(total))
}

impl Caller {
    fn new(clock: Clock) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.bind(&SocketAddr::new(LOCALHOST, 0).into())?;
        let mut socket = UdpSocket::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
        Ok(Self { clock, socket, poll, legs: Vec::new(), noise: 1, sent: 0, trips: Vec::new() })
    }

    fn add(&mut self, leg: &LegHandle) -> io::Result<()> {
        let to = leg.local.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let ssrc = Ssrc(u32::from(to.port()));
        self.legs.push((to, Sender::new(Identity { ssrc, sequence: 0, timestamp: 0 })));
        Ok(())
    }

    fn run(&mut self, duration: Duration) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        let start = self.clock.now();
        let mut tick = 0;
        while self.clock.now().since(start) < duration {
            while u128::from(tick) <= self.clock.now().since(start).as_millis() {
                self.send(tick)?;
                tick += 1;
            }
            match self.poll.poll(&mut events, Some(Duration::from_millis(1))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.receive()?,
            }
        }
        Ok(())
    }

    /// Sends the packets of one of the 20 milliseconds.
    fn send(&mut self, tick: u64) -> io::Result<()> {
        let mut packet = Vec::with_capacity(HEADER_LEN + 160);
        for at in (0..self.legs.len()).filter(|at| *at as u64 % 20 == tick % 20) {
            packet.clear();
            let (to, sender) = &mut self.legs[at];
            let timestamp = sender.timestamp();
            sender.write(0, false, timestamp, &mut packet);
            sender.advance(160);
            packet.extend(MARK);
            packet.extend(self.clock.now().as_micros().to_be_bytes());
            while packet.len() < HEADER_LEN + 160 {
                self.noise ^= self.noise << 13;
                self.noise ^= self.noise >> 7;
                self.noise ^= self.noise << 17;
                packet.extend(self.noise.to_be_bytes());
            }
            match self.socket.send_to(&packet, *to) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => self.sent += 1,
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 2_048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    let payload = &buffer[HEADER_LEN.min(len)..len];
                    let stamp = payload.strip_prefix(&MARK).and_then(|rest| rest.first_chunk());
                    let now = self.clock.now().as_micros();
                    self.trips.extend(stamp.map(|stamp| now.saturating_sub(u64::from_be_bytes(*stamp))));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Columns of the table: p50, p99, maximum, lost.
    fn echoes(&mut self, mode: Mode) -> String {
        self.trips.sort_unstable();
        let Some(&last) = self.trips.last().filter(|_| mode == Mode::Echo) else { return "- | - | - | -".to_owned() };
        let of = |percent: usize| self.trips[(self.trips.len() - 1) * percent / 100] as f64 / 1_000.0;
        let lost = self.sent.saturating_sub(self.trips.len() as u64);
        format!("{:.3} | {:.3} | {:.3} | {lost}", of(50), of(99), last as f64 / 1_000.0)
    }
}
