//! What a process of this machine uses: CPU seconds and resident memory, from /proc (see proc(5)).

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks a second of /proc/PID/stat: fixed to 100 in the interface of Linux on every architecture we run on.
const TICKS: f64 = 100.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// utime + stime of all threads, seconds.
    pub cpu: f64,
    /// Resident set, kilobytes.
    pub resident_kb: u64,
}

/// Reads what a process has used so far.
///
/// # Errors
/// When there is no such process.
pub fn of(pid: u32) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Usage { cpu: cpu(&stat).context("/proc/PID/stat")?, resident_kb: resident(&status).context("VmRSS")? })
}

fn cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

fn resident(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// Time of all processors since the machine started, in ticks, from `/proc/stat` (proc(5)).
pub struct Processors {
    all: u64,
    /// Wanted here, and given to other machines of the same host.
    stolen: u64,
}

impl Processors {
    /// # Errors
    /// When /proc is not there.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<u64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { all: ticks.iter().take(8).sum(), stolen: ticks.get(7).copied().unwrap_or(0) })
    }

    /// Percent of the processors' time that other machines got since.
    ///
    /// # Errors
    /// When /proc is not there.
    pub fn stolen_since(&self) -> Result<f64> {
        let now = Self::now()?;
        Ok(100.0 * (now.stolen - self.stolen) as f64 / (now.all - self.all).max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_a_process_with_a_strange_name() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1";
        assert_eq!(super::cpu(stat), Some(3.0));
        assert_eq!(super::resident("Name:\tx\nVmRSS:\t  1234 kB\n"), Some(1234));
        assert!(super::of(std::process::id()).unwrap().resident_kb > 0);
    }
}
