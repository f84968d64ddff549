//! The TLS configuration of a server.

use std::{
    fmt, io,
    sync::{Arc, RwLock},
    time::Duration,
};

use super::{
    names::Names,
    server_builder::{Recipe, ServerConfigBuilder},
    watching::Stamp,
};

/// The names of the versions of HTTP (RFC 9113, section 3.1; RFC 7301, section 6).
pub(super) const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
const HTTP_1_0: &[u8] = b"http/1.0";

/// Time that a client has for its handshake.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The TLS configuration of a server: its certificates, and what it asks of clients. A clone shares
/// everything with its original, the keys of session tickets included, and may go to any thread.
///
/// # Examples
///
/// ```no_run
/// use annulus::tls::ServerConfig;
///
/// # fn main() -> std::io::Result<()> {
/// let config = ServerConfig::builder()
///     .certificate_files("site.pem", "site.key")
///     .certificate_files_for("*.api.example", "api.pem", "api.key")
///     .build()?;
/// # drop(config);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerConfig {
    shared: Arc<Shared>,
}

struct Shared {
    loaded: RwLock<Loaded>,
    /// None of a configuration of rustls's own.
    recipe: Option<Recipe>,
    handshake_timeout: Duration,
}

/// The versions of HTTP that a server speaks, of which it offers the newest to a client that knows
/// several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
    Both,
}

/// A configuration of rustls's, as it is for any protocol and as it is for each set of versions of
/// HTTP.
#[derive(Clone)]
pub(super) struct Loaded {
    any: Arc<rustls::ServerConfig>,
    http: [Arc<rustls::ServerConfig>; 3],
    /// None of a configuration of rustls's own.
    names: Option<Arc<Names>>,
    /// Those of the files that it was read from, as they were before.
    stamps: Arc<[Stamp]>,
}

/// The configuration of one handshake.
pub(super) struct Chosen {
    pub(super) config: Arc<rustls::ServerConfig>,
    names: Option<Arc<Names>>,
}

impl Chosen {
    /// Whether a client that asks for `name` is refused.
    pub(super) fn refuses(&self, name: Option<&str>) -> bool {
        let names = self.names.as_ref();
        names.is_some_and(|names| names.find(name).is_none())
    }
}

impl Loaded {
    pub(super) fn new(mut config: rustls::ServerConfig, names: Option<Arc<Names>>) -> Self {
        // The first data of a client would be lost, which can be sent again by others.
        config.max_early_data_size = 0;
        let http = [Spoken::Http1, Spoken::Http2, Spoken::Both].map(|spoken| {
            let mut http = config.clone();
            spoken.restrict(&mut http.alpn_protocols);
            Arc::new(http)
        });
        Self {
            any: Arc::new(config),
            http,
            names,
            stamps: Arc::new([]),
        }
    }

    /// Notes the stamps of its files.
    pub(super) fn with_stamps(self, stamps: Arc<[Stamp]>) -> Self {
        Self { stamps, ..self }
    }
}

impl Spoken {
    /// Leaves the versions that are spoken among the protocols of a configuration. One that names
    /// no protocol offers all of these.
    fn restrict(self, protocols: &mut Vec<Vec<u8>>) {
        if protocols.is_empty() {
            *protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
        }
        protocols.retain(|protocol| match &**protocol {
            HTTP_2 => self != Self::Http1,
            HTTP_1_1 | HTTP_1_0 => self != Self::Http2,
            // Those of a challenge for a certificate, say, which no HTTP follows.
            _ => true,
        });
    }
}

impl ServerConfig {
    /// Returns a builder, which wants a certificate at least.
    pub fn builder() -> ServerConfigBuilder {
        ServerConfigBuilder::new()
    }

    pub(super) fn new(recipe: Recipe, loaded: Loaded) -> Self {
        let handshake_timeout = recipe.handshake_timeout();
        Self::from_parts(Some(recipe), loaded, handshake_timeout)
    }

    fn from_parts(recipe: Option<Recipe>, loaded: Loaded, handshake_timeout: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                loaded: RwLock::new(loaded),
                recipe,
                handshake_timeout,
            }),
        }
    }

    /// Reads the files again: certificates, keys, authorities and revocations. Handshakes that
    /// begin from now on use them, in all clones on all threads. Connections that are there go on.
    ///
    /// A client may resume a session that it has begun with the old certificates. Where clients
    /// have to show certificates it may not, since their authorities and revocations may have
    /// changed.
    ///
    /// A configuration of rustls's own has no files; [`replace`](Self::replace) changes it.
    ///
    /// It reads files, for a fraction of a millisecond; on a runtime's thread that serves others
    /// [`blocking::run`](crate::blocking::run) keeps that free.
    ///
    /// # Errors
    ///
    /// As [`ServerConfigBuilder::build`]. Everything is as it was then.
    ///
    /// # Examples
    ///
    /// To read the files again at `SIGHUP`, in a task of any runtime ([`watch`](Self::watch) does
    /// that, and looks at the files):
    ///
    /// ```no_run
    /// use std::io;
    /// use annulus::{signal::{self, SignalKind}, tls::ServerConfig};
    ///
    /// async fn reload_at_hangup(config: ServerConfig) -> io::Result<()> {
    ///     let mut hangups = signal::stream(SignalKind::hangup())?;
    ///     loop {
    ///         hangups.recv().await?;
    ///         if let Err(error) = config.reload() {
    ///             eprintln!("the old certificates stay: {error}");
    ///         }
    ///     }
    /// }
    /// ```
    pub fn reload(&self) -> io::Result<()> {
        if let Some(recipe) = &self.shared.recipe {
            self.set(recipe.load()?);
        }
        Ok(())
    }

    /// Uses what `other` uses now, for all handshakes that begin from now on, in all clones on all
    /// threads. Connections that are there go on. The limit of time for handshakes stays.
    ///
    /// A [`reload`](Self::reload) afterwards reads the files that this one was built from.
    pub fn replace(&self, other: &Self) {
        self.set(other.loaded());
    }

    fn set(&self, loaded: Loaded) {
        let mut place = self.shared.loaded.write();
        let place = place.as_mut().expect("no holder of the lock panics");
        **place = loaded;
    }

    fn loaded(&self) -> Loaded {
        let place = self.shared.loaded.read();
        place.expect("no holder of the lock panics").clone()
    }

    /// The stamps of the files as they were when they were read last.
    pub(super) fn stamps(&self) -> Arc<[Stamp]> {
        self.loaded().stamps
    }

    /// The stamps of the files as they are now.
    pub(super) fn stamps_now(&self) -> Arc<[Stamp]> {
        let recipe = self.shared.recipe.as_ref();
        recipe.map_or_else(|| Arc::new([]) as Arc<[Stamp]>, Recipe::stamps)
    }

    /// The configuration for any protocol.
    pub(super) fn of_any(&self) -> Chosen {
        self.choose(|loaded| &loaded.any)
    }

    /// The configuration for a server that speaks these versions of HTTP.
    pub(super) fn of_http(&self, spoken: Spoken) -> Chosen {
        self.choose(|loaded| &loaded.http[spoken as usize])
    }

    fn choose(&self, which: impl Fn(&Loaded) -> &Arc<rustls::ServerConfig>) -> Chosen {
        let place = self.shared.loaded.read();
        let place = place.expect("no holder of the lock panics");
        Chosen {
            config: Arc::clone(which(&place)),
            names: place.names.clone(),
        }
    }

    /// Returns the time that a client has for its handshake.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.shared.handshake_timeout
    }
}

/// Everything that rustls can do, but for early data, which is not accepted.
impl From<rustls::ServerConfig> for ServerConfig {
    fn from(config: rustls::ServerConfig) -> Self {
        Self::from_parts(None, Loaded::new(config, None), HANDSHAKE_TIMEOUT)
    }
}

/// Everything that rustls can do, but for early data, which is not accepted.
impl From<Arc<rustls::ServerConfig>> for ServerConfig {
    fn from(config: Arc<rustls::ServerConfig>) -> Self {
        rustls::ServerConfig::clone(&config).into()
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::names::Names;

    #[test]
    fn no_settings_of_rustls_let_data_in_before_the_handshake() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Names::default()));
        // A peer that recorded such data can send it again (RFC 8446, section 8).
        config.max_early_data_size = 16_384;
        let config = ServerConfig::from(config);
        let early = |chosen: Chosen| chosen.config.max_early_data_size;
        assert_eq!(early(config.of_any()), 0);
        for spoken in [Spoken::Http1, Spoken::Http2, Spoken::Both] {
            assert_eq!(early(config.of_http(spoken)), 0);
        }
    }
}
