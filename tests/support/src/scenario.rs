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
                self.send(" retrans=\"500\"", &invite(formats));
            }
            Step::Maybe(status) => self.element(&format!("<recv response=\"{status}\" optional=\"true\"/>")),
            Step::Expect(status) => self.element(&format!("<recv response=\"{status}\" rrs=\"true\"/>")),
            Step::Ack => self.send("", &in_dialog("ACK", "[cseq]")),
            Step::AckRefusal => self.send("", &self.same_transaction("ACK", "[last_To:]")),
            Step::Cancel => self.send(" retrans=\"500\"", &self.same_transaction("CANCEL", TO)),
            Step::Bye => self.send(" retrans=\"500\"", &in_dialog("BYE", "[cseq]")),
            Step::Options => self.send(" retrans=\"500\"", &options()),
            Step::ExpectBye => {
                self.element("<recv request=\"BYE\"/>");
                self.send("", OK);
            }
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
const OK: &str =
    "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n";

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

fn invite(formats: &str) -> String {
    let sdp = format!(
        "v=0\no=sipp 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n\
         m=audio [auto_media_port] RTP/AVP {formats}\n{}",
        formats.split(' ').filter_map(rtpmap).collect::<String>()
    );
    format!("{}Content-Type: application/sdp\nContent-Length: [len]\n\n{sdp}", head("INVITE", "[branch]", TO, "1"))
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

fn options() -> String {
    format!("{}Accept: application/sdp\nContent-Length: 0\n\n", head("OPTIONS", "[branch]", TO, "1"))
}
