//! Admission: the stack's queues have no bounds, so what enters them is counted here, before a transaction exists.
//!
//! New INVITEs beyond the half-open limit get a 503 with Retry-After and leave no state behind. Other new requests
//! beyond the limits are dropped: their sender repeats them. Whatever belongs to a running transaction passes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use rsipstack::sip::{Header, HeadersExt as _, Method, Request, SipMessage};
use rsipstack::transaction::endpoint::{EndpointInner, TransportEventInspector};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::make_tag;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};

use super::stack::tag_to;

/// New requests between the transport and our dispatcher. The dispatcher only sorts, so a longer queue means that the
/// machine is too slow for its load.
const BACKLOG_MAX: usize = 2000;

/// Seconds after which a refused caller may try again (RFC 3261 section 20.33). Half-open calls are gone by then.
const RETRY_AFTER: &str = "5";

/// What is under way. Shared by the inspector and the dispatcher.
#[derive(Debug)]
pub(crate) struct Load {
    /// INVITEs that wait for an answer or an ACK.
    pub half_open: Arc<AtomicUsize>,
    /// Transactions made and not yet taken by the dispatcher.
    pub backlog: AtomicUsize,
    /// Datagrams past the guard and not yet here.
    pub inbound: AtomicUsize,
    pub half_open_max: usize,
    pub transactions_max: usize,
}

/// What is done with a new request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admit,
    /// 503 without a transaction.
    Refuse,
    Drop,
}

/// One less, and never below zero: a count that wrapped would shut the door for good.
fn take_off(count: &AtomicUsize) {
    // Fails at zero, which is meant.
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
}

impl Load {
    /// The dispatcher took a transaction that [`Admission`] counted.
    pub fn dispatched(&self) {
        take_off(&self.backlog);
    }

    /// The decision on a request that belongs to no transaction yet; `transactions` counts those that the stack holds.
    pub fn judge(&self, starts_call: bool, in_dialog: bool, transactions: usize) -> Verdict {
        let backlog = self.backlog.load(Ordering::Relaxed);
        let full = transactions >= self.transactions_max || backlog >= BACKLOG_MAX;
        match (starts_call, in_dialog) {
            (true, _) if full || self.half_open.load(Ordering::Relaxed) + backlog >= self.half_open_max => {
                Verdict::Refuse
            }
            (false, false) if full => Verdict::Drop,
            // Requests of running calls go first (RFC 7339 section 5.10.1): a BYE makes room.
            (false, true) if transactions >= 2 * self.transactions_max => Verdict::Drop,
            _ => Verdict::Admit,
        }
    }
}

pub(crate) struct Admission {
    pub load: Arc<Load>,
    /// Set right after the endpoint is made; the endpoint owns us.
    pub endpoint: Arc<OnceLock<Weak<EndpointInner>>>,
}

#[async_trait::async_trait]
impl TransportEventInspector for Admission {
    async fn handle(&self, event: TransportEvent) -> Option<TransportEvent> {
        if let TransportEvent::Incoming(message, connection, from) = &event {
            take_off(&self.load.inbound);
            if let SipMessage::Request(request) = message
                && !self.admit(request, connection, from).await
            {
                return None;
            }
        }
        Some(event)
    }
}

impl Admission {
    async fn admit(&self, request: &Request, connection: &SipConnection, from: &SipAddr) -> bool {
        let Some(endpoint) = self.endpoint.get().and_then(Weak::upgrade) else { return true };
        // Only what becomes a transaction may be counted; the guard lets nothing else pass.
        let Ok(key) = TransactionKey::from_request(request, TransactionRole::Server) else { return false };
        if matches!(request.method, Method::Ack | Method::Cancel) || is_known(&endpoint, &key) {
            return true;
        }
        let in_dialog = matches!(request.to_header().map(|to| to.tag()), Ok(Ok(Some(_))));
        let starts_call = request.method == Method::Invite && !in_dialog;
        let transactions = endpoint.transactions.len() + endpoint.finished_transactions.len();
        match self.load.judge(starts_call, in_dialog, transactions) {
            Verdict::Admit => {
                self.load.backlog.fetch_add(1, Ordering::Relaxed);
                true
            }
            Verdict::Refuse => {
                metrics::counter!("tandem_sip_dropped_total", "reason" => "overload").increment(1);
                refuse(&endpoint, request, connection, from).await;
                false
            }
            Verdict::Drop => {
                metrics::counter!("tandem_sip_dropped_total", "reason" => "overload").increment(1);
                false
            }
        }
    }
}

fn is_known(endpoint: &EndpointInner, key: &TransactionKey) -> bool {
    endpoint.transactions.with(|map| map.contains_key(key))
        || endpoint.finished_transactions.with(|map| map.contains_key(key))
}

async fn refuse(endpoint: &EndpointInner, request: &Request, connection: &SipConnection, from: &SipAddr) {
    let mut request = request.clone();
    tag_to(&mut request, make_tag().value());
    let mut response = endpoint.make_response(&request, rsipstack::sip::StatusCode::ServiceUnavailable, None);
    response.headers.push(Header::RetryAfter(RETRY_AFTER.into()));
    if let Err(error) = connection.send(SipMessage::Response(response), Some(from)).await {
        tracing::debug!(%error, "sip 503 not sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(half_open: usize, backlog: usize) -> Load {
        Load {
            half_open: Arc::new(AtomicUsize::new(half_open)),
            backlog: AtomicUsize::new(backlog),
            inbound: AtomicUsize::new(0),
            half_open_max: 10,
            transactions_max: 100,
        }
    }

    #[test]
    fn a_count_does_not_wrap() {
        let load = load(0, 1);
        load.dispatched();
        load.dispatched();
        assert_eq!(load.backlog.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn calls_are_refused_before_running_ones_suffer() {
        assert_eq!(load(0, 0).judge(true, false, 0), Verdict::Admit);
        assert_eq!(load(9, 0).judge(true, false, 0), Verdict::Admit);
        assert_eq!(load(10, 0).judge(true, false, 0), Verdict::Refuse);
        assert_eq!(load(5, 5).judge(true, false, 0), Verdict::Refuse);
        assert_eq!(load(0, 0).judge(true, false, 100), Verdict::Refuse);
        assert_eq!(load(10, 0).judge(false, true, 100), Verdict::Admit);
        assert_eq!(load(10, 0).judge(false, false, 99), Verdict::Admit);
        assert_eq!(load(0, 0).judge(false, false, 100), Verdict::Drop);
        assert_eq!(load(0, 0).judge(false, true, 200), Verdict::Drop);
    }
}
