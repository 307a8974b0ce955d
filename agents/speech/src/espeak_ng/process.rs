use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{ENGINE, absent, wav};
use crate::line::speaking::{Halt, Outlet, Speaking};
use crate::{SpeakRequest, SpeechError, VoiceEvent};

/// A process that writes nothing for this long hangs: it needs milliseconds for a sentence.
const GAP: Duration = Duration::from_secs(5);
/// Bytes of one read: a quarter of a second.
const PART: usize = 11_025;

/// Speaks all of it. The process is killed when this is dropped.
pub(super) async fn speak(program: &Path, language: &str, request: &SpeakRequest, outlet: Outlet) {
    let mut child = match start(program, language) {
        Ok(child) => child,
        Err(error) => return outlet.end(VoiceEvent::Failed(error)),
    };
    let head = match begin(&mut child, &request.text).await {
        Ok(head) => head,
        Err(why) => return outlet.end(VoiceEvent::Failed(failed(format!("{why} ({})", told(&mut child).await)))),
    };
    let speaking = wav::source(&head).ok_or_else(|| "it wrote no WAV file".to_owned());
    let speaking = match speaking {
        Ok(source) => Speaking::new(source, request, outlet).map_err(|error| error.to_string()),
        Err(why) => return outlet.end(VoiceEvent::Failed(failed(why))),
    };
    // Err: the outlet told of it as it was dropped. The program's own rate converts to all that are asked for.
    let Ok(mut speaking) = speaking else { return };
    match read(&mut child, &mut speaking).await {
        Ok(()) => speaking.finish(),
        Err(Halt::Broken(why)) => speaking.fail_with(&why, false),
        Err(Halt::Unheard) => {}
    }
}

/// The text goes by standard input, the environment (which holds keys) not at all.
fn start(program: &Path, language: &str) -> Result<Child, SpeechError> {
    let mut command = Command::new(program);
    command.args(["--stdin", "--stdout", "-b", "1", "-v", language]).env_clear().kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => absent(),
        _ => failed(format!("it cannot be started ({error})")),
    })
}

fn failed(why: String) -> SpeechError {
    SpeechError::Failed { engine: ENGINE.to_owned(), why, retry: false }
}

/// Gives the text and takes the head of the file.
async fn begin(child: &mut Child, text: &str) -> Result<[u8; wav::HEAD], String> {
    let (mut stdin, stdout) = match (child.stdin.take(), child.stdout.as_mut()) {
        (Some(stdin), Some(stdout)) => (stdin, stdout),
        _ => return Err("it has no pipes".to_owned()),
    };
    // Two brackets would begin phonemes.
    let plain = text.replace(['[', ']'], " ");
    let talk = async {
        // Err: it has ended already; what it wrote, or did not, tells why.
        let _ = stdin.write_all(plain.as_bytes()).await;
        drop(stdin);
        let mut head = [0; wav::HEAD];
        stdout.read_exact(&mut head).await.map(|_| head)
    };
    match timeout(GAP, talk).await {
        Ok(Ok(head)) => Ok(head),
        Ok(Err(_)) => Err("it wrote nothing".to_owned()),
        Err(_) => Err(format!("it wrote nothing for {} s", GAP.as_secs())),
    }
}

/// How it ended, after it closed its output.
async fn told(child: &mut Child) -> String {
    match timeout(GAP, child.wait()).await {
        Ok(Ok(status)) => format!("{status}; is the language one of `espeak-ng --voices`?"),
        _ => "it still runs".to_owned(),
    }
}

async fn read(child: &mut Child, speaking: &mut Speaking) -> Result<(), Halt> {
    let Some(stdout) = child.stdout.as_mut() else { return Ok(()) };
    let mut part = vec![0; PART];
    loop {
        match timeout(GAP, stdout.read(&mut part)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(length)) => speaking.bytes(&part[..length])?,
            Ok(Err(error)) => return Err(Halt::Broken(format!("its output broke off ({error})"))),
            Err(_) => return Err(Halt::Broken(format!("it wrote nothing for {} s", GAP.as_secs()))),
        }
    }
}
