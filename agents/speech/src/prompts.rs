//! Prompts that were spoken before, or are being spoken now: a bounded cache and the place where several calls that ask for
//! the same prompt at the same moment share one synthesis.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;
use tokio::sync::mpsc;

use crate::{SpeakRequest, VoiceEvent};

/// Bookkeeping of an entry, counted beside its audio.
const ENTRY_OVERHEAD: usize = 256;

/// A named registry: prompt -> what was made of it. Of several voices, each has its own.
#[derive(Debug)]
pub(crate) struct Prompts {
    entries: DashMap<SpeakRequest, Entry>,
    /// Bytes of complete entries; may be passed by one entry for the moment of an insertion.
    bytes: AtomicUsize,
    limit: usize,
    /// Rises with each use; the entry with the smallest goes first.
    uses: AtomicU64,
}

#[derive(Debug)]
enum Entry {
    /// Being made: what there is so far, and who waits for the rest.
    Growing {
        events: Vec<VoiceEvent>,
        listeners: Vec<mpsc::Sender<VoiceEvent>>,
    },
    Complete {
        events: Arc<[VoiceEvent]>,
        bytes: usize,
        used: u64,
    },
}

/// What the asker has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// Nothing: the events are in the channel, or will be.
    Served,
    /// Make the prompt: nobody does.
    First,
}

impl Prompts {
    /// At most `limit` bytes of audio are kept.
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: DashMap::new(), bytes: AtomicUsize::new(0), limit, uses: AtomicU64::new(0) }
    }

    /// Serves `listener` from what is known. Its channel must hold a whole prompt of this text (see `channel_for`).
    pub(crate) fn join(&self, request: &SpeakRequest, listener: mpsc::Sender<VoiceEvent>) -> Joined {
        match self.entries.entry(request.clone()) {
            Slot::Vacant(vacant) => {
                vacant.insert(Entry::Growing { events: Vec::new(), listeners: vec![listener] });
                Joined::First
            }
            Slot::Occupied(mut occupied) => {
                match occupied.get_mut() {
                    Entry::Complete { events, used, .. } => {
                        *used = self.uses.fetch_add(1, Ordering::Relaxed);
                        send_all(&listener, events);
                    }
                    Entry::Growing { events, listeners } => {
                        send_all(&listener, events);
                        listeners.push(listener);
                    }
                }
                Joined::Served
            }
        }
    }

    /// Appends what was made. False: nobody listens any more, the prompt is forgotten and the maker may stop.
    pub(crate) fn grow(&self, request: &SpeakRequest, new: Vec<VoiceEvent>) -> bool {
        let Slot::Occupied(mut occupied) = self.entries.entry(request.clone()) else { return false };
        let Entry::Growing { events, listeners } = occupied.get_mut() else { return false };
        listeners.retain(|listener| !listener.is_closed());
        if listeners.is_empty() {
            occupied.remove();
            return false;
        }
        for listener in listeners.iter() {
            send_all(listener, &new);
        }
        events.extend(new);
        true
    }

    /// True while somebody waits for this prompt; when nobody does it is forgotten.
    pub(crate) fn wanted(&self, request: &SpeakRequest) -> bool {
        self.grow(request, Vec::new())
    }

    /// Ends a prompt with `Done`, or with the failure, which is not kept.
    pub(crate) fn end(&self, request: &SpeakRequest, last: VoiceEvent) {
        let keep = matches!(last, VoiceEvent::Done);
        if !self.grow(request, vec![last]) {
            return;
        }
        let Slot::Occupied(mut occupied) = self.entries.entry(request.clone()) else { return };
        let Entry::Growing { events, .. } = occupied.get_mut() else { return };
        let events = std::mem::take(events);
        let bytes = size_of(request, &events);
        if !keep || bytes > self.limit {
            occupied.remove();
            return;
        }
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        *occupied.get_mut() = Entry::Complete { events: events.into(), bytes, used };
        drop(occupied);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.evict();
    }

    /// Back under the limit. A look at every entry for each one that goes: there are some hundred prompts, not millions.
    fn evict(&self) {
        while self.bytes.load(Ordering::Relaxed) > self.limit {
            let oldest = self
                .entries
                .iter()
                .filter_map(|entry| match entry.value() {
                    Entry::Complete { used, .. } => Some((*used, entry.key().clone())),
                    Entry::Growing { .. } => None,
                })
                .min_by_key(|(used, _)| *used);
            let Some((_, key)) = oldest else { return };
            if let Some((_, Entry::Complete { bytes, .. })) = self.entries.remove(&key) {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The channel holds the whole prompt, so this finds no room only when the listener is gone.
fn send_all(listener: &mpsc::Sender<VoiceEvent>, events: &[VoiceEvent]) {
    for event in events {
        if listener.try_send(event.clone()).is_err() {
            return;
        }
    }
}

fn size_of(request: &SpeakRequest, events: &[VoiceEvent]) -> usize {
    let audio: usize = events
        .iter()
        .map(|event| match event {
            VoiceEvent::Audio(samples) => samples.len() * 2,
            VoiceEvent::Words(words) => words.iter().map(|word| size_of_val(word) + word.text.len()).sum(),
            VoiceEvent::Done | VoiceEvent::Failed(_) => 0,
        })
        .sum();
    audio + size_of_val(events) + request.text.len() * 2 + ENTRY_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> SpeakRequest {
        SpeakRequest { text: text.to_owned(), rate: 8000 }
    }

    fn audio(samples: usize) -> VoiceEvent {
        VoiceEvent::Audio(vec![0; samples].into())
    }

    fn make(prompts: &Prompts, text: &str, samples: usize) {
        let (tx, _rx) = mpsc::channel(8);
        assert_eq!(prompts.join(&request(text), tx), Joined::First);
        assert!(prompts.grow(&request(text), vec![audio(samples)]));
        prompts.end(&request(text), VoiceEvent::Done);
    }

    fn drain(rx: &mut mpsc::Receiver<VoiceEvent>) -> Vec<VoiceEvent> {
        std::iter::from_fn(|| rx.try_recv().ok()).collect()
    }

    #[test]
    fn a_second_asker_shares_the_synthesis_and_misses_nothing() {
        let prompts = Prompts::new(1 << 20);
        let (first, mut first_rx) = mpsc::channel(8);
        let (second, mut second_rx) = mpsc::channel(8);
        assert_eq!(prompts.join(&request("a"), first), Joined::First);
        prompts.grow(&request("a"), vec![audio(1)]);
        assert_eq!(prompts.join(&request("a"), second), Joined::Served);
        prompts.grow(&request("a"), vec![audio(2)]);
        prompts.end(&request("a"), VoiceEvent::Done);
        let all = [audio(1), audio(2), VoiceEvent::Done];
        assert_eq!(drain(&mut first_rx), all);
        assert_eq!(drain(&mut second_rx), all);
        let (third, mut third_rx) = mpsc::channel(8);
        assert_eq!(prompts.join(&request("a"), third), Joined::Served);
        assert_eq!(drain(&mut third_rx), all);
    }

    #[test]
    fn stops_when_nobody_listens() {
        let prompts = Prompts::new(1 << 20);
        let (first, first_rx) = mpsc::channel(8);
        let (second, second_rx) = mpsc::channel(8);
        prompts.join(&request("a"), first);
        prompts.join(&request("a"), second);
        drop(first_rx);
        assert!(prompts.wanted(&request("a")));
        drop(second_rx);
        assert!(!prompts.wanted(&request("a")));
        assert!(prompts.entries.is_empty());
    }

    #[test]
    fn a_failure_is_told_and_not_kept() {
        let prompts = Prompts::new(1 << 20);
        let (tx, mut rx) = mpsc::channel(8);
        prompts.join(&request("a"), tx);
        let failed = VoiceEvent::Failed(crate::SpeechError::Busy { engine: "x".into(), limit: 1 });
        prompts.end(&request("a"), failed.clone());
        assert_eq!(drain(&mut rx), [failed]);
        assert!(prompts.entries.is_empty());
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_bound_holds() {
        let prompts = Prompts::new(10_000);
        make(&prompts, "a", 2000);
        make(&prompts, "b", 2000);
        let (tx, _rx) = mpsc::channel(8);
        assert_eq!(prompts.join(&request("a"), tx), Joined::Served);
        make(&prompts, "c", 2000);
        assert!(prompts.bytes() <= 10_000);
        let known = |text| prompts.entries.contains_key(&request(text));
        assert!(known("a") && !known("b") && known("c"));
        make(&prompts, "too long", 20_000);
        assert!(!known("too long") && known("a"));
    }
}
