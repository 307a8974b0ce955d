//! Opening shared libraries, and saying what to install when that fails.

use std::sync::Arc;

use libloading::Library;
use thiserror::Error;

/// Why an engine cannot be used on this machine. Cloned out of the place where the one attempt to load is remembered.
#[derive(Clone, Debug, Error)]
pub enum LoadError {
    #[error("{file} cannot be opened: install the Debian package {package}")]
    Missing {
        file: &'static str,
        package: &'static str,
        #[source]
        source: Arc<libloading::Error>,
    },
    #[error("{file} has no {symbol}: it is not the version of Debian's package {package}")]
    Symbol {
        file: &'static str,
        symbol: String,
        package: &'static str,
        #[source]
        source: Arc<libloading::Error>,
    },
    #[error("{path} is not there: install the Debian package {package}")]
    Model { path: String, package: &'static str },
    #[error("{file} refused to start")]
    Refused { file: &'static str },
}

impl LoadError {
    /// The Debian package that would help.
    pub fn package(&self) -> Option<&'static str> {
        match self {
            Self::Missing { package, .. } | Self::Symbol { package, .. } | Self::Model { package, .. } => Some(package),
            Self::Refused { .. } => None,
        }
    }
}

/// A library that is open until the process ends.
pub(crate) struct Opened {
    file: &'static str,
    package: &'static str,
    library: &'static Library,
}

impl Opened {
    /// Opens `file` from the loader's search path.
    pub(crate) fn open(file: &'static str, package: &'static str) -> Result<Self, LoadError> {
        // SAFETY: the initialisers of the C libraries named in this crate do nothing but relocate tables.
        let opened = unsafe { Library::new(file) };
        let library = opened.map_err(|source| LoadError::Missing { file, package, source: Arc::new(source) })?;
        Ok(Self { file, package, library: Box::leak(Box::new(library)) })
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` must be the function pointer type of `symbol`'s C declaration.
    pub(crate) unsafe fn function<F: Copy>(&self, symbol: &str) -> Result<F, LoadError> {
        // SAFETY: the caller vouches for the type; the library is never closed, so the pointer lives as long as the process.
        let found = unsafe { self.library.get::<F>(symbol) };
        found.map(|found| *found).map_err(|source| LoadError::Symbol {
            file: self.file,
            symbol: symbol.to_owned(),
            package: self.package,
            source: Arc::new(source),
        })
    }
}
