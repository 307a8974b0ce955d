//! Reading: what an offer or an answer agrees on (RFC 3264 sections 6 to 8).

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Connection, Media, Session};
use tandem_media::leg::{Codec, RtpRemote};

use super::{Direction, MEDIA_SECTIONS_MAX, Negotiated, OUR_PTIME, SdpError, Section, wire_codec};

/// The only transport that we speak: plain RTP (RFC 3551).
const PROTO: &str = "RTP/AVP";

/// The most codec names that a refusal repeats: it goes into a log line and a warning header.
const NAMES_MAX: usize = 16;

/// What we agree to of an offer: the first audio section over plain RTP that has PCMU or PCMA, and in it the codec that
/// the offer prefers.
///
/// # Errors
/// [`SdpError::NothingInCommon`] asks for a 488; the others say what makes the description unusable.
pub fn negotiate(offer: &[u8]) -> Result<Negotiated, SdpError> {
    let session = parse(offer)?;
    let agreed = session.medias.iter().enumerate().find_map(|(index, media)| Some((index, audio(media)?)));
    let Some((index, audio)) = agreed else {
        return Err(SdpError::NothingInCommon { offered: codec_names(&session) });
    };
    let sections = session.medias.iter().enumerate().map(|(at, media)| section(media, at == index)).collect();
    agreement(&session, index, audio, sections)
}

/// What a peer answered to our offer, which had one audio section.
///
/// # Errors
/// [`SdpError::Refused`] when the port is 0, [`SdpError::NothingInCommon`] when the answer has none of our codecs.
pub fn read_answer(answer: &[u8]) -> Result<Negotiated, SdpError> {
    let session = parse(answer)?;
    let first = session.medias.first().ok_or(SdpError::Refused)?;
    if first.port == 0 {
        return Err(SdpError::Refused);
    }
    let audio = audio(first).ok_or_else(|| SdpError::NothingInCommon { offered: codec_names(&session) })?;
    agreement(&session, 0, audio, vec![Section::Agreed])
}

/// Codec and telephone-event of an audio section.
#[derive(Clone, Copy)]
struct Audio {
    codec: Codec,
    dtmf: Option<u8>,
}

fn parse(text: &[u8]) -> Result<Session, SdpError> {
    let session = Session::parse(text).map_err(SdpError::Parse)?;
    match session.medias.len() {
        count if count > MEDIA_SECTIONS_MAX => Err(SdpError::TooManySections { count }),
        _ => Ok(session),
    }
}

fn agreement(session: &Session, index: usize, audio: Audio, sections: Vec<Section>) -> Result<Negotiated, SdpError> {
    let media = &session.medias[index];
    let ip = address(session, media).ok_or(SdpError::Address)?;
    let remote = RtpRemote {
        addr: SocketAddr::new(ip, media.port),
        codec: audio.codec,
        dtmf: audio.dtmf,
        direction: direction(session, media, ip).mirrored(),
    };
    Ok(Negotiated {
        remote,
        ptime: number_attribute(media, "ptime"),
        sections,
        times: session.times.iter().map(|time| (time.start_time, time.stop_time)).collect(),
    })
}

fn section(media: &Media, agreed: bool) -> Section {
    if agreed {
        return Section::Agreed;
    }
    Section::Refused { media: media.media.clone(), proto: media.proto.clone(), formats: media.fmt.clone() }
}

/// The codec that a section prefers among ours; none when the section is not for us.
fn audio(media: &Media) -> Option<Audio> {
    let ours = media.media == "audio" && media.proto.eq_ignore_ascii_case(PROTO) && media.port != 0;
    // Packets shorter than ours are all that they can take: we would flood their buffer.
    let short = number_attribute(media, "maxptime").is_some_and(|longest| longest < OUR_PTIME);
    if !ours || short {
        return None;
    }
    let codec = payload_types(media).find_map(|payload| codec(media, payload))?;
    Some(Audio { codec, dtmf: payload_types(media).find(|payload| is_telephone_event(media, *payload)) })
}

fn payload_types(media: &Media) -> impl Iterator<Item = u8> {
    media.fmt.split_ascii_whitespace().filter_map(|token| token.parse().ok()).filter(|payload| *payload < 128)
}

/// Static payload types need no rtpmap (RFC 3551 section 6), but where there is one it must not say something else.
fn codec(media: &Media, payload: u8) -> Option<Codec> {
    let codec = [Codec::Pcmu, Codec::Pcma].into_iter().find(|codec| wire_codec(*codec).0 == payload)?;
    match rtpmap(media, payload) {
        None => Some(codec),
        Some(map) => is_encoding(map, wire_codec(codec).1).then_some(codec),
    }
}

fn is_telephone_event(media: &Media, payload: u8) -> bool {
    rtpmap(media, payload).is_some_and(|map| is_encoding(map, "telephone-event"))
}

/// Whether an rtpmap's encoding is `name` at 8 kHz, in one channel (RFC 8866 section 6.6).
fn is_encoding(map: &str, name: &str) -> bool {
    let mut parts = map.split('/');
    let named = parts.next().is_some_and(|encoding| encoding.eq_ignore_ascii_case(name));
    let rate = parts.next() == Some("8000");
    let mono = parts.next().is_none_or(|channels| channels == "1");
    named && rate && mono
}

/// `PCMU/8000` of `a=rtpmap:0 PCMU/8000`.
fn rtpmap(media: &Media, payload: u8) -> Option<&str> {
    attributes(media, "rtpmap").find_map(|value| {
        let (number, encoding) = value.trim().split_once(' ')?;
        (number.parse::<u8>() == Ok(payload)).then(|| encoding.trim())
    })
}

fn attributes<'a>(media: &'a Media, name: &'a str) -> impl Iterator<Item = &'a str> {
    media.attributes.iter().filter(move |one| one.attribute == name).filter_map(|one| one.value.as_deref())
}

fn number_attribute(media: &Media, name: &str) -> Option<u32> {
    attributes(media, name).next()?.trim().parse().ok()
}

/// The address of a section: its own `c=`, else the session's. A name is not looked up and a group is not joined.
fn address(session: &Session, media: &Media) -> Option<IpAddr> {
    let connection: &Connection = media.connections.first().or(session.connection.as_ref())?;
    let ip: IpAddr = connection.connection_address.split('/').next()?.parse().ok()?;
    (!ip.is_multicast()).then_some(ip)
}

/// Theirs: the section's attribute, else the session's, else both ways. The address 0.0.0.0 is the hold of RFC 2543
/// (RFC 3264 section 8.4): they take nothing, but may send.
fn direction(session: &Session, media: &Media, ip: IpAddr) -> Direction {
    let named = |names: &[sdp_types::Attribute]| names.iter().find_map(|one| Direction::from_attribute(&one.attribute));
    let said = named(&media.attributes).or_else(|| named(&session.attributes)).unwrap_or_default();
    match said {
        Direction::SendRecv if ip.is_unspecified() => Direction::SendOnly,
        Direction::RecvOnly if ip.is_unspecified() => Direction::Inactive,
        said => said,
    }
}

/// What was offered, for the words of a refusal: codec names, or media and protocol where that was the obstacle.
fn codec_names(session: &Session) -> String {
    let names: Vec<String> = session.medias.iter().flat_map(section_names).take(NAMES_MAX).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn section_names(media: &Media) -> Vec<String> {
    let name = |payload: u8| match rtpmap(media, payload) {
        Some(map) => map.split('/').next().unwrap_or(map).to_owned(),
        None => format!("payload type {payload}"),
    };
    if media.media == "audio" && media.proto.eq_ignore_ascii_case(PROTO) {
        payload_types(media).map(name).collect()
    } else {
        vec![format!("{} over {}", media.media, media.proto)]
    }
}
