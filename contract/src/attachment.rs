//! What somebody in a chat sends along with a text: pictures and files.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Private;

/// A picture's format, as its bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PictureFormat {
    #[serde(rename = "image/png")]
    Png,
    #[serde(rename = "image/jpeg")]
    Jpeg,
    #[serde(rename = "image/webp")]
    Webp,
    #[serde(rename = "image/gif")]
    Gif,
}

impl PictureFormat {
    /// The media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }
}

/// A picture as language models take it. Copies share its bytes.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
pub struct Picture {
    pub format: PictureFormat,
    /// RFC 4648 section 4, padded.
    pub base64: Private<Arc<str>>,
}

/// Copies are compared without a look at their bytes: questions to a model are compared whole.
impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        let (own, others) = (self.base64.reveal(), other.base64.reveal());
        self.format == other.format && (Arc::ptr_eq(own, others) || own == others)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Attachment {
    Image {
        name: Private<String>,
        picture: Picture,
    },
    /// A file that is text.
    File {
        name: Private<String>,
        text: Private<String>,
    },
}

impl Attachment {
    /// What stands for it in a line of the ledger: `[image: name.png]`.
    pub fn mark(&self) -> String {
        match self {
            Self::Image { name, .. } => format!("[image: {}]", name.reveal()),
            Self::File { name, .. } => format!("[file: {}]", name.reveal()),
        }
    }
}
