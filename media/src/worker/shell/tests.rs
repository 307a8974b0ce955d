use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;
use crate::leg::{CaptureId, Codec, Direction, MediaCommand, StreamFrame, Tag};
use crate::rtp::{HEADER_LEN, Packet, Sender};

/// Longest wait for an event that will come: a failing test ends, a slow machine passes.
const PATIENCE: Duration = Duration::from_secs(20);

fn worker() -> WorkerHandle {
    Worker::start(Clock::new(), WorkerSettings::default()).unwrap()
}

fn setup(wire: WireSetup) -> LegSetup {
    LegSetup { wire, vad: None, inactivity: None }
}

async fn telephone(worker: &WorkerHandle) -> (LegHandle, UdpSocket) {
    let caller = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let remote = RtpRemote {
        addr: caller.local_addr().unwrap(),
        codec: Codec::Pcmu,
        dtmf: Some(101),
        direction: Direction::SendRecv,
    };
    let wire = WireSetup::Rtp { bind: IpAddr::V4(Ipv4Addr::LOCALHOST), remote: Some(remote) };
    (worker.open_rtp(setup(wire)).await.unwrap(), caller)
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let len = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
    buffer.truncate(len);
    buffer
}

/// The next event that is no caller audio.
async fn event(leg: &mut LegHandle) -> MediaEvent {
    loop {
        match timeout(PATIENCE, leg.events.recv()).await.unwrap().unwrap() {
            MediaEvent::Audio { .. } => {}
            event => return event,
        }
    }
}

async fn send(leg: &LegHandle, command: MediaCommand) {
    leg.commands.send(command).await.unwrap();
}

#[tokio::test]
async fn a_telephone_leg_plays_and_closes() {
    let worker = worker();
    let (mut leg, caller) = telephone(&worker).await;
    let samples = vec![5_000; 400];
    send(&leg, MediaCommand::Push { tag: Tag(7), samples: samples.into() }).await;
    send(&leg, MediaCommand::Finish { tag: Tag(7) }).await;
    assert!(matches!(event(&mut leg).await, MediaEvent::Started { tag: Tag(7), .. }));
    assert!(matches!(event(&mut leg).await, MediaEvent::Finished { tag: Tag(7), offset: 400, .. }));
    let mut voiced = 0;
    while voiced < 400 {
        let packet = receive(&caller).await;
        voiced += packet[HEADER_LEN..].iter().filter(|&&octet| octet != 0xff).count();
    }
    assert_eq!(voiced, 400);
    send(&leg, MediaCommand::Close).await;
    let MediaEvent::Closed { stats, .. } = event(&mut leg).await else { panic!("closed") };
    assert!(stats.packets_sent >= 3);
    assert_eq!(leg.events.recv().await, None);
}

#[tokio::test]
async fn a_telephone_leg_echoes_and_hears_its_caller() {
    let worker = worker();
    let (mut leg, caller) = telephone(&worker).await;
    let to: SocketAddr = leg.local.unwrap();
    assert_eq!(to.port() % 2, 0);
    send(&leg, MediaCommand::Loop { on: true }).await;
    let mut sender = Sender::new(Identity { ssrc: Ssrc(1), sequence: 65_530, timestamp: u32::MAX - 500 });
    loop {
        let heard = receive(&caller).await;
        if heard[HEADER_LEN..] == [0x12; 160] {
            break;
        }
        let (mut packet, timestamp) = (Vec::new(), sender.timestamp());
        sender.write(0, false, timestamp, &mut packet);
        sender.advance(160);
        packet.extend([0x12; 160]);
        caller.send_to(&packet, to).await.unwrap();
    }
    send(&leg, MediaCommand::Loop { on: false }).await;
    send(&leg, MediaCommand::Capture { id: CaptureId(3) }).await;
    let audio = timeout(PATIENCE, leg.events.recv()).await.unwrap();
    assert!(
        matches!(audio, Some(MediaEvent::Audio { capture: CaptureId(3), samples, .. }) if !samples.is_empty() && samples.len().is_multiple_of(160))
    );
    assert!(Packet::parse(&receive(&caller).await).is_ok());
}

#[tokio::test]
async fn a_stream_leg_plays_and_loops() {
    let worker = worker();
    let (mut leg, mut port) = worker.open_stream(setup(WireSetup::Stream { rate: 16_000 })).await.unwrap();
    send(&leg, MediaCommand::Push { tag: Tag(1), samples: vec![1; 500].into() }).await;
    send(&leg, MediaCommand::Finish { tag: Tag(1) }).await;
    let mut lengths = Vec::new();
    while lengths.iter().sum::<usize>() < 500 {
        let frame = timeout(PATIENCE, port.outgoing.recv()).await.unwrap().unwrap();
        assert_eq!((frame.tag, frame.offset), (Some(Tag(1)), lengths.iter().sum::<usize>() as u64));
        lengths.push(frame.samples.len());
    }
    assert_eq!(lengths, [320, 180]);
    assert!(matches!(event(&mut leg).await, MediaEvent::Started { .. }));
    assert!(matches!(event(&mut leg).await, MediaEvent::Finished { offset: 500, .. }));

    send(&leg, MediaCommand::Loop { on: true }).await;
    // The answer to a pause tells that the loop is on as well.
    send(&leg, MediaCommand::Pause).await;
    send(&leg, MediaCommand::Resume).await;
    assert!(matches!(event(&mut leg).await, MediaEvent::Paused { tag: None, .. }));
    port.incoming.try_send(vec![3; 300].into()).unwrap();
    port.incoming.try_send(vec![4; 100].into()).unwrap();
    let looped: StreamFrame = timeout(PATIENCE, port.outgoing.recv()).await.unwrap().unwrap();
    let expected: Vec<i16> = [vec![3; 300], vec![4; 20]].concat();
    assert_eq!(looped, StreamFrame { tag: None, offset: 0, samples: expected.into() });
}

#[tokio::test]
async fn letting_go_of_the_handle_closes_the_leg() {
    let worker = worker();
    let (leg, mut port) = worker.open_stream(setup(WireSetup::Stream { rate: 8_000 })).await.unwrap();
    drop(leg);
    assert_eq!(timeout(PATIENCE, port.outgoing.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn a_setup_has_to_fit() {
    let worker = worker();
    let stream = |rate| setup(WireSetup::Stream { rate });
    assert!(matches!(worker.open_rtp(stream(8_000)).await, Err(WorkerError::WrongWire)));
    assert!(matches!(worker.open_stream(stream(11_025)).await, Err(WorkerError::Rate(11_025))));
    assert!(matches!(worker.open_stream(stream(0)).await, Err(WorkerError::Rate(0))));
    let wire = WireSetup::Rtp { bind: "192.0.2.1".parse().unwrap(), remote: None };
    assert!(matches!(worker.open_rtp(setup(wire)).await, Err(WorkerError::Socket(_))));
}

#[tokio::test]
async fn shutdown_closes_all_legs() {
    let worker = worker();
    let (mut first, _caller) = telephone(&worker).await;
    let (mut second, _port) = worker.open_stream(setup(WireSetup::Stream { rate: 8_000 })).await.unwrap();
    timeout(PATIENCE, worker.shutdown()).await.unwrap();
    assert!(matches!(event(&mut first).await, MediaEvent::Closed { .. }));
    assert!(matches!(event(&mut second).await, MediaEvent::Closed { .. }));
    let refused = worker.open_stream(setup(WireSetup::Stream { rate: 8_000 })).await;
    assert!(matches!(refused, Err(WorkerError::Stopped)));
}
