//! What comes along with a text of a chat, looked at before anybody else does: a picture is one by its first bytes, a file is
//! text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::attachment::{Attachment, Picture, PictureFormat};
use thiserror::Error;

/// Attachments of one message.
pub const ATTACHMENTS_MAX: usize = 4;

/// Largest picture, bytes: 5 MiB in base64, the least of what the vendors of models take (Anthropic's models at resellers).
pub const PICTURE_MAX: usize = 5 * 1024 * 1024 / 4 * 3;

/// Longest file, bytes: about 4,000 tokens, which are sent with each question.
pub const FILE_MAX: usize = 16 * 1024;

/// Of a name, characters: it stands in the ledger.
const NAME_MAX: usize = 80;

/// Media types of pictures. `image/jpg` is none, and many send it.
const PICTURES: [&str; 5] = ["image/png", "image/jpeg", "image/jpg", "image/webp", "image/gif"];

/// Media types of files that are text.
const FILES: [&str; 3] = ["text/plain", "text/markdown", "text/csv"];

/// Why something cannot be attached.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum AttachmentError {
    #[error(
        "the type {given:?} is not taken; send image/png, image/jpeg, image/webp, image/gif, text/plain, text/markdown or text/csv"
    )]
    Type { given: String },
    #[error("data is not base64 (RFC 4648 section 4, with padding)")]
    NotBase64,
    #[error("a picture of {bytes} bytes is over the limit of {PICTURE_MAX}; send a smaller one")]
    PictureLength { bytes: usize },
    #[error("a file of {bytes} bytes is over the limit of {FILE_MAX}; send the part that matters")]
    FileLength { bytes: usize },
    #[error("the bytes are no PNG, JPEG, WebP or GIF")]
    NotAPicture,
    #[error("the file is no text in UTF-8")]
    NotText,
    #[error("it is empty")]
    Empty,
}

/// Most bytes that an attachment of this media type may have.
///
/// # Errors
/// Another type.
pub fn limit(kind: &str) -> Result<usize, AttachmentError> {
    Ok(match sort(kind)? {
        Sort::Picture => PICTURE_MAX,
        Sort::File => FILE_MAX,
    })
}

/// Reads an attachment. `kind`: its media type, as the sender says; of a picture the bytes know better.
///
/// # Errors
/// Another type, too long, or not what its type says.
pub fn read(name: &str, kind: &str, bytes: &[u8]) -> Result<Attachment, AttachmentError> {
    if bytes.is_empty() {
        return Err(AttachmentError::Empty);
    }
    match sort(kind)? {
        Sort::Picture => Ok(Attachment::Image { name: shown(name, "image"), picture: picture(bytes)? }),
        Sort::File => Ok(Attachment::File { name: shown(name, "file"), text: text(bytes)?.into() }),
    }
}

/// The same, of base64.
///
/// # Errors
/// The same, or no base64.
pub fn read_base64(name: &str, kind: &str, data: &str) -> Result<Attachment, AttachmentError> {
    // What is too long is not decoded.
    let bytes = data.len() / 4 * 3;
    if bytes > PICTURE_MAX + 3 {
        return Err(AttachmentError::PictureLength { bytes });
    }
    read(name, kind, &STANDARD.decode(data).map_err(|_| AttachmentError::NotBase64)?)
}

/// What a media type means here.
#[derive(Clone, Copy)]
enum Sort {
    Picture,
    File,
}

fn sort(kind: &str) -> Result<Sort, AttachmentError> {
    match media_type(kind).as_str() {
        kind if PICTURES.contains(&kind) => Ok(Sort::Picture),
        kind if FILES.contains(&kind) => Ok(Sort::File),
        other => Err(AttachmentError::Type { given: other.chars().take(NAME_MAX).collect() }),
    }
}

/// Without parameters (`; charset=utf-8`), in lower case (RFC 9110 section 8.3.1).
pub fn media_type(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn picture(bytes: &[u8]) -> Result<Picture, AttachmentError> {
    if bytes.len() > PICTURE_MAX {
        return Err(AttachmentError::PictureLength { bytes: bytes.len() });
    }
    let format = format(bytes).ok_or(AttachmentError::NotAPicture)?;
    Ok(Picture { format, base64: Private::new(STANDARD.encode(bytes).into()) })
}

fn text(bytes: &[u8]) -> Result<String, AttachmentError> {
    if bytes.len() > FILE_MAX {
        return Err(AttachmentError::FileLength { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| AttachmentError::NotText)?;
    let text = text.trim_start_matches('\u{feff}').trim();
    match text {
        "" => Err(AttachmentError::Empty),
        text if text.contains('\0') => Err(AttachmentError::NotText),
        text => Ok(text.to_owned()),
    }
}

/// PNG: RFC 2083 section 12.12. JPEG: ITU-T T.81 annex B. WebP: RFC 9649 section 2.4. GIF: 89a specification section 17.
fn format(bytes: &[u8]) -> Option<PictureFormat> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(PictureFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Some(PictureFormat::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(PictureFormat::Webp),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(PictureFormat::Gif),
        _ => None,
    }
}

/// A name as it may stand within `[image: ...]`: no path, no brackets, no line ends.
fn shown(name: &str, nameless: &str) -> Private<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept = |c: &char| !c.is_control() && !matches!(c, '[' | ']' | '"');
    let name: String = last.chars().filter(kept).take(NAME_MAX).collect();
    let name = name.trim();
    Private::new(if name.is_empty() { nameless } else { name }.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 0, 16];
    const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";

    #[test]
    fn how_much_is_taken_depends_on_the_type() {
        assert_eq!(limit("Image/JPG"), Ok(PICTURE_MAX));
        assert_eq!(limit("text/csv; charset=utf-8"), Ok(FILE_MAX));
        assert_eq!(limit("audio/ogg"), Err(AttachmentError::Type { given: "audio/ogg".into() }));
    }

    fn picture(kind: &str, bytes: &[u8]) -> Result<PictureFormat, AttachmentError> {
        read("a", kind, bytes).map(|attachment| match attachment {
            Attachment::Image { picture, .. } => picture.format,
            Attachment::File { .. } => panic!("a file"),
        })
    }

    #[test]
    fn a_picture_is_what_its_bytes_are() {
        assert_eq!(picture("image/png", PNG), Ok(PictureFormat::Png));
        assert_eq!(picture("image/jpeg", JPEG), Ok(PictureFormat::Jpeg));
        assert_eq!(picture("Image/WebP", WEBP), Ok(PictureFormat::Webp));
        assert_eq!(picture("image/gif", b"GIF89a\x01\0\x01\0"), Ok(PictureFormat::Gif));
        assert_eq!(picture("image/png", JPEG), Ok(PictureFormat::Jpeg), "phones name them as they like");
        assert_eq!(picture("image/png", b"<svg/>"), Err(AttachmentError::NotAPicture));
        assert_eq!(picture("image/svg+xml", b"<svg/>"), Err(AttachmentError::Type { given: "image/svg+xml".into() }));
        assert_eq!(picture("application/pdf", PNG), Err(AttachmentError::Type { given: "application/pdf".into() }));
        let mut long = PNG.to_vec();
        long.resize(PICTURE_MAX, 0);
        assert_eq!(picture("image/png", &long), Ok(PictureFormat::Png));
        long.push(0);
        assert_eq!(picture("image/png", &long), Err(AttachmentError::PictureLength { bytes: PICTURE_MAX + 1 }));
    }

    #[test]
    fn a_file_is_text() {
        let text = |kind: &str, bytes: &[u8]| {
            read("a", kind, bytes).map(|attachment| match attachment {
                Attachment::File { text, .. } => text.into_inner(),
                Attachment::Image { .. } => panic!("a picture"),
            })
        };
        assert_eq!(text("text/plain; charset=utf-8", "\u{feff}Grüße\n".as_bytes()).as_deref(), Ok("Grüße"));
        assert_eq!(text("text/csv", b"a,b\n1,2").as_deref(), Ok("a,b\n1,2"));
        assert_eq!(text("text/plain", b"Gr\xfc\xdfe"), Err(AttachmentError::NotText));
        assert_eq!(text("text/plain", b"a\0b"), Err(AttachmentError::NotText));
        assert_eq!(text("text/plain", b" \n"), Err(AttachmentError::Empty));
        assert_eq!(text("text/plain", b""), Err(AttachmentError::Empty));
        assert_eq!(text("text/html", b"<p>"), Err(AttachmentError::Type { given: "text/html".into() }));
        assert_eq!(text("text/plain", &[b'x'; FILE_MAX + 1]), Err(AttachmentError::FileLength { bytes: FILE_MAX + 1 }));
    }

    #[test]
    fn base64_is_read_and_kept_hidden() {
        let read = read_base64("cat.png", "image/png", "iVBORw0KGgo=").unwrap();
        assert_eq!(read.mark(), "[image: cat.png]");
        assert!(!format!("{read:?}").contains("iVBO") && !format!("{read:?}").contains("cat"), "{read:?}");
        assert_eq!(read_base64("a", "image/png", "iVBORw0KGgo"), Err(AttachmentError::NotBase64));
        let long = "A".repeat(PICTURE_MAX / 3 * 4 + 8);
        assert!(matches!(read_base64("a", "image/png", &long), Err(AttachmentError::PictureLength { .. })));
    }

    proptest! {
        /// Whatever a sender calls it: a mark is one line with one pair of brackets.
        #[test]
        fn a_mark_is_one_line(name in "\\PC{0,100}|[\\[\\]/\\\\\n\"a]{0,9}", kind in "[ -~]{0,20}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&name, &kind, &bytes);
            let mark = read(&name, "text/plain", b"x").unwrap().mark();
            let inner = mark.strip_prefix("[file: ").and_then(|mark| mark.strip_suffix(']')).unwrap();
            prop_assert!(!inner.is_empty() && !inner.contains(['[', ']', '\n', '"', '/']) && inner.chars().count() <= NAME_MAX);
        }
    }
}
