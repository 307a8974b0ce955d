#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]
// usage: scratch_vad rate file.raw ... ; prints scores summary per file and edges
use tandem_media::vad::*;
use tandem_media::Time;
use tandem_media::leg::VadSettings;
fn main() {
    let mut args = std::env::args().skip(1);
    let rate: u32 = args.next().unwrap().parse().unwrap();
    let verbose = std::env::var("V").is_ok();
    let hold = std::env::var("HOLD").is_ok();
    for file in args {
        let bytes = std::fs::read(&file).unwrap();
        let pcm: Vec<i16> = bytes.chunks_exact(2).map(|p| i16::from_le_bytes([p[0], p[1]])).collect();
        let pcm = if hold { let mut o = vec![]; tandem_media::resample::sample_hold_double(&pcm, &mut o); o } else { pcm };
        let rate = if hold { rate * 2 } else { rate };
        let mut d = EarshotDetector::new(rate, VadSettings::default()).unwrap();
        let n = rate as usize / 50;
        let mut scores = vec![];
        let mut edges = vec![];
        for (i, c) in pcm.chunks_exact(n).enumerate() {
            let now = Time::from_millis((i as u64 + 1) * 20);
            if let Some(e) = d.push(now, c) {
                edges.push(match e { VadEdge::Started { at, onset } => format!("+{}({})", at.as_millis(), onset.as_millis()), VadEdge::Ended { at, end } => format!("-{}({})", at.as_millis(), end.as_millis()) });
            }
            scores.push(d.score());
        }
        let frac = scores.iter().filter(|s| **s >= 0.5).count() as f32 / scores.len() as f32;
        let mean = scores.iter().sum::<f32>() / scores.len() as f32;
        let max = scores.iter().cloned().fold(0.0, f32::max);
        println!("{:40} dur {:5.1}s voiced {:4.0}% mean {:.2} max {:.2} edges {}: {}", file.rsplit('/').next().unwrap(), pcm.len() as f32 / rate as f32, frac * 100.0, mean, max, edges.len(), edges.iter().take(12).cloned().collect::<Vec<_>>().join(" "));
        if verbose { println!("  {}", scores.iter().map(|s| format!("{:.1}", s)).collect::<Vec<_>>().join(" ")); }
    }
}
