//! What the wire carried, by tshark: SIP headers and RTP streams of a capture on the loopback interface.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{Process, run};

/// A running capture.
pub struct Capture {
    tshark: Process,
    file: PathBuf,
    /// Where a last datagram is sent that shows that all before it was written.
    marker: UdpSocket,
}

/// What the last datagram of a capture says.
const MARKER: &[u8] = b"end of this capture";
/// How often the file is looked at for it.
const LOOKS: usize = 400;
const LOOK: Duration = Duration::from_millis(25);

/// One RTP packet as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct RtpPacket {
    /// Seconds since the capture began.
    pub at: f64,
    pub sequence: u16,
    pub timestamp: u32,
    pub payload_type: u8,
    pub payload: Vec<u8>,
}

/// Source and destination port of a stream.
pub type Ports = (u16, u16);

impl Capture {
    /// Captures all UDP of these ports (a tcpdump filter such as `udp portrange 20000-20100`) into a file.
    ///
    /// # Errors
    /// When tshark does not start to capture.
    pub fn start(filter: &str, file: &Path) -> Result<Self> {
        let marker = UdpSocket::bind("127.0.0.1:0")?;
        let filter = format!("({filter}) or udp port {}", marker.local_addr()?.port());
        let mut tshark = Process::start(
            Command::new("tshark").args(["-i", "lo", "-B", "64", "-f", &filter, "-w"]).arg(file).args(["-F", "pcap"]),
        )?;
        tshark.wait_for("Capture started", Duration::from_secs(20)).or_else(|_| {
            // Older and newer versions differ in their words; both print the file.
            tshark.wait_for("File:", Duration::from_secs(1))
        })?;
        Ok(Self { tshark, file: file.to_owned(), marker })
    }

    /// Ends the capture; the file is complete afterwards.
    ///
    /// # Errors
    /// When tshark does not end.
    pub fn stop(self) -> Result<Captured> {
        self.marker.send_to(MARKER, self.marker.local_addr()?)?;
        let written = || std::fs::read(&self.file).is_ok_and(|bytes| ends_with_marker(&bytes));
        // Another process writes the file: there is nothing to wait on but the file itself.
        ensure!(
            (0..LOOKS).any(|_| written() || {
                std::thread::park_timeout(LOOK);
                false
            }),
            "the capture stays behind"
        );
        self.tshark.signal("INT")?;
        self.tshark.wait(Duration::from_secs(20))?;
        Ok(Captured { file: self.file })
    }
}

/// The marker lies within the last packets.
fn ends_with_marker(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(64 * 1024)..];
    tail.windows(MARKER.len()).any(|window| window == MARKER)
}

/// A finished capture.
pub struct Captured {
    pub file: PathBuf,
}

impl Captured {
    /// The fields of all packets that a display filter lets through, one line a packet, tab separated.
    ///
    /// # Errors
    /// When tshark fails.
    pub fn fields(&self, filter: &str, decode_as: &[String], fields: &[&str]) -> Result<Vec<Vec<String>>> {
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(&self.file).args(["-Y", filter, "-T", "fields", "-E", "occurrence=f"]);
        for rule in decode_as {
            tshark.args(["-d", rule]);
        }
        for field in fields {
            tshark.args(["-e", field]);
        }
        let text = String::from_utf8(run(&mut tshark)?)?;
        Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// All RTP sent from a port of this range, by source and destination port, in order of arrival.
    ///
    /// # Errors
    /// When tshark fails or a packet is not what it should be.
    pub fn rtp_from(&self, ports: std::ops::RangeInclusive<u16>) -> Result<BTreeMap<Ports, Vec<RtpPacket>>> {
        let filter = format!("udp.srcport >= {} && udp.srcport <= {}", ports.start(), ports.end());
        let fields = ["frame.time_relative", "udp.srcport", "udp.dstport", "udp.payload"];
        let mut streams: BTreeMap<Ports, Vec<RtpPacket>> = BTreeMap::new();
        for line in self.fields(&filter, &[], &fields)? {
            let [at, source, destination, payload] = &line[..] else { continue };
            let Some(packet) = rtp(at.parse()?, &bytes(payload)?) else { continue };
            streams.entry((source.parse()?, destination.parse()?)).or_default().push(packet);
        }
        Ok(streams)
    }
}

/// RFC 3550 section 5.1, without extensions: our own sender writes none, and the test would show it if it did.
fn rtp(at: f64, bytes: &[u8]) -> Option<RtpPacket> {
    let [first, second, s1, s0, t3, t2, t1, t0, _, _, _, _, payload @ ..] = bytes else { return None };
    (*first == 0x80).then(|| RtpPacket {
        at,
        sequence: u16::from_be_bytes([*s1, *s0]),
        timestamp: u32::from_be_bytes([*t3, *t2, *t1, *t0]),
        payload_type: second & 0x7f,
        payload: payload.to_vec(),
    })
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let hex: String = hex.chars().filter(char::is_ascii_hexdigit).collect();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).context("hex")).collect()
}

/// Mu-law (ITU-T G.711) payloads of a stream as 16-bit samples, one packet behind the other: a slot that a busy sender left
/// out makes no hole in a word. Whether packets are missing is told by their numbers.
pub fn pcmu_samples(packets: &[RtpPacket]) -> Vec<i16> {
    packets.iter().flat_map(|packet| packet.payload.iter().map(|code| mulaw(*code))).collect()
}

fn mulaw(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i32::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7);
    let value = magnitude - 0x84;
    i16::try_from(if code & 0x80 == 0 { value } else { -value }).unwrap_or(i16::MAX)
}

/// Writes samples as raw little-endian 16 bit, for the tone decoder.
///
/// # Errors
/// When the file cannot be written.
pub fn write_raw(samples: &[i16], file: &Path) -> Result<()> {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    Ok(std::fs::write(file, bytes)?)
}

/// Writes mu-law speech as a pcap of RTP packets (PCMU, 20 ms), for sipp's `play_pcap_audio`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_rtp_pcap(mulaw: &[u8], file: &Path) -> Result<()> {
    let mut out = Vec::new();
    out.extend(0xa1b2_c3d4_u32.to_le_bytes());
    out.extend([2, 0, 4, 0]);
    out.extend([0_u8; 8]);
    out.extend(65_535_u32.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    for (index, frame) in mulaw.chunks_exact(160).enumerate() {
        let index = u32::try_from(index)?;
        let packet = ethernet_packet(index, frame)?;
        let length = u32::try_from(packet.len())?.to_le_bytes();
        out.extend((index / 50).to_le_bytes());
        out.extend((index % 50 * 20_000).to_le_bytes());
        out.extend(length);
        out.extend(length);
        out.extend(packet);
    }
    Ok(std::fs::write(file, out)?)
}

fn ethernet_packet(index: u32, frame: &[u8]) -> Result<Vec<u8>> {
    let mut rtp = vec![0x80, if index == 0 { 0x80 } else { 0 }];
    rtp.extend(u16::try_from(index % 65_536)?.to_be_bytes());
    rtp.extend((index * 160).to_be_bytes());
    rtp.extend(0x5eed_u32.to_be_bytes());
    rtp.extend(frame);
    let udp_length = u16::try_from(8 + rtp.len())?;
    let mut packet = vec![0; 12];
    packet.extend([0x08, 0x00, 0x45, 0x00]);
    packet.extend((20 + udp_length).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    packet.extend(6_000_u16.to_be_bytes());
    packet.extend(6_002_u16.to_be_bytes());
    packet.extend(udp_length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(rtp);
    Ok(packet)
}
