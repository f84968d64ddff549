//! The example `conformance`, as a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
};

use super::{BOUND, build};

/// A running server, which ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Child,
    addr: SocketAddr,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_heard(arguments).0
    }

    /// As `start`, with what it will have written when it has ended.
    pub(crate) fn start_heard(arguments: &[&str]) -> (Self, mpsc::Receiver<String>) {
        let mut process = Command::new(example())
            .arg("0")
            .args(arguments)
            .stdout(Stdio::piped())
            // Panics in handlers are wanted, and would fill the output.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            // The receiver is gone when the test has failed.
            let _ = tell.send(line);
            let mut rest = String::new();
            let _ = lines.read_to_string(&mut rest);
            let _ = tell.send(rest);
        });
        let line = told.recv_timeout(BOUND).expect("the server starts");
        let addr = line
            .trim()
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.strip_suffix('/'))
            .and_then(|addr| addr.parse().ok())
            .unwrap_or_else(|| panic!("expected where the server listens, found {line:?}"));
        (Self { process, addr }, told)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn example() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build::example("conformance"))
}
