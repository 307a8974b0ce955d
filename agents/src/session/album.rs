//! What the caller has attached, for the model to see. It is in memory alone, the newest of it: the ledger says that it was
//! there, and the call record no more than the ledger.

use std::collections::VecDeque;

use tandem_contract::attachment::Attachment;
use tandem_contract::record::LedgerEntry;
use tandem_contract::{Epoch, UtteranceId};
use tandem_models::{Completion, Message};

use crate::brain::pipeline::context::{Attached, Known};

/// Pictures of a conversation, and their bytes in base64: bounds the memory of a session, and what is sent with each question
/// (Gemini takes 20 MB). The newest one always fits. The oldest go first.
const PICTURES_MAX: usize = 4;
pub const PICTURE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Files and the text in them, bytes: about 8,000 tokens of each question, as much as of the conversation. The oldest go first.
const FILES_MAX: usize = 4;
pub const FILE_BYTES_MAX: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(super) struct Album {
    /// In the order in which they came. At most `PICTURES_MAX` and `FILES_MAX`.
    kept: VecDeque<Kept>,
    last: u32,
}

#[derive(Debug)]
struct Kept {
    number: u32,
    /// None: the line that it belongs to is not written yet.
    line: Option<(Epoch, UtteranceId)>,
    known: Known,
    /// A picture, and an answer to a question that showed it has begun.
    seen: bool,
}

impl Album {
    /// Gives each its number.
    pub(super) fn put(&mut self, attachments: Vec<Attachment>) -> Vec<u32> {
        let mut numbers = Vec::new();
        for attachment in attachments {
            self.last += 1;
            numbers.push(self.last);
            let known = Known::Shown(attachment);
            self.kept.push_back(Kept { number: self.last, line: None, known, seen: false });
        }
        self.forget_oldest(picture_bytes, PICTURES_MAX, PICTURE_BYTES_MAX);
        self.forget_oldest(file_bytes, FILES_MAX, FILE_BYTES_MAX);
        numbers
    }

    /// Of one kind, as many of the newest are kept as there is room for.
    fn forget_oldest(&mut self, bytes: fn(&Known) -> Option<usize>, most: usize, bytes_max: usize) {
        let of_kind = |kept: &Kept| Some((kept.number, bytes(&kept.known)?));
        let (mut count, mut sum) = (0, 0);
        let too_many = self.kept.iter().rev().filter_map(of_kind).find(|(_, bytes)| {
            count += 1;
            sum += bytes;
            count > most || (sum > bytes_max && count > 1)
        });
        if let Some((oldest, _)) = too_many {
            self.kept.retain(|kept| kept.number > oldest || bytes(&kept.known).is_none());
        }
    }

    /// They came with this line.
    pub(super) fn belong(&mut self, numbers: &[u32], line: &LedgerEntry) {
        self.of(numbers).for_each(|kept| kept.line = Some((line.epoch, line.utterance)));
    }

    /// The pictures that this question shows.
    pub(super) fn shown_by(&self, request: &Completion) -> Vec<u32> {
        let shows = |message: &Message, kept: &Kept| match (message, &kept.known) {
            (Message::User { pictures, .. }, Known::Shown(Attachment::Image { picture, .. })) => {
                pictures.contains(picture)
            }
            _ => false,
        };
        let shown = |kept: &&Kept| kept.line.is_some() && request.messages.iter().any(|message| shows(message, kept));
        self.kept.iter().filter(shown).map(|kept| kept.number).collect()
    }

    /// A question that showed them is being answered.
    pub(super) fn are_seen(&mut self, numbers: &[u32]) {
        self.of(numbers).for_each(|kept| kept.seen = true);
    }

    /// A question that showed them failed, and the same in words alone is being answered. Where the model has seen none of
    /// them before, it may be one that does not see: they are not shown again. What they were called is known on.
    pub(super) fn are_not_seen(&mut self, numbers: &[u32]) {
        if self.of(numbers).all(|kept| !kept.seen) {
            self.of(numbers).for_each(|kept| kept.known = kept.known.clone().in_words());
        }
    }

    fn of(&mut self, numbers: &[u32]) -> impl Iterator<Item = &mut Kept> {
        self.kept.iter_mut().filter(|kept| numbers.contains(&kept.number))
    }

    /// All that belongs to a line.
    pub(super) fn attached(&self) -> Vec<Attached> {
        let attached = |kept: &Kept| {
            let (epoch, utterance) = kept.line?;
            Some(Attached { epoch, utterance, known: kept.known.clone() })
        };
        self.kept.iter().filter_map(attached).collect()
    }
}

/// Of a picture, also of one that is only known of.
fn picture_bytes(known: &Known) -> Option<usize> {
    match known {
        Known::Shown(Attachment::Image { picture, .. }) => Some(picture.base64.reveal().len()),
        Known::Unseen(_) => Some(0),
        Known::Shown(Attachment::File { .. }) => None,
    }
}

fn file_bytes(known: &Known) -> Option<usize> {
    match known {
        Known::Shown(Attachment::File { text, .. }) => Some(text.reveal().len()),
        Known::Shown(Attachment::Image { .. }) | Known::Unseen(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tandem_contract::Private;
    use tandem_contract::attachment::{Picture, PictureFormat};

    use super::*;

    fn image(bytes: usize) -> Attachment {
        let picture = Picture { format: PictureFormat::Png, base64: Private::new("A".repeat(bytes).into()) };
        Attachment::Image { name: "a.png".to_owned().into(), picture }
    }

    fn file(bytes: usize) -> Attachment {
        Attachment::File { name: "a.txt".to_owned().into(), text: "x".repeat(bytes).into() }
    }

    fn numbers(album: &Album) -> Vec<u32> {
        album.kept.iter().map(|kept| kept.number).collect()
    }

    #[test]
    fn the_newest_of_each_kind_are_kept() {
        let mut album = Album::default();
        assert_eq!(album.put(vec![image(10), file(10), image(10)]), [1, 2, 3]);
        album.put(vec![image(10), image(10), image(10)]);
        assert_eq!(numbers(&album), [2, 3, 4, 5, 6], "four pictures");
        album.put(vec![image(PICTURE_BYTES_MAX)]);
        assert_eq!(numbers(&album), [2, 7], "one that takes all the room");
        album.put(vec![file(FILE_BYTES_MAX)]);
        assert_eq!(numbers(&album), [7, 8]);
        album.are_not_seen(&[7, 8]);
        assert_eq!(album.kept.iter().filter_map(|kept| picture_bytes(&kept.known)).collect::<Vec<_>>(), [0]);
        album.put(vec![image(10), image(10), image(10)]);
        assert_eq!(numbers(&album), [7, 8, 9, 10, 11], "its name is known on");
        album.put(vec![image(10)]);
        assert_eq!(numbers(&album), [8, 9, 10, 11, 12], "the oldest go first");
    }

    fn shown(album: &Album) -> Vec<u32> {
        let shown = |kept: &&Kept| matches!(kept.known, Known::Shown(_));
        album.kept.iter().filter(shown).map(|kept| kept.number).collect()
    }

    #[test]
    fn pictures_are_given_up_where_none_was_seen_before() {
        let mut album = Album::default();
        album.put(vec![image(1), image(2), image(3)]);
        album.are_seen(&[1]);
        album.are_not_seen(&[1, 2]);
        assert_eq!(shown(&album), [1, 2, 3], "the model sees");
        album.are_not_seen(&[2]);
        assert_eq!(shown(&album), [1, 3], "and no other than were shown");
    }

    #[test]
    fn a_question_shows_what_stands_in_it() {
        let mut album = Album::default();
        album.put(vec![image(1), image(2), file(1)]);
        let Attachment::Image { picture, .. } = image(2) else { panic!("a picture") };
        let message = Message::User { text: String::new().into(), pictures: vec![picture] };
        let request = Completion { messages: vec![message], ..Completion::default() };
        assert!(album.shown_by(&request).is_empty(), "their line is not written yet");
        album.kept.iter_mut().for_each(|kept| kept.line = Some((Epoch(1), UtteranceId(1))));
        assert_eq!(album.shown_by(&request), [2], "an older line is left out of a long conversation");
    }

    proptest! {
        #[test]
        fn an_album_is_bounded_and_has_the_last(sizes in prop::collection::vec((any::<bool>(), 0..20_usize), 1..30)) {
            let mut album = Album::default();
            for (at, (is_image, size)) in sizes.into_iter().enumerate() {
                let attachment = if is_image { image(size * 200_000) } else { file(size * 1_000) };
                album.put(vec![attachment]);
                prop_assert_eq!(numbers(&album).last().copied(), u32::try_from(at + 1).ok());
                for (bytes, most, bytes_max) in [
                    (picture_bytes as fn(&Known) -> Option<usize>, PICTURES_MAX, PICTURE_BYTES_MAX),
                    (file_bytes, FILES_MAX, FILE_BYTES_MAX),
                ] {
                    let kept: Vec<usize> = album.kept.iter().filter_map(|kept| bytes(&kept.known)).collect();
                    prop_assert!(kept.len() <= most && kept.iter().sum::<usize>() <= bytes_max);
                }
            }
        }
    }
}
