//! A bounded pool of threads for engines that block.
//!
//! Owns: its threads and one queue. Receives: jobs. Ends when it is dropped: jobs that are queued are forgotten, jobs that
//! run are waited for (an engine's job is short: one sentence to speak, or the audio that arrived since the last job).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

type Job = Box<dyn FnOnce() + Send>;

/// The queue was full: the engine is slower than what it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFull {
    /// Jobs that the queue holds.
    pub limit: usize,
}

#[derive(Debug)]
pub struct BlockingPool {
    /// None while the pool is being dropped.
    jobs: Option<Sender<Job>>,
    limit: usize,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BlockingPool {
    /// Starts `threads` threads called `name-0`, `name-1`, ...; `queue` jobs may wait.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, threads: usize, queue: usize) -> std::io::Result<Self> {
        // Full: `submit` refuses at once, and the asker says "busy" to the session.
        let (jobs, waiting) = bounded::<Job>(queue);
        let ending = Arc::new(AtomicBool::new(false));
        let mut pool = Self { jobs: Some(jobs), limit: queue, ending, threads: Vec::with_capacity(threads) };
        for index in 0..threads.max(1) {
            let (waiting, ending) = (waiting.clone(), Arc::clone(&pool.ending));
            let thread = std::thread::Builder::new().name(format!("{name}-{index}"));
            pool.threads.push(thread.spawn(move || work(&waiting, &ending))?);
        }
        Ok(pool)
    }

    /// Queues a job; never waits.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), PoolFull> {
        let full = PoolFull { limit: self.limit };
        let jobs = self.jobs.as_ref().ok_or(full)?;
        match jobs.try_send(Box::new(job)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(full),
        }
    }
}

/// One thread's life. A job that panics takes its own channels down with it, which tells whoever waits; the thread lives on.
fn work(waiting: &Receiver<Job>, ending: &AtomicBool) {
    while let Ok(job) = waiting.recv() {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("a speech job panicked");
        }
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        self.jobs = None;
        let this = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last owner may be a job of this very pool; it cannot wait for itself.
            if thread.thread().id() != this && thread.join().is_err() {
                tracing::error!("a speech thread panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn refuses_when_the_queue_is_full() {
        let pool = BlockingPool::start("test", 1, 1).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let (running, started) = mpsc::channel();
        pool.submit(move || {
            running.send(()).unwrap();
            let _ = wait.recv();
        })
        .unwrap();
        started.recv().unwrap();
        assert_eq!(pool.submit(|| {}), Ok(()));
        assert_eq!(pool.submit(|| {}), Err(PoolFull { limit: 1 }));
        drop(go);
    }

    #[test]
    fn a_panic_costs_one_job() {
        let pool = BlockingPool::start("test", 1, 4).unwrap();
        let (done, finished) = mpsc::channel();
        pool.submit(|| panic!("on purpose")).unwrap();
        pool.submit(move || done.send(1).unwrap()).unwrap();
        assert_eq!(finished.recv(), Ok(1));
    }

    #[test]
    fn dropping_waits_for_what_runs_and_forgets_what_waits() {
        let pool = BlockingPool::start("test", 1, 4).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let (running, started) = mpsc::channel();
        let (done, finished) = mpsc::channel();
        let second = done.clone();
        pool.submit(move || {
            running.send(()).unwrap();
            let _ = wait.recv();
            done.send(1).unwrap();
        })
        .unwrap();
        pool.submit(move || second.send(2).unwrap()).unwrap();
        started.recv().unwrap();
        let dropping = std::thread::spawn({
            let ending = Arc::clone(&pool.ending);
            move || {
                drop(pool);
                ending.load(Ordering::Relaxed)
            }
        });
        let _ = go;
        drop(go);
        assert!(dropping.join().unwrap());
        // Whether the second job ran depends on which thread was faster; the first one did.
        assert_eq!(finished.recv(), Ok(1));
    }
}
