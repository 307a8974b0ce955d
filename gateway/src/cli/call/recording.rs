//! A stereo recording of a call: left the caller, right the other side, both where they were on the line.

use std::path::Path;

use tandem_media::Time;

/// Less than this between the end of a track and its next piece is no gap but two clocks: the piece is joined on.
const JOIN_SAMPLES: usize = 400;

/// Two tracks at one rate, from one origin.
#[derive(Clone, Debug)]
pub struct Recording {
    origin: Time,
    /// Hz
    rate: u32,
    caller: Vec<i16>,
    agent: Vec<i16>,
}

impl Recording {
    pub fn new(origin: Time, rate: u32) -> Self {
        Self { origin, rate, caller: Vec::new(), agent: Vec::new() }
    }

    /// The caller's line, whose first sample went out at `at`.
    pub fn caller(&mut self, at: Time, samples: &[i16]) {
        let at = self.position(at);
        place(&mut self.caller, at, samples);
    }

    /// What came from the other side, its last sample at `at`.
    pub fn agent(&mut self, at: Time, samples: &[i16]) {
        let at = self.position(at).saturating_sub(samples.len());
        place(&mut self.agent, at, samples);
    }

    fn position(&self, at: Time) -> usize {
        let us = at.since(self.origin).as_micros();
        usize::try_from(us * u128::from(self.rate) / 1_000_000).unwrap_or(usize::MAX)
    }

    /// The loudest sample of the other side.
    #[cfg(test)]
    pub fn agent_peak(&self) -> u16 {
        self.agent.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
    }

    /// Writes a WAV file, making its folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let (bits_per_sample, sample_format) = (16, hound::SampleFormat::Int);
        let spec = hound::WavSpec { channels: 2, sample_rate: self.rate, bits_per_sample, sample_format };
        let mut wav = hound::WavWriter::create(path, spec)?;
        for at in 0..self.caller.len().max(self.agent.len()) {
            for track in [&self.caller, &self.agent] {
                wav.write_sample(track.get(at).copied().unwrap_or(0))?;
            }
        }
        Ok(wav.finalize()?)
    }
}

fn place(track: &mut Vec<i16>, at: usize, samples: &[i16]) {
    if at.abs_diff(track.len()) > JOIN_SAMPLES {
        track.resize(at.max(track.len()), 0);
    }
    track.extend_from_slice(samples);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_and_gaps_stay() {
        let mut recording = Recording::new(Time::from_millis(1_000), 8_000);
        recording.agent(Time::from_millis(1_020), &[1; 160]);
        recording.agent(Time::from_millis(1_041), &[2; 160]);
        recording.agent(Time::from_millis(1_220), &[3; 160]);
        assert_eq!(recording.agent.len(), 1_600 + 160);
        assert_eq!((recording.agent[160], recording.agent[320], recording.agent[1_600]), (2, 0, 3));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out/call.wav");
        recording.write(&path).unwrap();
        let wav = hound::WavReader::open(path).unwrap();
        assert_eq!((wav.spec().channels, wav.duration()), (2, 1_760));
    }

    /// A piece is told when it is over.
    #[test]
    fn both_sides_are_where_they_were_on_the_line() {
        let mut recording = Recording::new(Time::from_millis(1_000), 8_000);
        recording.agent(Time::from_millis(1_080), &[1; 640]);
        assert_eq!(recording.agent, [1; 640]);
        recording.caller(Time::from_millis(1_500), &[2; 160]);
        recording.agent(Time::from_millis(1_580), &[3; 640]);
        let begins = |track: &[i16], sample| track.iter().position(|at| *at == sample);
        assert_eq!((begins(&recording.caller, 2), begins(&recording.agent, 3)), (Some(4_000), Some(4_000)));
        // Heard before the call was answered.
        let mut early = Recording::new(Time::from_millis(1_000), 8_000);
        early.agent(Time::from_millis(1_020), &[1; 4_800]);
        assert_eq!(early.agent.len(), 4_800);
    }
}
