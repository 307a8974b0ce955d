//! sipp scenarios, written from steps.

use std::fmt::Write as _;
use std::path::Path;

/// One step of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// INVITE with an SDP offer of these formats ("0 8 101", "18").
    Invite(&'a str),
    /// A provisional response that may come.
    Maybe(u16),
    /// A response that must come.
    Expect(u16),
    /// ACK of a 2xx.
    Ack,
    /// ACK of a refusal: same transaction as the INVITE.
    AckRefusal,
    Cancel,
    Bye,
    /// OPTIONS out of a dialog.
    Options,
    /// The far end hangs up: BYE and our 200.
    ExpectBye,
    /// Milliseconds.
    Pause(u32),
    /// Milliseconds, from the first column of the file given by `-inf`.
    PauseField,
    /// RTP from this pcap, from this call's own port.
    Play(&'a Path),
}

/// The scenario as sipp reads it.
pub fn xml(steps: &[Step<'_>]) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<scenario name=\"caller\">\n".to_owned();
    for step in steps {
        step.write(&mut xml);
    }
    xml.push_str("</scenario>\n");
    xml
}

impl Step<'_> {
    fn write(&self, xml: &mut String) {
        match self {
            Self::Invite(formats) => send(xml, " retrans=\"500\"", &invite(formats)),
            Self::Maybe(status) => line(xml, &format!("<recv response=\"{status}\" optional=\"true\"/>")),
            Self::Expect(status) => line(xml, &format!("<recv response=\"{status}\" rrs=\"true\"/>")),
            Self::Ack => send(xml, "", &in_dialog("ACK", "[cseq]")),
            Self::AckRefusal => send(xml, "", &same_transaction("ACK", "[last_To:]")),
            Self::Cancel => send(
                xml,
                " retrans=\"500\"",
                &same_transaction("CANCEL", "To: <sip:[service]@[remote_ip]:[remote_port]>"),
            ),
            Self::Bye => send(xml, " retrans=\"500\"", &in_dialog("BYE", "[cseq]")),
            Self::Options => send(xml, " retrans=\"500\"", &options()),
            Self::ExpectBye => {
                line(xml, "<recv request=\"BYE\"/>");
                send(
                    xml,
                    "",
                    "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n",
                );
            }
            Self::Pause(ms) => line(xml, &format!("<pause milliseconds=\"{ms}\"/>")),
            Self::PauseField => {
                line(xml, "<nop><action><assignstr assign_to=\"text\" value=\"[field0]\"/>");
                line(xml, "<todouble assign_to=\"ms\" variable=\"text\"/></action></nop>");
                line(xml, "<pause variable=\"ms\"/>");
            }
            Self::Play(pcap) => {
                line(xml, &format!("<nop><action><exec play_pcap_audio=\"{}\"/></action></nop>", pcap.display()));
            }
        }
    }
}

fn line(xml: &mut String, text: &str) {
    let _ = writeln!(xml, "  {text}");
}

fn send(xml: &mut String, attributes: &str, message: &str) {
    let _ = write!(xml, "  <send{attributes}><![CDATA[\n\n{message}\n]]></send>\n");
}

fn head(method: &str, branch: &str, to: &str, cseq: &str) -> String {
    format!(
        "{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}\n\
         From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]caller[call_number]\n\
         {to}\n\
         Call-ID: [call_id]\n\
         CSeq: {cseq} {method}\n\
         Contact: <sip:sipp@[local_ip]:[local_port]>\n\
         Max-Forwards: 70\n"
    )
}

fn invite(formats: &str) -> String {
    let to = "To: <sip:[service]@[remote_ip]:[remote_port]>";
    let sdp = format!(
        "v=0\no=sipp 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n\
         m=audio [auto_media_port] RTP/AVP {formats}\n{}",
        formats.split(' ').filter_map(rtpmap).collect::<String>()
    );
    format!("{}Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}", head("INVITE", "[branch]", to, "1"))
}

fn rtpmap(format: &str) -> Option<String> {
    let name = match format {
        "0" => "PCMU/8000",
        "8" => "PCMA/8000",
        "18" => "G729/8000",
        "101" => "telephone-event/8000",
        _ => return None,
    };
    Some(format!("a=rtpmap:{format} {name}\n"))
}

fn in_dialog(method: &str, cseq: &str) -> String {
    let text = head(method, "[branch]", "[last_To:]", cseq).replacen(
        "sip:[service]@[remote_ip]:[remote_port]",
        "[next_url]",
        1,
    );
    format!("{text}[routes]\nContent-Length: 0\n\n")
}

fn same_transaction(method: &str, to: &str) -> String {
    format!("{}Content-Length: 0\n\n", head(method, "[branch-1]", to, "1"))
}

fn options() -> String {
    let to = "To: <sip:[service]@[remote_ip]:[remote_port]>";
    format!("{}Accept: application/sdp\nContent-Length: 0\n\n", head("OPTIONS", "[branch]", to, "1"))
}
