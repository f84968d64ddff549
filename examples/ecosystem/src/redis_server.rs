//! A Redis server for a test.

use std::{path::PathBuf, process::Command};

use crate::{
    database_process::{DatabaseProcess, Folder, on_a_free_port},
    skip::skip,
};

/// A Redis server in a temporary folder, on a free port of the loopback interface and on a Unix
/// socket. Dropping it ends it and removes the folder.
///
/// It needs the programs of Debian's package `redis-server`, and keeps its data in memory only.
#[derive(Debug)]
pub struct RedisServer {
    process: Option<DatabaseProcess>,
    port: u16,
    folder: Folder,
}

impl RedisServer {
    /// Starts a server. None if Redis is not installed, for which the test is skipped.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let version = Command::new(PROGRAM).arg("--version").output();
        if version.is_err() {
            skip("no Redis server: install Debian's package redis-server");
            return None;
        }
        let folder = Folder::new("redis");
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

    /// The Unix socket on which it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Ends the server. Its connections are closed, and its data are lost.
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

const PROGRAM: &str = "redis-server";
const SOCKET: &str = "redis.sock";

fn serve(folder: &Folder, port: u16) -> Option<DatabaseProcess> {
    let mut command = folder.command(PROGRAM);
    command
        .args(["--bind", "127.0.0.1", "--port"])
        .arg(port.to_string())
        .args(["--unixsocket", SOCKET, "--save", "", "--appendonly", "no"]);
    DatabaseProcess::start(&mut command, "Ready to accept connections")
}
