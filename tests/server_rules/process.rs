//! The server's process as the kernel sees it, and signals to it.

use std::{
    fs,
    process::{Command, ExitStatus},
    sync::mpsc,
};

use crate::support::{BOUND, conformance::Server};

impl Server {
    /// The memory of the process that is in use, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.status_bytes("VmRSS:")
    }

    /// The most memory that the process has had in use, in bytes.
    pub(crate) fn peak_memory_bytes(&self) -> usize {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.unwrap().trim().parse::<usize>().unwrap() * 1024
    }

    /// How many sockets the process has open.
    pub(crate) fn socket_count(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id()))
            .unwrap()
            // Those that are closed meanwhile are not counted.
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Sends it SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
    }

    /// Waits until it has ended. Returns how, and the last line that it wrote.
    pub(crate) fn end(&mut self, written: &mpsc::Receiver<String>) -> (ExitStatus, String) {
        let written = written.recv_timeout(BOUND).expect("the server ends");
        let status = self.process.wait().unwrap();
        let line = written.lines().last().unwrap_or_default();
        (status, line.to_owned())
    }
}
