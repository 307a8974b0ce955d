//! Who may know whom (ARCHITECTURE.md): read from the manifests.

use std::fs;

use tandem_tidy::{report, root};

/// Crate folder and the crates of ours that it may name in `[dependencies]`.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("media/resample", &[]),
    ("media", &["tandem-resample"]),
    ("contract", &[]),
    ("contract/check", &["tandem-conditions", "tandem-contract"]),
    ("contract/conditions", &[]),
    ("agents/speech/engines", &[]),
    ("agents/speech", &["tandem-contract", "tandem-media", "tandem-models", "tandem-speech-engines"]),
    ("agents/models", &["tandem-contract"]),
    ("agents/tools", &["tandem-contract", "tandem-models"]),
    ("agents", &["tandem-conditions", "tandem-contract", "tandem-media", "tandem-models", "tandem-speech"]),
    ("signaling", &["tandem-contract", "tandem-media"]),
    (
        "gateway",
        &[
            "tandem-contract",
            "tandem-check",
            "tandem-media",
            "tandem-models",
            "tandem-speech",
            "tandem-agents",
            "tandem-signaling",
            "tandem-tools",
        ],
    ),
    ("loadtest", &["tandem-contract", "tandem-media", "tandem-speech", "tandem-signaling"]),
];

#[test]
fn the_dependency_rule_holds() {
    let mut breaches = Vec::new();
    for (folder, allowed) in ALLOWED {
        for dependency in ours(folder) {
            if !allowed.contains(&dependency.as_str()) {
                breaches.push(format!("{folder} must not know {dependency}"));
            }
        }
    }
    report("media knows nothing of ours; signaling and agents do not know each other; the gateway sees all", &breaches);
}

/// Our crates in the `[dependencies]` table of a folder's manifest (test dependencies are free).
fn ours(folder: &str) -> Vec<String> {
    let path = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table = text.split("[dependencies]").nth(1).unwrap_or_default();
    let table = table.split("\n[").next().unwrap_or_default();
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned();
    table.lines().filter(|line| line.starts_with("tandem-")).map(name).collect()
}
