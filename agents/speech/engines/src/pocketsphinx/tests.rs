use super::*;

/// None, with the line that the test run counts, where the packages are not installed.
fn engine() -> Option<&'static Pocketsphinx> {
    let loaded = Pocketsphinx::load();
    if let Err(error) = &loaded {
        println!("SKIPPED-PEER pocketsphinx ({error})");
    }
    loaded.ok()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A human's "go forward ten meters", 16 kHz.
fn go_forward() -> Option<Vec<i16>> {
    let Ok(bytes) = std::fs::read("/usr/share/pocketsphinx/test/data/goforward.raw") else {
        println!("SKIPPED-PEER pocketsphinx-testdata");
        return None;
    };
    Some(bytes.as_chunks::<2>().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect())
}

const COMMANDS: &str = "#JSGF V1.0; grammar g; public <g> = (go | turn) (forward | backward) (one | ten | two) meters;";

fn decode(decoder: &mut Decoder, audio: &[i16]) -> Hypothesis {
    decoder.start().unwrap();
    for frame in audio.chunks(320) {
        decoder.process(frame).unwrap();
    }
    decoder.finish().unwrap()
}

#[test]
fn a_human_command_is_recognized_while_it_is_spoken() {
    let (Some(engine), Some(audio)) = (engine(), go_forward()) else { return };
    let mut decoder = engine.decoder().unwrap();
    decoder.set_grammar(COMMANDS, &words("go turn forward backward one ten two meters")).unwrap();
    decoder.start().unwrap();
    let mut partials = Vec::new();
    for frame in audio.chunks(320) {
        decoder.process(frame).unwrap();
        partials.push(decoder.partial());
    }
    let said = decoder.finish().unwrap();
    assert_eq!(said.text, "go forward ten meters");
    assert!(partials.iter().any(|partial| partial == "go forward"), "{partials:?}");
    assert!(said.segments.iter().filter(|segment| segment.is_word()).count() == 4, "{:?}", said.segments);
    let frames: u32 = said.segments.iter().map(|segment| segment.frames).sum();
    assert!((200..400).contains(&frames));
}

#[test]
fn an_utterance_leaves_nothing_behind() {
    let (Some(engine), Some(audio)) = (engine(), go_forward()) else { return };
    let mut decoder = engine.decoder().unwrap();
    let all = words("go turn forward backward one ten two meters");
    decoder.set_grammar(COMMANDS, &all).unwrap();
    let first = decode(&mut decoder, &audio);
    let loud: Vec<i16> = audio.iter().map(|sample| sample.saturating_mul(6)).collect();
    decode(&mut decoder, &loud);
    decoder.start().unwrap();
    decoder.process(&loud[..20_000]).unwrap();
    let again = decode(&mut decoder, &audio);
    // Scores differ by a hair: the search for the best Gaussians begins where the frame before left it.
    let shape = |said: &Hypothesis| -> Vec<(String, u32)> {
        said.segments.iter().map(|segment| (segment.word.clone(), segment.frames)).collect()
    };
    assert_eq!(shape(&again), shape(&first));
    let score = |said: &Hypothesis| said.segments.iter().map(|segment| segment.score).sum::<i32>();
    assert!((score(&again) - score(&first)).abs() <= score(&first).abs() / 50);
}

#[test]
fn grammars_change_between_utterances() {
    let (Some(engine), Some(audio)) = (engine(), go_forward()) else { return };
    let mut decoder = engine.decoder().unwrap();
    let one = "#JSGF V1.0; grammar g; public <g> = go forward ten meters;";
    for _ in 0..3 {
        decoder.set_grammar(one, &words("go forward ten meters")).unwrap();
        assert_eq!(decode(&mut decoder, &audio).text, "go forward ten meters");
        decoder.set_grammar(COMMANDS, &words("go turn forward backward one ten two meters")).unwrap();
        assert_eq!(decode(&mut decoder, &audio).text, "go forward ten meters");
    }
    assert_eq!(decoder.known_words(), 8);
}

#[test]
fn what_is_wrong_is_said() {
    let Some(engine) = engine() else { return };
    let mut decoder = engine.decoder().unwrap();
    assert_eq!(decoder.start(), Err(DecoderError::Grammar));
    assert_eq!(decoder.process(&[0; 160]), Err(DecoderError::Decoding));
    assert_eq!(decoder.finish(), Err(DecoderError::Decoding));
    let unknown = DecoderError::UnknownWord("qxzzy".to_owned());
    assert_eq!(decoder.set_grammar("", &words("yes qxzzy")), Err(unknown));
    for malformed in ["", "no grammar", "#JSGF V1.0; grammar g; public <g> = (yes;", "\0", "#JSGF V1.0; grammar g;"] {
        assert_eq!(decoder.set_grammar(malformed, &words("yes")), Err(DecoderError::Grammar), "{malformed:?}");
    }
    let untold = "#JSGF V1.0; grammar g; public <g> = never told;";
    assert_eq!(decoder.set_grammar(untold, &[]), Err(DecoderError::Grammar));
    let good = "#JSGF V1.0; grammar g; public <g> = yes;";
    decoder.set_grammar(good, &words("yes")).unwrap();
    decoder.start().unwrap();
    assert_eq!(decoder.partial(), "");
    assert_eq!(decoder.finish(), Ok(Hypothesis::default()));
}

#[test]
fn decoders_work_on_several_threads_at_once() {
    let (Some(engine), Some(audio)) = (engine(), go_forward()) else { return };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2 {
                    let mut decoder = engine.decoder().unwrap();
                    decoder.set_grammar(COMMANDS, &words("go turn forward backward one ten two meters")).unwrap();
                    assert_eq!(decode(&mut decoder, &audio).text, "go forward ten meters");
                }
            });
        }
    });
}

/// Decoders come into being on several threads at once when a busy node's pool grows.
#[test]
fn decoders_are_made_on_several_threads_at_once() {
    let Some(engine) = engine() else { return };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    engine
                        .decoder()
                        .unwrap()
                        .set_grammar(COMMANDS, &words("go turn forward backward one ten two meters"))
                        .unwrap();
                }
            });
        }
    });
}
