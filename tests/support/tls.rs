//! The settings of TLS servers and clients that know the tests' certificates.

use std::sync::Arc;

use annulus::tls::{
    self,
    rustls::{
        RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
        version::{TLS12, TLS13},
    },
};

use super::certificates::Certificates;

pub(crate) type Versions = &'static [&'static SupportedProtocolVersion];

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
static TLS12_ONLY: [&SupportedProtocolVersion; 1] = [&TLS12];
static TLS13_ONLY: [&SupportedProtocolVersion; 1] = [&TLS13];

/// Runs a test with a server of each version, if there are certificates.
pub(crate) fn each_version(mut test: impl FnMut(&'static Certificates, Kind)) {
    if let Some(certificates) = Certificates::get() {
        test(certificates, Kind::tls12());
        test(certificates, Kind::tls13());
    }
}

/// The settings of a server.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) certificate: &'static str,
    pub(crate) versions: Versions,
    pub(crate) wants_client: bool,
    pub(crate) alpn: &'static [&'static str],
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            certificate: "server",
            versions: &BOTH,
            wants_client: false,
            alpn: &["h2", "http/1.1"],
        }
    }
}

impl Kind {
    /// A server that speaks TLS 1.2 only.
    pub(crate) fn tls12() -> Self {
        Self {
            versions: &TLS12_ONLY,
            ..Self::default()
        }
    }

    /// A server that speaks TLS 1.3 only.
    pub(crate) fn tls13() -> Self {
        Self {
            versions: &TLS13_ONLY,
            ..Self::default()
        }
    }

    pub(crate) fn config(&self, certificates: &Certificates) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = if self.wants_client {
            let mut roots = RootCertStore::empty();
            let authority = certificates.text("authority.pem");
            let authority = CertificateDer::from_pem_slice(&authority).unwrap();
            roots.add(authority).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let pem = certificates.text(&format!("{}.pem", self.certificate));
        let key = certificates.text(&format!("{}.key", self.certificate));
        let chain = CertificateDer::pem_slice_iter(&pem);
        let chain = chain.collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        config.enable_secret_extraction = true;
        Arc::new(config)
    }
}

/// Trusts the tests' authority and no other.
pub(crate) fn trusting(certificates: &Certificates) -> tls::ConfigBuilder {
    tls::Config::builder()
        .system_roots(false)
        .add_root_certificate(&certificates.text("authority.pem"))
}
