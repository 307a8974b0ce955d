//! Answers that were given before: the same question of the same organization to the same model is answered at once and for
//! nothing. Off unless it is asked for.
//!
//! Only whole answers are kept that say something and called no tool, and only of questions that ask for the likeliest words (temperature 0),
//! or of all where the owner says so. An organization has a shelf of its own: nothing crosses to another, and none can push
//! another's answers out. It wraps a chain, so that an answer is the chain's, whichever of its models gave it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::spending::Organization;
use crate::{Completion, Finish, LanguageModel, ModelEvent, ModelStream};

/// What an answer takes besides its words: key, counts, the events themselves. An estimate, bytes.
const OVERHEAD: usize = 512;

/// What is kept, how much and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheRules {
    /// Of each organization. The oldest answers go first.
    pub bytes: usize,
    pub keeps_for: Duration,
    /// Also where the model may choose among words: callers then hear the first choice again.
    pub any_temperature: bool,
}

impl Default for CacheRules {
    /// A thousand answers for an hour, in which opening hours seldom change.
    fn default() -> Self {
        Self { bytes: 1 << 20, keeps_for: Duration::from_secs(60 * 60), any_temperature: false }
    }
}

/// SHA-256 of model and question.
type Key = [u8; 32];
type Answer = Arc<[ModelEvent]>;

/// The answers of one organization: a core, which is given the time.
#[derive(Debug, Default)]
struct Shelf {
    answers: HashMap<Key, Answer>,
    /// Each key once, with its size and its end, the oldest first: all are kept equally long.
    ends: VecDeque<(Key, usize, Duration)>,
    bytes: usize,
}

impl Shelf {
    fn get(&mut self, key: &Key, now: Duration) -> Option<Answer> {
        self.forget_what_ended(now);
        self.answers.get(key).cloned()
    }

    fn put(&mut self, key: Key, answer: Answer, rules: &CacheRules, now: Duration) {
        self.forget_what_ended(now);
        let size = size(&answer);
        // The first answer stays, so that everybody hears the same.
        if size > rules.bytes || self.answers.contains_key(&key) {
            return;
        }
        while self.bytes + size > rules.bytes {
            self.forget_oldest();
        }
        self.bytes += size;
        self.ends.push_back((key, size, now + rules.keeps_for));
        self.answers.insert(key, answer);
    }

    fn forget_what_ended(&mut self, now: Duration) {
        while self.ends.front().is_some_and(|(_, _, end)| *end <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((key, size, _)) = self.ends.pop_front() {
            self.answers.remove(&key);
            self.bytes -= size;
        }
    }
}

fn size(answer: &[ModelEvent]) -> usize {
    let event = |event: &ModelEvent| match event {
        ModelEvent::Text { text } => text.reveal().len() + size_of::<ModelEvent>(),
        _ => size_of::<ModelEvent>(),
    };
    OVERHEAD + answer.iter().map(event).sum::<usize>()
}

/// The shelves of a node.
pub struct Cache {
    shelves: DashMap<Organization, Shelf>,
    rules: CacheRules,
    /// The moment that ends count from.
    began: Instant,
}

impl Cache {
    /// Must be made inside a tokio runtime, whose clock it reads.
    pub fn new(rules: CacheRules) -> Arc<Self> {
        Arc::new(Self { shelves: DashMap::new(), rules, began: Instant::now() })
    }

    fn get(&self, organization: &Organization, key: &Key) -> Option<Answer> {
        self.shelves.get_mut(organization)?.get(key, self.began.elapsed())
    }

    fn put(&self, organization: Organization, key: Key, answer: Answer) {
        self.shelves.entry(organization).or_default().put(key, answer, &self.rules, self.began.elapsed());
    }

    fn may_answer(&self, request: &Completion) -> bool {
        self.rules.any_temperature || request.temperature == Some(0.0)
    }
}

/// A chain of models whose answers are kept.
pub struct Cached {
    chain: Arc<dyn LanguageModel>,
    cache: Arc<Cache>,
}

impl Cached {
    pub fn new(chain: Arc<dyn LanguageModel>, cache: Arc<Cache>) -> Self {
        Self { chain, cache }
    }
}

impl LanguageModel for Cached {
    fn name(&self) -> &str {
        self.chain.name()
    }

    fn warm(&self) {
        self.chain.warm();
    }

    /// An answer that was kept costs no tokens: it has no `Usage`.
    fn complete(&self, mut request: Completion) -> ModelStream {
        // Who pays nothing is of no organization.
        let Some(payer) = request.payer.clone().filter(|_| self.cache.may_answer(&request)) else {
            return self.chain.complete(request);
        };
        // Sessions of one organization hear the same.
        request.payer = None;
        let key = key(self.name(), &request);
        let organization = payer.organization.clone();
        if let Some(answer) = self.cache.get(&organization, &key) {
            count("hit");
            return Box::pin(stream::iter(answer.to_vec()));
        }
        count("miss");
        request.payer = Some(payer);
        let (mut answer, cache) = (self.chain.complete(request), Arc::clone(&self.cache));
        Box::pin(async_stream::stream! {
            let mut kept = Some(Vec::new());
            while let Some(event) = answer.next().await {
                keep(&mut kept, &event);
                // Before it is given on: who has the last event does not ask for more.
                if event.is_last() && let Some(whole) = kept.take().filter(|whole| says_something(whole)) {
                    cache.put(organization.clone(), key, whole.into());
                }
                yield event;
            }
        })
    }
}

/// None: this answer is not one to keep.
fn keep(kept: &mut Option<Vec<ModelEvent>>, event: &ModelEvent) {
    match event {
        ModelEvent::Text { .. } | ModelEvent::Done { finish: Finish::Stop } => {
            kept.iter_mut().for_each(|events| events.push(event.clone()))
        }
        ModelEvent::ToolCall { .. } | ModelEvent::Done { .. } | ModelEvent::Failed { .. } => *kept = None,
        ModelEvent::Usage { .. } | ModelEvent::Progress | ModelEvent::Rerouted => {}
    }
}

/// A model that had nothing to say may have more the next time.
fn says_something(answer: &[ModelEvent]) -> bool {
    answer.iter().any(|event| matches!(event, ModelEvent::Text { text } if !text.reveal().trim().is_empty()))
}

fn key(model: &str, request: &Completion) -> Key {
    // Plain structs with string keys: serde_json has nothing to refuse.
    let question = serde_json::to_vec(&(model, request)).unwrap_or_default();
    Sha256::digest(question).into()
}

fn count(outcome: &'static str) {
    metrics::counter!("tandem_model_cache_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
