//! Child processes: one whose lines can be waited for and that ends with its owner, or one that is run to its end. Nobody
//! waits for a process without a limit.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Longest run of a program that a test starts and waits for: twenty conversations, or reading a large capture, on a machine
/// that is busy with other tests.
const RUN: Duration = Duration::from_secs(240);
/// How often a process is looked at that has closed its output and is about to end.
const LOOK: Duration = Duration::from_millis(5);
/// Lines that a child may be ahead of its reader; then it waits on its pipe.
const LINES_AHEAD: usize = 100_000;

pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a command; standard output and error are read line by line.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (sender, lines) = sync_channel(LINES_AHEAD);
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        let mut readers = Vec::new();
        for pipe in pipes.into_iter().flatten() {
            let sender = sender.clone();
            readers.push(std::thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    if sender.send(text).is_err() {
                        break;
                    }
                }
            }));
        }
        Ok(Self { name, child, lines, seen: Vec::new(), readers })
    }

    /// Waits until a line holds `text`, and returns that line.
    ///
    /// # Errors
    /// When the process ends first or the time is over; the error shows what it had said.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} did not say {text:?} within {limit:?}:\n{}", self.name, self.seen.join("\n"))
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended without saying {text:?}:\n{}", self.name, self.seen.join("\n"))
                }
            }
        }
    }

    /// Waits for the end of the process and returns its status and all that it said.
    ///
    /// # Errors
    /// When it still runs at the limit (it is then ended).
    pub fn wait(mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} still ran after {limit:?}:\n{}", self.name, self.tail())
                }
            }
        }
        let status = exit_of(&mut self.child, deadline).with_context(|| format!("{}: {}", self.name, self.tail()))?;
        Ok((status, self.seen.join("\n")))
    }

    fn tail(&self) -> String {
        self.seen[self.seen.len().saturating_sub(40)..].join("\n")
    }

    /// Sends a signal by name ("TERM", "KILL", "INT") to this process alone.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "{} is gone already", self.name);
        Ok(())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far, as far as it was read.
    pub fn said(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for reader in self.readers.drain(..) {
            while self.lines.try_recv().is_ok() {}
            if reader.is_finished() {
                let _ = reader.join();
            }
        }
    }
}

/// Runs a program to its end and returns its standard output; fails with what it said.
///
/// # Errors
/// When it cannot be started, ends with a failure, or is still running after four minutes (it is then ended).
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    run_within(command, RUN)
}

fn run_within(command: &mut Command, limit: Duration) -> Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let (stdout, stderr) = (whole(child.stdout.take()), whole(child.stderr.take()));
    let left = || deadline.saturating_duration_since(Instant::now());
    let said = stdout.recv_timeout(left()).and_then(|out| Ok((out, stderr.recv_timeout(left())?)));
    let (Ok((out, err)), Ok(status)) = (said, exit_of(&mut child, deadline)) else {
        let _ = child.kill();
        let _ = child.wait();
        bail!("{command:?} still ran after {limit:?}");
    };
    ensure!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&err));
    Ok(out)
}

/// All that a pipe carries, once it is closed: by the child and by all that it started.
fn whole(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, all) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    all
}

/// The status of a child that is about to end.
fn exit_of(child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        ensure!(Instant::now() < deadline, "it closed its output and did not end");
        std::thread::park_timeout(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let hangs = run_within(Command::new("sleep").arg("600"), Duration::from_millis(50)).unwrap_err();
        assert!(hangs.to_string().contains("still ran after 50ms"), "{hangs}");
        let silent =
            run_within(Command::new("sh").args(["-c", "exec sleep 600 >/dev/null 2>&1"]), Duration::from_millis(50));
        assert!(silent.is_err());
        assert_eq!(run(Command::new("echo").arg("well")).unwrap(), b"well\n");
    }
}
