//! The vendors' own clients, as peers of the scripted vendors: Python packages that `.ci/install-tools` installs, run by the
//! scripts of `tests/vendors/python`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::run;
use crate::root;

/// Where `.ci/install-tools` puts what it installs.
fn tools() -> Option<PathBuf> {
    let named = std::env::var_os("TANDEM_TOOLS").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/tandem-tools")))
}

/// The Python that has the packages of `tests/vendors/python/requirements.txt`. `None` after saying that the peer is missing.
pub fn python(peer: &str) -> Option<PathBuf> {
    let python = tools().map(|tools| tools.join("python/bin/python")).filter(|python| python.is_file());
    if python.is_none() {
        println!("SKIPPED-PEER {peer}-python");
    }
    python
}

/// What a vendor's client made of each of these cases, in order; it asks the server at `base`. `None` after saying that the
/// peer is missing: the caller then ends its test.
///
/// # Errors
/// When the script fails: with what it said.
pub fn official(client: &str, base: &str, cases: &[&str]) -> Result<Option<Vec<Value>>> {
    let Some(python) = python(client) else { return Ok(None) };
    let script = root().join("tests/vendors/python").join(format!("{client}_client.py"));
    // No proxy stands between a test and its own machine, and nothing is written beside the scripts.
    let mut command = Command::new(python);
    command.args(["-B".as_ref(), script.as_os_str()]).arg(base).args(cases);
    command.env("NO_PROXY", "*").env("no_proxy", "*").env("OTEL_SDK_DISABLED", "true");
    let told = run(&mut command)?;
    let last = String::from_utf8_lossy(&told);
    let last = last.trim().lines().last().context("it said nothing")?;
    Ok(Some(serde_json::from_str(last).with_context(|| last.to_owned())?))
}
