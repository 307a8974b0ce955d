//! What a flow does when its caller says nothing, or nothing that fits.

use tandem_contract::bot::Wording;
use tandem_contract::bot::flow::{Flow, Retry, State, Target, Texts};

use super::Miss;

/// How often a question is put again when the script does not say.
const RETRIES: u8 = 2;

impl Miss {
    /// What is said of it where the script does not.
    pub(super) fn wording(self) -> Wording {
        match self {
            Self::Silent => Wording::NoInput,
            Self::Unmatched => Wording::NoMatch,
            Self::Unheard => Wording::PressKeys,
        }
    }
}

/// What to do about a miss: the state's word before the flow's, the flow's before ours.
pub(super) struct Retrying<'a> {
    pub(super) say: Option<&'a Texts>,
    pub(super) max: u8,
    pub(super) goto: Option<&'a Target>,
}

impl<'a> Retrying<'a> {
    pub(super) fn of(flow: &'a Flow, state: Option<&'a State>, miss: Miss, ours: &'a Texts) -> Self {
        let (own, all) = match miss {
            Miss::Silent => (state.and_then(|s| s.no_input.as_ref()), flow.no_input.as_ref()),
            // Whoever helps callers who are not understood helps these too; but they are not told that they spoke badly.
            Miss::Unmatched | Miss::Unheard => (state.and_then(|s| s.no_match.as_ref()), flow.no_match.as_ref()),
        };
        let levels = || own.into_iter().chain(all);
        let say = levels().find_map(|retry: &Retry| retry.say.as_ref()).filter(|_| miss != Miss::Unheard);
        Self {
            say: say.or(Some(ours)),
            max: levels().find_map(|retry| retry.max).unwrap_or(RETRIES),
            goto: levels().find_map(|retry| retry.goto.as_ref()),
        }
    }
}
