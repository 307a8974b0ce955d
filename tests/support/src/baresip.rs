//! baresip as a caller that plays a WAV and records what it hears.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Process;
use crate::scenario::CALLER;

/// A running call.
pub struct Baresip {
    process: Process,
    folder: PathBuf,
}

impl Baresip {
    /// Calls `uri`, plays the file (8 kHz mono) once the call is up, and hangs up after so many seconds.
    ///
    /// # Errors
    /// When baresip cannot be started.
    pub fn call(uri: &str, play: &Path, seconds: u64, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let config = format!(
            "module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\nmodule sndfile.so\n\
             module_app account.so\nmodule_app menu.so\nnet_interface 127.0.0.1\nsip_listen 127.0.0.1:0\n\
             audio_source aufile,{}\naudio_player aufile,{}\naudio_alert aufile,/dev/null\n\
             ausrc_srate 8000\nauplay_srate 8000\naudio_channels 1\nsnd_path {}\n",
            play.display(),
            folder.join("player.wav").display(),
            folder.display(),
        );
        std::fs::write(folder.join("config"), config)?;
        std::fs::write(folder.join("accounts"), format!("<sip:{CALLER}@127.0.0.1>;regint=0;audio_codecs=PCMU\n"))?;
        std::fs::write(folder.join("contacts"), "")?;
        let dial = format!("/dial {uri}");
        let mut process = Process::start(Command::new("baresip").arg("-f").arg(folder).args([
            "-e",
            &dial,
            "-t",
            &seconds.to_string(),
        ]))?;
        process.wait_for("Call established", Duration::from_secs(20))?;
        Ok(Self { process, folder: folder.to_owned() })
    }

    /// Waits for the end of the call and returns the recording of what was heard.
    ///
    /// # Errors
    /// When the call does not end or nothing was recorded.
    pub fn wait(self, limit: Duration) -> Result<PathBuf> {
        let (_, said) = self.process.wait(limit)?;
        let files = std::fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path());
        let recorded = |file: &PathBuf| file.to_string_lossy().ends_with("-dec.wav");
        files.into_iter().find(recorded).with_context(|| format!("no recording:\n{said}"))
    }
}
