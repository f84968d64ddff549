//! A PostgreSQL server for a test.

use std::{fs, path::PathBuf};

use crate::{
    database_process::{DatabaseProcess, Folder, on_a_free_port},
    skip::skip,
};

/// A PostgreSQL cluster in a temporary folder, on a free port of the loopback interface and on a
/// Unix socket. Dropping it ends it and removes the folder.
///
/// It needs the programs of Debian's package `postgresql`. Each connection may be the superuser
/// `postgres`, without a password.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<DatabaseProcess>,
    port: u16,
    folder: Folder,
}

impl PostgresServer {
    /// Makes a cluster and starts its server. None if PostgreSQL is not installed, for which the
    /// test is skipped.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        if !program("initdb").exists() {
            skip("no PostgreSQL server: install Debian's package postgresql");
            return None;
        }
        let folder = Folder::new("postgres");
        let made = folder
            .command(program("initdb"))
            .args(["--pgdata=data", "--username=postgres", "--auth=trust"])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{made:?}");
        let (port, process) = on_a_free_port(|port| serve(&folder, port));
        Some(Self {
            process: Some(process),
            port,
            folder,
        })
    }

    /// The port of 127.0.0.1 on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL for a connection by TCP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The parameters for a connection by the Unix socket.
    #[must_use]
    pub fn socket_url(&self) -> String {
        let folder = self.folder.path().display();
        let port = self.port;
        format!("host={folder} port={port} user=postgres dbname=postgres")
    }

    /// Runs SQL by `psql`, and returns the rows, one a line.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[must_use]
    pub fn sql(&self, text: &str) -> String {
        let run = self
            .folder
            .command(program("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--command", text])
            .arg(self.url())
            .output()
            .expect("psql runs");
        assert!(run.status.success(), "{run:?}");
        let output = String::from_utf8(run.stdout).expect("the cluster's encoding is UTF-8");
        output.trim_end().to_owned()
    }

    /// Ends the server. Its connections are closed, and its data stay.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn resume(&mut self) {
        let process = serve(&self.folder, self.port);
        self.process = Some(process.expect("it starts as it did before"));
    }
}

fn serve(folder: &Folder, port: u16) -> Option<DatabaseProcess> {
    let mut command = folder.command(program("postgres"));
    command
        .args(["-D", "data", "-p"])
        .arg(port.to_string())
        .arg("-k")
        .arg(folder.path())
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    DatabaseProcess::start(&mut command, "ready to accept connections")
}

/// A program of the newest version that is installed. Debian has them outside of the usual folders.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .filter_map(Result::ok)
        .filter_map(|version| {
            let number: u32 = version.file_name().to_str()?.parse().ok()?;
            let path = version.path().join("bin").join(name);
            path.exists().then_some((number, path))
        })
        .max();
    newest.map_or_else(|| PathBuf::from(name), |(_, path)| path)
}
