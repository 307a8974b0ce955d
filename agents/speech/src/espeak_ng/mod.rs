//! Voices of espeak-ng, for languages beside English: robotic, and more than a hundred of them. Its licence (GPL 3) is not
//! ours, so it is a child process and never a library.
//!
//! The task of an utterance
//! - owns the process: it is killed when the task ends;
//! - receives a WAV file by the process' standard output;
//! - sends the utterance its events, without times of words;
//! - ends with the file, or at once when nobody listens any more.

mod process;
mod wav;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use crate::line::speaking::Outlet;
use crate::line::{nothing, sayable, segment};
use crate::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

pub(crate) const ENGINE: &str = "espeak-ng";
/// Utterances that may wait for a process. One takes about a hundredth of its length, so that the last waits a second or two;
/// beyond that the caller is better told.
const WAITING: usize = 64;

/// The program, once a node.
#[derive(Clone)]
pub struct EspeakNg {
    program: PathBuf,
    /// Processes at once, and those that wait beside them.
    running: Arc<Semaphore>,
    asked: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl EspeakNg {
    /// Debian's package.
    pub const PACKAGE: &str = "espeak-ng";

    /// Looks for the program in the folders of `path`, as the variable `PATH` has them. At most `processes` run at once.
    ///
    /// # Errors
    /// `Unavailable`, with the package to install.
    pub fn find(path: &std::ffi::OsStr, processes: usize) -> Result<Self, SpeechError> {
        let mut programs = std::env::split_paths(path).map(|folder| folder.join("espeak-ng"));
        programs.find(|program| program.is_file()).map(|program| Self::at(&program, processes)).ok_or_else(absent)
    }

    fn at(program: &Path, processes: usize) -> Self {
        let running = Arc::new(Semaphore::new(processes.clamp(1, Semaphore::MAX_PERMITS)));
        let asked = Arc::new(Semaphore::new(WAITING));
        Self { program: program.to_owned(), running, asked, tasks: TaskTracker::new() }
    }

    /// `language`: BCP 47, or a voice of the program's ("de", "pt-br").
    ///
    /// # Errors
    /// `NotSupported` for what is no language.
    pub fn voice(&self, language: &str) -> Result<Arc<dyn Voice>, SpeechError> {
        let language = segment(ENGINE, "language", language)?;
        if !language.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let what = format!("speak {language:?}: a language begins with a letter");
            return Err(SpeechError::NotSupported { engine: ENGINE.to_owned(), what });
        }
        Ok(Arc::new(EspeakVoice { engine: self.clone(), language: language.to_ascii_lowercase() }))
    }
}

pub(crate) fn absent() -> SpeechError {
    let why = format!("the program is not installed (Debian: apt install {})", EspeakNg::PACKAGE);
    SpeechError::Unavailable { engine: ENGINE.to_owned(), why }
}

struct EspeakVoice {
    engine: EspeakNg,
    language: String,
}

impl Voice for EspeakVoice {
    fn info(&self) -> EngineInfo {
        let quality = "robotic, more than a hundred languages".to_owned();
        EngineInfo { name: format!("espeak-ng {}", self.language), quality }
    }

    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let Some(request) = sayable(ENGINE, request)? else { return Ok(nothing(ENGINE)) };
        let busy = |_| SpeechError::Busy { engine: ENGINE.to_owned(), limit: WAITING };
        let place = Arc::clone(&self.engine.asked).try_acquire_owned().map_err(busy)?;
        let (outlet, events) = Outlet::open(ENGINE);
        self.engine.tasks.spawn(run(self.engine.clone(), self.language.clone(), request, outlet, place));
        Ok(events)
    }
}

async fn run(engine: EspeakNg, language: String, request: SpeakRequest, outlet: Outlet, _place: OwnedSemaphorePermit) {
    let listener = outlet.listener();
    let spoken = async {
        // Err: the semaphore is closed, which nobody does.
        let Ok(_running) = engine.running.acquire().await else { return };
        process::speak(&engine.program, &language, &request, outlet).await;
    };
    tokio::select! {
        () = listener.closed() => {}
        () = spoken => {}
    }
}

#[cfg(test)]
mod tests;
