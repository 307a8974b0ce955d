//! The certificate and its key: read from their files at the start, and again when those have changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::settings::Tls;

/// How often the files are looked at. A certificate is renewed days before its end; nobody waits for it.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why there is no HTTPS.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("cannot read {key} = {path}")]
    Read {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{key} = {path} is not PEM: {source}")]
    NotPem {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("tls.cert = {path} holds no certificate (a block that begins with -----BEGIN CERTIFICATE-----)")]
    NoCertificate { path: PathBuf },
    #[error("tls.key = {path} holds no private key (a block such as -----BEGIN PRIVATE KEY-----, without a password)")]
    NoKey { path: PathBuf },
    #[error("tls.key = {key} is not the key of the first certificate in tls.cert = {cert}")]
    Mismatch { cert: PathBuf, key: PathBuf },
    #[error("tls.cert = {cert} or tls.key = {key} cannot be used: {source}")]
    Unusable {
        cert: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

/// What the node presents to its clients.
#[derive(Debug)]
pub struct Certificates {
    settings: Tls,
    /// Of the files as they were taken.
    changed: [Option<SystemTime>; 2],
    /// Why those that are there now are not, as it was logged.
    told: String,
    present: watch::Sender<Arc<CertifiedKey>>,
}

/// Gives each handshake what is presented now.
#[derive(Debug)]
struct Presented(watch::Receiver<Arc<CertifiedKey>>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.borrow()))
    }
}

impl Certificates {
    /// Reads the files. None: the settings name none.
    ///
    /// # Errors
    /// Which file is what it should not be.
    pub fn open(settings: &Tls) -> Result<Option<Self>, TlsError> {
        if !settings.is_set() {
            return Ok(None);
        }
        // Before they are read: what changes meanwhile is seen by the next look.
        let changed = last_changed(settings);
        let present = watch::Sender::new(Arc::new(read(settings)?));
        Ok(Some(Self { settings: settings.clone(), changed, told: String::new(), present }))
    }

    /// How TLS is spoken: HTTP/1.1, since WebSockets want it.
    ///
    /// # Errors
    /// When the provider of the cryptography has nothing that is safe; it always has.
    pub fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let presented = Arc::new(Presented(self.present.subscribe()));
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let mut config = config
            .map_err(|source| unusable(&self.settings, source))?
            .with_no_client_auth()
            .with_cert_resolver(presented);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks at the files from time to time until `close`. What cannot be used is not taken: the old one stays.
    pub async fn keep(mut self, close: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        while close.run_until_cancelled(tick.tick()).await.is_some() {
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            let Ok(looked) = looked.await else { return };
            self = looked;
        }
    }

    #[cfg(test)]
    pub(super) fn presented(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.present.borrow())
    }

    pub(super) fn look(&mut self) {
        let changed = last_changed(&self.settings);
        if changed == self.changed {
            return;
        }
        match read(&self.settings) {
            Ok(renewed) => {
                self.changed = changed;
                self.told.clear();
                self.present.send_replace(Arc::new(renewed));
                info!("the certificate was renewed");
            }
            // Half of it may be on its way, and not be younger: they are read again at every look until they can be used.
            Err(error) if error.to_string() != self.told => {
                self.told = error.to_string();
                warn!(%error, "the certificate's files have changed and cannot be used; the old one stays");
            }
            Err(_) => {}
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn last_changed(settings: &Tls) -> [Option<SystemTime>; 2] {
    [&settings.cert, &settings.key].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read(settings: &Tls) -> Result<CertifiedKey, TlsError> {
    let bytes = |key: &'static str, path: &PathBuf| {
        std::fs::read(path).map_err(|source| TlsError::Read { key, path: path.clone(), source })
    };
    let not_pem = |key: &'static str, path: &PathBuf, source| TlsError::NotPem { key, path: path.clone(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes("tls.cert", &settings.cert)?).collect();
    let chain = chain.map_err(|source| not_pem("tls.cert", &settings.cert, source))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: settings.cert.clone() });
    }
    let key = match PrivateKeyDer::from_pem_slice(&bytes("tls.key", &settings.key)?) {
        Ok(key) => key,
        Err(pem::Error::NoItemsFound) => return Err(TlsError::NoKey { path: settings.key.clone() }),
        Err(source) => return Err(not_pem("tls.key", &settings.key, source)),
    };
    CertifiedKey::from_der(chain, key, &provider()).map_err(|source| match source {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { cert: settings.cert.clone(), key: settings.key.clone() }
        }
        source => unusable(settings, source),
    })
}

fn unusable(settings: &Tls, source: rustls::Error) -> TlsError {
    TlsError::Unusable { cert: settings.cert.clone(), key: settings.key.clone(), source }
}
