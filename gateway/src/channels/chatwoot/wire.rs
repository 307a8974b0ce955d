//! The events of Chatwoot's webhooks, as far as they matter here, and the bodies of our requests.

use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tandem_contract::Private;

use crate::channels::attached::{Attached, Kind};
use crate::channels::conversation::{Inbound, Input, Standing};
use crate::channels::{News, Place, Unreadable};
use crate::settings::ChatwootStatus;

/// Attachments of one message: Chatwoot's own limit (`Message::NUMBER_OF_PERMITTED_ATTACHMENTS`).
const ATTACHED_MAX: usize = 15;

/// An event. Those about a message have the message at the top and its conversation inside; those about a conversation have
/// the conversation at the top. What is beside the point may have any shape.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    event: String,
    #[serde(default, deserialize_with = "if_readable")]
    account: Option<Account>,
    conversation: Option<Conversation>,
    /// Some proxies put the message inside, too.
    message: Option<Message>,
    #[serde(flatten)]
    top: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Account {
    id: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Conversation {
    id: Option<u64>,
    #[serde(default, deserialize_with = "if_readable")]
    status: Option<String>,
    #[serde(default, deserialize_with = "if_readable")]
    meta: Meta,
    #[serde(default, deserialize_with = "if_readable")]
    custom_attributes: Attributes,
    /// Seconds since 1970-01-01, with microseconds.
    updated_at: Option<Value>,
    #[serde(default, deserialize_with = "if_readable")]
    changed_attributes: Vec<Value>,
    /// The last one. Events about a conversation name its account nowhere else.
    #[serde(default, deserialize_with = "if_readable")]
    messages: Vec<LastMessage>,
}

#[derive(Clone, Debug, Deserialize)]
struct LastMessage {
    account_id: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Meta {
    assignee: Option<Value>,
    /// `User` or `AgentBot`; older versions have none, and only people are assigned.
    #[serde(default, deserialize_with = "if_readable")]
    assignee_type: Option<String>,
    company_id: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Attributes {
    company_id: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct Message {
    id: Option<Value>,
    content: Option<Private<String>>,
    message_type: Option<Value>,
    #[serde(default, deserialize_with = "if_readable")]
    private: bool,
    #[serde(default, deserialize_with = "if_readable")]
    sender: Option<Sender>,
    content_attributes: Option<Value>,
    /// One without a type is null.
    attachments: Option<Vec<Option<Attachment>>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Sender {
    id: Option<Value>,
    /// `contact`, `user` (a person at work), `agent_bot`.
    #[serde(rename = "type", default, deserialize_with = "if_readable")]
    kind: Option<String>,
}

/// `Attachment#push_event_data`, as far as it matters here: its `file_size` and `extension` may be missing or wrong.
#[derive(Clone, Debug, Deserialize)]
struct Attachment {
    file_type: Option<String>,
    /// Sends on to the file. Empty or missing: there is none.
    data_url: Option<Private<String>>,
}

/// A message of ours. `content_attributes` come back in the webhook that tells of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outgoing<'a> {
    pub(super) content: &'a str,
    pub(super) message_type: &'static str,
    /// Seen by people at work alone.
    pub(super) private: bool,
    pub(super) content_attributes: Mark,
}

/// Says that a message is the bot's, whoever's token sent it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Mark {
    pub(super) tandem: bool,
}

impl Event {
    /// What the event means. `body` stands for the message where it has no id.
    pub(super) fn news(
        self,
        bot_status: ChatwootStatus,
        account: Option<u64>,
        body: &[u8],
    ) -> Result<News, Unreadable> {
        let about_message = self.event == "message_created";
        let about_conversation = matches!(
            self.event.as_str(),
            "conversation_updated"
                | "conversation_status_changed"
                | "status_changed"
                // Of these two agent bots are told in place of the one before.
                | "conversation_opened"
                | "conversation_resolved"
        );
        let (event, own_account) = (self.event.clone(), self.account.as_ref().map(|account| account.id));
        let (conversation, message) = self.parts(about_message)?;
        let mut named = own_account.into_iter().chain(conversation.account());
        if let Some(set) = account
            && named.any(|own| own != set)
        {
            return Err(Unreadable::Malformed("it is of another account than chatwoot.account_id"));
        }
        let id = conversation.id;
        if !(about_message || about_conversation && id.is_some()) {
            return Ok(News::nothing(event, conversation.company()));
        }
        let id = id.ok_or(Unreadable::Malformed("conversation.id is missing"))?;
        let account = account.or(own_account).or_else(|| conversation.account());
        let account = account.ok_or(Unreadable::Malformed("account.id is missing; set chatwoot.account_id"))?;
        let standing = conversation.standing(bot_status, event.as_str());
        let mut inputs: Vec<Input> = standing.map(|standing| Input::Standing { standing }).into_iter().collect();
        let mut caller = Private::new(String::new());
        if let Some(message) = message {
            caller = message.sender_id();
            match message.input(standing.and_then(|standing| standing.at), body) {
                Some(input) => inputs.push(input),
                None => inputs.clear(),
            }
        }
        let place = Place { account: account.to_string().into(), conversation: id.to_string().into() };
        Ok(News { event, place, caller, inputs, company: conversation.company() })
    }

    fn parts(self, about_message: bool) -> Result<(Conversation, Option<Message>), Unreadable> {
        let unreadable = |_| Unreadable::Malformed("the event's fields are not those of Chatwoot");
        let top = self.top;
        if !about_message {
            let conversation = match self.conversation {
                Some(conversation) => conversation,
                None => serde_json::from_value(top).map_err(unreadable)?,
            };
            return Ok((conversation, None));
        }
        let message = match self.message {
            Some(message) => message,
            None => serde_json::from_value(top).map_err(unreadable)?,
        };
        Ok((self.conversation.unwrap_or_default(), Some(message)))
    }
}

impl News {
    fn nothing(event: String, company: Option<String>) -> Self {
        let nowhere = || Private::new(String::new());
        let place = Place { account: nowhere(), conversation: nowhere() };
        Self { event, place, caller: nowhere(), inputs: Vec::new(), company }
    }
}

impl Conversation {
    /// None: the event does not say.
    fn standing(&self, bot_status: ChatwootStatus, event: &str) -> Option<Standing> {
        let status = self.status.as_deref()?;
        let mut changes = self.changed_attributes.iter();
        let changed = event != "message_created"
            && (event != "conversation_updated" || changes.any(|change| change.get("status").is_some()));
        let person = self.meta.assignee_type.as_deref().is_none_or(|kind| kind != "AgentBot");
        let assigned = person && self.meta.assignee.as_ref().is_some_and(|assignee| !assignee.is_null());
        Some(Standing { bot: status == bot_status.as_str(), assigned, changed, at: self.updated_at_us() })
    }

    fn updated_at_us(&self) -> Option<u64> {
        let seconds = self.updated_at.as_ref()?.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
        // Below 10^17: the sign and the range are checked, and the rest of a microsecond is no matter.
        Some((seconds * 1e6) as u64)
    }

    /// In `meta`, else in `custom_attributes`.
    fn company(&self) -> Option<String> {
        let named = [&self.meta.company_id, &self.custom_attributes.company_id].into_iter().flatten();
        named.filter(|id| id.is_string() || id.is_number()).map(plain).next()
    }

    fn account(&self) -> Option<u64> {
        self.messages.iter().find_map(|message| message.account_id)
    }
}

impl Message {
    /// None: of no interest, a note or the bot's own for example.
    fn input(self, at: Option<u64>, body: &[u8]) -> Option<Input> {
        let ours = self.content_attributes.as_ref().is_some_and(|attributes| attributes["tandem"] == true);
        if self.private || ours {
            return None;
        }
        let by_person = self.sender.as_ref().is_some_and(|sender| sender.kind.as_deref() == Some("user"));
        // As a number in old versions (Message.message_types).
        match self.message_type.as_ref()? {
            kind if kind == "incoming" || *kind == 0 => {
                let order = self.id.as_ref().and_then(Value::as_u64);
                let id = self.id.as_ref().map_or_else(|| fingerprint(body), Value::to_string);
                let attached = self.attached();
                let text = attached.text(self.words());
                Some(Input::Message { message: Inbound { id, order, text, links: attached.links } })
            }
            kind if (kind == "outgoing" || *kind == 1) && by_person => Some(Input::Written { text: self.text(), at }),
            _ => None,
        }
    }

    fn words(&self) -> Option<&str> {
        self.content.as_ref().map(|content| content.reveal().as_str())
    }

    fn files(&self) -> impl Iterator<Item = &Attachment> {
        self.attachments.iter().flatten().flatten().take(ATTACHED_MAX)
    }

    /// What a caller has attached. Some kinds have addresses of other networks; those are not for us.
    fn attached(&self) -> Attached {
        let mut attached = Attached::default();
        for file in self.files() {
            let url = file.data_url.as_ref().map(|url| url.reveal().as_str());
            attached.add(file.kind(), None, url);
        }
        attached
    }

    /// What a person has written. One with a picture is no message of ours, whatever its words.
    fn text(&self) -> Private<String> {
        let files = self.files().map(|file| format!("[{}]", file.kind().as_str()));
        let words = self.words().map(str::to_owned);
        words.into_iter().chain(files).collect::<Vec<_>>().join("\n").into()
    }

    fn sender_id(&self) -> Private<String> {
        let id = self.sender.as_ref().and_then(|sender| sender.id.as_ref());
        id.map(plain).unwrap_or_default().into()
    }
}

impl Attachment {
    /// `Attachmentable::file_type`.
    fn kind(&self) -> Kind {
        match self.file_type.as_deref() {
            Some("image") => Kind::Image,
            Some("audio") => Kind::Audio,
            Some("video") => Kind::Video,
            Some("file") | None => Kind::File,
            Some("location") => Kind::Location,
            Some("contact") => Kind::Contact,
            Some(_) => Kind::Other,
        }
    }
}

/// An id, whether it came as text or as a number.
fn plain(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// A field whose shape is none that we know is as good as missing: it holds no message up.
fn if_readable<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    Ok(T::deserialize(Value::deserialize(input)?).unwrap_or_default())
}

fn fingerprint(body: &[u8]) -> String {
    digest(&SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::attached::Link;

    fn read(event: Value) -> News {
        let body = event.to_string();
        let event: Event = serde_json::from_str(&body).unwrap();
        event.news(ChatwootStatus::Open, Some(7), body.as_bytes()).unwrap()
    }

    fn standing(bot: bool, assigned: bool, changed: bool, at: Option<u64>) -> Input {
        Input::Standing { standing: Standing { bot, assigned, changed, at } }
    }

    /// Message events of Chatwoot 4: `Message#webhook_data` with `Conversations::EventDataPresenter`.
    fn message(kind: Value, sender: &str) -> Value {
        json!({
            "event": "message_created", "id": 789, "content": "¿Cuánto cuesta?", "content_type": "text",
            "content_attributes": {}, "message_type": kind, "private": false, "source_id": null,
            "created_at": "2025-11-10T18:15:00.000Z", "account": {"id": 7, "name": "Clinic"},
            "inbox": {"id": 3, "name": "WhatsApp"}, "sender": {"id": 456, "name": "María", "type": sender},
            "conversation": {"id": 123, "status": "open", "inbox_id": 3, "labels": [], "channel": "Channel::Whatsapp",
                             "meta": {"sender": {"id": 456}, "assignee": null, "assignee_type": null},
                             "custom_attributes": {"company_id": "benova"}, "updated_at": 1_762_798_500.25},
        })
    }

    #[test]
    fn a_message_of_the_caller() {
        let news = read(message(json!("incoming"), "contact"));
        let at = Some(1_762_798_500_250_000);
        let text = "¿Cuánto cuesta?".to_owned().into();
        let message = Inbound { id: "789".to_owned(), order: Some(789), text, links: Vec::new() };
        assert_eq!(news.inputs, [standing(true, false, false, at), Input::Message { message }]);
        assert_eq!((news.place.account.reveal().as_str(), news.place.conversation.reveal().as_str()), ("7", "123"));
        assert_eq!((news.caller.reveal().as_str(), news.company.as_deref()), ("456", Some("benova")));
    }

    #[test]
    fn a_message_of_a_person_and_those_that_are_none() {
        let text = "¿Cuánto cuesta?".to_owned().into();
        let written = Input::Written { text, at: Some(1_762_798_500_250_000) };
        assert_eq!(read(message(json!("outgoing"), "user")).inputs.last(), Some(&written));
        assert_eq!(read(message(json!(1), "user")).inputs.last(), Some(&written));
        let mut ours = message(json!("outgoing"), "user");
        ours["content_attributes"] = json!({"tandem": true});
        let mut note = message(json!("outgoing"), "user");
        note["private"] = json!(true);
        for other in [ours, note, message(json!("outgoing"), "agent_bot"), message(json!("activity"), "user")] {
            assert!(read(other.clone()).inputs.is_empty(), "{other}");
        }
    }

    /// The shape of the seeds' tests: the message inside, without ids.
    #[test]
    fn a_message_inside_its_event() {
        let event = json!({
            "event": "message_created", "conversation": {"id": 123, "meta": {"company_id": "test_company"}},
            "message": {"content": "Hello", "message_type": "incoming"},
        });
        let news = read(event.clone());
        let [Input::Message { message }] = news.inputs.as_slice() else { panic!("{:?}", news.inputs) };
        assert_eq!(
            (message.text.reveal().as_str(), message.id.len(), news.company.as_deref()),
            ("Hello", 64, Some("test_company"))
        );
        let again = read(event);
        assert_eq!(again.inputs, news.inputs, "a redelivery has the same id");
    }

    const DOOR: &str = "https://chatwoot.example/rails/active_storage/blobs/redirect/eyJfcmFpbHMi--5f0c/door.png";

    /// `Attachment#push_event_data`: of files, of a voice message, of a place, of a link to another network, of one without a type.
    fn attachments() -> Value {
        let file = |id: u64, kind: &str, url: &str| {
            json!({"id": id, "message_id": 789, "file_type": kind, "account_id": 7, "extension": null, "data_url": url,
                   "thumb_url": "https://chatwoot.example/rails/active_storage/representations/redirect/x/door.png",
                   "file_size": 1_048_576, "width": 1200, "height": 1600})
        };
        json!([
            file(1, "image", DOOR), file(2, "file", "https://chatwoot.example/x/list.csv"), file(3, "audio", "https://chatwoot.example/x/1.oga"),
            {"id": 4, "message_id": 789, "file_type": "location", "account_id": 7, "coordinates_lat": 40.4, "coordinates_long": -3.7,
             "fallback_title": "Home", "data_url": null},
            {"id": 5, "message_id": 789, "file_type": "fallback", "account_id": 7, "fallback_title": "Post", "data_url": "https://evil.example/"},
            null,
        ])
    }

    #[test]
    fn attachments_can_be_fetched_or_are_named() {
        let mut event = message(json!("incoming"), "contact");
        event["content"] = Value::Null;
        event["attachments"] = attachments();
        let Some(Input::Message { message }) = read(event.clone()).inputs.pop() else { panic!("no message") };
        let link = |kind, url: &str| Link { kind, media_type: None, url: url.to_owned().into() };
        assert_eq!(message.links, [link(Kind::Image, DOOR), link(Kind::File, "https://chatwoot.example/x/list.csv")]);
        assert_eq!(
            message.text.reveal(),
            "[audio: could not be read: only pictures and files of text are]\n[location]\n[attachment]"
        );
        event["attachments"] = Value::Null;
        event["content"] = json!("Hola");
        let Some(Input::Message { message }) = read(event).inputs.pop() else { panic!("no message") };
        assert_eq!((message.text.reveal().as_str(), message.links), ("Hola", Vec::new()));
    }

    #[test]
    fn what_a_person_attaches_is_not_fetched() {
        let mut event = message(json!("outgoing"), "user");
        event["attachments"] = attachments();
        let Some(Input::Written { text, .. }) = read(event).inputs.pop() else { panic!("nothing") };
        assert_eq!(text.reveal(), "¿Cuánto cuesta?\n[image]\n[file]\n[audio]\n[location]\n[attachment]");
    }

    #[test]
    fn events_about_a_conversation() {
        let event = |name: &str, status: &str, meta: Value, changed: Value| {
            json!({"event": name, "id": 123, "status": status, "meta": meta, "changed_attributes": changed,
                   "updated_at": 2.5, "messages": [{"id": 1, "content": "x"}]})
        };
        let user = json!({"assignee": {"id": 1, "type": "user"}, "assignee_type": "User"});
        let bot = json!({"assignee": {"id": 1}, "assignee_type": "AgentBot"});
        let status = json!([{"status": {"previous_value": "open", "current_value": "pending"}}]);
        let at = Some(2_500_000);
        for (event, expected) in [
            (event("conversation_status_changed", "open", json!({}), json!(null)), standing(true, false, true, at)),
            (event("conversation_updated", "pending", json!({}), status), standing(false, false, true, at)),
            (event("conversation_updated", "open", user, json!([])), standing(true, true, false, at)),
            (event("conversation_updated", "open", bot, json!([])), standing(true, false, false, at)),
        ] {
            assert_eq!(read(event.clone()).inputs, [expected], "{event}");
        }
        assert!(read(json!({"event": "contact_created", "id": 1, "name": "x"})).inputs.is_empty());
    }

    /// `AgentBotListener#conversation_opened` and `#conversation_resolved`: `Conversations::EventDataPresenter#push_data` and the name
    /// of the event. No `changed_attributes`, and the account only in the last message.
    fn told_to_an_agent_bot(name: &str, status: &str, at: f64) -> Value {
        json!({
            "additional_attributes": {}, "can_reply": true, "channel": "Channel::WebWidget",
            "contact_inbox": {"id": 9, "contact_id": 456, "inbox_id": 3, "source_id": "b2c1", "created_at": "2025-11-10T18:00:00.000Z",
                              "updated_at": "2025-11-10T18:00:00.000Z", "hmac_verified": false, "pubsub_token": "x"},
            "id": 123, "inbox_id": 3,
            "messages": [{"id": 790, "content": "See you", "account_id": 7, "inbox_id": 3, "conversation_id": 123, "message_type": 1,
                          "created_at": 1_762_798_500, "private": false, "status": "sent", "content_type": "text",
                          "sender": {"id": 1, "name": "Ana", "type": "user"}}],
            "labels": [],
            "meta": {"sender": {"id": 456, "name": "María", "type": "contact"}, "assignee": null, "assignee_type": null,
                     "team": null, "hmac_verified": false},
            "status": status, "custom_attributes": {}, "snoozed_until": null, "unread_count": 0,
            "first_reply_created_at": "2025-11-10T18:10:00.000Z", "priority": null, "waiting_since": 0,
            "agent_last_seen_at": 1_762_798_400, "contact_last_seen_at": 0, "last_activity_at": 1_762_798_500,
            "timestamp": 1_762_798_500, "created_at": 1_762_798_000, "updated_at": at, "event": name,
        })
    }

    #[test]
    fn what_agent_bots_are_told_of_the_status() {
        for (name, status, bot) in [("conversation_opened", "open", true), ("conversation_resolved", "resolved", false)]
        {
            let event = told_to_an_agent_bot(name, status, 1_762_798_600.5);
            let body = event.to_string();
            let event: Event = serde_json::from_str(&body).unwrap();
            let news = event.news(ChatwootStatus::Open, None, body.as_bytes()).unwrap();
            assert_eq!(news.inputs, [standing(bot, false, true, Some(1_762_798_600_500_000))], "{name}");
            assert_eq!((news.place.account.reveal().as_str(), news.place.conversation.reveal().as_str()), ("7", "123"));
        }
    }

    #[test]
    fn shapes_beside_the_point_hold_no_message_up() {
        let company = |conversation: Value, expected: Option<&str>| {
            let mut event = message(json!("incoming"), "contact");
            for (name, value) in conversation.as_object().unwrap() {
                event["conversation"][name] = value.clone();
            }
            let news = read(event);
            assert!(matches!(news.inputs.last(), Some(Input::Message { .. })), "{conversation}");
            assert_eq!(news.company.as_deref(), expected, "{conversation}");
        };
        company(json!({"meta": {"company_id": 42}}), Some("42"));
        company(json!({"meta": null}), Some("benova"));
        company(json!({"meta": [], "custom_attributes": null}), None);
        company(
            json!({"meta": {"assignee_type": 3, "company_id": null}, "custom_attributes": {"company_id": 43}}),
            Some("43"),
        );
        company(json!({"status": 0, "updated_at": "2025", "changed_attributes": {}, "messages": null}), Some("benova"));
        let mut event = message(json!("incoming"), "contact");
        (event["private"], event["sender"], event["account"]) = (Value::Null, json!("María"), json!(7));
        assert!(matches!(read(event).inputs.last(), Some(Input::Message { .. })));
    }

    #[test]
    fn another_account_is_not_ours() {
        let mut event = message(json!("incoming"), "contact");
        event["account"]["id"] = json!(8);
        let event: Event = serde_json::from_value(event).unwrap();
        assert!(event.news(ChatwootStatus::Open, Some(7), b"").is_err());
        for name in ["conversation_opened", "conversation_resolved"] {
            let event: Event = serde_json::from_value(told_to_an_agent_bot(name, "open", 1.0)).unwrap();
            assert!(event.clone().news(ChatwootStatus::Open, Some(7), b"").is_ok());
            assert!(event.news(ChatwootStatus::Open, Some(8), b"").is_err(), "{name}");
        }
    }

    #[test]
    fn our_message_is_frozen() {
        let ours = Outgoing {
            content: "Hola",
            message_type: "outgoing",
            private: false,
            content_attributes: Mark { tandem: true },
        };
        assert_eq!(
            serde_json::to_value(ours).unwrap(),
            json!({"content": "Hola", "message_type": "outgoing", "private": false, "content_attributes": {"tandem": true}})
        );
    }
}
