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
        parts.iter().any(|part| matches!(*part, "tests" | "examples" | "benches"))
            || ["tests.rs", "_tests.rs", "properties.rs"].iter().any(|ending| file.ends_with(ending))
    }

    /// Whether the file takes measures: its figures are printed, not asserted.
    pub fn is_measurement(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "examples" | "benches"))
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

/// What a source imports, each path in full: groups (`use a::{b, c::d}`) are taken apart. With the line that it begins on.
pub fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default().trim();
        let begins = code.split_once("use ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        match (&mut open, begins) {
            (Some((_, statement)), _) => statement.push_str(code),
            (None, Some((_, path))) => open = Some((index + 1, path.to_owned())),
            (None, None) => {}
        }
        if let Some((line, statement)) = open.take_if(|(_, statement)| statement.ends_with(';')) {
            found.extend(paths("", statement.trim_end_matches(';')).into_iter().map(|path| (line, path)));
        }
    }
    found
}

fn paths(prefix: &str, tree: &str) -> Vec<String> {
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return vec![format!("{prefix}{path}")];
    };
    let (prefix, group) = (format!("{prefix}{}", head.trim()), group.trim_end().trim_end_matches(','));
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[from..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).flat_map(|part| paths(&prefix, part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_imports_are_taken_apart() {
        let text = "use tokio::{net, sync::{mpsc, oneshot as once}};\nuse std::fmt;\n// use rand::rng;\n\
                    pub(crate) use std::{\n    net::TcpStream, // a socket\n    time::Instant,\n};\nuser();\n";
        let found = [
            (1, "tokio::net"),
            (1, "tokio::sync::mpsc"),
            (1, "tokio::sync::oneshot"),
            (2, "std::fmt"),
            (4, "std::net::TcpStream"),
            (4, "std::time::Instant"),
        ];
        assert_eq!(imports(text), found.map(|(line, path)| (line, path.to_owned())));
    }
}
