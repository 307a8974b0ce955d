//! docs: the rules of CONTRIBUTING.md that a machine can check. Function length and parameter counts are clippy's.

use tandem_tidy::{Source, imports, report, sources};

/// A file above this is split by meaning.
const FILE_LINES: usize = 600;
/// A struct above this is several structs.
const STRUCT_FIELDS: usize = 15;
/// Structs whose fields somebody else counts, and who.
const GIVEN_STRUCTS: [(&str, &str); 1] =
    [("BotConfig", "one field a block: the thirteen of the seed's config format and our four")];
/// contract holds types and validation only.
const CONTRACT_LINES: usize = 2_300;

/// Protocol and policy cores: no clock, no socket, no randomness, no environment, no async runtime.
const CORES: [&str; 70] = [
    "contract/src/",
    "contract/conditions/src/",
    "media/src/codec/",
    "media/src/dtmf/",
    "media/src/jitter/",
    "media/src/leg/",
    "media/src/playout/",
    "media/resample/src/",
    "media/src/rtp/",
    "media/src/vad/",
    "media/src/worker/core",
    "signaling/src/sdp/",
    "signaling/src/stream/",
    "signaling/src/sip/guard/",
    "agents/models/src/anthropic/map",
    "agents/models/src/anthropic/wire",
    "agents/models/src/budget",
    "agents/models/src/gemini/map",
    "agents/models/src/gemini/wire",
    "agents/models/src/openai/map",
    "agents/models/src/openai/wire",
    "agents/speech/src/deepgram/map",
    "agents/speech/src/deepgram/wire",
    "agents/speech/src/recognizer_line/core",
    "agents/speech/src/aura/map",
    "agents/speech/src/aura/wire",
    "agents/speech/src/cartesia/map",
    "agents/speech/src/cartesia/wire",
    "agents/speech/src/elevenlabs/map",
    "agents/speech/src/elevenlabs/wire",
    "agents/speech/src/espeak_ng/wav",
    "agents/speech/src/line/contexts",
    "agents/speech/src/line/pcm",
    "agents/speech/src/line/speaking",
    "agents/speech/src/line/words",
    "agents/models/src/price",
    "agents/models/src/turns",
    "agents/speech/src/openai_speech/map",
    "agents/speech/src/openai_speech/wire",
    "agents/speech/src/deepgram/flux/map",
    "agents/speech/src/deepgram/flux/wire",
    "agents/speech/src/openai_transcribe/wire",
    "agents/src/brain/",
    "agents/src/ledger/",
    "agents/src/turn/",
    "agents/tools/src/arguments",
    "agents/tools/src/http/answer",
    "agents/tools/src/http/request",
    "agents/tools/src/mcp/answer",
    "agents/tools/src/mcp/listing",
    "agents/src/session/",
    "agents/src/words",
    "signaling/src/sip/call/machine",
    "gateway/src/cli/eval/play",
    "gateway/src/cli/eval/report",
    "gateway/src/cli/eval/scenario",
    "gateway/src/cli/eval/window",
    "gateway/src/cli/eval/words",
    "gateway/src/cli/floor",
    "gateway/src/channels/attached",
    "gateway/src/channels/conversation/",
    "gateway/src/channels/split",
    "gateway/src/channels/chatwoot/wire",
    "gateway/src/channels/twilio/wire",
    "loadtest/src/twilio/caller",
    "loadtest/src/twilio/message",
    "loadtest/src/twilio/player",
    "loadtest/src/vendors/deepgram",
    "loadtest/src/vendors/elevenlabs",
    "loadtest/src/vendors/tone",
];

/// Within them, the shells: they own the clock and the tasks.
const SHELLS: [&str; 1] = ["agents/src/session/shell"];

/// Where a lock may live: registries that many tasks share, by path and reason.
const LOCK_REGISTRIES: [(&str, &str); 0] = [];

/// Words that say nothing about what a thing is.
const EMPTY_NAMES: [&str; 5] = ["manager", "helper", "utils", "common", "misc"];

fn rust() -> Vec<Source> {
    sources(".rs")
}

#[test]
fn files_stay_readable() {
    let long = |source: &Source| source.lines() > FILE_LINES && !source.path.contains("/vectors");
    let breaches: Vec<_> =
        rust().iter().filter(|s| long(s)).map(|s| format!("{} has {} lines", s.path, s.lines())).collect();
    report("a file has at most 600 lines", &breaches);
}

#[test]
fn structs_stay_small() {
    let mut breaches = Vec::new();
    for source in rust() {
        for (name, fields) in structs(source.product()) {
            if fields > STRUCT_FIELDS && !GIVEN_STRUCTS.iter().any(|(given, _)| *given == name) {
                breaches.push(format!("{}: struct {name} has {fields} fields", source.path));
            }
        }
    }
    report("a struct has at most 15 fields", &breaches);
}

/// Name and field count of each braced struct. Relies on rustfmt: a field is a line of four spaces, a name and a colon.
fn structs(text: &str) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let declared =
            line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
        if let Some(rest) = declared.strip_prefix("struct ").filter(|_| line.ends_with('{')) {
            let name = rest.split(['<', ' ', '(']).next().unwrap_or_default();
            found.push((name.to_owned(), 0));
            open = true;
        } else if line == "}" {
            open = false;
        } else if let Some((_, fields)) = found.last_mut().filter(|_| open && is_field(line)) {
            *fields += 1;
        }
    }
    found
}

fn is_field(line: &str) -> bool {
    let Some(field) = line.strip_prefix("    ").filter(|rest| !rest.starts_with([' ', '/', '#'])) else { return false };
    let name = field.rsplit_once("pub ").map_or(field, |(_, name)| name).split_once(": ").map(|(name, _)| name);
    name.is_some_and(|name| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '(' || c == ')' || c == ' ')
    })
}

/// What no core imports, nor writes out in full. The channels of `tokio::sync` are types of its surroundings, and addresses
/// (`std::net::SocketAddr`) are plain data.
const BANNED: [&str; 18] = [
    "tokio::net",
    "tokio::time",
    "tokio::task",
    "tokio::fs",
    "tokio::io",
    "tokio::process",
    "tokio::runtime",
    "tokio::spawn",
    "tokio::select",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::fs",
    "std::env",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "rand",
];

fn is_core(source: &Source) -> bool {
    let below = |paths: &[&str]| paths.iter().any(|path| source.path.starts_with(path));
    !source.is_test() && below(&CORES) && !below(&SHELLS)
}

#[test]
fn cores_do_no_io() {
    let mut breaches = Vec::new();
    for source in rust().iter().filter(|s| is_core(s)) {
        for (number, path) in imports(source.product()) {
            let within =
                |banned: &str| path.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            if BANNED.iter().any(|banned| within(banned)) || path == "tokio" {
                breaches.push(format!("{}:{number}: {path}", source.path));
            }
        }
        for (number, line) in code_lines(source.product()) {
            let inline = |banned: &&&str| line.contains(&format!("{banned}::")) || line.contains(&format!("{banned}("));
            let clock = ["Instant::now", "SystemTime::now"];
            for banned in BANNED.iter().filter(inline).chain(clock.iter().filter(|now| line.contains(**now))) {
                breaches.push(format!("{}:{number}: {banned}", source.path));
            }
            if line.contains("async fn") {
                breaches.push(format!("{}:{number}: async", source.path));
            }
        }
    }
    report("a core takes time and events as arguments and returns effects", &breaches);
}

#[test]
fn every_core_is_there() {
    let files = rust();
    let missing: Vec<_> = CORES
        .iter()
        .filter(|core| !files.iter().any(|s| s.path.starts_with(**core)))
        .map(|c| (*c).to_owned())
        .collect();
    report("a path named as core exists", &missing);
}

#[test]
fn locks_live_in_registries() {
    let mut breaches = Vec::new();
    for source in rust().iter().filter(|s| !s.is_test() && !LOCK_REGISTRIES.iter().any(|(path, _)| s.path == *path)) {
        for (number, line) in code_lines(source.product()) {
            if ["Mutex<", "RwLock<", "Mutex::new", "RwLock::new"].iter().any(|lock| line.contains(lock)) {
                breaches.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("one task owns the state; a lock lives in a named registry only", &breaches);
}

#[test]
fn queues_are_bounded() {
    let mut breaches = Vec::new();
    for source in rust().iter().filter(|s| !s.path.starts_with("tests/tidy")) {
        for (number, line) in code_lines(&source.text) {
            if line.contains("unbounded_channel") || line.contains("UnboundedSender") {
                breaches.push(format!("{}:{number}", source.path));
            }
        }
    }
    report("queues are bounded", &breaches);
}

/// `tests/vendors` is made of scripts that wait: what a test waits for is that the other side is late.
#[test]
fn tests_do_not_sleep() {
    let mut breaches = Vec::new();
    let exempt = |path: &str| ["tests/tidy", "tests/vendors"].iter().any(|folder| path.starts_with(folder));
    for source in rust().iter().filter(|s| !exempt(&s.path)) {
        for (number, line) in code_lines(&source.text) {
            if line.contains("thread::sleep(") || (in_tests(source, number) && line.contains("sleep(")) {
                breaches.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("a test waits for an event or advances a virtual clock", &breaches);
}

/// A test that asks how long something took fails on a busy machine and proves nothing on an idle one. `tests/support` keeps
/// deadlines for peers, which is not the same.
#[test]
fn tests_assert_no_speed() {
    let mut breaches = Vec::new();
    let asks = |line: &str| ["elapsed()", "duration_since("].iter().any(|word| line.contains(word));
    for source in rust().iter().filter(|s| !s.is_measurement()) {
        if source.path.starts_with("tests/tidy") || source.path.starts_with("tests/support") {
            continue;
        }
        for (number, line) in code_lines(&source.text).filter(|(number, line)| in_tests(source, *number) && asks(line))
        {
            breaches.push(format!("{}:{number}: {}", source.path, line.trim()));
        }
    }
    report("speed is measured by make bench, no test asserts it", &breaches);
}

fn in_tests(source: &Source, line: usize) -> bool {
    source.is_test() || line > source.product().lines().count()
}

#[test]
fn names_say_what_a_thing_is() {
    let mut breaches = Vec::new();
    for source in rust().iter().filter(|s| !s.path.starts_with("tests/tidy")) {
        for part in source.path.to_lowercase().split(['/', '.', '_']) {
            if EMPTY_NAMES.contains(&part) {
                breaches.push(source.path.clone());
            }
        }
        for (number, line) in code_lines(source.product()) {
            let Some(name) = declared_name(line) else { continue };
            let lower = name.to_lowercase();
            if EMPTY_NAMES.iter().any(|empty| lower.contains(empty)) {
                breaches.push(format!("{}:{number}: {name}", source.path));
            }
        }
    }
    report("no manager, helper, utils, common, misc", &breaches);
}

fn declared_name(line: &str) -> Option<&str> {
    let at = ["struct ", "enum ", "trait ", "fn ", "mod "].iter().find_map(|word| {
        let start = line.trim_start();
        let rest = start.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim_start_matches("async ");
        rest.strip_prefix(word)
    })?;
    at.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn nothing_is_left_half_done() {
    const SMELLS: [&str; 7] =
        ["todo!(", "unimplemented!(", "FIXME", "TODO", "not yet implemented", "for now", "placeholder"];
    let mut breaches = Vec::new();
    for source in rust().iter().filter(|s| !s.path.starts_with("tests/tidy")) {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(smell) = SMELLS.iter().find(|smell| line.contains(**smell)) {
                breaches.push(format!("{}:{}: {smell}", source.path, number + 1));
            }
        }
    }
    report("no stub is called done", &breaches);
}

#[test]
fn no_test_is_switched_off() {
    let mut breaches = Vec::new();
    for source in rust().iter().filter(|s| !s.path.starts_with("tests/tidy")) {
        for (number, line) in code_lines(&source.text) {
            if line.contains("#[ignore") {
                breaches.push(format!("{}:{number}", source.path));
            }
        }
    }
    report("every test runs in make test", &breaches);
}

#[test]
fn unsafe_lives_in_one_crate() {
    let mut breaches = Vec::new();
    for source in
        rust().iter().filter(|s| !s.path.starts_with("agents/speech/engines/") && !s.path.starts_with("tests/tidy"))
    {
        for (number, line) in code_lines(&source.text) {
            if line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl") {
                breaches.push(format!("{}:{number}", source.path));
            }
        }
    }
    report("unsafe code lives in agents/speech/engines", &breaches);
}

#[test]
fn the_contract_stays_thin() {
    let lines: usize =
        rust().iter().filter(|s| s.path.starts_with("contract/src/")).map(|s| s.product().lines().count()).sum();
    assert!(lines < CONTRACT_LINES, "contract has {lines} lines; types and validation only, under {CONTRACT_LINES}");
}

/// Numbered lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}
