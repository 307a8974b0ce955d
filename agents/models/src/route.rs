//! Which models answer a session: those of its bot's tier, the cheap ones once a budget is nearly spent, none when it is.
//!
//! The chains of a node are made once; each session has a [`Routed`] of its own, which is the model that it asks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
pub use tandem_contract::bot::Tier;

use crate::budget::{Budget, Level};
use crate::cache::{Cache, Cached};
use crate::resilient::{Guarded, Resilient};
use crate::spending::{Payer, Spending};
use crate::{Completion, LanguageModel, ModelError, ModelEvent, ModelStream};

/// The policy: what is asked of those who want a tier and stand at a level. None: nothing.
pub fn tier_at(wanted: Tier, level: Level) -> Option<Tier> {
    match level {
        Level::Free | Level::Alerted => Some(wanted),
        Level::Throttled => Some(Tier::Cheap),
        Level::Stopped => None,
    }
}

/// The models of each tier, each metered, in the order in which they are asked.
#[derive(Clone, Default)]
pub struct Chains {
    pub cheap: Vec<Guarded>,
    pub balanced: Vec<Guarded>,
    pub premium: Vec<Guarded>,
}

/// The chains of a node, each resilient, and with the cache if there is one.
pub struct Tiers {
    cheap: Arc<dyn LanguageModel>,
    balanced: Arc<dyn LanguageModel>,
    premium: Arc<dyn LanguageModel>,
}

impl Tiers {
    /// A tier without models is answered by the nearest that has some, the cheaper of two. None: there is no model at all.
    /// `hand_over`: see [`Resilient::new`].
    pub fn new(chains: Chains, hand_over: Duration, cache: Option<&Arc<Cache>>) -> Option<Self> {
        let chain = |models: Vec<Guarded>| {
            let mut models = models.into_iter();
            let chain: Arc<dyn LanguageModel> = Arc::new(Resilient::new(models.next()?, models.collect(), hand_over));
            Some(match cache {
                Some(cache) => Arc::new(Cached::new(chain, Arc::clone(cache))),
                None => chain,
            })
        };
        let [cheap, balanced, premium] = [chains.cheap, chains.balanced, chains.premium].map(chain);
        let first = |order: [&Option<Arc<dyn LanguageModel>>; 3]| order.into_iter().flatten().next().cloned();
        Some(Self {
            cheap: first([&cheap, &balanced, &premium])?,
            balanced: first([&balanced, &cheap, &premium])?,
            premium: first([&premium, &balanced, &cheap])?,
        })
    }

    pub fn of(&self, tier: Tier) -> &Arc<dyn LanguageModel> {
        match tier {
            Tier::Cheap => &self.cheap,
            Tier::Balanced => &self.balanced,
            Tier::Premium => &self.premium,
        }
    }
}

/// The model of one session. The session has an account from its making until it is dropped.
pub struct Routed {
    tiers: Arc<Tiers>,
    spending: Arc<Spending>,
    payer: Payer,
    wanted: Tier,
}

impl Routed {
    /// `budget`: of this session alone; its period is the session.
    pub fn new(tiers: Arc<Tiers>, spending: Arc<Spending>, payer: Payer, wanted: Tier, budget: Budget) -> Self {
        spending.open(payer.session, budget);
        Self { tiers, spending, payer, wanted }
    }
}

impl Drop for Routed {
    fn drop(&mut self) {
        self.spending.close(self.payer.session);
    }
}

impl LanguageModel for Routed {
    fn name(&self) -> &str {
        self.tiers.of(self.wanted).name()
    }

    fn complete(&self, request: Completion) -> ModelStream {
        let (tiers, spending, payer) = (Arc::clone(&self.tiers), Arc::clone(&self.spending), self.payer.clone());
        let wanted = request.tier.unwrap_or(self.wanted);
        Box::pin(async_stream::stream! {
            let standing = spending.standing(&payer);
            let Some(tier) = tier_at(wanted, standing.level) else {
                metrics::counter!("tandem_model_routes_total", "tier" => "none").increment(1);
                yield ModelEvent::Failed {
                    error: ModelError::OutOfBudget { whose: standing.whose, period: standing.period },
                };
                return;
            };
            metrics::counter!("tandem_model_routes_total", "tier" => tier.as_str()).increment(1);
            let mut answer = tiers.of(tier).complete(Completion { payer: Some(payer), ..request });
            while let Some(event) = answer.next().await {
                yield event;
            }
        })
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
