//! Where a channel keeps what callers attach. It is fetched from the channel's own host alone, from hosts that the operator names,
//! or from where these send on to: a public address. None but the own host is shown a password. Bounded in bytes, in time, in
//! steps and in number; what cannot be read is told, and the message it came with is not held up by it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use reqwest::{Client, Response, Url};
use tandem_agents::session::{FILE_BYTES_MAX, PICTURE_BYTES_MAX};
use tandem_contract::Private;
use tandem_contract::attachment::Attachment;
use tandem_signaling::stream::attachment::{self, AttachmentError};
use tandem_tools::{Egress, Forbidden};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::attached::Link;
use crate::settings::Host;

/// Longest wait for one attachment; those of one question are fetched at once. The caller waits meanwhile, and a picture of the
/// largest size takes half of it at 6 Mbit/s.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one may be sent on: Chatwoot sends to its object storage, Twilio to its cache and from there to its storage.
const REDIRECTS_MAX: usize = 2;
/// Downloads of one channel at once, of all its conversations: bounds the sockets and the bytes on their way (60 MiB). A few
/// seconds each, they serve some hundred pictures a minute.
const DOWNLOADS_MAX: usize = 16;
/// Media types that say nothing: those of servers that do not know better.
const UNKNOWN: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];

/// Name and password that the channel's own host wants.
pub(super) struct Login {
    pub(super) name: String,
    pub(super) password: Private<String>,
}

pub(super) struct Storage {
    channel: &'static str,
    client: Client,
    egress: Arc<Egress>,
    /// An address of the channel's: its scheme, host and port.
    own: Url,
    /// Others that the operator names.
    hosts: Vec<Host>,
    login: Option<Login>,
    patience: Duration,
    /// `DOWNLOADS_MAX`. Full: the next waits for its place within its time, and is told as late when that is up.
    places: Semaphore,
}

/// What came of some links.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// In order.
    pub(super) attachments: Vec<Attachment>,
    /// Of those that could not be read, a line each for the agent.
    pub(super) marks: Vec<String>,
}

/// Why an attachment stays unread.
#[derive(Debug, Error)]
enum Unread {
    #[error("its address is none")]
    NoAddress,
    #[error("it lies on {there}, which is not the channel's own address")]
    Elsewhere { there: String },
    #[error("the channel sends on to {host}, which is no public address with encryption")]
    Forbidden { host: String },
    #[error("the channel sends on too often")]
    Redirects,
    #[error("the channel does not give it (HTTP {status})")]
    Status { status: u16 },
    #[error("where it lies cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it broke off")]
    BrokenOff(#[source] reqwest::Error),
    #[error("it did not come in time")]
    Late,
    #[error("there is no room for it beside the newer ones; send it alone")]
    Crowded,
    #[error("it is larger than {most} bytes")]
    TooLong { most: usize },
    #[error(transparent)]
    NotTaken(#[from] AttachmentError),
}

impl Storage {
    /// `base_url`: the channel's. Only if it begins with `http:`, or from `hosts`, is anything fetched without encryption.
    ///
    /// # Errors
    /// When it is no URL.
    pub(super) fn open(
        channel: &'static str,
        base_url: &str,
        hosts: &[Host],
        login: Option<Login>,
    ) -> anyhow::Result<Self> {
        let own = Url::parse(base_url).context("the address is no URL")?;
        // They may be of the operator's own network.
        let known = own.host_str().map(str::to_owned).into_iter().chain(hosts.iter().map(Host::to_string));
        let egress = Arc::new(Egress::new(known));
        let client = egress.client(HeaderMap::new()).context("no HTTP client can be made")?;
        let (hosts, places) = (hosts.to_vec(), Semaphore::new(DOWNLOADS_MAX));
        Ok(Self { channel, client, egress, own, hosts, login, patience: PATIENCE, places })
    }

    pub(super) async fn fetch(&self, links: Vec<Link>) -> Fetched {
        let mut fetched = Fetched::default();
        let mut read = join_all(links.iter().map(|link| self.read(link))).await;
        leave_out_the_oldest(&mut read);
        for (link, read) in links.iter().zip(read) {
            match read {
                Ok(attachment) => fetched.attachments.push(attachment),
                Err(why) => {
                    let (channel, kind) = (self.channel, link.kind.as_str());
                    warn!(channel, kind, error = &why as &dyn std::error::Error, "an attachment could not be read");
                    fetched.marks.push(link.kind.unread(why.told()));
                }
            }
        }
        fetched
    }

    async fn read(&self, link: &Link) -> Result<Attachment, Unread> {
        timeout(self.patience, self.follow(link)).await.unwrap_or(Err(Unread::Late))
    }

    async fn follow(&self, link: &Link) -> Result<Attachment, Unread> {
        // Never closed.
        let _place = self.places.acquire().await;
        let mut url = self.first_address(link.url.reveal())?;
        // For the first request alone: where the channel sends on to, the address itself is the permission.
        let mut login = self.login.as_ref().filter(|_| url.origin() == self.own.origin());
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.client.get(url.clone());
            if let Some(Login { name, password }) = login.take() {
                request = request.basic_auth(name, Some(password.reveal()));
            }
            let response = request.send().await.map_err(unreachable)?;
            match onward(&response)? {
                None => return receive(link, response).await,
                Some(next) => url = self.admit(next)?,
            }
        }
        Err(Unread::Redirects)
    }

    /// Where the channel says that it lies.
    fn first_address(&self, url: &str) -> Result<Url, Unread> {
        let url = Url::parse(url).map_err(|_| Unread::NoAddress)?;
        match url.origin() == self.own.origin() {
            true => Ok(url),
            false if self.is_named(&url) => self.admit(url),
            false => Err(Unread::Elsewhere { there: url.origin().ascii_serialization() }),
        }
    }

    /// Whether the operator allows its host.
    fn is_named(&self, url: &Url) -> bool {
        url.host_str().and_then(|host| host.parse().ok()).is_some_and(|host: Host| self.hosts.contains(&host))
    }

    /// Where the channel sends on to. A name is judged when it is resolved.
    fn admit(&self, url: Url) -> Result<Url, Unread> {
        let may_be_read = self.own.scheme() == "http" || self.is_named(&url);
        let fits = url.scheme() == "https" || (url.scheme() == "http" && may_be_read);
        match fits && self.egress.admit(&url).is_ok() {
            true => Ok(url),
            false => Err(Unread::Forbidden { host: url.host_str().unwrap_or_default().to_owned() }),
        }
    }
}

impl Unread {
    /// For the agent, which may tell the caller. How the operator's network looks is for the log.
    fn told(&self) -> String {
        match self {
            Self::Elsewhere { .. } | Self::Forbidden { .. } => "it lies where nothing is fetched from".to_owned(),
            other => other.to_string(),
        }
    }
}

/// The newest that the session has room for. The others it would forget, and nobody would be told.
fn leave_out_the_oldest(read: &mut [Result<Attachment, Unread>]) {
    let (mut pictures, mut files) = (PICTURE_BYTES_MAX, FILE_BYTES_MAX);
    for read in read.iter_mut().rev() {
        let (room, bytes) = match read {
            Ok(Attachment::Image { picture, .. }) => (&mut pictures, picture.base64.reveal().len()),
            Ok(Attachment::File { text, .. }) => (&mut files, text.reveal().len()),
            Err(_) => continue,
        };
        match room.checked_sub(bytes) {
            Some(left) => *room = left,
            None => *read = Err(Unread::Crowded),
        }
    }
}

fn unreachable(error: reqwest::Error) -> Unread {
    match Forbidden::of(&error) {
        Some(Forbidden(host)) => Unread::Forbidden { host: host.clone() },
        // Its address may be all that one needs to have the file.
        None => Unread::Unreachable(error.without_url()),
    }
}

/// Where it is to be looked for instead (RFC 9110 section 15.4).
fn onward(response: &Response) -> Result<Option<Url>, Unread> {
    match header(response, &LOCATION).filter(|_| response.status().is_redirection()) {
        Some(next) => response.url().join(next).map(Some).map_err(|_| Unread::NoAddress),
        None => Ok(None),
    }
}

async fn receive(link: &Link, mut response: Response) -> Result<Attachment, Unread> {
    if !response.status().is_success() {
        return Err(Unread::Status { status: response.status().as_u16() });
    }
    let says_nothing = |served: &str| UNKNOWN.contains(&attachment::media_type(served).as_str());
    let served = header(&response, &CONTENT_TYPE).filter(|served| !says_nothing(served));
    let kind = served.or(link.media_type.as_deref()).unwrap_or(UNKNOWN[0]).to_owned();
    let name = file_name(&response).unwrap_or_default().to_owned();
    let most = attachment::limit(&kind)?;
    if response.content_length().is_some_and(|bytes| bytes > most as u64) {
        return Err(Unread::TooLong { most });
    }
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| Unread::BrokenOff(error.without_url()))? {
        if bytes.len() + part.len() > most {
            return Err(Unread::TooLong { most });
        }
        bytes.extend_from_slice(&part);
    }
    Ok(attachment::read(&name, &kind, &bytes)?)
}

/// RFC 6266: `attachment; filename="door.png"`.
fn file_name(response: &Response) -> Option<&str> {
    let name =
        header(response, &CONTENT_DISPOSITION)?.split(';').find_map(|part| part.trim().strip_prefix("filename="))?;
    Some(name.trim_matches('"'))
}

fn header<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
