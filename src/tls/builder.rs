//! The builder of a TLS configuration.

use std::{fmt, io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::{Config, Version, roots, trusting::Trusting};

/// The beginning of each certificate in PEM.
const PEM_BEGIN: &[u8] = b"-----BEGIN ";

/// Builds a [`Config`]; [`Config::builder`] returns one.
///
/// # Examples
///
/// ```no_run
/// use annulus::{net::TcpStream, tls};
///
/// # fn main() -> std::io::Result<()> {
/// let config = tls::Config::builder()
///     .add_root_certificate(&std::fs::read("our-authority.pem")?)
///     .client_certificate(&std::fs::read("me.pem")?, &std::fs::read("me.key")?)
///     .version_min(tls::Version::Tls13)
///     .build()?;
/// annulus::run(async {
///     let stream = TcpStream::connect("127.0.0.1:6697").await?;
///     tls::connect(stream, "irc.example", &config).await?.shutdown().await
/// })
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ConfigBuilder {
    pub(super) roots: RootCertStore,
    has_system_roots: bool,
    identity: Option<Identity>,
    version_min: Version,
    alpn: Vec<Vec<u8>>,
    accepts_any: bool,
    /// The first thing that went wrong.
    error: Option<io::Error>,
}

/// A client's certificate, with those that vouch for it, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl ConfigBuilder {
    pub(super) fn new() -> Self {
        Self {
            roots: RootCertStore::empty(),
            has_system_roots: true,
            identity: None,
            version_min: Version::Tls12,
            alpn: Vec::new(),
            accepts_any: false,
            error: None,
        }
    }

    /// Sets whether the system's authorities are trusted; they are by default.
    pub fn system_roots(mut self, trusts: bool) -> Self {
        self.has_system_roots = trusts;
        self
    }

    /// Trusts the authorities of these certificates, too: any number in PEM, or one in DER. A
    /// certificate that a server has signed itself may be among them; it must say that it is no
    /// authority (`CA:FALSE`).
    pub fn add_root_certificate(mut self, pem_or_der: &[u8]) -> Self {
        let added = certificates(pem_or_der).and_then(|certificates| {
            for certificate in certificates {
                self.roots.add(certificate).map_err(invalid_input)?;
            }
            Ok(())
        });
        self.note(added);
        self
    }

    /// Sets the certificate for servers that ask for one: a chain in PEM that begins with the
    /// client's own, and its private key in PEM.
    pub fn client_certificate(mut self, chain_pem: &[u8], key_pem: &[u8]) -> Self {
        let identity = certificates(chain_pem).and_then(|chain| {
            let key = PrivateKeyDer::from_pem_slice(key_pem);
            Ok((chain, key.map_err(invalid_input)?))
        });
        self.identity = self.note(identity);
        self
    }

    /// Sets the lowest version to speak; 1.2 by default.
    pub fn version_min(mut self, version: Version) -> Self {
        self.version_min = version;
        self
    }

    /// Sets the protocols to offer, the preferred one first; none by default. The HTTP client
    /// always offers `http/1.1` alone.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter();
        self.alpn = protocols.map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// Accepts any certificate: of any issuer, for any name, at any time. A machine between client
    /// and server can then read and change everything. For tests only: for a server with a
    /// certificate of its own there is [`add_root_certificate`](Self::add_root_certificate).
    pub fn danger_accept_invalid_certificates(mut self, accepts: bool) -> Self {
        self.accepts_any = accepts;
        self
    }

    /// Makes the configuration.
    ///
    /// The first that trusts the system's authorities reads their files, which takes a few
    /// milliseconds; inside a runtime, [`blocking::run`](crate::blocking::run) keeps the thread
    /// free meanwhile.
    ///
    /// # Errors
    ///
    /// For text that is no certificate or no key, for a key of another certificate, and for a
    /// system without authorities when those are needed.
    pub fn build(self) -> io::Result<Config> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.version_min.and_later())
            .map_err(invalid_input)?;
        let config = if self.accepts_any {
            let verifier = Arc::new(Trusting(provider));
            config
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else {
            let roots = all_roots(self.roots, self.has_system_roots)?;
            config.with_webpki_verifier(verifier(roots, provider)?)
        };
        let mut config = match self.identity {
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(invalid_input)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        Ok(config.into())
    }

    /// Keeps the first error for the end.
    fn note<T>(&mut self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }
}

/// The authorities that were added, and those of the system. A system that has none is no error
/// when some were added.
fn all_roots(own: RootCertStore, has_system_roots: bool) -> io::Result<RootCertStore> {
    if !has_system_roots {
        return Ok(own);
    }
    match roots::system() {
        Ok(mut roots) => {
            roots.extend(own.roots);
            Ok(roots)
        }
        Err(_) if !own.is_empty() => Ok(own),
        Err(error) => Err(error),
    }
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> io::Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(invalid_input)
}

/// The certificates in PEM, or the one in DER.
pub(super) fn certificates(pem_or_der: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let is_pem = pem_or_der
        .windows(PEM_BEGIN.len())
        .any(|window| window == PEM_BEGIN);
    if !is_pem {
        return Ok(vec![pem_or_der.to_vec().into()]);
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem_or_der).collect();
    let certificates = certificates.map_err(invalid_input)?;
    if certificates.is_empty() {
        return Err(invalid_input("expected a certificate in PEM, found none"));
    }
    Ok(certificates)
}

pub(super) fn invalid_input(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl fmt::Debug for ConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigBuilder")
            .field("has_system_roots", &self.has_system_roots)
            .field("has_identity", &self.identity.is_some())
            .field("version_min", &self.version_min)
            .field("accepts_any", &self.accepts_any)
            .finish_non_exhaustive()
    }
}
