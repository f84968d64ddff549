//! The command line, and the environment.

use std::{env, io, net::SocketAddr, path::PathBuf};

use tokio_postgres::Config;

const USAGE: &str = "usage: arena [--data DIR] [--certs DIR] [--address IP] [--port N] \
                     [--tls-port N] [--h2c-port N] [--h2-port N]";

/// The most connections to the database, of all workers, without `DATABASE_MAX_CONN`.
const CONNECTIONS_MAX: usize = 64;

/// The settings of the program.
pub(crate) struct Arguments {
    pub(crate) data: PathBuf,
    pub(crate) certs: PathBuf,
    address: String,
    port: u16,
    tls_port: u16,
    h2c_port: u16,
    h2_port: u16,
    pub(crate) database: Option<Config>,
    pub(crate) connections_max: usize,
}

impl Arguments {
    /// Reads them, or fails with what is wrong.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut this = Self {
            data: "/data".into(),
            certs: "/certs".into(),
            address: "0.0.0.0".into(),
            port: 8080,
            tls_port: 8081,
            h2c_port: 8082,
            h2_port: 8443,
            database: None,
            connections_max: CONNECTIONS_MAX,
        };
        while let Some(option) = words.next() {
            let value = words.next().ok_or_else(|| wrong(&option))?;
            let port = value.parse();
            match &*option {
                "--data" => this.data = value.into(),
                "--certs" => this.certs = value.into(),
                "--address" => this.address = value,
                "--port" => this.port = port.map_err(|_| wrong(&value))?,
                "--tls-port" => this.tls_port = port.map_err(|_| wrong(&value))?,
                "--h2c-port" => this.h2c_port = port.map_err(|_| wrong(&value))?,
                "--h2-port" => this.h2_port = port.map_err(|_| wrong(&value))?,
                _ => return Err(wrong(&option)),
            }
        }
        if let Ok(url) = env::var("DATABASE_URL") {
            let config = url.parse().map_err(|error| {
                io::Error::other(format!(
                    "expected a URL in DATABASE_URL, found {url:?}: {error}"
                ))
            })?;
            this.database = Some(config);
        }
        if let Ok(count) = env::var("DATABASE_MAX_CONN") {
            let number = count.parse().map_err(|_| wrong(&count))?;
            this.connections_max = number;
        }
        this.addresses_checked()?;
        Ok(this)
    }

    fn addresses_checked(&self) -> io::Result<[SocketAddr; 4]> {
        let ip = self.address.parse().map_err(|_| wrong(&self.address))?;
        let ports = [self.port, self.tls_port, self.h2c_port, self.h2_port];
        Ok(ports.map(|port| SocketAddr::new(ip, port)))
    }

    /// The addresses of the four servers: everything, HTTP/1.1 over TLS, HTTP/2 in clear, and
    /// HTTP/2 over TLS.
    pub(crate) fn addresses(&self) -> [SocketAddr; 4] {
        self.addresses_checked().expect("they were checked")
    }
}

fn wrong(found: &str) -> io::Error {
    io::Error::other(format!("did not expect {found:?}\n{USAGE}"))
}
