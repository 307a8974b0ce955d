//! Who listens: the detector as calls have it, another network whose scores are read, and that network as a veto behind the detector.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use tandem_media::Time;
use tandem_media::leg::VadSettings;
use tandem_media::vad::{EarshotDetector, VadEdge, VoiceDetector};

use crate::RATE;

/// A frame of a call, milliseconds: what is known is told at the end of one.
const FRAME: u64 = 20;
/// A window of the other network, milliseconds: 256 samples at 8 kHz, as Silero has them.
const WINDOW: u64 = 32;
/// How far below the threshold a score must fall to be silence in the midst of speech, as in the detector.
const HYSTERESIS: f32 = 0.15;
/// How long after the detector found voice the other network may still agree.
const VETO: u64 = 300;

/// A stretch of voice in milliseconds: since when, when it was told, until when, and when that was told.
#[derive(Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) onset: u64,
    pub(crate) told: u64,
    pub(crate) end: u64,
    pub(crate) ended: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Ear<'a> {
    /// The detector as calls have it.
    Detector,
    /// The other network with the same threshold, hysteresis and durations, and no gate of level.
    Other(&'a Path),
    /// The detector, where the other network agrees at least once from the onset to 300 ms after it was told.
    Veto(&'a Path),
    /// Voice where both have found it: the other network is asked as long as the detector holds voice.
    Both(&'a Path),
}

/// What listening cost.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) frames_heard: u64,
}

impl Ear<'_> {
    /// What it finds in a clip, and what that cost. `name` is that of its file of scores.
    pub(crate) fn find(self, name: &str, pcm: &[i16]) -> Result<(Vec<Stretch>, Cost), Box<dyn Error>> {
        match self {
            Self::Detector => detect(pcm),
            Self::Other(folder) => Ok((stretches(&scores(folder, name)?), Cost::default())),
            Self::Both(folder) => {
                let (found, cost) = detect(pcm)?;
                Ok((both(&found, &stretches(&scores(folder, name)?)), cost))
            }
            Self::Veto(folder) => {
                let (found, cost) = detect(pcm)?;
                let scores = scores(folder, name)?;
                Ok((found.into_iter().filter_map(|stretch| agreed(stretch, &scores)).collect(), cost))
            }
        }
    }
}

fn detect(pcm: &[i16]) -> Result<(Vec<Stretch>, Cost), Box<dyn Error>> {
    let mut detector = EarshotDetector::new(RATE as u32, VadSettings::default())?;
    let mut found: Vec<Stretch> = Vec::new();
    let begin = cpu_time()?;
    for (frame, n) in pcm.chunks(RATE / 50).zip(1..) {
        match detector.push(Time::ZERO + Duration::from_millis(n * FRAME), frame) {
            Some(VadEdge::Started { at, onset }) => found.push(open(onset.as_millis(), at.as_millis())),
            Some(VadEdge::Ended { at, end }) => {
                if let Some(last) = found.last_mut() {
                    (last.end, last.ended) = (end.as_millis(), at.as_millis());
                }
            }
            None => {}
        }
    }
    Ok((found, Cost { cpu: cpu_time()?.saturating_sub(begin), frames_heard: detector.frames_heard() }))
}

const fn open(onset: u64, told: u64) -> Stretch {
    Stretch { onset, told, end: u64::MAX, ended: u64::MAX }
}

/// The processor's time of this thread, which is the only one.
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let running = schedstat.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(running.parse()?))
}

/// A score each window, 32-bit floats.
fn scores(folder: &Path, name: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let file = folder.join(name).with_extension("f32");
    let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}

fn stretches(scores: &[f32]) -> Vec<Stretch> {
    let settings = VadSettings::default();
    let millis = |duration: Duration| duration.as_millis() as u64;
    let (mut found, mut in_speech, mut other_for) = (Vec::new(), false, 0);
    for (score, n) in scores.iter().zip(1..) {
        let voice = *score >= settings.threshold - if in_speech { HYSTERESIS } else { 0.0 };
        other_for = if voice == in_speech { 0 } else { other_for + WINDOW };
        let needed = millis(if in_speech { settings.min_silence } else { settings.min_speech });
        if other_for >= needed {
            let (since, told) = (n * WINDOW - other_for, (n * WINDOW).next_multiple_of(FRAME));
            if in_speech {
                found.iter_mut().rev().take(1).for_each(|last: &mut Stretch| (last.end, last.ended) = (since, told));
            } else {
                found.push(open(since, told));
            }
            (in_speech, other_for) = (!in_speech, 0);
        }
    }
    found
}

fn agreed(stretch: Stretch, scores: &[f32]) -> Option<Stretch> {
    let until = (stretch.told + VETO).min(stretch.ended);
    let windows = scores.iter().zip(1..).map(|(score, n)| (*score, n * WINDOW));
    let mut between = windows.filter(|(_, end)| (stretch.onset + 1..=until).contains(end));
    let (_, known) = between.find(|(score, _)| *score >= VadSettings::default().threshold)?;
    Some(Stretch { told: stretch.told.max(known.next_multiple_of(FRAME)), ..stretch })
}

fn both(ours: &[Stretch], theirs: &[Stretch]) -> Vec<Stretch> {
    let pairs = ours.iter().flat_map(|ours| theirs.iter().map(move |theirs| (ours, theirs)));
    let common = pairs.map(|(ours, theirs)| Stretch {
        onset: ours.onset.max(theirs.onset),
        told: ours.told.max(theirs.told),
        end: ours.end.min(theirs.end),
        ended: ours.ended.min(theirs.ended),
    });
    common.filter(|stretch| stretch.onset < stretch.end && stretch.told < stretch.ended).collect()
}
