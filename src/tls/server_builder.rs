//! The builder of a server's TLS configuration.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    KeyLogFile, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _},
    server::{
        NoServerSessionStorage, ParsedCertificate, ProducesTickets, WebPkiClientVerifier, danger,
    },
    sign::CertifiedKey,
};

use super::{
    ServerConfig, Version,
    builder::{certificates, invalid_input},
    names::Names,
    server_config::{HANDSHAKE_TIMEOUT, Loaded},
    watching::Stamp,
};

/// Builds a [`ServerConfig`]; [`ServerConfig::builder`] returns one.
///
/// Files are read by [`build`](Self::build), and again by [`ServerConfig::reload`].
///
/// # Examples
///
/// A server for the machines of one's own, each of which shows a certificate:
///
/// ```no_run
/// use annulus::tls;
///
/// # fn main() -> std::io::Result<()> {
/// let config = tls::ServerConfig::builder()
///     .certificate_files("internal.pem", "internal.key")
///     .client_authorities_file("machines.pem")
///     .version_min(tls::Version::Tls13)
///     .build()?;
/// # drop(config);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ServerConfigBuilder {
    identities: Vec<Identity>,
    refuses_unknown: bool,
    authorities: Vec<Source>,
    revocations: Vec<Source>,
    is_client_optional: bool,
    alpn: Vec<Vec<u8>>,
    version_min: Version,
    gives_tickets: bool,
    logs_keys: bool,
    handshake_timeout: Duration,
}

/// A certificate with its key, and the name that it is for; none for the one of all other names.
struct Identity {
    name: Option<String>,
    chain: Source,
    key: Source,
}

/// Text in PEM, or the file that it is in.
enum Source {
    Text(Vec<u8>),
    File(PathBuf),
}

/// A builder with all that is made once, from which a configuration is made at each load.
pub(super) struct Recipe {
    builder: ServerConfigBuilder,
    provider: Arc<CryptoProvider>,
    tickets: Option<Arc<dyn ProducesTickets>>,
}

impl ServerConfigBuilder {
    pub(super) fn new() -> Self {
        Self {
            identities: Vec::new(),
            refuses_unknown: false,
            authorities: Vec::new(),
            revocations: Vec::new(),
            is_client_optional: false,
            alpn: Vec::new(),
            version_min: Version::Tls12,
            gives_tickets: true,
            logs_keys: false,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// Sets the certificate for clients that ask for a name without one of its own, or for none: a
    /// file with a chain in PEM that begins with the server's own certificate, and a file with its
    /// private key in PEM.
    ///
    /// A server without such a certificate shows the first one of
    /// [`certificate_files_for`](Self::certificate_files_for).
    pub fn certificate_files(self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity(None, Source::File(chain.into()), Source::File(key.into()))
    }

    /// As [`certificate_files`](Self::certificate_files), from text in PEM.
    pub fn certificate(self, chain_pem: &[u8], key_pem: &[u8]) -> Self {
        self.identity(None, Source::text(chain_pem), Source::text(key_pem))
    }

    /// Sets the certificate for clients that ask for `name`, by files as those of
    /// [`certificate_files`](Self::certificate_files). A name that begins with `*.` stands for all
    /// names with one label in place of the star, where no other one is set for them.
    pub fn certificate_files_for(
        self,
        name: impl Into<String>,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let (chain, key) = (Source::File(chain.into()), Source::File(key.into()));
        self.identity(Some(name.into()), chain, key)
    }

    /// As [`certificate_files_for`](Self::certificate_files_for), from text in PEM.
    pub fn certificate_for(
        self,
        name: impl Into<String>,
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Self {
        let (chain, key) = (Source::text(chain_pem), Source::text(key_pem));
        self.identity(Some(name.into()), chain, key)
    }

    fn identity(mut self, name: Option<String>, chain: Source, key: Source) -> Self {
        self.identities.push(Identity { name, chain, key });
        self
    }

    /// Sets whether a client is refused that asks for a name which none of the certificates is for,
    /// by the alert `unrecognized_name` (RFC 6066, section 3). By default it gets the certificate
    /// for all other names, and most clients refuse that by themselves. A client that asks for no
    /// name is not refused.
    pub fn refuse_unknown_names(mut self, refuses: bool) -> Self {
        self.refuses_unknown = refuses;
        self
    }

    /// Asks clients for a certificate that one of these authorities has signed: any number of
    /// certificates in PEM. Clients without one are refused, unless they are
    /// [optional](Self::client_certificates_optional).
    pub fn client_authorities(mut self, pem: &[u8]) -> Self {
        self.authorities.push(Source::text(pem));
        self
    }

    /// As [`client_authorities`](Self::client_authorities), from a file.
    pub fn client_authorities_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Source::File(path.into()));
        self
    }

    /// Sets whether clients without a certificate are served too; not by default. A client that
    /// shows one which is not valid is refused in either case.
    pub fn client_certificates_optional(mut self, is_optional: bool) -> Self {
        self.is_client_optional = is_optional;
        self
    }

    /// Refuses the clients' certificates that these lists name: any number of lists (CRL) in PEM,
    /// which the authorities have signed. A certificate of an authority without a list is taken.
    pub fn client_revocations(mut self, pem: &[u8]) -> Self {
        self.revocations.push(Source::text(pem));
        self
    }

    /// As [`client_revocations`](Self::client_revocations), from a file.
    pub fn client_revocations_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.revocations.push(Source::File(path.into()));
        self
    }

    /// Sets the protocols to choose from (ALPN, RFC 7301), the preferred one first. A client that
    /// offers none of them is refused; one that offers nothing is not.
    ///
    /// By default an HTTP server offers `h2` before `http/1.1`, or `http/1.1` alone without the
    /// feature `http2`, and other protocols are not agreed on. Of the versions of HTTP that are set
    /// here it offers those that it speaks.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter();
        self.alpn = protocols.map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// Sets the lowest version to speak; 1.2 by default.
    pub fn version_min(mut self, version: Version) -> Self {
        self.version_min = version;
        self
    }

    /// Sets whether clients get tickets to resume a session, which saves both sides most of a
    /// handshake; they do by default. All workers share the tickets' keys, which change every six
    /// hours. The server itself stores nothing.
    pub fn session_tickets(mut self, gives: bool) -> Self {
        self.gives_tickets = gives;
        self
    }

    /// Sets the time that a client has for its handshake, from the accept on; 10 seconds by
    /// default.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets whether the keys of all connections are written to the file that the environment
    /// variable `SSLKEYLOGFILE` names, for tools such as Wireshark; not by default. With that file
    /// all connections can be read.
    pub fn log_keys(mut self, logs: bool) -> Self {
        self.logs_keys = logs;
        self
    }

    /// Makes the configuration. It reads the files.
    ///
    /// # Errors
    ///
    /// `InvalidInput` without a certificate, for text that is no certificate, key or list, for a
    /// key of another certificate, and for a certificate that is for other names than the one it is
    /// set for. The error of a file that cannot be read. Each names the file, or the name that the
    /// certificate was to be for.
    pub fn build(self) -> io::Result<ServerConfig> {
        let tickets = if self.gives_tickets {
            Some(ring::Ticketer::new().map_err(io::Error::other)?)
        } else {
            None
        };
        let recipe = Recipe {
            builder: self,
            provider: Arc::new(ring::default_provider()),
            tickets,
        };
        let loaded = recipe.make()?;
        Ok(ServerConfig::new(recipe, loaded))
    }
}

impl Recipe {
    pub(super) fn handshake_timeout(&self) -> Duration {
        self.builder.handshake_timeout
    }

    /// Makes a configuration in place of an earlier one.
    pub(super) fn load(&self) -> io::Result<Loaded> {
        self.make()
    }

    /// The stamps of all files.
    pub(super) fn stamps(&self) -> Arc<[Stamp]> {
        let builder = &self.builder;
        let identities = builder.identities.iter();
        let identities = identities.flat_map(|identity| [&identity.chain, &identity.key]);
        let of_clients = builder.authorities.iter().chain(&builder.revocations);
        let paths = identities.chain(of_clients).filter_map(Source::path);
        paths.map(Stamp::of).collect()
    }

    fn make(&self) -> io::Result<Loaded> {
        let builder = &self.builder;
        // Before the files are read: a change in between shows later.
        let stamps = self.stamps();
        let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(builder.version_min.and_later())
            .map_err(invalid_input)?;
        let config = match self.clients()? {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let names = Arc::new(self.names()?);
        let mut config = config.with_cert_resolver(Arc::<Names>::clone(&names));
        config.alpn_protocols = builder.alpn.clone();
        // A session is in its ticket, so that every worker can resume it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &self.tickets {
            // Old tickets would pass clients whose certificates were revoked meanwhile.
            Some(_) if !builder.authorities.is_empty() => {
                config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
            }
            Some(tickets) => config.ticketer = Arc::clone(tickets),
            None => config.send_tls13_tickets = 0,
        }
        if builder.logs_keys {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(Loaded::new(config, Some(names)).with_stamps(stamps))
    }

    fn names(&self) -> io::Result<Names> {
        if self.builder.identities.is_empty() {
            return Err(invalid_input("expected a certificate, found none"));
        }
        let mut names = Names::new(self.builder.refuses_unknown);
        for identity in &self.builder.identities {
            let key = identity.read(&self.provider)?;
            names
                .add(identity.name.as_deref(), key)
                .map_err(|text| invalid_input(format!("{}: {text}", identity.title())))?;
        }
        names.complete();
        Ok(names)
    }

    /// Checks the certificates of clients, if any are asked for.
    fn clients(&self) -> io::Result<Option<Arc<dyn danger::ClientCertVerifier>>> {
        let builder = &self.builder;
        if builder.authorities.is_empty() {
            let is_wanted = builder.is_client_optional || !builder.revocations.is_empty();
            let text = "expected authorities of the clients' certificates, found none";
            return if is_wanted {
                Err(invalid_input(text))
            } else {
                Ok(None)
            };
        }
        let mut roots = RootCertStore::empty();
        for source in &builder.authorities {
            let add = |pem: &[u8]| {
                for certificate in certificates(pem)? {
                    roots.add(certificate).map_err(invalid_input)?;
                }
                Ok(())
            };
            source.read("authorities of clients", add)?;
        }
        let mut lists = Vec::new();
        for source in &builder.revocations {
            let before = lists.len();
            let add = |pem: &[u8]| {
                for list in CertificateRevocationListDer::pem_slice_iter(pem) {
                    lists.push(list.map_err(invalid_input)?);
                }
                if lists.len() == before {
                    return Err(invalid_input("expected a list (CRL) in PEM, found none"));
                }
                Ok(())
            };
            source.read("revocations of clients", add)?;
        }
        let provider = Arc::clone(&self.provider);
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(lists)
            .allow_unknown_revocation_status();
        if builder.is_client_optional {
            verifier = verifier.allow_unauthenticated();
        }
        verifier.build().map(Some).map_err(invalid_input)
    }
}

impl Identity {
    /// Its title in errors.
    fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("certificate for {name}"),
            None => "certificate".to_owned(),
        }
    }

    fn read(&self, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
        let title = self.title();
        let chain = self.chain.read(&title, |pem| {
            let chain = certificates(pem)?;
            // Text that is no PEM is taken for a certificate in DER.
            let is_one = ParsedCertificate::try_from(&chain[0]).is_ok();
            let text = "expected a certificate in PEM, found none";
            if is_one {
                Ok(chain)
            } else {
                Err(invalid_input(text))
            }
        })?;
        self.key.read(&format!("key of the {title}"), |pem| {
            let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
                invalid_input(format!(
                    "expected a private key in PEM, found none: {error}"
                ))
            })?;
            CertifiedKey::from_der(chain, key, provider).map_err(invalid_input)
        })
    }
}

impl Source {
    fn text(pem: &[u8]) -> Self {
        Self::Text(pem.to_vec())
    }

    /// The file, if it is in one.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Text(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// Reads it by `parse`. An error says which source it is of.
    fn read<T>(&self, title: &str, parse: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Text(pem) => parse(pem).map_err(|error| about(title, None, &error)),
            Self::File(path) => {
                let read = fs::read(path).and_then(|pem| parse(&pem));
                read.map_err(|error| about(title, Some(path), &error))
            }
        }
    }
}

/// An error of the same kind that names its source.
fn about(title: &str, path: Option<&Path>, error: &io::Error) -> io::Error {
    let text = match path {
        Some(path) => format!("{title}, {}: {error}", path.display()),
        None => format!("{title}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

impl fmt::Debug for ServerConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.identities.iter().map(|identity| &identity.name);
        f.debug_struct("ServerConfigBuilder")
            .field("names", &names.collect::<Vec<_>>())
            .field("version_min", &self.version_min)
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}
