//! The form of an incoming message.

use crate::channels::conversation::{Inbound, Input};
use crate::channels::{News, Place, Unreadable};

/// Media that a message may have (MMS: 10).
const MEDIA_MAX: usize = 10;

/// As it came: the signature is over all of it.
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn news(&self, account: &str) -> Result<News, Unreadable> {
        if self.get("AccountSid").is_some_and(|sid| sid != account) {
            return Err(Unreadable::Malformed("it is of another account than twilio.account_sid"));
        }
        let field = |name, why| self.get(name).filter(|value| !value.is_empty()).ok_or(Unreadable::Malformed(why));
        let id = field("MessageSid", "MessageSid is missing")?.to_owned();
        let (from, to) = (field("From", "From is missing")?, field("To", "To is missing")?);
        let message = Inbound { id, order: None, text: self.text().into() };
        Ok(News {
            event: "message".to_owned(),
            place: Place { account: to.to_owned().into(), conversation: from.to_owned().into() },
            caller: from.to_owned().into(),
            inputs: vec![Input::Message { message }],
            company: None,
        })
    }

    /// What a model that cannot see is told of media is that they are there.
    fn text(&self) -> String {
        let count = self.get("NumMedia").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0).min(MEDIA_MAX);
        let kind = |number| self.get(&format!("MediaContentType{number}")).and_then(|kind| kind.split('/').next());
        let media = (0..count).map(|number| format!("[{}]", kind(number).unwrap_or("file")));
        let body = self.get("Body").filter(|body| !body.is_empty()).map(str::to_owned);
        body.into_iter().chain(media).collect::<Vec<_>>().join("\n")
    }
}

/// A message of ours, for `Messages.json`.
pub(super) fn message(from: &str, to: &str, body: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs([("From", from), ("To", to), ("Body", body)]).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_message_is_frozen() {
        let form = message("whatsapp:+14155238886", "whatsapp:+15005550006", "¿Sí & no?");
        let frozen = "From=whatsapp%3A%2B14155238886&To=whatsapp%3A%2B15005550006&Body=%C2%BFS%C3%AD+%26+no%3F";
        assert_eq!(form, frozen);
    }

    /// Fields of "Twilio's request to your incoming message Webhook URL".
    const WHATSAPP: &str = "SmsMessageSid=SM1&NumMedia=1&ProfileName=Ana&WaId=15005550006&SmsStatus=received&Body=Look%20here\
                            &To=whatsapp%3A%2B14155238886&MessageSid=SM1&AccountSid=AC1&From=whatsapp%3A%2B15005550006\
                            &MediaContentType0=image%2Fjpeg&MediaUrl0=https%3A%2F%2Fapi.twilio.com%2Fx&ApiVersion=2010-04-01";

    #[test]
    fn a_message_with_a_picture() {
        let news = Form::parse(WHATSAPP.as_bytes()).news("AC1").unwrap();
        let text = "Look here\n[image]".to_owned().into();
        let message = Inbound { id: "SM1".to_owned(), order: None, text };
        assert_eq!(news.inputs, [Input::Message { message }]);
        assert_eq!(news.place.account.reveal(), "whatsapp:+14155238886");
        assert_eq!(news.place.conversation.reveal(), "whatsapp:+15005550006");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |form: &str| Form::parse(form.as_bytes()).news("AC1").err();
        assert_eq!(error("From=a&To=b&Body=x"), Some(Unreadable::Malformed("MessageSid is missing")));
        assert_eq!(error("MessageSid=1&To=b"), Some(Unreadable::Malformed("From is missing")));
        assert!(error("AccountSid=AC2&MessageSid=1&From=a&To=b").is_some());
    }
}
