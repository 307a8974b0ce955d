//! A bad network in virtual time, for tests and load generation: seeded loss, duplication, jitter and reordering.
//!
//! The same seed and the same calls give the same deliveries, bit by bit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::Time;

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to shake packets.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform, 0 to 1 without 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform, below `bound`; 0 when that is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }
}

/// How the network is from a moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Of every packet.
    pub delay: Duration,
    /// Added to it, uniform from zero to this, each packet on its own: packets overtake each other when it exceeds their
    /// distance.
    pub jitter: Duration,
    /// Probabilities, 0 to 1.
    pub loss: f64,
    pub duplication: f64,
    /// Probability that a packet is held back `reorder_by`.
    pub reorder: f64,
    pub reorder_by: Duration,
}

/// Packets of type `P` on their way.
#[derive(Clone, Debug)]
pub struct Emulator<P> {
    random: SplitMix,
    /// Sorted by time; the last that has begun is in force.
    schedule: Vec<(Time, Conditions)>,
    flying: BinaryHeap<Reverse<Flying<P>>>,
    sent: u64,
}

#[derive(Clone, Debug)]
struct Flying<P> {
    due: Time,
    /// Ties arrive in the order sent.
    order: u64,
    packet: P,
}

impl<P: Clone> Emulator<P> {
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self::with_schedule(seed, vec![(Time::ZERO, conditions)])
    }

    /// Conditions that change: each holds from its time on. Before the first, the network is perfect.
    pub fn with_schedule(seed: u64, mut schedule: Vec<(Time, Conditions)>) -> Self {
        schedule.sort_by_key(|(from, _)| *from);
        Self { random: SplitMix::new(seed), schedule, flying: BinaryHeap::new(), sent: 0 }
    }

    /// Gives a packet to the network.
    pub fn send(&mut self, now: Time, packet: P) {
        let conditions = self.conditions(now);
        if self.random.unit() < conditions.loss {
            return;
        }
        if self.random.unit() < conditions.duplication {
            let due = self.arrival(now, &conditions);
            self.fly(due, packet.clone());
        }
        let due = self.arrival(now, &conditions);
        self.fly(due, packet);
    }

    /// The next packet that has arrived by `now`. Call until it says none.
    pub fn poll(&mut self, now: Time) -> Option<P> {
        if self.next_due()? > now {
            return None;
        }
        self.flying.pop().map(|Reverse(flying)| flying.packet)
    }

    /// When the next packet arrives.
    pub fn next_due(&self) -> Option<Time> {
        self.flying.peek().map(|Reverse(flying)| flying.due)
    }

    fn conditions(&self, now: Time) -> Conditions {
        let in_force = self.schedule.iter().rev().find(|(from, _)| *from <= now);
        in_force.map(|(_, conditions)| *conditions).unwrap_or_default()
    }

    fn arrival(&mut self, now: Time, conditions: &Conditions) -> Time {
        let jitter = Duration::from_micros(self.random.below(conditions.jitter.as_micros() as u64 + 1));
        let held = if self.random.unit() < conditions.reorder { conditions.reorder_by } else { Duration::ZERO };
        now + conditions.delay + jitter + held
    }

    fn fly(&mut self, due: Time, packet: P) {
        let order = self.sent;
        self.sent += 1;
        self.flying.push(Reverse(Flying { due, order, packet }));
    }
}

impl<P> PartialEq for Flying<P> {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.order) == (other.due, other.order)
    }
}

impl<P> Eq for Flying<P> {}

impl<P> PartialOrd for Flying<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Flying<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 packets 20 ms apart: what arrives when.
    fn arrivals(seed: u64, conditions: Conditions) -> Vec<(Time, u64)> {
        let mut network = Emulator::new(seed, conditions);
        let mut seen = Vec::new();
        for n in 0..1000 {
            let now = Time::from_millis(n * 20);
            network.send(now, n);
            while let Some(due) = network.next_due().filter(|due| *due <= now) {
                seen.extend(network.poll(due).map(|packet| (due, packet)));
            }
        }
        while let Some(due) = network.next_due() {
            seen.extend(network.poll(due).map(|packet| (due, packet)));
        }
        seen
    }

    #[test]
    fn the_same_seed_gives_the_same_network() {
        let bad =
            Conditions { jitter: Duration::from_millis(60), loss: 0.1, duplication: 0.1, ..Conditions::default() };
        assert_eq!(arrivals(1, bad), arrivals(1, bad));
        assert_ne!(arrivals(1, bad), arrivals(2, bad));
    }

    #[test]
    fn a_perfect_network_only_delays() {
        let seen = arrivals(1, Conditions { delay: Duration::from_millis(30), ..Conditions::default() });
        assert_eq!(seen.len(), 1000);
        assert!(seen.iter().all(|(due, n)| *due == Time::from_millis(n * 20 + 30)));
    }

    #[test]
    fn each_fault_comes_as_often_as_asked() {
        let lossy = arrivals(5, Conditions { loss: 0.2, ..Conditions::default() });
        assert!((750..850).contains(&lossy.len()), "{}", lossy.len());
        let doubled = arrivals(5, Conditions { duplication: 0.2, ..Conditions::default() });
        assert!((1150..1250).contains(&doubled.len()), "{}", doubled.len());
        let by = Duration::from_millis(30);
        let reordered = arrivals(5, Conditions { reorder: 0.2, reorder_by: by, ..Conditions::default() });
        let overtaken = reordered.windows(2).filter(|pair| pair[0].1 > pair[1].1).count();
        assert!((100..250).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn splitmix_is_the_published_one() {
        let mut random = SplitMix::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
