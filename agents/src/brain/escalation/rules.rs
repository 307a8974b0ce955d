//! The bot's rules, read once: which came true just now.

use tandem_conditions::{Action, Condition, Facts, RULES_MAX};
use tandem_contract::bot::blocks::{HumanEscalation, TransferDestination};

#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    condition: Condition,
    action: Action,
    /// As the bot says it.
    name: String,
    /// It held when it was asked last: it acts when it comes true, not as long as it is.
    held: bool,
    /// Nobody is offered the same twice.
    spent: bool,
}

impl Rules {
    /// Those that can be acted on. What the others lack, the check of bot files has said.
    pub(super) fn new(escalation: &HumanEscalation) -> Self {
        let triggers = escalation.triggers.iter().flatten().take(RULES_MAX);
        let rules = triggers.filter_map(|trigger| {
            let condition =
                Condition::new(&trigger.condition).ok().filter(|condition| condition.unknown().is_empty())?;
            let action = Action::from_name(&trigger.action)?;
            Some(Rule { condition, action, name: trigger.action.clone(), held: false, spent: false })
        });
        Self(rules.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that came true; one that acts at once before one that offers.
    pub(super) fn come_true(&mut self, facts: &Facts<'_>) -> Option<(usize, Action)> {
        let mut found: Option<(usize, Action)> = None;
        for (at, rule) in self.0.iter_mut().enumerate() {
            // What cannot be decided, such as for a slot that is not filled, does not hold.
            let holds = rule.condition.holds(facts).unwrap_or(false);
            let comes = holds && !rule.held && !rule.spent;
            rule.held = holds;
            let before = found.is_none_or(|(_, action)| action == Action::Suggest && rule.action == Action::Immediate);
            if comes && before {
                found = Some((at, rule.action));
            }
        }
        found
    }

    /// What is over may come true again. What holds still, or has begun to, is as it was.
    pub(super) fn let_go(&mut self, facts: &Facts<'_>) {
        for rule in &mut self.0 {
            rule.held &= rule.condition.holds(facts).unwrap_or(false);
        }
    }

    /// Whether the caller was offered a person. If not, the next answer may do it.
    pub(super) fn offered(&mut self, rule: usize, done: bool) {
        if let Some(rule) = self.0.get_mut(rule) {
            (rule.spent, rule.held) = (done, done);
        }
    }

    pub(super) fn name(&self, rule: usize) -> &str {
        self.0.get(rule).map_or("", |rule| rule.name.as_str())
    }

    /// The person whose name has a word of the condition (`emergency_keywords_detected`: `emergency_line`), else the first.
    pub(super) fn destination<'p>(
        &self,
        rule: usize,
        people: &'p [TransferDestination],
    ) -> Option<&'p TransferDestination> {
        let words = self.0.get(rule).map(|rule| rule.condition.words()).unwrap_or_default();
        let meant = |person: &&TransferDestination| {
            let name = person.name.to_lowercase();
            name.split(|c: char| !c.is_alphanumeric()).any(|part| words.iter().any(|word| word == part))
        };
        people.iter().find(meant).or(people.first())
    }
}
