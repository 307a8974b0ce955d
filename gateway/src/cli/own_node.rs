//! A node that a command starts for itself: on free ports of this machine, with a data folder that goes with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tandem_contract::BotName;

use crate::node::Node;
use crate::settings::{Settings, Tls};
use crate::store::{make_folder, replace};
use crate::{logging, telemetry};

pub struct OwnNode {
    pub node: Node,
    folder: Folder,
}

impl OwnNode {
    /// Starts it with these settings, but its own addresses and folder, and with these bots beside the bundled ones. It
    /// logs warnings alone: what a command prints is its own.
    ///
    /// # Errors
    /// When the folder or the node cannot be made.
    pub async fn start(mut settings: Settings, bots: &[(BotName, String)]) -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        settings.log = "warn".into();
        settings.http.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.sip.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // It is spoken to by this process alone.
        settings.tls = Tls::default();
        settings.data.dir.clone_from(&folder.path);
        logging::start(&settings);
        folder.write(bots)?;
        let node = Box::pin(Node::start(settings, telemetry::install()?)).await?;
        Ok(Self { node, folder })
    }

    /// Waits for what runs, and removes the folder.
    pub async fn end(self) {
        let Self { node, folder } = self;
        Box::pin(node.drain(std::future::ready(()))).await;
        drop(folder);
    }
}

/// A data folder that goes with its node.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tandem-{}", std::process::id()));
        make_folder(&path)?;
        Ok(Self { path })
    }

    fn write(&self, bots: &[(BotName, String)]) -> anyhow::Result<()> {
        let folder: &Path = &self.path.join("bots");
        make_folder(folder)?;
        for (name, text) in bots {
            replace(&folder.join(format!("{name}.json")), text.as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is the system's to clean: it lies in its folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
