//! Who pays for completions, and what was spent: the accounts of a node, shared by all of its sessions, and the wrapper that
//! charges them.
//!
//! An account is kept for each organization, bot and open session, whether or not it has a budget. The registry lives in
//! memory: [`Spending::statements`] and [`Spending::restore`] carry it over a restart.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dashmap::DashMap;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tandem_contract::{BotName, SessionId};
use tokio::sync::mpsc;

use crate::budget::{Account, Budget, Level, Period};
use crate::price::{Microdollars, PriceList};
use crate::{Completion, LanguageModel, Message, ModelError, ModelEvent, ModelStream, Usage};

/// Alerts that nobody has taken yet. More are dropped: each is a metric too, and the levels stand in the accounts.
const ALERTS: usize = 256;
/// Of English text, about. For answers that broke off before the vendor said what they cost.
const BYTES_OF_TOKEN: usize = 4;
/// What the vendors count for a large picture, whatever its bytes: Anthropic's most at its usual size.
const TOKENS_OF_PICTURE: usize = 1_600;

/// The tenant who pays in the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Organization(pub Arc<str>);

impl fmt::Display for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For whom a completion is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    pub organization: Organization,
    pub bot: BotName,
    pub session: SessionId,
}

/// Whose account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Scope {
    Organization {
        organization: Organization,
    },
    /// Names of bots are an organization's own.
    Bot {
        organization: Organization,
        bot: BotName,
    },
    Session {
        session: SessionId,
    },
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization { organization } => write!(f, "organization {organization}"),
            Self::Bot { organization, bot } => write!(f, "bot {bot} of {organization}"),
            Self::Session { session } => write!(f, "session {session}"),
        }
    }
}

impl Scope {
    /// For metrics: one word.
    fn word(&self) -> &'static str {
        match self {
            Self::Organization { .. } => "organization",
            Self::Bot { .. } => "bot",
            Self::Session { .. } => "session",
        }
    }
}

impl Payer {
    /// All whose accounts are charged, the widest first.
    fn scopes(&self) -> [Scope; 3] {
        let organization = self.organization.clone();
        [
            Scope::Organization { organization: organization.clone() },
            Scope::Bot { organization, bot: self.bot.clone() },
            Scope::Session { session: self.session },
        ]
    }
}

/// An account has reached a level of its budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub whose: Scope,
    pub level: Level,
    pub spent: Microdollars,
    pub period: Period,
}

/// The worst level of all who would pay, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub level: Level,
    pub whose: Scope,
    pub period: Period,
}

/// The time since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The accounts of a node.
pub struct Spending {
    accounts: DashMap<Scope, Account>,
    /// Tokens of the sessions that are open.
    tokens: DashMap<SessionId, Usage>,
    prices: PriceList,
    clock: Clock,
    alerts: mpsc::Sender<Alert>,
}

impl Spending {
    /// And where alerts come out. A receiver that is dropped is an owner who does not want them.
    pub fn new(prices: PriceList, clock: Clock) -> (Arc<Self>, mpsc::Receiver<Alert>) {
        // Full: see `ALERTS`.
        let (alerts, taken) = mpsc::channel(ALERTS);
        (Arc::new(Self { accounts: DashMap::new(), tokens: DashMap::new(), prices, clock, alerts }), taken)
    }

    /// From here on, and for what was spent in the running period already.
    pub fn set_budget(&self, whose: Scope, budget: Budget) {
        let now = (self.clock)();
        let mut account = self.accounts.entry(whose.clone()).or_default();
        let (news, account) = (account.set_budget(budget, now), *account);
        self.tell(whose, news, &account, now);
    }

    /// A session has an account from here until it is closed.
    pub fn open(&self, session: SessionId, budget: Budget) {
        let budget = Budget { period: Period::Session, ..budget };
        self.accounts.insert(Scope::Session { session }, Account::new(budget));
        self.tokens.insert(session, Usage::default());
    }

    /// What the session spent. None: it had no account.
    pub fn close(&self, session: SessionId) -> Option<Microdollars> {
        self.tokens.remove(&session);
        let (_, account) = self.accounts.remove(&Scope::Session { session })?;
        Some(account.spent((self.clock)()))
    }

    /// The tokens of a session and what they cost until now. None: it has no account.
    pub fn used(&self, session: SessionId) -> Option<(Usage, Microdollars)> {
        let tokens = *self.tokens.get(&session)?;
        Some((tokens, self.spent(&Scope::Session { session })))
    }

    /// In the running period.
    pub fn spent(&self, whose: &Scope) -> Microdollars {
        self.accounts.get(whose).map(|account| account.spent((self.clock)())).unwrap_or_default()
    }

    /// How the one stands who has least left.
    pub fn standing(&self, payer: &Payer) -> Standing {
        let now = (self.clock)();
        let [organization, others @ ..] = payer.scopes().map(|whose| {
            let account = self.accounts.get(&whose).map(|account| *account).unwrap_or_default();
            Standing { level: account.level(now), whose, period: account.budget().period }
        });
        others.into_iter().fold(organization, |worst, other| if other.level > worst.level { other } else { worst })
    }

    /// Charges all accounts of the payer; says what it cost. A model without a price costs nothing, and is counted.
    pub fn charge(&self, payer: &Payer, model: &str, usage: &Usage) -> Microdollars {
        if let Some(mut tokens) = self.tokens.get_mut(&payer.session) {
            *tokens = tokens.plus(usage);
        }
        let Some(price) = self.prices.of(model) else {
            metrics::counter!("tandem_model_unpriced_tokens_total", "model" => model.to_owned())
                .increment(usage.input + usage.output);
            return Microdollars::default();
        };
        let (cost, now) = (price.cost(usage), (self.clock)());
        metrics::counter!("tandem_model_cost_microdollars_total", "model" => model.to_owned()).increment(cost.0);
        for whose in payer.scopes() {
            let charged = match whose {
                // Closed: what comes late is charged to the others.
                Scope::Session { .. } => {
                    self.accounts.get_mut(&whose).map(|mut account| charge(&mut account, cost, now))
                }
                _ => Some(charge(&mut self.accounts.entry(whose.clone()).or_default(), cost, now)),
            };
            if let Some((news, account)) = charged {
                self.tell(whose, news, &account, now);
            }
        }
        cost
    }

    fn tell(&self, whose: Scope, news: Option<Level>, account: &Account, now: Duration) {
        let Some(level) = news else { return };
        metrics::counter!("tandem_budget_levels_total", "scope" => whose.word(), "level" => level.word()).increment(1);
        let alert = Alert { whose, level, spent: account.spent(now), period: account.budget().period };
        // Full, or nobody wants them: see `ALERTS`.
        let _ = self.alerts.try_send(alert);
    }

    /// All accounts but those of sessions, to be kept.
    pub fn statements(&self) -> Vec<(Scope, Account)> {
        let lasts = |whose: &Scope| !matches!(whose, Scope::Session { .. });
        let accounts = self.accounts.iter().filter(|account| lasts(account.key()));
        accounts.map(|account| (account.key().clone(), *account)).collect()
    }

    /// What was kept, at start.
    pub fn restore(&self, statements: impl IntoIterator<Item = (Scope, Account)>) {
        for (whose, account) in statements {
            self.accounts.insert(whose, account);
        }
    }
}

fn charge(account: &mut Account, cost: Microdollars, now: Duration) -> (Option<Level>, Account) {
    (account.charge(cost, now), *account)
}

/// A model whose completions are charged to who asked for them. It wraps a single vendor's model, whose price is known, and
/// not a chain.
pub struct Metered {
    model: Arc<dyn LanguageModel>,
    spending: Arc<Spending>,
}

impl Metered {
    pub fn new(model: Arc<dyn LanguageModel>, spending: Arc<Spending>) -> Self {
        Self { model, spending }
    }
}

impl LanguageModel for Metered {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn warm(&self) {
        self.model.warm();
    }

    fn complete(&self, request: Completion) -> ModelStream {
        let Some(payer) = request.payer.clone() else { return self.model.complete(request) };
        let (model, spending, name) = (Arc::clone(&self.model), Arc::clone(&self.spending), self.name().to_owned());
        Box::pin(async_stream::stream! {
            let mut meter = Meter { spending, payer, model: name, asked: size(&request), state: Reading::Asked };
            let mut answer = model.complete(request);
            while let Some(event) = answer.next().await {
                meter.saw(&event);
                yield event;
            }
        })
    }
}

/// What is known of the cost of a completion that runs.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    /// Nothing has come; who does not wait for more has cost the vendor the reading of the question.
    Asked,
    /// So many bytes were said.
    Saying(usize),
    /// The vendor's own figures.
    Known(Usage),
    /// It said that it failed before it said anything else, or it was charged.
    Settled,
}

/// Charges a completion once: at its last event, or when it is dropped before.
struct Meter {
    spending: Arc<Spending>,
    payer: Payer,
    model: String,
    /// Bytes of the question.
    asked: usize,
    state: Reading,
}

impl Meter {
    fn saw(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::Usage { usage } => self.state = Reading::Known(*usage),
            ModelEvent::Text { text } => self.add(text.reveal().len()),
            ModelEvent::ToolCall { call } => self.add(call.arguments.reveal().to_string().len()),
            ModelEvent::Progress => self.add(0),
            // News of a chain, which is never metered as one.
            ModelEvent::Rerouted => {}
            // It may well have read the question: a silence costs the same, whoever ends it.
            ModelEvent::Failed { error: ModelError::Timeout { .. } } => self.settle(),
            ModelEvent::Failed { .. } if self.state == Reading::Asked => self.state = Reading::Settled,
            ModelEvent::Done { .. } | ModelEvent::Failed { .. } => self.settle(),
        }
    }

    fn add(&mut self, bytes: usize) {
        match &mut self.state {
            Reading::Asked => self.state = Reading::Saying(bytes),
            Reading::Saying(said) => *said += bytes,
            Reading::Known(_) | Reading::Settled => {}
        }
    }

    fn settle(&mut self) {
        let usage = match std::mem::replace(&mut self.state, Reading::Settled) {
            Reading::Asked => estimate(self.asked, 0),
            Reading::Saying(said) => estimate(self.asked, said),
            Reading::Known(usage) => usage,
            Reading::Settled => return,
        };
        self.spending.charge(&self.payer, &self.model, &usage);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.settle();
    }
}

fn estimate(asked: usize, said: usize) -> Usage {
    let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(BYTES_OF_TOKEN)).unwrap_or(u64::MAX);
    Usage { input: tokens(asked), cached_input: 0, output: tokens(said) }
}

/// Bytes of a question.
fn size(request: &Completion) -> usize {
    let message = |message: &Message| match message {
        Message::System { text } => text.len(),
        Message::User { text, pictures } => text.reveal().len() + pictures.len() * TOKENS_OF_PICTURE * BYTES_OF_TOKEN,
        Message::Assistant { text, calls } => {
            let calls = calls.iter().map(|call| call.name.len() + call.arguments.reveal().to_string().len());
            text.reveal().len() + calls.sum::<usize>()
        }
        Message::Tool { result, .. } => result.reveal().len(),
    };
    let tools = request.tools.iter().map(|tool| tool.description.len() + tool.parameters.to_string().len());
    request.messages.iter().map(message).sum::<usize>() + tools.sum::<usize>()
}

#[cfg(test)]
#[path = "spending_tests.rs"]
mod tests;
