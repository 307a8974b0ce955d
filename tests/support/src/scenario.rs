//! sipp scenarios, written from steps.

use std::fmt::Write as _;
use std::path::Path;

/// The number that every caller calls from. It must never be seen in a log.
pub const CALLER: &str = "+15550100123";

/// One step of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// INVITE with an SDP offer of these formats ("0 8 101", "18").
    Invite(&'a str),
    /// The same, but the port that its SDP names is not the one that RTP will come from.
    InviteFromElsewhere(&'a str),
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
    /// A request of the far end's that must come ("BYE"), and our answer ("200 OK").
    Answer(&'a str, &'a str),
    /// NOTIFY of a REFER (RFC 3515 section 2.4.5): the fragment's status ("100 Trying") and the subscription's state.
    Notify(&'a str, &'a str),
    /// Milliseconds.
    Pause(u32),
    /// Milliseconds, from the first column of the file given by `-inf`.
    PauseField,
    /// RTP from this pcap, from this call's own port.
    Play(&'a Path),
    /// Digits by RFC 4733, made by sipp, under payload type 96.
    Digits(&'a str),
}

/// The scenario as sipp reads it.
pub fn xml(steps: &[Step<'_>]) -> String {
    let mut scenario = Scenario::default();
    for step in steps {
        scenario.add(step);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<scenario name=\"caller\">\n{}</scenario>\n",
        scenario.elements
    )
}

#[derive(Default)]
struct Scenario {
    elements: String,
    /// How many elements there are: sipp counts back by them in `[branch-n]`.
    count: usize,
    invite: usize,
}

impl Scenario {
    fn add(&mut self, step: &Step<'_>) {
        match step {
            Step::Invite(formats) => {
                self.invite = self.count;
                self.send(" retrans=\"500\"", &invite(formats, OWN_PORT, ""));
            }
            Step::InviteFromElsewhere(formats) => {
                self.invite = self.count;
                self.send(" retrans=\"500\"", &invite(formats, OTHER_PORT, SENDS_FROM));
            }
            Step::Maybe(status) => self.element(&format!("<recv response=\"{status}\" optional=\"true\"/>")),
            Step::Expect(status) => self.element(&format!("<recv response=\"{status}\" rrs=\"true\"/>")),
            Step::Ack => self.send("", &in_dialog("ACK", "[cseq]")),
            Step::AckRefusal => self.send("", &self.same_transaction("ACK", "[last_To:]")),
            Step::Cancel => self.send(" retrans=\"500\"", &self.same_transaction("CANCEL", TO)),
            Step::Bye => self.send(" retrans=\"500\"", &in_dialog("BYE", "[cseq]")),
            Step::Options => self.send(" retrans=\"500\"", &options()),
            Step::Answer(method, answer) => {
                self.element(&format!("<recv request=\"{method}\"/>"));
                self.send("", &format!("SIP/2.0 {answer}\n{REPLY}"));
            }
            Step::Notify(status, state) => self.send(" retrans=\"500\"", &notify(status, state)),
            Step::Pause(ms) => self.element(&format!("<pause milliseconds=\"{ms}\"/>")),
            Step::PauseField => {
                self.element(
                    "<nop><action><assignstr assign_to=\"text\" value=\"[field0]\"/>\
                     <todouble assign_to=\"ms\" variable=\"text\"/></action></nop>",
                );
                self.element("<pause variable=\"ms\"/>");
            }
            Step::Play(pcap) => {
                self.element(&format!("<nop><action><exec play_pcap_audio=\"{}\"/></action></nop>", pcap.display()));
            }
            Step::Digits(digits) => {
                self.element(&format!("<nop><action><exec play_dtmf=\"{digits}\"/></action></nop>"));
            }
        }
    }

    fn element(&mut self, text: &str) {
        let _ = writeln!(self.elements, "  {text}");
        self.count += 1;
    }

    fn send(&mut self, attributes: &str, message: &str) {
        self.element(&format!("<send{attributes}><![CDATA[\n\n{message}\n]]></send>"));
    }

    /// A request of the INVITE's own transaction (RFC 3261 sections 9.1 and 17.1.1.3): the same branch.
    fn same_transaction(&self, method: &str, to: &str) -> String {
        let branch = format!("[branch-{}]", self.count - self.invite);
        format!("{}Content-Length: 0\n\n", head(method, &branch, to, "1"))
    }
}

const TO: &str = "To: <sip:[service]@[remote_ip]:[remote_port]>";
/// An answer after its first line. Contact: the 2xx to a REFER must have one.
const REPLY: &str = "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n\
    Contact: <sip:sipp@[local_ip]:[local_port]>\nContent-Length: 0\n\n";
/// The media line's port is the one that sipp sends RTP from.
const OWN_PORT: &str = "[auto_media_port]";
/// It is another one. sipp sends from the port that a line with "audio" in it named last; the attribute is its alone.
const OTHER_PORT: &str = "[auto_media_port+2]";
const SENDS_FROM: &str = "a=X-sipp-audio:[auto_media_port]\n";

fn head(method: &str, branch: &str, to: &str, cseq: &str) -> String {
    format!(
        "{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}\n\
         From: <sip:{CALLER}@[local_ip]:[local_port]>;tag=[pid]caller[call_number]\n\
         {to}\n\
         Call-ID: [call_id]\n\
         CSeq: {cseq} {method}\n\
         Contact: <sip:sipp@[local_ip]:[local_port]>\n\
         Max-Forwards: 70\n"
    )
}

fn invite(formats: &str, port: &str, attributes: &str) -> String {
    let sdp = format!(
        "v=0\no=sipp 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n\
         m=audio {port} RTP/AVP {formats}\n{}{attributes}",
        formats.split(' ').filter_map(rtpmap).collect::<String>()
    );
    format!("{}Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}", head("INVITE", "[branch]", TO, "1"))
}

fn rtpmap(format: &str) -> Option<String> {
    let name = match format {
        "0" => "PCMU/8000",
        "8" => "PCMA/8000",
        "18" => "G729/8000",
        "96" | "101" => "telephone-event/8000",
        _ => return None,
    };
    Some(format!("a=rtpmap:{format} {name}\n"))
}

fn in_dialog(method: &str, cseq: &str) -> String {
    format!("{}Content-Length: 0\n\n", dialog_head(method, cseq))
}

/// The far end's tag is kept by sipp: the last To may be that of a request to us.
fn dialog_head(method: &str, cseq: &str) -> String {
    let to = format!("{TO}[peer_tag_param]");
    let text = head(method, "[branch]", &to, cseq).replacen("sip:[service]@[remote_ip]:[remote_port]", "[next_url]", 1);
    format!("{text}[routes]\n")
}

fn notify(status: &str, state: &str) -> String {
    format!(
        "{}Event: refer\nSubscription-State: {state}\nContent-Type: message/sipfrag\nContent-Length: [len]\n\n\
         SIP/2.0 {status}\n",
        dialog_head("NOTIFY", "[cseq]")
    )
}

fn options() -> String {
    format!("{}Accept: application/sdp\nContent-Length: 0\n\n", head("OPTIONS", "[branch]", TO, "1"))
}
