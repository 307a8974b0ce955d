//! Reads the repository's own sources, for the tests that hold the house rules.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file of ours.
pub struct Source {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    /// The part above the inline tests: what ships. By house rule `mod tests` is the last item of a file.
    pub fn product(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod ").next().unwrap_or(&self.text)
    }

    /// Whether the whole file is test, example or measurement.
    pub fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        let file = parts.last().copied().unwrap_or_default();
        parts.iter().any(|part| matches!(*part, "tests" | "examples" | "benches")) || file == "tests.rs"
    }

    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below the root with this ending, but for what is built or fetched.
pub fn sources(ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root(), &root(), ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no *{ending} below {}", root().display());
    found
}

fn walk(root: &Path, folder: &Path, ending: &str, found: &mut Vec<Source>) {
    const BUILT: [&str; 6] = ["target", "node_modules", ".git", "data", "dist", "out"];
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !BUILT.contains(&name.as_ref()) {
                walk(root, &path, ending, found);
            }
        } else if name.ends_with(ending)
            && let Ok(text) = fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root).unwrap_or(&path);
            found.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// Fails with one line a breach.
///
/// # Panics
/// When there is a breach.
pub fn report(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}
