//! The worker without its thread and sockets: packets, frames, commands and time in; [`Effects`] out.
//!
//! The shell feeds one thing, drains the effects, and waits for the next packet or for `poll_timeout`.

mod wheel;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Time;
use crate::leg::{Effects, LegId, LegStats, MediaCommand, MediaEvent, RtpLeg, RtpLegSetup, StreamLeg, StreamLegSetup};
use crate::resample::ResampleError;
use wheel::{Due, Wheel};

/// A slot that runs later than this sends a frame that comes too late (design section 6, `tandem_playout_late_total`).
const LATE: std::time::Duration = crate::leg::FRAME;

/// Commands and frames taken for one leg in one slot; what is more waits in its rings.
const INPUTS_PER_SLOT: usize = 128;

/// What a stream leg's caller sent, any length, and when it reached us.
#[derive(Clone, Debug, PartialEq)]
pub struct CallerAudio {
    pub at: Time,
    pub samples: Arc<[i16]>,
}

/// What a leg's rings hold for it.
#[derive(Clone, Debug, PartialEq)]
pub enum LegInput {
    /// Of its session.
    Command(MediaCommand),
    /// Of its caller, for stream legs.
    Audio(CallerAudio),
}

#[derive(Debug)]
enum Leg {
    Rtp(Box<RtpLeg>),
    Stream(Box<StreamLeg>),
}

/// All legs of a worker and the one wheel that paces them.
#[derive(Debug, Default)]
pub struct WorkerCore {
    /// By number; a hole is used again.
    legs: Vec<Option<Leg>>,
    wheel: Wheel,
    effects: Effects,
}

impl WorkerCore {
    /// Adds a telephone leg.
    ///
    /// # Errors
    /// When the voice detector cannot be made.
    pub fn add_rtp(&mut self, now: Time, setup: &RtpLegSetup) -> Result<LegId, ResampleError> {
        let leg = RtpLeg::new(self.free(), now, setup)?;
        Ok(self.add(now, Leg::Rtp(Box::new(leg))))
    }

    /// Adds a stream leg.
    ///
    /// # Errors
    /// When the voice detector cannot hear this rate.
    pub fn add_stream(&mut self, now: Time, setup: &StreamLegSetup) -> Result<LegId, ResampleError> {
        let leg = StreamLeg::new(self.free(), now, setup)?;
        Ok(self.add(now, Leg::Stream(Box::new(leg))))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a worker has fewer legs than ports, and ports are 16 bits")]
    fn free(&self) -> LegId {
        let hole = self.legs.iter().position(Option::is_none);
        LegId(hole.unwrap_or(self.legs.len()) as u32)
    }

    fn add(&mut self, now: Time, leg: Leg) -> LegId {
        let id = self.free();
        match self.legs.get_mut(id.0 as usize) {
            Some(hole) => *hole = Some(leg),
            None => self.legs.push(Some(leg)),
        }
        self.wheel.add(now, id);
        id
    }

    /// A datagram arrived on the socket of a telephone leg.
    pub fn handle_packet(&mut self, now: Time, leg: LegId, from: SocketAddr, datagram: &[u8]) {
        if let Some(Some(Leg::Rtp(rtp))) = self.legs.get_mut(leg.0 as usize) {
            rtp.handle_packet(now, from, datagram, &mut self.effects);
        }
    }

    /// Caller audio of a stream leg.
    pub fn handle_frame(&mut self, now: Time, leg: LegId, audio: &CallerAudio) {
        if let Some(Some(Leg::Stream(stream))) = self.legs.get_mut(leg.0 as usize) {
            stream.handle_frame(now, audio.at, &audio.samples, &mut self.effects);
        }
    }

    /// A stream leg is not to wait for its slot: takes what `next_input` has for it, and sends what its line lacks.
    pub fn hurry(&mut self, now: Time, leg: LegId, mut next_input: impl FnMut(LegId) -> Option<LegInput>) {
        self.take_inputs(now, leg, &mut next_input);
        if let Some(Some(Leg::Stream(stream))) = self.legs.get_mut(leg.0 as usize) {
            stream.hurry(now, &mut self.effects);
        }
    }

    /// A command of the leg's session. It is on the wire from the leg's next slot on.
    pub fn handle_command(&mut self, now: Time, leg: LegId, command: MediaCommand) {
        match (self.legs.get_mut(leg.0 as usize), command) {
            (Some(Some(_)), MediaCommand::Close) => self.close(now, leg),
            (Some(Some(Leg::Rtp(rtp))), command) => rtp.handle_command(now, command, &mut self.effects),
            (Some(Some(Leg::Stream(stream))), command) => {
                stream.handle_command(now, command, &mut self.effects);
            }
            (Some(None) | None, _) => {}
        }
    }

    fn close(&mut self, now: Time, leg: LegId) {
        let stats = match self.legs.get_mut(leg.0 as usize).and_then(Option::take) {
            Some(Leg::Rtp(mut rtp)) => rtp.close(now, &mut self.effects),
            Some(Leg::Stream(mut stream)) => stream.close(now, &mut self.effects),
            None => return,
        };
        self.effects.event(leg, MediaEvent::Closed { at: now, stats });
        self.effects.closed(leg);
        self.wheel.remove(leg);
    }

    /// Closes every leg.
    pub fn close_all(&mut self, now: Time) {
        for index in 0..u32::try_from(self.legs.len()).unwrap_or(u32::MAX) {
            self.close(now, LegId(index));
        }
    }

    /// Takes a leg out without a word: its wire could not be made.
    pub fn forget(&mut self, leg: LegId) {
        self.wheel.remove(leg);
        if let Some(hole) = self.legs.get_mut(leg.0 as usize) {
            *hole = None;
        }
    }

    /// What a leg counted so far.
    pub fn stats(&self, leg: LegId) -> Option<LegStats> {
        self.legs.get(leg.0 as usize)?.as_ref().map(|leg| match leg {
            Leg::Rtp(rtp) => rtp.stats(),
            Leg::Stream(stream) => stream.stats(),
        })
    }

    /// When to call `poll` next. None: there are no legs.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.wheel.timeout()
    }

    /// Runs one slot that is due, if one is: takes what `next_input` has for the leg, then sends and listens. False: nothing
    /// was due. One slot a call, so that its packet can leave before the next leg is served.
    pub fn poll(&mut self, now: Time, mut next_input: impl FnMut(LegId) -> Option<LegInput>) -> bool {
        match self.wheel.due(now) {
            None => return false,
            Some(Due::Skipped { turns }) => self.skip(turns),
            Some(Due::Slot { leg, at }) => {
                self.take_inputs(now, leg, &mut next_input);
                self.slot(now, leg, now.since(at) > LATE);
            }
        }
        true
    }

    fn take_inputs(&mut self, now: Time, leg: LegId, next_input: &mut impl FnMut(LegId) -> Option<LegInput>) {
        for _ in 0..INPUTS_PER_SLOT {
            match next_input(leg) {
                None => return,
                Some(LegInput::Command(MediaCommand::Close)) => return self.close(now, leg),
                Some(LegInput::Command(command)) => self.handle_command(now, leg, command),
                Some(LegInput::Audio(audio)) => self.handle_frame(now, leg, &audio),
            }
        }
    }

    fn slot(&mut self, now: Time, leg: LegId, late: bool) {
        match self.legs.get_mut(leg.0 as usize) {
            Some(Some(Leg::Rtp(rtp))) => rtp.slot(now, late, &mut self.effects),
            Some(Some(Leg::Stream(stream))) => stream.slot(now, late, &mut self.effects),
            Some(None) | None => {}
        }
    }

    fn skip(&mut self, turns: u32) {
        for leg in self.legs.iter_mut().flatten() {
            match leg {
                Leg::Rtp(rtp) => rtp.skip(turns),
                Leg::Stream(stream) => stream.skip(turns),
            }
        }
    }

    /// Whether there is a leg.
    pub fn is_empty(&self) -> bool {
        self.legs.iter().all(Option::is_none)
    }

    /// What is to be done; to be drained after each input.
    pub fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }
}

#[cfg(test)]
mod tests;
