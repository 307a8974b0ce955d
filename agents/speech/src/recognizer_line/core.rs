//! What a streaming vendor's protocol is to the line that carries it: one input, the effects of it, and when to call again.

use tandem_media::Time;

use crate::RecognizerEvent;

/// What happened on the line. Audio itself does not pass: only how much of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input<'a> {
    /// A socket is open. What an earlier one owed will not come.
    Opened,
    /// A recognition begins; none runs.
    Begin,
    /// So many samples of the running recognition were sent.
    Sent(usize),
    /// The caller finished: no more audio of this recognition is sent.
    Finish,
    /// The session gave the recognition up.
    Cancel,
    /// A text message of the vendor.
    Heard(&'a str),
    /// The vendor's end of the socket answered a ping.
    Alive,
    /// The deadline has passed.
    Timeout,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send this text.
    Send(&'static str),
    /// Ask whether anybody is there.
    Ping,
    /// To the session.
    Tell(RecognizerEvent),
    /// The socket is of no more use: why.
    Broken(String),
}

/// A vendor's protocol without its socket and its clock.
pub(crate) trait StreamCore: Send + Sync + 'static {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Effect>);
    /// When `Timeout` is due.
    fn deadline(&self) -> Option<Time>;
}
