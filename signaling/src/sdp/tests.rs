use super::*;

const LOCAL: &str = "127.0.0.1:20000";

fn local() -> LocalSession {
    LocalSession::new(LOCAL.parse().unwrap(), 42)
}

fn offer_with(lines: &[&str]) -> String {
    let mut text = String::from("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

#[test]
fn our_own_offer_is_answered_and_the_answer_read() {
    let agreed = negotiate(offer(local()).as_bytes()).unwrap();
    assert_eq!(agreed.remote, RtpRemote { addr: LOCAL.parse().unwrap(), codec: Codec::Pcmu, dtmf: Some(101) });
    let back = read_answer(answer(&agreed, local()).as_bytes()).unwrap();
    assert_eq!(back.remote, agreed.remote);
    assert_eq!(back.direction, Direction::SendRecv);
}
