//! What the model called, and what came of it, in as many bytes as there is room for: the newest results whole, older ones
//! in a word that they are left out. A call always keeps a result, for vendors refuse one without.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tandem_contract::{Epoch, Private};
use tandem_models::ToolCall;

use super::context::cut;

/// Exchanges that a later question may still need.
const EXCHANGES_MAX: usize = 16;

/// A shorter beginning of a result says nothing, bytes.
const BEGINNING_MIN: usize = 512;

/// What the model reads in place of a result. It may call again.
const LEFT_OUT: &str = r#"{"left_out":"this result is not kept any more"}"#;

/// Tools that the model called in one go, and what came of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Of the reply that they were called for.
    pub epoch: Epoch,
    /// How many utterances of that reply came before them.
    pub after: usize,
    pub calls: Vec<ToolCall>,
    /// Ours for the calls, in their order: the vendor's names for them repeat. None are known of calls that have their results.
    pub numbers: Vec<u32>,
    /// JSON as text, one for each call.
    pub results: Vec<Private<String>>,
}

impl Exchange {
    /// Without the calls from `count` on, and their results.
    fn truncate(&mut self, count: usize) {
        self.calls.truncate(count);
        self.numbers.truncate(count);
        self.results.truncate(count);
    }
}

/// The newest of these, in so many bytes.
pub(super) fn within<'a, I>(room: usize, exchanges: I) -> Vec<Exchange>
where
    I: IntoIterator<Item = &'a Exchange>,
    I::IntoIter: DoubleEndedIterator,
{
    let (mut left, mut full) = (room, false);
    let mut kept: Vec<(Exchange, Vec<String>)> = Vec::new();
    // The calls first: a model that does not know that it called will call again.
    for exchange in exchanges.into_iter().rev().take(EXCHANGES_MAX) {
        let mut exchange = exchange.clone();
        let pairs = exchange.calls.iter().zip(&exchange.results);
        let fits = |(call, result): &(&ToolCall, &Private<String>)| {
            let rest = left.checked_sub(bytes(call) + result.reveal().len().min(LEFT_OUT.len()));
            (left, full) = (rest.unwrap_or(left), rest.is_none());
            rest.is_some()
        };
        let count = pairs.take_while(fits).count();
        exchange.truncate(count);
        let whole = exchange.results.iter_mut().map(|result| {
            let short = Private::new(LEFT_OUT.to_owned());
            let keeps = result.reveal().len() <= LEFT_OUT.len();
            if keeps { result.reveal().clone() } else { std::mem::replace(result, short).into_inner() }
        });
        let whole = whole.collect();
        kept.push((exchange, whole));
        if full {
            break;
        }
    }
    for (exchange, whole) in &mut kept {
        for (result, whole) in exchange.results.iter_mut().zip(whole.drain(..)) {
            let more = whole.len().saturating_sub(result.reveal().len());
            if more <= left {
                left -= more;
                *result = whole.into();
            } else if let Some(beginning) = beginning(&whole, left + result.reveal().len()) {
                left = 0;
                *result = beginning.into();
            } else {
                left = 0;
            }
        }
    }
    kept.into_iter().rev().map(|(exchange, _)| exchange).filter(|exchange| !exchange.calls.is_empty()).collect()
}

/// As it goes over the wire, about.
fn bytes(call: &ToolCall) -> usize {
    let signature = call.signature.as_ref().map_or(0, |signature| signature.reveal().len());
    2 * call.id.len() + call.name.len() + call.arguments.reveal().to_string().len() + signature
}

/// As much of a result as fits, as JSON. None: that would say nothing.
fn beginning(whole: &str, room: usize) -> Option<String> {
    let mut most = room;
    while most >= BEGINNING_MIN {
        let told = json!({ "beginning": cut(whole, most), "left_out": "the rest: it is too long" }).to_string();
        match told.len().checked_sub(room) {
            None | Some(0) => return Some(told),
            // Each byte less is at least one less in JSON.
            Some(over) => most = most.saturating_sub(over),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange(epoch: u32, results: &[&str]) -> Exchange {
        let call = |at: usize| ToolCall {
            id: format!("{epoch}-{at}"),
            name: "find".into(),
            arguments: json!({ "at": at }).into(),
            signature: None,
        };
        Exchange {
            epoch: Epoch(epoch),
            after: 0,
            calls: (0..results.len()).map(call).collect(),
            numbers: Vec::new(),
            results: results.iter().map(|result| (*result).to_owned().into()).collect(),
        }
    }

    fn results(exchanges: &[Exchange]) -> Vec<&str> {
        exchanges.iter().flat_map(|exchange| &exchange.results).map(|result| result.reveal().as_str()).collect()
    }

    #[test]
    fn the_newest_results_stay_whole_and_older_ones_are_left_out() {
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(900));
        let all = [exchange(1, &[&long]), exchange(2, &["{\"n\":1}", &long]), exchange(3, &[&long])];
        assert_eq!(within(10_000, &all), all);
        assert_eq!(results(&within(2_400, &all)), [LEFT_OUT, "{\"n\":1}", &long, &long]);
        assert_eq!(results(&within(1_300, &all)), [LEFT_OUT, "{\"n\":1}", LEFT_OUT, &long]);
        assert_eq!(results(&within(60, &all)), Vec::<&str>::new(), "no call without a result");
    }

    #[test]
    fn of_a_result_that_is_too_long_the_beginning_is_told() {
        let long = format!(r#"{{"text":"{}"}}"#, "\"é".repeat(2_000));
        let kept = within(2_000, &[exchange(1, &[&long])]);
        let told: serde_json::Value = serde_json::from_str(results(&kept)[0]).unwrap();
        let beginning = told["beginning"].as_str().unwrap();
        assert!(long.starts_with(beginning) && beginning.len() > 800, "{}", beginning.len());
    }

    proptest! {
        #[test]
        fn calls_keep_their_results_and_all_of_it_its_room(
            sizes in prop::collection::vec(prop::collection::vec(0..9_000_usize, 0..70), 0..30),
            room in 0..40_000_usize,
        ) {
            let words = |size: &usize| "\u{1}\"x".repeat(size / 3);
            let all: Vec<Exchange> = sizes.iter().enumerate().map(|(at, sizes)| {
                let words: Vec<String> = sizes.iter().map(words).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                Exchange { numbers: (0..words.len() as u32).collect(), ..exchange(at as u32, &words) }
            }).collect();
            let kept = within(room, &all);
            for exchange in &kept {
                prop_assert!(exchange.calls.len() == exchange.results.len() && !exchange.calls.is_empty());
                prop_assert_eq!(exchange.numbers.len(), exchange.calls.len());
            }
            let size: usize = kept.iter().flat_map(|exchange| exchange.calls.iter().zip(&exchange.results))
                .map(|(call, result)| bytes(call) + result.reveal().len()).sum();
            prop_assert!(size <= room, "{size} of {room}");
            // Nothing is taken away twice.
            prop_assert_eq!(within(room, &kept), kept);
        }
    }
}
