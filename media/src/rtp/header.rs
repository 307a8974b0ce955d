//! The fixed header (RFC 3550 section 5.1).

use thiserror::Error;

use super::Ssrc;

/// Octets of the fixed header, without contributing sources and extension.
pub const HEADER_LEN: usize = 12;

/// The only version there is on the wire.
const VERSION: u8 = 2;

/// Why a datagram is not an RTP packet.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RtpError {
    #[error("{0} octets are too few for an RTP header")]
    Short(usize),
    #[error("version {0} is not 2")]
    Version(u8),
    #[error("an RTCP packet on the RTP port")]
    Rtcp,
    #[error("contributing sources or extension reach beyond the packet")]
    HeaderLength,
    #[error("padding is longer than the packet, or zero")]
    Padding,
}

/// The fields of the fixed header that a telephone leg acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Start of a talkspurt (RFC 3551 section 4.1), or of an event (RFC 4733 section 2.3.1).
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    pub sequence: u16,
    /// In the payload's clock: 8,000 a second for G.711 and telephone-event.
    pub timestamp: u32,
    pub ssrc: Ssrc,
}

impl Header {
    /// Appends the 12 octets: no padding, no extension, no contributing sources.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION << 6);
        out.push(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.0.to_be_bytes());
    }
}

/// A received packet: the header, and the payload where it lies in the datagram, without extension and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub header: Header,
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// When a length in the header does not fit the datagram, the version is not 2, or it is RTCP: payload types 64 to 95
    /// with the marker bit are RTCP's packet types (RFC 5761 section 4).
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtpError> {
        let (fixed, rest) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(RtpError::Short(datagram.len()))?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if flags >> 6 != VERSION {
            return Err(RtpError::Version(flags >> 6));
        }
        if (192..=223).contains(&kind) {
            return Err(RtpError::Rtcp);
        }
        let header = Header {
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
        };
        let mut payload = rest.get(usize::from(flags & 0x0f) * 4..).ok_or(RtpError::HeaderLength)?;
        if flags & 0x10 != 0 {
            payload = after_extension(payload).ok_or(RtpError::HeaderLength)?;
        }
        if flags & 0x20 != 0 {
            payload = before_padding(payload).ok_or(RtpError::Padding)?;
        }
        Ok(Self { header, payload })
    }
}

/// RFC 3550 section 5.3.1: 16 bits of profile, then the length in words of 32 bits.
fn after_extension(rest: &[u8]) -> Option<&[u8]> {
    let (&[_, _, high, low], body) = rest.split_first_chunk::<4>()?;
    body.get(usize::from(u16::from_be_bytes([high, low])) * 4..)
}

/// RFC 3550 section 5.1: the last octet says how many octets of padding there are, itself included.
fn before_padding(rest: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*rest.last()?);
    if padding == 0 { None } else { rest.get(..rest.len().checked_sub(padding)?) }
}
