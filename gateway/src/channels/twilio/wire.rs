//! The form of an incoming message.

use crate::channels::attached::{Attached, Kind};
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
        let attached = self.attached();
        let message = Inbound { id, order: None, text: attached.text(self.get("Body")), links: attached.links };
        Ok(News {
            event: "message".to_owned(),
            place: Place { account: to.to_owned().into(), conversation: from.to_owned().into() },
            caller: from.to_owned().into(),
            inputs: vec![Input::Message { message }],
            company: None,
        })
    }

    fn attached(&self) -> Attached {
        let count = self.get("NumMedia").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0).min(MEDIA_MAX);
        let mut attached = Attached::default();
        for number in 0..count {
            let media_type = self.get(&format!("MediaContentType{number}")).filter(|given| !given.is_empty());
            let url = self.get(&format!("MediaUrl{number}"));
            attached.add(media_type.map_or(Kind::File, kind), media_type, url);
        }
        attached
    }
}

fn kind(media_type: &str) -> Kind {
    match media_type.split_once('/') {
        Some(("image", _)) => Kind::Image,
        Some(("audio", _)) => Kind::Audio,
        Some(("video", _)) => Kind::Video,
        // What WhatsApp makes of a contact that is shared.
        Some(("text", "vcard" | "x-vcard")) => Kind::Contact,
        _ => Kind::File,
    }
}

/// A message of ours, for `Messages.json`.
pub(super) fn message(from: &str, to: &str, body: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs([("From", from), ("To", to), ("Body", body)]).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::attached::Link;

    #[test]
    fn our_message_is_frozen() {
        let form = message("whatsapp:+14155238886", "whatsapp:+15005550006", "¿Sí & no?");
        let frozen = "From=whatsapp%3A%2B14155238886&To=whatsapp%3A%2B15005550006&Body=%C2%BFS%C3%AD+%26+no%3F";
        assert_eq!(form, frozen);
    }

    /// Fields of "Twilio's request to your incoming message Webhook URL".
    const WHATSAPP: &str = "SmsMessageSid=SM1&NumMedia=1&ProfileName=Ana&WaId=15005550006&SmsStatus=received&Body=Look%20here\
                            &To=whatsapp%3A%2B14155238886&MessageSid=SM1&AccountSid=AC1&From=whatsapp%3A%2B15005550006\
                            &MediaContentType0=image%2Fjpeg&ApiVersion=2010-04-01\
                            &MediaUrl0=https%3A%2F%2Fapi.twilio.com%2F2010-04-01%2FAccounts%2FAC1%2FMessages%2FMM1%2FMedia%2FME1";
    const MEDIA: &str = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1";

    #[test]
    fn a_message_with_a_picture() {
        let news = Form::parse(WHATSAPP.as_bytes()).news("AC1").unwrap();
        let (text, url) = ("Look here".to_owned().into(), MEDIA.to_owned().into());
        let links = vec![Link { kind: Kind::Image, media_type: Some("image/jpeg".to_owned()), url }];
        let message = Inbound { id: "SM1".to_owned(), order: None, text, links };
        assert_eq!(news.inputs, [Input::Message { message }]);
        assert_eq!(news.place.account.reveal(), "whatsapp:+14155238886");
        assert_eq!(news.place.conversation.reveal(), "whatsapp:+15005550006");
    }

    /// An MMS of three parts, of which the first says how the others lie; a contact of WhatsApp.
    #[test]
    fn only_what_a_model_reads_is_fetched() {
        let form = "MessageSid=MM1&From=a&To=b&Body=&NumMedia=4&MediaContentType0=application%2Fsmil&MediaUrl0=https%3A%2F%2Fx%2F0\
                    &MediaContentType1=video%2F3gpp&MediaUrl1=https%3A%2F%2Fx%2F1&MediaContentType2=text%2Fplain\
                    &MediaUrl2=https%3A%2F%2Fx%2F2&MediaContentType3=text%2Fvcard&MediaUrl3=https%3A%2F%2Fx%2F3\
                    &MediaContentType4=image%2Fpng&MediaUrl4=https%3A%2F%2Fx%2F4";
        let news = Form::parse(form.as_bytes()).news("AC1").unwrap();
        let [Input::Message { message }] = news.inputs.as_slice() else { panic!("{:?}", news.inputs) };
        let urls: Vec<&str> = message.links.iter().map(|link| link.url.reveal().as_str()).collect();
        assert_eq!(urls, ["https://x/2"], "NumMedia counts");
        assert_eq!(
            message.text.reveal(),
            "[file: could not be read: only pictures and files of text are]\n\
             [video: could not be read: only pictures and files of text are]\n[contact]"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |form: &str| Form::parse(form.as_bytes()).news("AC1").err();
        assert_eq!(error("From=a&To=b&Body=x"), Some(Unreadable::Malformed("MessageSid is missing")));
        assert_eq!(error("MessageSid=1&To=b"), Some(Unreadable::Malformed("From is missing")));
        assert!(error("AccountSid=AC2&MessageSid=1&From=a&To=b").is_some());
    }
}
