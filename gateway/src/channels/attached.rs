//! What channels say of attachments: which are worth fetching, and what the agent is told of the others.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_signaling::stream::attachment;
use tracing::info;

/// Why a recording is not fetched, say.
const NOT_READ: &str = "only pictures and files of text are";

/// What a channel says that an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Image,
    Audio,
    Video,
    File,
    Location,
    Contact,
    /// A post of another network, for example.
    Other,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::File => "file",
            Self::Location => "location",
            Self::Contact => "contact",
            Self::Other => "attachment",
        }
    }

    /// What is told of one that nobody has read.
    pub fn unread(self, why: impl Display) -> String {
        format!("[{}: could not be read: {why}]", self.as_str())
    }
}

/// An attachment that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub kind: Kind,
    /// As the channel says; who serves the file may know better.
    pub media_type: Option<String>,
    /// Whoever knows it may have the file.
    pub url: Private<String>,
}

/// What came along with the words of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    pub links: Vec<Link>,
    /// Of the others, a line each.
    pub marks: Vec<String>,
}

impl Attached {
    pub fn add(&mut self, kind: Kind, media_type: Option<&str>, url: Option<&str>) {
        let read = match kind {
            Kind::Image | Kind::File => media_type.is_none_or(|given| attachment::limit(given).is_ok()),
            Kind::Audio | Kind::Video => false,
            Kind::Location | Kind::Contact | Kind::Other => return self.marks.push(format!("[{}]", kind.as_str())),
        };
        match url.filter(|url| !url.is_empty()) {
            Some(url) if read => {
                let (media_type, url) = (media_type.map(str::to_owned), url.to_owned().into());
                self.links.push(Link { kind, media_type, url });
            }
            _ => {
                let why = if read { "the channel does not say where it is" } else { NOT_READ };
                info!(kind = kind.as_str(), why, "an attachment is not read");
                self.marks.push(kind.unread(why));
            }
        }
    }

    /// The words, and a line for each of `marks`.
    pub fn text(&self, words: Option<&str>) -> Private<String> {
        let words = words.filter(|words| !words.is_empty());
        words.into_iter().chain(self.marks.iter().map(String::as_str)).collect::<Vec<_>>().join("\n").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_model_reads_is_told_and_not_fetched() {
        let mut attached = Attached::default();
        let url = Some("https://files.example/1");
        for (kind, media_type) in [
            (Kind::Image, Some("image/jpeg")),
            (Kind::Image, None),
            (Kind::File, Some("text/plain; charset=utf-8")),
            (Kind::File, Some("application/pdf")),
            (Kind::Image, Some("image/heic")),
            (Kind::Audio, None),
            (Kind::Location, None),
        ] {
            attached.add(kind, media_type, url);
        }
        attached.add(Kind::Image, None, Some(""));
        let kinds: Vec<Kind> = attached.links.iter().map(|link| link.kind).collect();
        assert_eq!(kinds, [Kind::Image, Kind::Image, Kind::File]);
        assert_eq!(
            attached.text(Some("Look")).reveal(),
            "Look\n\
             [file: could not be read: only pictures and files of text are]\n\
             [image: could not be read: only pictures and files of text are]\n\
             [audio: could not be read: only pictures and files of text are]\n\
             [location]\n\
             [image: could not be read: the channel does not say where it is]"
        );
        assert_eq!(Attached::default().text(Some("")).reveal(), "");
        assert!(!format!("{attached:?}").contains("files.example"), "{attached:?}");
    }
}
