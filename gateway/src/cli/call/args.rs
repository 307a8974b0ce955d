//! The arguments of `tandem call`, and the script that their order makes.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use super::script::{Line, Step, When};

/// A man's: easily told from the demo bot's.
const VOICE: &str = "rms";
/// A call that was forgotten ends some time.
const MAX_SECONDS: u64 = 120;

/// Phones somebody. What is to be said is given in order; a timing goes before the line that it is for, and a line
/// without one waits until the other side has finished.
#[derive(Clone, Debug, clap::Args)]
pub struct Call {
    /// Whom to phone
    #[arg(value_name = "SIP-URI")]
    pub uri: String,
    /// Say this, with a computer's voice
    #[arg(long, value_name = "TEXT")]
    pub say: Vec<String>,
    /// Play this file (16-bit PCM)
    #[arg(long, value_name = "FILE")]
    pub wav: Vec<PathBuf>,
    /// Press these keys (RFC 4733)
    #[arg(long, value_name = "DIGITS", value_parser = digits)]
    pub dtmf: Vec<String>,
    /// The next line begins this many milliseconds after the answer
    #[arg(long, value_name = "MS")]
    pub at: Vec<u64>,
    /// The next line begins this many milliseconds after the line before
    #[arg(long, value_name = "MS")]
    pub after: Vec<u64>,
    /// The next line begins this many milliseconds into the other side's next speech
    #[arg(long, value_name = "MS")]
    pub interrupt_after: Vec<u64>,
    /// The voice: slt, rms, awb or kal
    #[arg(long, value_name = "NAME", default_value = VOICE)]
    pub voice: String,
    /// Keep a recording: left the caller, right the other side
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// The other side's HTTP address: prints its ledger and timeline of the call
    #[arg(long, value_name = "URL", requires = "key")]
    pub api: Option<String>,
    /// The key for it
    #[arg(long, value_name = "KEY", requires = "api")]
    pub key: Option<String>,
    /// Hang up after this many seconds in any case
    #[arg(long, value_name = "SECONDS", default_value_t = MAX_SECONDS)]
    pub max_seconds: u64,
    /// Address to phone from; without it, the one that leads to the other side
    #[arg(long, value_name = "IP")]
    pub from: Option<std::net::IpAddr>,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            uri: String::new(),
            say: Vec::new(),
            wav: Vec::new(),
            dtmf: Vec::new(),
            at: Vec::new(),
            after: Vec::new(),
            interrupt_after: Vec::new(),
            voice: VOICE.into(),
            record: None,
            api: None,
            key: None,
            max_seconds: MAX_SECONDS,
            from: None,
        }
    }
}

fn digits(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_digit() || "*#ABCD".contains(c);
    match text.chars().all(known) && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("keys are 0-9, *, #, A-D".into()),
    }
}

enum Token {
    Time(When),
    Line(Line),
}

impl Call {
    /// The script, in the order of the command line.
    ///
    /// # Errors
    /// When a timing has no line.
    pub fn steps(&self, matches: &ArgMatches) -> anyhow::Result<Vec<Step>> {
        let mut tokens: Vec<(usize, Token)> = Vec::new();
        let mut add = |id: &str, given: Vec<Token>| {
            tokens.extend(matches.indices_of(id).into_iter().flatten().zip(given));
        };
        let times = |given: &[u64], when: fn(Duration) -> When| {
            given.iter().map(|ms| Token::Time(when(Duration::from_millis(*ms)))).collect()
        };
        add("say", self.say.iter().map(|text| Token::Line(Line::Say(text.clone()))).collect());
        add("wav", self.wav.iter().map(|path| Token::Line(Line::Wav(path.clone()))).collect());
        add("dtmf", self.dtmf.iter().map(|digits| Token::Line(Line::Dtmf(digits.clone()))).collect());
        add("at", times(&self.at, When::At));
        add("after", times(&self.after, When::After));
        add("interrupt_after", times(&self.interrupt_after, When::Interrupting));
        tokens.sort_by_key(|(index, _)| *index);
        let (mut steps, mut next) = (Vec::new(), None);
        for (_, token) in tokens {
            match token {
                Token::Time(when) => next = Some(when),
                Token::Line(line) => steps.push(Step { when: next.take().unwrap_or(When::Politely), line }),
            }
        }
        anyhow::ensure!(next.is_none(), "a timing (--at, --after, --interrupt-after) goes before the line it is for");
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn steps(arguments: &[&str]) -> anyhow::Result<Vec<Step>> {
        let command = Call::augment_args(clap::Command::new("call"));
        let matches = command.try_get_matches_from([&["call", "sip:demo@127.0.0.1"], arguments].concat())?;
        Call::from_arg_matches(&matches)?.steps(&matches)
    }

    #[test]
    fn the_script_keeps_the_order_of_the_command_line() {
        let given =
            ["--say", "one", "--dtmf", "12#", "--interrupt-after", "800", "--say", "two", "--at", "5", "--wav", "a"];
        let line = |when, line| Step { when, line };
        let expected = [
            line(When::Politely, Line::Say("one".into())),
            line(When::Politely, Line::Dtmf("12#".into())),
            line(When::Interrupting(Duration::from_millis(800)), Line::Say("two".into())),
            line(When::At(Duration::from_millis(5)), Line::Wav("a".into())),
        ];
        assert_eq!(steps(&given).unwrap(), expected);
    }

    #[test]
    fn a_timing_without_a_line_and_strange_keys_are_errors() {
        assert!(steps(&["--say", "one", "--after", "5"]).is_err());
        assert!(steps(&["--dtmf", "12x"]).is_err());
        assert!(steps(&["--api", "http://127.0.0.1:8080"]).is_err(), "an API without a key");
        assert!(steps(&["--key", "tdm_1"]).is_err(), "a key for no API");
    }
}
