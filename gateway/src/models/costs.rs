//! What models cost: the accounts of this node, who is charged, and how they outlive the process.
//!
//! The task of the accounts
//! - owns nothing: it writes what the accounts are to a file, off the path of any session;
//! - receives alerts, and logs them;
//! - ends with the node, after a last write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tandem_contract::SessionId;
use tandem_contract::bot::{BotConfig, ModelName};
use tandem_contract::call::Accept;
use tandem_contract::ports::{CallLog, StoreError};
use tandem_contract::record::{CallRecord, Cost};
use tandem_models::budget::{Account, Budget, Period};
use tandem_models::cache::{Cache, CacheRules};
use tandem_models::price::{Microdollars, PriceList};
use tandem_models::spending::{Alert, Organization, Payer, Scope, Spending, system_clock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::settings::{Settings, micro};
use crate::store::spending;

/// Who pays, as long as a node has one tenant.
const ORGANIZATION: &str = "demo";
/// Between two writes of the accounts: a killed process forgets at most so much of what was spent.
const STORE_INTERVAL: Duration = Duration::from_secs(10);
/// Of a bot's budget, in percent: from here somebody is told, and from here the cheap models answer.
const ALERT: u64 = 80;
const THROTTLE: u64 = 90;

/// Accounts, budgets and kept answers.
pub struct Costs {
    pub(super) spending: Arc<Spending>,
    pub(super) cache: Option<Arc<Cache>>,
    organization: Organization,
    /// Of all bots together.
    budget: Budget,
    /// Of each session.
    pub(super) session: Budget,
}

/// Alerts that wait for the task of the accounts.
pub type Alerts = mpsc::Receiver<Alert>;

impl Costs {
    /// Must be called inside a tokio runtime.
    pub(super) fn open(settings: &Settings) -> (Self, Alerts) {
        let (spending, alerts) = Spending::new(prices(settings), system_clock());
        let keeps_for = Duration::from_secs(60 * u64::from(settings.models.cache_minutes));
        let cache = || Cache::new(CacheRules { keeps_for, ..CacheRules::default() });
        let costs = Self {
            spending,
            cache: settings.models.cache.then(cache),
            organization: Organization(ORGANIZATION.into()),
            budget: settings.models.budget(),
            session: settings.models.session_budget(),
        };
        costs.restore(Vec::new());
        (costs, alerts)
    }

    /// What was kept, at start. The budgets are those of the settings.
    pub fn restore(&self, statements: Statements) {
        self.spending.restore(statements);
        let organization = self.organization.clone();
        self.spending.set_budget(Scope::Organization { organization }, self.budget);
    }

    /// Who pays for a session. The budget of its bot is in force from here.
    pub(super) fn payer(&self, accept: &Accept, session: SessionId) -> Payer {
        let (organization, bot) = (self.organization.clone(), accept.bot.clone());
        let whose = Scope::Bot { organization: organization.clone(), bot: bot.clone() };
        self.spending.set_budget(whose, budget_of(&accept.config));
        Payer { organization, bot, session }
    }

    /// A call log whose records say what their sessions have cost.
    pub fn log(&self, records: impl CallLog + 'static) -> Arc<dyn CallLog> {
        Arc::new(CostedLog { records, spending: Arc::clone(&self.spending) })
    }

    /// The task of the accounts.
    pub fn keep(&self, path: PathBuf, alerts: Alerts, close: CancellationToken) -> BoxFuture<'static, ()> {
        let kept = self.spending.statements();
        keep(Arc::clone(&self.spending), kept, path, alerts, close).boxed()
    }
}

/// The published prices, and the node's own in their place.
pub(super) fn prices(settings: &Settings) -> PriceList {
    let own = settings.models.prices.0.iter();
    own.fold(PriceList::published(), |list, own| list.with(priced_as(&own.model), own.price))
}

/// [`tandem_models::LanguageModel::name`], by which a model is charged.
pub(super) fn priced_as(model: &ModelName) -> String {
    format!("{} {}", model.vendor.as_str(), model.model)
}

fn budget_of(config: &BotConfig) -> Budget {
    let amount = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    let (period, dollars) = match (amount(&config.limits.budget_usd_per_day), &config.limits.budget_usd_per_month) {
        (Some(dollars), _) => (Period::Day, Some(dollars)),
        (None, month) => (Period::Month, amount(month)),
    };
    let part = |percent: u64| dollars.map(|dollars| Microdollars(micro(dollars).0 / 100 * percent));
    Budget { period, alert: part(ALERT), throttle: part(THROTTLE), stop: dollars.map(micro) }
}

type Statements = Vec<(Scope, Account)>;

/// `kept`: what the file holds.
async fn keep(
    spending: Arc<Spending>,
    mut kept: Statements,
    path: PathBuf,
    mut alerts: Alerts,
    close: CancellationToken,
) {
    let mut tick = tokio::time::interval(STORE_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let closing = tokio::select! {
            () = close.cancelled() => true,
            Some(alert) = alerts.recv() => {
                tell(&alert);
                continue;
            }
            _ = tick.tick() => false,
        };
        let statements = spending.statements();
        if !same(&kept, &statements)
            && let Some(written) = write(&path, statements).await
        {
            kept = written;
        }
        if closing {
            return;
        }
    }
}

/// Accounts come in no order.
fn same(one: &[(Scope, Account)], other: &[(Scope, Account)]) -> bool {
    one.len() == other.len() && one.iter().all(|account| other.contains(account))
}

/// None: it failed, which is logged; the next tick tries again.
async fn write(path: &Path, statements: Statements) -> Option<Statements> {
    let path = path.to_owned();
    let written = tokio::task::spawn_blocking(move || spending::write(&path, &statements).map(|()| statements)).await;
    match written {
        Ok(Ok(statements)) => Some(statements),
        Ok(Err(source)) => {
            error!(error = &source as &dyn std::error::Error, "what was spent is not stored");
            None
        }
        Err(source) => {
            error!(%source, "what was spent is not stored");
            None
        }
    }
}

fn tell(Alert { whose, level, spent, period }: &Alert) {
    warn!(%whose, level = level.word(), %spent, %period, "a budget has reached a level");
}

struct CostedLog<L> {
    records: L,
    spending: Arc<Spending>,
}

impl<L> CostedLog<L> {
    fn priced(&self, record: CallRecord) -> CallRecord {
        let used = self.spending.used(record.session);
        let cost = used.filter(|(tokens, _)| *tokens != Default::default()).map(|(tokens, spent)| Cost {
            input_tokens: tokens.input,
            cached_input_tokens: tokens.cached_input,
            output_tokens: tokens.output,
            microdollars: spent.0,
        });
        CallRecord { cost, ..record }
    }
}

impl<L: CallLog> CallLog for CostedLog<L> {
    fn begin(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.records.begin(self.priced(record))
    }

    fn update(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.records.update(self.priced(record))
    }

    fn read(&self, session: SessionId) -> BoxFuture<'static, Result<Option<CallRecord>, StoreError>> {
        self.records.read(session)
    }
}
