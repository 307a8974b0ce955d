use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;
use crate::voice_conformance;

fn request(text: &str) -> SpeakRequest {
    SpeakRequest { text: text.to_owned(), rate: 8_000 }
}

fn installed() -> Option<EspeakNg> {
    let found = EspeakNg::find(&std::env::var_os("PATH").unwrap_or_default(), 2);
    if let Err(error) = &found {
        println!("SKIPPED-PEER espeak-ng ({error})");
    }
    found.ok()
}

async fn last(voice: &dyn Voice, text: &str) -> (usize, VoiceEvent) {
    let mut events = voice.speak(request(text)).unwrap();
    let mut samples = 0;
    loop {
        match events.recv().await.unwrap() {
            VoiceEvent::Audio(audio) => samples += audio.len(),
            VoiceEvent::Words(_) => {}
            end @ (VoiceEvent::Done | VoiceEvent::Failed(_)) => return (samples, end),
        }
    }
}

#[tokio::test]
async fn conforms() {
    let Some(engine) = installed() else { return };
    voice_conformance::run(engine.voice("de").unwrap()).await;
}

#[tokio::test]
async fn a_text_is_only_said() {
    let Some(engine) = installed() else { return };
    let voice = engine.voice("en").unwrap();
    let (plain, end) = last(voice.as_ref(), "version").await;
    assert_eq!(end, VoiceEvent::Done);
    let (option, end) = last(voice.as_ref(), "--version").await;
    assert_eq!((end, option > plain / 2), (VoiceEvent::Done, true), "no option: {option} and {plain} samples");
    let (phonemes, _) = last(voice.as_ref(), "[[h@l'oU]]").await;
    assert!(phonemes > 0);
    for language in ["", "-h", "de;x", "../de", "de x"] {
        assert!(matches!(engine.voice(language).map(drop), Err(SpeechError::NotSupported { .. })), "{language}");
    }
    let unknown = engine.voice("xx-none").unwrap();
    let (_, end) = last(unknown.as_ref(), "Hello.").await;
    assert!(matches!(&end, VoiceEvent::Failed(SpeechError::Failed { retry: false, .. })), "{end:?}");
}

#[tokio::test]
async fn without_the_program_its_package_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = EspeakNg::find(folder.path().as_os_str(), 1).map(drop).unwrap_err();
    assert!(error.to_string().contains("apt install espeak-ng"), "{error}");
    let voice = EspeakNg::at(&folder.path().join("espeak-ng"), 1).voice("de").unwrap();
    assert_eq!(last(voice.as_ref(), "Hallo.").await, (0, VoiceEvent::Failed(error)));
}

/// A program that says that it runs, and then hangs.
fn hanging(folder: &Path) -> EspeakNg {
    let program = folder.join("espeak-ng");
    fs::write(
        &program,
        format!("#!/bin/sh\necho $$ > {0}/pid.new\nmv {0}/pid.new {0}/pid\nexec /bin/sleep 600\n", folder.display()),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    EspeakNg::at(&program, 1)
}

async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it comes true in time");
}

#[tokio::test]
async fn a_process_that_nobody_hears_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let voice = hanging(folder.path()).voice("de").unwrap();
    let events = voice.speak(request("Hallo.")).unwrap();
    let file = folder.path().join("pid");
    until(|| file.exists()).await;
    let process = Path::new("/proc").join(fs::read_to_string(&file).unwrap().trim());
    assert!(process.exists());
    drop(events);
    until(|| !process.exists()).await;
}

#[tokio::test]
async fn more_than_can_wait_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let voice = hanging(folder.path()).voice("de").unwrap();
    let waiting: Vec<_> = (0..WAITING).map(|_| voice.speak(request("Hallo.")).unwrap()).collect();
    let refused = voice.speak(request("Hallo.")).map(drop);
    assert_eq!(refused, Err(SpeechError::Busy { engine: ENGINE.to_owned(), limit: WAITING }));
    drop(waiting);
}
