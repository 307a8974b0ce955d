//! Writing: our answer to an offer, and our own offer.

use std::fmt::Write as _;
use std::net::IpAddr;

use tandem_media::leg::Codec;

use super::{Direction, LocalSession, Negotiated, OUR_DTMF, OUR_PTIME, Section, wire_codec};

/// The answer to an offer: the same sections in the same order, one of them agreed on (RFC 3264 section 6).
pub fn answer(agreed: &Negotiated, local: LocalSession) -> String {
    let mut text = head(local, &agreed.times);
    for section in &agreed.sections {
        match section {
            Section::Agreed => {
                let codecs = [agreed.remote.codec];
                audio(&mut text, local.rtp.port(), &codecs, agreed.remote.dtmf, agreed.remote.direction);
            }
            Section::Refused { media, proto, formats } => {
                line(&mut text, format_args!("m={media} 0 {proto} {formats}"))
            }
        }
    }
    text
}

/// Our own offer: one audio section with both laws of G.711 and RFC 4733 digits.
pub fn offer(local: LocalSession) -> String {
    let mut text = head(local, &[]);
    audio(&mut text, local.rtp.port(), &[Codec::Pcmu, Codec::Pcma], Some(OUR_DTMF), Direction::SendRecv);
    text
}

fn head(local: LocalSession, times: &[(u64, u64)]) -> String {
    let ip = local.rtp.ip();
    let family = if matches!(ip, IpAddr::V4(_)) { "IP4" } else { "IP6" };
    let mut text = String::with_capacity(256);
    line(&mut text, format_args!("v=0"));
    line(&mut text, format_args!("o=- {} {} IN {family} {ip}", local.id, local.version));
    line(&mut text, format_args!("s=-"));
    line(&mut text, format_args!("c=IN {family} {ip}"));
    let always = [(0, 0)];
    for (start, stop) in if times.is_empty() { &always } else { times } {
        line(&mut text, format_args!("t={start} {stop}"));
    }
    text
}

fn audio(text: &mut String, port: u16, codecs: &[Codec], dtmf: Option<u8>, direction: Direction) {
    let payloads = codecs.iter().map(|codec| wire_codec(*codec).0).chain(dtmf);
    let formats: Vec<String> = payloads.map(|payload| payload.to_string()).collect();
    line(text, format_args!("m=audio {port} RTP/AVP {}", formats.join(" ")));
    for (payload, name) in codecs.iter().map(|codec| wire_codec(*codec)) {
        line(text, format_args!("a=rtpmap:{payload} {name}/8000"));
    }
    if let Some(payload) = dtmf {
        line(text, format_args!("a=rtpmap:{payload} telephone-event/8000"));
        line(text, format_args!("a=fmtp:{payload} 0-15"));
    }
    line(text, format_args!("a=ptime:{OUR_PTIME}"));
    line(text, format_args!("a={}", direction.as_str()));
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{content}\r\n");
}
