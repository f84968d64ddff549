//! The arguments of the service.

use std::{error::Error, io, net::SocketAddr, path::PathBuf};

use annulus::tls::ServerConfig;

#[derive(Clone)]
pub(crate) struct Settings {
    certificate: String,
    key: String,
    pub(crate) token: String,
    pub(crate) addr: SocketAddr,
    pub(crate) operation_addr: SocketAddr,
    pub(crate) pages: PathBuf,
}

/// Reads them, or ends the program with how it is used.
pub(crate) fn read() -> Result<Settings, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [certificate, key, token, more @ ..] = &arguments[..] else {
        crate::plain::usage("api CERTIFICATE KEY TOKEN [PORT [OPERATION_PORT [PAGES]]]");
    };
    let addr = |at: usize, default| {
        let port = more.get(at).map_or(Ok(default), |port| port.parse());
        port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    };
    let pages = more.get(2).map_or("examples/api/public", |pages| pages);
    Ok(Settings {
        certificate: certificate.clone(),
        key: key.clone(),
        token: token.clone(),
        addr: addr(0, 8443)?,
        operation_addr: addr(1, 9090)?,
        pages: pages.into(),
    })
}

impl Settings {
    pub(crate) fn tls(&self) -> io::Result<ServerConfig> {
        let config = ServerConfig::builder();
        config
            .certificate_files(&self.certificate, &self.key)
            .build()
    }
}
