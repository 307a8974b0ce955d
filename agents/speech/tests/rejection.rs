//! The table of rejections: what is inside a grammar is understood, what is outside is refused.

mod table;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use table::{HEAD, Row, TESTDATA, clips, rows};
use tandem_speech::pocketsphinx::PocketsphinxRecognizer;
use tandem_speech_engines::flite::{FliteVoice, FliteVoiceName};

/// Beside people: of the two voices that are to be understood the one that is harder to tell from what it did not say. More
/// voices are in the example's table; each costs a minute of processor time.
const VOICES: [&str; 1] = ["awb"];
/// Grammar, and the least of its clips that are understood and of all others that are rejected, in percent: of all voices
/// together, and below what was measured (docs/speech.md): flite's breath is random noise, which moves the figures by some
/// clips.
const LEAST: [(&str, usize, usize); 5] =
    [("yes/no", 80, 80), ("menu", 80, 70), ("5 digits", 80, 75), ("commands", 100, 90), ("cards", 60, 60)];

#[tokio::test]
async fn grammars_take_their_own_and_reject_the_rest() -> Result<()> {
    let peers = [
        ("pocketsphinx-testdata", Path::new(TESTDATA).is_dir()),
        ("flite", FliteVoice::load(FliteVoiceName::Awb).is_ok()),
    ];
    if let Some((missing, _)) = peers.into_iter().find(|(_, there)| !there) {
        println!("SKIPPED-PEER {missing}");
        return Ok(());
    }
    let recognizer = match PocketsphinxRecognizer::start(2) {
        Ok(recognizer) => Arc::new(recognizer),
        Err(error) => {
            println!("SKIPPED-PEER pocketsphinx ({error})");
            return Ok(());
        }
    };
    let clips: Vec<_> = clips(&VOICES, 1.0)?.into_iter().map(Arc::new).collect();
    println!("{HEAD}");
    let rows = rows(&recognizer, &VOICES, &clips, |row| println!("{row}")).await?;
    for (grammar, right_least, rejected_least) in LEAST {
        let sum =
            |figure: fn(&Row) -> usize| rows.iter().filter(|row| row.grammar == grammar).map(figure).sum::<usize>();
        let percent = |part: fn(&Row) -> usize, of: usize| (100 * sum(part)).checked_div(of).context("no clips");
        let right = percent(|row| row.right, sum(|row| row.inside))?;
        let rejected = percent(|row| row.rejected, sum(|row| row.outside))?;
        let misses: Vec<_> = rows.iter().filter(|row| row.grammar == grammar).flat_map(|row| &row.misses).collect();
        assert!(right >= right_least && rejected >= rejected_least, "{grammar}: {right} %, {rejected} %: {misses:#?}");
    }
    Ok(())
}
