//! The JSON on the wire.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) voice: &'a str,
    pub(super) input: &'a str,
    pub(super) response_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instructions: Option<&'a str>,
}
