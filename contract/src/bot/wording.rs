//! What an agent says of its own accord, where neither its script nor its model has a word for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! wordings {
    ($($(#[$when:meta])* $name:ident),* $(,)?) => {
        /// When it is said. A bot's `wording` has its own words for some of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Wording { $($(#[$when])* $name),* }

        impl Wording {
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

wordings! {
    /// The model has failed, and may not the next time.
    SayAgain,
    /// The model cannot answer, however often it is asked.
    Unavailable,
    /// The model has failed in the middle of an answer.
    LostThread,
    /// The model's vendor held its answer back.
    CannotHelp,
    /// The third failure in a row; the agent hangs up.
    Difficulties,
    /// The caller's words were lost on our side.
    NotHeard,
    /// The same, where keys are taken too.
    PressKeys,
    /// A flow's caller said nothing; said nothing that fits; sent pictures or files alone; comes to no end.
    NoInput,
    NoMatch,
    NoEyes,
    GivingUp,
    /// A caller speaks while a flow's tool works.
    OneMoment,
    /// A caller of a model is silent.
    StillThere,
    /// The agent hangs up, and has said nothing else.
    Goodbye,
    /// The conversation is as long as its record may be.
    TooLong,
    /// The bot has neither a script nor a model.
    NoScript,
    /// Before a transfer.
    PuttingThrough,
    /// A transfer failed.
    NobodyFree,
    /// There is no way from here to a person: where there is another, it is told here.
    NoTransfer,
    /// A call back is noted.
    CallBack,
    /// After the last three.
    HowElse,
    /// A person is offered before what a flow says.
    OfferPerson,
}

/// Most characters of one: it is heard to its end.
pub const WORDING_CHARACTERS_MAX: usize = 300;
