//! Keys become an answer.

use std::time::Duration;

use tandem_media::Time;

use crate::brain::DigitCollection;

/// Keys pressed so far.
#[derive(Clone, Debug, Default)]
pub(super) struct DigitCollector {
    /// None: every key is an answer.
    collection: Option<DigitCollection>,
    keys: String,
    last: Time,
}

impl DigitCollector {
    /// How to collect from now on. Keys pressed ahead are kept.
    pub(super) fn expect(&mut self, collection: Option<DigitCollection>) {
        self.collection = collection;
    }

    /// A key; the answer, when it is complete. `#` ends a shorter one; alone it is an answer of its own.
    pub(super) fn press(&mut self, now: Time, key: char) -> Option<String> {
        self.last = now;
        let Some(collection) = self.collection else { return Some(key.to_string()) };
        if key == '#' && !self.keys.is_empty() {
            return self.take();
        }
        self.keys.push(key);
        let complete = key == '#' || self.keys.len() >= usize::from(collection.max.max(1));
        if complete { self.take() } else { None }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let waited = self.collection.map_or(0, |collection| collection.inter_digit_ms);
        (!self.keys.is_empty()).then(|| self.last + Duration::from_millis(waited.into()))
    }

    /// No further key came in time.
    pub(super) fn timeout(&mut self, now: Time) -> Option<String> {
        if self.deadline()? > now { None } else { self.take() }
    }

    /// When the last key was pressed.
    pub(super) fn last(&self) -> Time {
        self.last
    }

    fn take(&mut self) -> Option<String> {
        let keys = std::mem::take(&mut self.keys);
        (!keys.is_empty()).then_some(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five() -> DigitCollector {
        let mut digits = DigitCollector::default();
        digits.expect(Some(DigitCollection { min: 1, max: 5, inter_digit_ms: 3000 }));
        digits
    }

    fn ms(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn the_last_key_completes() {
        let mut digits = five();
        let answers: Vec<_> = "12345".chars().map(|key| digits.press(ms(0), key)).collect();
        assert_eq!(answers[3..], [None, Some("12345".to_owned())]);
        assert_eq!(digits.deadline(), None);
    }

    #[test]
    fn a_hash_ends_a_shorter_answer() {
        let mut digits = five();
        assert_eq!((digits.press(ms(0), '4'), digits.press(ms(1), '#')), (None, Some("4".to_owned())));
        assert_eq!(digits.press(ms(2), '#'), Some("#".to_owned()));
    }

    #[test]
    fn time_ends_it_too() {
        let mut digits = five();
        digits.press(ms(100), '1');
        digits.press(ms(900), '2');
        assert_eq!((digits.deadline(), digits.timeout(ms(3899))), (Some(ms(3900)), None));
        assert_eq!(digits.timeout(ms(3900)), Some("12".to_owned()));
    }

    #[test]
    fn without_a_collection_every_key_is_an_answer() {
        let mut digits = DigitCollector::default();
        assert_eq!(digits.press(ms(700), '*'), Some("*".to_owned()));
        assert_eq!(digits.last(), ms(700), "the ledger says when it was pressed");
    }
}
