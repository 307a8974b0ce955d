//! What a caller hears who was not heard or not understood, how often, and where it leads in the end.

use std::sync::LazyLock;

use tandem_contract::bot::flow::{Flow, Retry, State, Target, Texts};

use super::Miss;

/// How often a question is put again when the script does not say.
const RETRIES: u8 = 2;
const NOT_HEARD: &str = "Sorry, I didn't hear you.";
const NOT_UNDERSTOOD: &str = "Sorry, I didn't get that.";
pub(super) const HARD_OF_HEARING: &str = "Sorry, I can't hear well at the moment. You can press keys instead.";

/// What to do about a miss: the state's word before the flow's, the flow's before ours.
pub(super) struct Retrying<'a> {
    pub(super) say: Option<&'a Texts>,
    pub(super) max: u8,
    pub(super) goto: Option<&'a Target>,
}

impl<'a> Retrying<'a> {
    pub(super) fn of(flow: &'a Flow, state: Option<&'a State>, miss: Miss) -> Self {
        let (own, all, default) = match miss {
            Miss::Silent => (state.and_then(|s| s.no_input.as_ref()), flow.no_input.as_ref(), &*NOT_HEARD_TEXT),
            Miss::Unmatched => (state.and_then(|s| s.no_match.as_ref()), flow.no_match.as_ref(), &*NOT_UNDERSTOOD_TEXT),
            // Whoever helps callers who are not understood helps these too; but they are not told that they spoke badly.
            Miss::Unheard => (state.and_then(|s| s.no_match.as_ref()), flow.no_match.as_ref(), &*HARD_OF_HEARING_TEXT),
        };
        let levels = || own.into_iter().chain(all);
        let say = levels().find_map(|retry: &Retry| retry.say.as_ref()).filter(|_| miss != Miss::Unheard);
        Self {
            say: say.or(Some(default)),
            max: levels().find_map(|retry| retry.max).unwrap_or(RETRIES),
            goto: levels().find_map(|retry| retry.goto.as_ref()),
        }
    }
}

static NOT_HEARD_TEXT: LazyLock<Texts> = LazyLock::new(|| Texts::One(NOT_HEARD.to_owned()));
static HARD_OF_HEARING_TEXT: LazyLock<Texts> = LazyLock::new(|| Texts::One(HARD_OF_HEARING.to_owned()));
static NOT_UNDERSTOOD_TEXT: LazyLock<Texts> = LazyLock::new(|| Texts::One(NOT_UNDERSTOOD.to_owned()));
