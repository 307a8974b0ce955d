//! The JSON on the wire; all else is in the address.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) text: &'a str,
}
