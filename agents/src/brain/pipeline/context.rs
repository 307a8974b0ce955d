//! What the model is told of the conversation: built from the ledger, and from nothing else that was said.

use tandem_contract::attachment::{Attachment, Picture};
use tandem_contract::record::{LedgerEntry, Speaker};
use tandem_contract::{Epoch, Private, UtteranceId};
use tandem_models::Message;

use super::exchanges::{self, Exchange};

/// How much of the conversation fits into a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// What today's models take.
    #[default]
    Wide,
    /// For one that does not take so much: with what a bot is told besides, some 4,000 tokens.
    Narrow,
}

impl Room {
    /// Most text that was said, bytes, and most of the files that came with it. What is older is left out.
    const fn text(self) -> usize {
        match self {
            Self::Wide => 32 * 1024,
            Self::Narrow => 4 * 1024,
        }
    }

    /// Whether these may be shorter where there is less room. What a bot is told besides always stays.
    pub(crate) fn is_exceeded(self, messages: &[Message]) -> bool {
        let bytes = |message: &Message| match message {
            Message::System { .. } => 0,
            Message::User { text, .. } | Message::Assistant { text, .. } => text.reveal().len(),
            Message::Tool { result, .. } => result.reveal().len(),
        };
        messages.iter().map(bytes).sum::<usize>() > self.text().min(self.tools())
    }

    /// Most that tools were asked and have answered, bytes.
    pub(super) const fn tools(self) -> usize {
        match self {
            // The longest answer of one tool, whole.
            Self::Wide => 32 * 1024 + 4 * 1024,
            Self::Narrow => 4 * 1024,
        }
    }
}

/// What came with a line of the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    pub epoch: Epoch,
    pub utterance: UtteranceId,
    pub known: Known,
}

/// What the model gets of an attachment.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    Shown(Attachment),
    /// The name of a picture that it could not be shown: the line says that the picture came.
    Unseen(Private<String>),
}

impl Known {
    /// The same for a model that does not see.
    pub fn in_words(self) -> Self {
        match self {
            Self::Shown(Attachment::Image { name, .. }) => Self::Unseen(name),
            known @ (Self::Shown(Attachment::File { .. }) | Self::Unseen(_)) => known,
        }
    }
}

/// The conversation as the model is to know it: the caller's words as they were understood, the agent's as they were
/// heard. Lines in a row of one speaker are one message.
pub fn messages(
    system: &str,
    entries: &[LedgerEntry],
    exchanges: &[Exchange],
    attached: &[Attached],
    room: Room,
) -> Vec<Message> {
    let mut messages = vec![Message::System { text: system.to_owned() }];
    let window = window(entries, room.text());
    let mut lines = Lines { attached, text: room.text(), files: room.text() };
    let exchanges = exchanges::within(room.tools(), exchanges);
    // Tools of a question that is left out are left out with it.
    let first = window.first().map(|entry| entry.epoch);
    let mut exchanges =
        exchanges.into_iter().filter(|exchange| first.is_none_or(|first| exchange.epoch >= first)).peekable();
    let mut said = (Epoch::default(), 0);
    for entry in window {
        if entry.speaker == Speaker::Agent {
            said = (entry.epoch, if said.0 == entry.epoch { said.1 + 1 } else { 1 });
        }
        let later = |exchange: &Exchange| entry.speaker == Speaker::Agent && said.1 > exchange.after;
        let before =
            |exchange: &Exchange| exchange.epoch < entry.epoch || (exchange.epoch == entry.epoch && later(exchange));
        while let Some(exchange) = exchanges.next_if(before) {
            add_exchange(&mut messages, exchange);
        }
        lines.add(&mut messages, entry);
    }
    exchanges.for_each(|exchange| add_exchange(&mut messages, exchange));
    messages
}

/// The newest lines, as many as fit. The last one is what is to be answered: it is cut rather than left out.
fn window(entries: &[LedgerEntry], room: usize) -> &[LedgerEntry] {
    let mut left = room;
    let fits = |entry: &&LedgerEntry| {
        let size = entry.heard.reveal().len();
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    };
    let count = entries.iter().rev().take_while(fits).count().max(entries.len().min(1));
    &entries[entries.len() - count..]
}

/// How the lines of a question are told.
struct Lines<'a> {
    attached: &'a [Attached],
    /// Of one line, bytes.
    text: usize,
    /// Of all files, bytes that are left.
    files: usize,
}

impl Lines<'_> {
    fn add(&mut self, messages: &mut Vec<Message>, entry: &LedgerEntry) {
        let heard = cut(entry.heard.reveal().trim(), self.text);
        if heard.is_empty() {
            return;
        }
        let (told, shown) = self.with_attachments(entry, heard);
        let heard = told.as_str();
        match (entry.speaker, messages.last_mut()) {
            (Speaker::Caller, Some(Message::User { text, pictures })) => {
                *text = joined(text, heard);
                pictures.extend(shown);
            }
            (Speaker::Agent, Some(Message::Assistant { text, calls })) if calls.is_empty() => {
                *text = joined(text, heard);
            }
            (Speaker::Caller, _) => messages.push(Message::User { text: told.into(), pictures: shown }),
            (Speaker::Agent, _) => {
                messages.push(Message::Assistant { text: heard.to_owned().into(), calls: Vec::new() })
            }
        }
    }

    /// The line with what stands in its files, and its pictures.
    fn with_attachments(&mut self, entry: &LedgerEntry, heard: &str) -> (String, Vec<Picture>) {
        let (mut told, mut shown) = (heard.to_owned(), Vec::new());
        for attached in self.attached.iter().filter(|of| of.epoch == entry.epoch && of.utterance == entry.utterance) {
            match &attached.known {
                Known::Shown(Attachment::Image { picture, .. }) => shown.push(picture.clone()),
                Known::Unseen(name) => {
                    told += &format!(
                        "\n\nThe picture {} could not be shown to you: you do not know what is on it.",
                        name.reveal()
                    );
                }
                Known::Shown(Attachment::File { name, text }) => {
                    let whole = text.reveal();
                    let text = cut(whole, self.files);
                    self.files -= text.len();
                    let rest = if text.len() < whole.len() { " (its beginning; the rest is left out)" } else { "" };
                    told += &format!("\n\nThe file {} says{rest}:\n\"\"\"\n{text}\n\"\"\"", name.reveal());
                }
            }
        }
        (told, shown)
    }
}

/// The beginning of a text, at most so many bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

fn joined(before: &Private<String>, more: &str) -> Private<String> {
    format!("{} {more}", before.reveal()).into()
}

fn add_exchange(messages: &mut Vec<Message>, exchange: Exchange) {
    let results = exchange.calls.iter().zip(exchange.results);
    let results: Vec<_> = results.map(|(call, result)| Message::Tool { call: call.id.clone(), result }).collect();
    messages.push(Message::Assistant { text: String::new().into(), calls: exchange.calls });
    messages.extend(results);
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tandem_contract::attachment::PictureFormat;
    use tandem_models::ToolCall;

    use super::*;

    fn line(number: u32, epoch: u32, speaker: Speaker, text: &str, heard: &str) -> LedgerEntry {
        LedgerEntry {
            utterance: UtteranceId(number),
            epoch: Epoch(epoch),
            speaker,
            at_ms: 0,
            text: text.to_owned().into(),
            heard: heard.to_owned().into(),
            heard_samples: 0,
            rate: 8000,
            interrupted: text != heard,
        }
    }

    fn caller(number: u32, epoch: u32, text: &str) -> LedgerEntry {
        line(number, epoch, Speaker::Caller, text, text)
    }

    fn agent(number: u32, epoch: u32, text: &str, heard: &str) -> LedgerEntry {
        line(number, epoch, Speaker::Agent, text, heard)
    }

    fn told(messages: &[Message]) -> Vec<String> {
        let line = |message: &Message| match message {
            Message::System { text } => format!("system {text}"),
            Message::User { text, .. } => format!("user {}", text.reveal()),
            Message::Assistant { text, calls } => format!("agent {}{}", text.reveal(), "!".repeat(calls.len())),
            Message::Tool { result, .. } => format!("tool {}", result.reveal()),
        };
        messages.iter().map(line).collect()
    }

    #[test]
    fn the_model_believes_it_said_what_was_heard() {
        let entries = [
            agent(1, 0, "Hello.", "Hello."),
            caller(2, 1, "When are you open?"),
            agent(3, 1, "We open at nine.", "We open at nine."),
            agent(4, 1, "On Saturdays we are closed.", "On Saturdays"),
            agent(5, 1, "Anything else?", ""),
            caller(6, 2, "And on"),
            caller(7, 3, "Monday?"),
        ];
        let messages = messages("Be kind.", &entries, &[], &[], Room::Wide);
        let wanted = [
            "system Be kind.",
            "agent Hello.",
            "user When are you open?",
            "agent We open at nine. On Saturdays",
            "user And on Monday?",
        ];
        assert_eq!(told(&messages), wanted);
    }

    #[test]
    fn tools_stand_between_the_question_and_the_answer() {
        let call = ToolCall { id: "c".into(), name: "hours".into(), arguments: json!({}).into(), signature: None };
        let exchange = |epoch: u32, result: &str| Exchange {
            epoch: Epoch(epoch),
            after: 0,
            calls: vec![call.clone()],
            numbers: Vec::new(),
            results: vec![result.to_owned().into()],
        };
        let entries = [caller(1, 1, "Open?"), agent(2, 1, "From nine.", "From nine."), caller(3, 2, "Sunday?")];
        let messages = messages("s", &entries, &[exchange(1, "9"), exchange(2, "closed")], &[], Room::Wide);
        let wanted = [
            "system s",
            "user Open?",
            "agent !",
            "tool 9",
            "agent From nine.",
            "user Sunday?",
            "agent !",
            "tool closed",
        ];
        assert_eq!(told(&messages), wanted);
    }

    #[test]
    fn what_was_said_before_the_tools_stands_before_them() {
        let call = ToolCall { id: "c".into(), name: "hours".into(), arguments: json!({}).into(), signature: None };
        let results = vec!["9".to_owned().into()];
        let exchange = Exchange { epoch: Epoch(1), after: 1, calls: vec![call], numbers: Vec::new(), results };
        let entries = [caller(1, 1, "Open?"), agent(2, 1, "One moment.", "One moment."), agent(3, 1, "Nine.", "Nine.")];
        let told_of =
            |count: usize| told(&messages("s", &entries[..count], std::slice::from_ref(&exchange), &[], Room::Wide));
        assert_eq!(told_of(2), ["system s", "user Open?", "agent One moment.", "agent !", "tool 9"]);
        assert_eq!(told_of(3)[4..], ["tool 9", "agent Nine."]);
    }

    #[test]
    fn what_is_long_ago_is_left_out() {
        let long = "x".repeat(10_000);
        let entries: Vec<_> = (1..=9).map(|n| caller(n, n, &long)).collect();
        let Some(Message::User { text, .. }) = messages("s", &entries, &[], &[], Room::Wide).pop() else {
            panic!("no line")
        };
        assert_eq!(text.reveal().len(), 3 * 10_000 + 2);
        for (room, most) in [(Room::Wide, 32 * 1024), (Room::Narrow, 4 * 1024)] {
            let question = [caller(1, 1, "Hello."), caller(2, 2, &"é".repeat(30_000))];
            let Some(Message::User { text, .. }) = messages("s", &question, &[], &[], room).pop() else { panic!() };
            assert_eq!(text.reveal().len(), most, "what is to be answered is cut, and never left out");
        }
    }

    #[test]
    fn a_small_model_is_told_the_beginning_of_a_file() {
        let text = "x".repeat(10_000).into();
        let known = Known::Shown(Attachment::File { name: "b.txt".to_owned().into(), text });
        let attached = [Attached { epoch: Epoch(1), utterance: UtteranceId(1), known }];
        let entries = [caller(1, 1, "Look")];
        let sizes = [Room::Wide, Room::Narrow].map(|room| {
            let Some(Message::User { text, .. }) = messages("s", &entries, &[], &attached, room).pop() else {
                panic!()
            };
            let text = text.into_inner();
            (text.matches('x').count(), text.contains("left out"))
        });
        assert_eq!(sizes, [(10_000 + 1, false), (4 * 1024 + 1, true)], "with the x of its name");
    }

    #[test]
    fn what_is_attached_stands_with_its_line() {
        let picture = |base64: &str| Picture { format: PictureFormat::Png, base64: Private::new(base64.into()) };
        let attached = |epoch: u32, utterance: u32, attachment| Attached {
            epoch: Epoch(epoch),
            utterance: UtteranceId(utterance),
            known: Known::Shown(attachment),
        };
        let image = |base64| Attachment::Image { name: "a.png".to_owned().into(), picture: picture(base64) };
        let file = Attachment::File { name: "b.txt".to_owned().into(), text: "one\ntwo".to_owned().into() };
        let entries = [
            caller(1, 0, "[image: a.png]"),
            agent(2, 0, "Yes?", "Yes?"),
            caller(1, 1, "Look\n[image: a.png]"),
            caller(2, 2, "And\n[file: b.txt]\n[image: a.png]"),
        ];
        let attached = [attached(1, 1, image("one")), attached(2, 2, file), attached(2, 2, image("two"))];
        let messages = messages("s", &entries, &[], &attached, Room::Wide);
        assert_eq!(messages[1], Message::user("[image: a.png]".to_owned()), "a line of an earlier session");
        let Message::User { text, pictures } = &messages[3] else { panic!("{messages:?}") };
        let wanted =
            "Look\n[image: a.png] And\n[file: b.txt]\n[image: a.png]\n\nThe file b.txt says:\n\"\"\"\none\ntwo\n\"\"\"";
        assert_eq!((text.reveal().as_str(), pictures.as_slice()), (wanted, &[picture("one"), picture("two")][..]));
    }
}
