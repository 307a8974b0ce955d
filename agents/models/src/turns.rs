//! A conversation as vendors want it that know only two speakers in turn: Anthropic and Google. What was said in a row is one
//! turn, the results of tools are the caller's and stand right after the calls, and the caller has the first and the last
//! turn.

use tandem_contract::attachment::Picture;

use crate::{Message, ToolCall};

/// What stands for a caller who has said nothing: at the greeting, and when the agent breaks a silence.
const SILENCE: &str = "(silence)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Caller,
    Agent,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    Picture(&'a Picture),
    Call(&'a ToolCall),
    Result { of: &'a ToolCall, result: &'a str },
}

#[derive(Debug, PartialEq)]
pub(crate) struct Turn<'a> {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part<'a>>,
}

/// What the bot is, and the turns. A call without a result, or a result without its call, is left out: both vendors would
/// refuse the whole request.
pub(crate) fn turns(messages: &[Message]) -> (String, Vec<Turn<'_>>) {
    let (mut system, mut turns) = (Vec::new(), Vec::new());
    for (at, message) in messages.iter().enumerate() {
        match message {
            Message::System { text } => system.push(text.as_str()),
            Message::User { text, pictures } => {
                // Both vendors ask for what is shown before what is said of it.
                pictures.iter().for_each(|picture| add(&mut turns, Role::Caller, Part::Picture(picture)));
                add_text(&mut turns, Role::Caller, text.reveal());
            }
            Message::Assistant { text, calls } => {
                add_text(&mut turns, Role::Agent, text.reveal());
                add_calls(&mut turns, calls, &messages[at + 1..]);
            }
            // Taken with its call.
            Message::Tool { .. } => {}
        }
    }
    if turns.first().is_none_or(|turn| turn.role == Role::Agent) {
        turns.insert(0, Turn { role: Role::Caller, parts: vec![Part::Text(SILENCE)] });
    }
    if turns.last().is_none_or(|turn| turn.role == Role::Agent) {
        add_text(&mut turns, Role::Caller, SILENCE);
    }
    (system.join("\n\n"), turns)
}

fn add_text<'a>(turns: &mut Vec<Turn<'a>>, role: Role, text: &'a str) {
    if !text.trim().is_empty() {
        add(turns, role, Part::Text(text));
    }
}

fn add_calls<'a>(turns: &mut Vec<Turn<'a>>, calls: &'a [ToolCall], later: &'a [Message]) {
    let answered: Vec<_> = calls.iter().filter_map(|call| Some((call, result(&call.id, later)?))).collect();
    for (call, _) in &answered {
        add(turns, Role::Agent, Part::Call(call));
    }
    for (of, result) in answered {
        add(turns, Role::Caller, Part::Result { of, result });
    }
}

/// Ids may come again: the result of a call stands before the next calls.
fn result<'a>(id: &str, later: &'a [Message]) -> Option<&'a str> {
    let calls_more = |message: &&Message| matches!(message, Message::Assistant { calls, .. } if !calls.is_empty());
    later.iter().take_while(|message| !calls_more(message)).find_map(|message| match message {
        Message::Tool { call, result } if call == id => Some(result.reveal().as_str()),
        _ => None,
    })
}

fn add<'a>(turns: &mut Vec<Turn<'a>>, role: Role, part: Part<'a>) {
    match turns.last_mut().filter(|turn| turn.role == role) {
        Some(turn) => turn.parts.push(part),
        None => turns.push(Turn { role, parts: vec![part] }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use tandem_contract::Private;
    use tandem_contract::attachment::PictureFormat;

    use super::*;

    fn user(text: &str) -> Message {
        Message::user(text.to_owned())
    }

    fn agent(text: &str, ids: &[&str]) -> Message {
        let call = |id: &&str| ToolCall {
            id: (*id).to_owned(),
            name: "hours".into(),
            arguments: json!({}).into(),
            signature: None,
        };
        Message::Assistant { text: text.to_owned().into(), calls: ids.iter().map(call).collect() }
    }

    fn tool(id: &str, result: &str) -> Message {
        Message::Tool { call: id.into(), result: result.to_owned().into() }
    }

    /// "caller: hello | agent: !c1 | caller: c1=9".
    fn told(messages: &[Message]) -> String {
        let part = |part: &Part<'_>| match part {
            Part::Text(text) => (*text).to_owned(),
            Part::Picture(picture) => picture.format.as_str().to_owned(),
            Part::Call(call) => format!("!{}", call.id),
            Part::Result { of, result } => format!("{}={result}", of.id),
        };
        let turn = |turn: &Turn<'_>| {
            let role = if turn.role == Role::Agent { "agent" } else { "caller" };
            format!("{role}: {}", turn.parts.iter().map(part).collect::<Vec<_>>().join(", "))
        };
        turns(messages).1.iter().map(turn).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn speakers_take_turns_and_the_caller_has_the_first_and_the_last() {
        assert_eq!(told(&[]), "caller: (silence)");
        assert_eq!(told(&[agent("Hello.", &[])]), "caller: (silence) | agent: Hello. | caller: (silence)");
        let system =
            [Message::System { text: "Be kind.".into() }, user("Hi"), Message::System { text: "Be brief.".into() }];
        assert_eq!(turns(&system).0, "Be kind.\n\nBe brief.");
        assert_eq!(
            told(&[user("a"), user(" "), user("b"), agent("c", &[]), user("d")]),
            "caller: a, b | agent: c | caller: d"
        );
    }

    #[test]
    fn what_is_shown_stands_before_what_is_said_of_it() {
        let picture = Picture { format: PictureFormat::Webp, base64: Private::new("UklGRg==".into()) };
        let shown = |text: &str| Message::User { text: text.to_owned().into(), pictures: vec![picture.clone()] };
        assert_eq!(
            told(&[user("Hi"), shown("This?"), agent("Nice.", &[]), shown("")]),
            "caller: Hi, image/webp, This? | agent: Nice. | caller: image/webp"
        );
    }

    #[test]
    fn results_stand_right_after_their_calls() {
        let asked = [
            user("When?"),
            agent("", &["1", "2"]),
            tool("2", "b"),
            tool("1", "a"),
            agent("From nine.", &[]),
            user("Ok"),
        ];
        assert_eq!(told(&asked), "caller: When? | agent: !1, !2 | caller: 1=a, 2=b | agent: From nine. | caller: Ok");
        let again = [user("?"), agent("", &["0"]), tool("0", "a"), agent("", &["0"]), tool("0", "b")];
        assert_eq!(
            told(&again),
            "caller: ? | agent: !0 | caller: 0=a | agent: !0 | caller: 0=b",
            "an id that comes again"
        );
        let torn = [user("?"), agent("", &["1"]), agent("", &["2"]), tool("3", "x"), tool("2", "b")];
        assert_eq!(told(&torn), "caller: ? | agent: !2 | caller: 2=b", "no result, no call");
        let lost = [user("?"), agent("", &["0"]), agent("", &["0"]), tool("0", "b")];
        assert_eq!(told(&lost), "caller: ? | agent: !0 | caller: 0=b", "a result is not another call's");
    }

    proptest! {
        /// Whatever was said: turns alternate, begin and end with the caller, and every call has its result in the next turn.
        #[test]
        fn no_vendor_refuses_the_order(kinds in prop::collection::vec((0..4_u8, 0..3_usize), 0..20)) {
            let ids = ["0", "1", "2"];
            let message = |&(kind, id): &(u8, usize)| match kind {
                0 => user("u"),
                1 => agent("a", &[]),
                2 => agent("", &ids[..=id]),
                _ => tool(ids[id], "r"),
            };
            let messages: Vec<_> = kinds.iter().map(message).collect();
            let (_, turns) = turns(&messages);
            for (at, turn) in turns.iter().enumerate() {
                prop_assert_eq!(turn.role == Role::Caller, at % 2 == 0);
                prop_assert!(!turn.parts.is_empty());
                let calls: Vec<_> = turn.parts.iter().filter_map(|part| match part {
                    Part::Call(call) => Some(*call),
                    _ => None,
                }).collect();
                let results: Vec<_> = turns.get(at + 1).into_iter().flat_map(|next| &next.parts).filter_map(|part| match part {
                    Part::Result { of, .. } => Some(*of),
                    _ => None,
                }).collect();
                prop_assert_eq!(calls, results);
            }
            prop_assert_eq!(turns.len() % 2, 1);
        }
    }
}
