//! What the kernel says about the server's process.

use std::fs;

use crate::child::Server;

impl Server {
    /// The memory of the process that is in use, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
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
}
