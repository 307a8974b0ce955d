//! Is this what the grammar holds, or did the decoder force something else into it?
//!
//! A grammar decoder always finds its best path. What tells a good one is how well the acoustic model's units on that path
//! explain the sound, compared with the best units of the whole model: the scores of the engine are exactly that ratio,
//! because it scores all senones. Means are looked at. Over *all* frames: speech that the path must take for silence
//! costs much. Over the frames *of words*: a path that is mostly true silence must not hide bad words. The second is a mean
//! over few frames in a "yes", where one odd vowel weighs, so its limit is tighter for longer speech. And where a grammar
//! has many words, as a string of digits does, it can fit most of any speech: there the two weakest words are looked at too.
//!
//! The limits were fitted on the clips of `examples/recognize_table.rs`, which prints what they do.

use tandem_speech_engines::pocketsphinx::Hypothesis;

use crate::RecognizerEvent;

/// Least mean score of a frame, over all frames.
const LEAST_OVERALL: f32 = -52.0;
/// Least mean score of a frame of words, in speech up to this many frames of 10 ms ...
const SHORT: (f32, f32) = (-78.0, 50.0);
/// ... and in speech from this many frames on; between them it is interpolated.
const LONG: (f32, f32) = (-61.0, 160.0);
/// Least mean score of a frame in the two weakest words, when there are at least so many words.
const LEAST_WEAKEST: f32 = -77.0;
const MANY_WORDS: usize = 4;
/// Score that makes one step of the confidence's logistic curve.
const CONFIDENCE_STEP: f32 = 6.0;

/// The last event for what was decoded.
pub(super) fn judge(said: &Hypothesis) -> RecognizerEvent {
    match margin(said) {
        Some(margin) if margin >= 0.0 => {
            let confidence = 1.0 / (1.0 + (-margin / CONFIDENCE_STEP).exp());
            RecognizerEvent::Final { text: said.text.clone(), confidence }
        }
        Some(_) | None => RecognizerEvent::Rejected,
    }
}

/// How far the worst of the means is above its limit; none when nothing was said.
fn margin(said: &Hypothesis) -> Option<f32> {
    let overall = mean(said, |_| true)?;
    let words = mean(said, |is_word| is_word)?;
    let ratio = ((words.frames - SHORT.1) / (LONG.1 - SHORT.1)).clamp(0.0, 1.0);
    let least = SHORT.0 + (LONG.0 - SHORT.0) * ratio;
    let weakest = weakest_words(said).map_or(f32::INFINITY, |score| score - LEAST_WEAKEST);
    Some((overall.score - LEAST_OVERALL).min(words.score - least).min(weakest))
}

/// Mean of the two weakest words' scores of a frame; none when there are few words.
fn weakest_words(said: &Hypothesis) -> Option<f32> {
    let words = said.segments.iter().filter(|segment| segment.is_word());
    let mut scores: Vec<f32> = words.map(|word| word.score as f32 / word.frames.max(1) as f32).collect();
    scores.sort_by(f32::total_cmp);
    (scores.len() >= MANY_WORDS).then(|| (scores[0] + scores[1]) / 2.0)
}

struct Mean {
    frames: f32,
    /// Of one frame.
    score: f32,
}

fn mean(said: &Hypothesis, counts: impl Fn(bool) -> bool) -> Option<Mean> {
    let segments = said.segments.iter().filter(|segment| counts(segment.is_word()));
    let (frames, score) =
        segments.fold((0.0, 0.0), |(frames, score), s| (frames + s.frames as f32, score + s.score as f32));
    (frames > 0.0).then(|| Mean { frames, score: score / frames })
}

#[cfg(test)]
mod tests {
    use tandem_speech_engines::pocketsphinx::Segment;

    use super::*;

    fn said(segments: &[(&str, u32, i32)]) -> Hypothesis {
        let segments = segments.iter().map(|&(word, frames, mean)| {
            let frame_count = i32::try_from(frames).unwrap();
            Segment { word: word.to_owned(), frames, score: mean * frame_count }
        });
        Hypothesis { text: "yes".to_owned(), segments: segments.collect() }
    }

    #[test]
    fn accepts_what_fits_and_rejects_what_does_not() {
        let accepted = |segments: &[(&str, u32, i32)]| matches!(judge(&said(segments)), RecognizerEvent::Final { .. });
        assert!(accepted(&[("<sil>", 40, -20), ("yes", 30, -40), ("<sil>", 30, -20)]));
        // Bad words hidden in much silence; speech taken for silence; a long one that is a little bad throughout.
        assert!(!accepted(&[("<sil>", 400, -10), ("yes", 30, -90)]));
        assert!(!accepted(&[("<sil>", 40, -90), ("yes", 30, -40)]));
        assert!(!accepted(&[("<sil>", 100, -10), ("yes", 200, -65)]));
        assert!(accepted(&[("<sil>", 100, -10), ("yes", 40, -65)]));
    }

    #[test]
    fn many_words_may_have_one_weak_one_but_not_two() {
        let digits = |weak: usize| {
            let scores = (0..5).map(|index| ("one", 30, if index < weak { -80 } else { -40 }));
            matches!(judge(&said(&scores.collect::<Vec<_>>())), RecognizerEvent::Final { .. })
        };
        assert!(digits(0) && digits(1) && !digits(2));
    }

    #[test]
    fn nothing_said_is_rejected() {
        assert_eq!(judge(&Hypothesis::default()), RecognizerEvent::Rejected);
        assert_eq!(judge(&said(&[("<sil>", 100, -10)])), RecognizerEvent::Rejected);
    }

    #[test]
    fn a_better_fit_is_more_confident() {
        let confidence = |mean| match judge(&said(&[("yes", 50, mean)])) {
            RecognizerEvent::Final { confidence, .. } => confidence,
            other => panic!("{other:?}"),
        };
        assert!(confidence(-20) > confidence(-45) && confidence(-52) >= 0.5 && confidence(-1) <= 1.0);
    }
}
