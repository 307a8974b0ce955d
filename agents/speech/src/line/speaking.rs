//! One utterance on its way from a vendor to the session: decoded, converted to the leg's rate, with the words before the
//! audio that they end in.

use std::sync::Arc;

use tandem_media::resample::{ResampleError, Resampler};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, OwnedPermit};

use super::pcm::{Encoding, Pcm};
use super::words::{Base, Chunk, Piece, Placement};
use crate::{AlignedWord, SpeakRequest, SpeechError, VoiceEvent};

/// Events of one utterance that may wait for the session, which takes audio as it is played. Memory is taken as they come.
/// The longest text spoken slowly, in chunks of 20 ms, is below.
const EVENTS: usize = 16_384;
/// Audio of one utterance at most, seconds: twice the longest text. Bounds what a broken vendor can make us keep.
const AUDIO_MAX: u64 = 600;

/// What a vendor's audio is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) encoding: Encoding,
    /// Hz.
    pub(crate) rate: u32,
    pub(crate) base: Base,
}

/// Why an utterance goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Nobody listens any more.
    Unheard,
    /// The vendor sent what is no audio, or too much of it.
    Broken(String),
}

/// The sending half of an utterance. Its one last event always has room.
#[derive(Debug)]
pub(crate) struct Outlet {
    engine: String,
    events: mpsc::Sender<VoiceEvent>,
    last: Option<OwnedPermit<VoiceEvent>>,
}

impl Outlet {
    pub(crate) fn open(engine: &str) -> (Self, mpsc::Receiver<VoiceEvent>) {
        // Full: the vendor cut the audio into more pieces than any text needs, and the utterance fails.
        let (events, receiver) = mpsc::channel(EVENTS);
        let last = events.clone().try_reserve_owned().ok();
        (Self { engine: engine.to_owned(), events, last }, receiver)
    }

    pub(crate) fn is_unheard(&self) -> bool {
        self.events.is_closed()
    }

    /// For a shell that waits until nobody listens any more.
    pub(crate) fn listener(&self) -> mpsc::Sender<VoiceEvent> {
        self.events.clone()
    }

    fn give(&self, event: VoiceEvent) -> Result<(), Halt> {
        self.events.try_send(event).map_err(|error| match error {
            TrySendError::Closed(_) => Halt::Unheard,
            TrySendError::Full(_) => Halt::Broken("it sent audio in too many pieces".to_owned()),
        })
    }

    /// The one last event.
    pub(crate) fn end(mut self, last: VoiceEvent) {
        if let Some(permit) = self.last.take() {
            permit.send(last);
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(permit) = self.last.take() {
            let (engine, why) = (std::mem::take(&mut self.engine), "the utterance was given up".to_owned());
            permit.send(VoiceEvent::Failed(SpeechError::Failed { engine, why, retry: true }));
        }
    }
}

#[derive(Debug)]
pub(crate) struct Speaking {
    outlet: Outlet,
    pcm: Pcm,
    /// Hz of the vendor's audio, and of what goes out.
    from: u32,
    to: u32,
    resampler: Resampler,
    converted: Vec<i16>,
    words: Placement,
    /// Samples taken, and given.
    taken: u64,
    given: u64,
}

impl Speaking {
    /// # Errors
    /// When the rate asked for cannot be had.
    pub(crate) fn new(source: Source, request: &SpeakRequest, outlet: Outlet) -> Result<Self, ResampleError> {
        Ok(Self {
            outlet,
            pcm: Pcm::new(source.encoding),
            from: source.rate,
            to: request.rate,
            resampler: Resampler::new(source.rate, request.rate)?,
            converted: Vec::new(),
            words: Placement::new(&request.text, request.rate, source.base),
            taken: 0,
            given: 0,
        })
    }

    /// Whether audio has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.taken > 0
    }

    pub(crate) fn is_unheard(&self) -> bool {
        self.outlet.is_unheard()
    }

    pub(crate) fn listener(&self) -> mpsc::Sender<VoiceEvent> {
        self.outlet.listener()
    }

    pub(crate) fn engine(&self) -> &str {
        &self.outlet.engine
    }

    /// A chunk of base64, and what the vendor tells of it. Either may be empty.
    pub(crate) fn base64(&mut self, audio: &str, pieces: &[Piece<'_>]) -> Result<(), Halt> {
        let mut pcm = std::mem::replace(&mut self.pcm, Pcm::new(Encoding::Linear));
        let taken = match pcm.base64(audio) {
            Ok(samples) => self.take(samples, pieces),
            Err(error) => Err(Halt::Broken(format!("it sent audio that is no base64 ({error})"))),
        };
        self.pcm = pcm;
        taken
    }

    /// A chunk of bytes.
    pub(crate) fn bytes(&mut self, audio: &[u8]) -> Result<(), Halt> {
        let mut pcm = std::mem::replace(&mut self.pcm, Pcm::new(Encoding::Linear));
        let taken = self.take(pcm.bytes(audio), &[]);
        self.pcm = pcm;
        taken
    }

    fn take(&mut self, samples: &[i16], pieces: &[Piece<'_>]) -> Result<(), Halt> {
        let ms = |samples: u64| samples as f64 * 1000.0 / f64::from(self.from);
        let chunk = Chunk { begins: ms(self.taken), length: ms(samples.len() as u64) };
        self.words.align(pieces, chunk);
        self.taken += samples.len() as u64;
        if self.taken > AUDIO_MAX * u64::from(self.from) {
            return Err(Halt::Broken(format!("it sent more than {AUDIO_MAX} s of audio for one utterance")));
        }
        if self.from == self.to {
            return self.give(samples);
        }
        self.convert(|resampler, out| resampler.push(samples, out))
    }

    fn convert(&mut self, work: impl FnOnce(&mut Resampler, &mut Vec<i16>)) -> Result<(), Halt> {
        let mut converted = std::mem::take(&mut self.converted);
        converted.clear();
        work(&mut self.resampler, &mut converted);
        let given = self.give(&converted);
        self.converted = converted;
        given
    }

    fn give(&mut self, samples: &[i16]) -> Result<(), Halt> {
        self.given += samples.len() as u64;
        let words = self.words.within(self.given);
        self.tell(words)?;
        if samples.is_empty() {
            return Ok(());
        }
        self.outlet.give(VoiceEvent::Audio(Arc::from(samples)))
    }

    fn tell(&self, words: Vec<AlignedWord>) -> Result<(), Halt> {
        if words.is_empty() { Ok(()) } else { self.outlet.give(VoiceEvent::Words(words)) }
    }

    /// The vendor has said it all.
    pub(crate) fn finish(mut self) {
        if !self.has_begun() {
            return self.fail_with("it sent no audio", true);
        }
        let given = self.convert(|resampler, out| resampler.finish(out));
        let rest = self.words.rest(self.given);
        match given.and_then(|()| self.tell(rest)) {
            Ok(()) => self.outlet.end(VoiceEvent::Done),
            Err(Halt::Broken(why)) => self.fail_with(&why, false),
            Err(Halt::Unheard) => {}
        }
    }

    pub(crate) fn fail_with(self, why: &str, retry: bool) {
        let engine = self.outlet.engine.clone();
        self.fail(SpeechError::Failed { engine, why: why.to_owned(), retry });
    }

    pub(crate) fn fail(self, error: SpeechError) {
        self.outlet.end(VoiceEvent::Failed(error));
    }
}
