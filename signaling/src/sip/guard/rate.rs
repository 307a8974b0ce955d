//! How often one source may speak: a bucket for each, in a table that never grows.
//!
//! A bucket is one number: the time at which it will be full again (the generic cell rate algorithm of ATM,
//! ITU-T I.371). Sources share a bucket when their hashes collide; with a secret seed nobody can aim at a neighbour's.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tandem_media::Time;

/// Buckets: 128 KiB. A scan from more addresses than this makes some of them share.
const BUCKETS: usize = 16_384;

/// A burst may be this long at full rate, so that a bucket holds twice the rate.
const BURST: Duration = Duration::from_secs(2);

pub(super) struct RateTable {
    /// Microseconds: when the bucket is full again.
    full_at: Box<[AtomicU64]>,
    seed: u64,
}

impl RateTable {
    pub fn new(seed: u64) -> Self {
        Self { full_at: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), seed }
    }

    /// Takes one from the bucket of `source`, which refills `rate` times a second. False: it is empty.
    pub fn take(&self, source: IpAddr, rate: u32, now: Time) -> bool {
        let bucket = &self.full_at[self.index(source)];
        let price = Duration::from_secs(1) / rate.max(1);
        let full_at = Time::from_micros(bucket.load(Ordering::Relaxed)).max(now);
        if full_at.since(now) + price > BURST {
            return false;
        }
        // One task reads the socket: nobody else writes between load and store.
        bucket.store((full_at + price).as_micros(), Ordering::Relaxed);
        true
    }

    fn index(&self, source: IpAddr) -> usize {
        let hash = match source.to_canonical() {
            IpAddr::V4(ip) => fnv(self.seed, &ip.octets()),
            // A household has a /64, so its hosts share.
            IpAddr::V6(ip) => fnv(self.seed, &ip.octets()[..8]),
        };
        usize::try_from(hash % BUCKETS as u64).unwrap_or(0)
    }
}

/// FNV-1a, started from a secret.
pub(super) fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed;
    let hash = bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_two_seconds_and_refills() {
        let table = RateTable::new(1);
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let passed = (0..1000).filter(|_| table.take(one, 100, Time::ZERO)).count();
        assert_eq!(passed, 200);
        assert!(table.take(other, 100, Time::ZERO));
        let later = Time::from_millis(500);
        assert_eq!((0..1000).filter(|_| table.take(one, 100, later)).count(), 50);
    }
}
