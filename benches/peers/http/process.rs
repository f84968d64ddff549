//! A server in a process of its own, and what it costs.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A server that runs; dropping it ends it.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
}

impl Process {
    /// Starts a server on a core, and waits until it listens.
    pub(crate) fn start(command: &[String], core: usize) -> Self {
        let port = free_port().expect("there is a free port");
        let port_text = port.to_string();
        let mut arguments = command
            .iter()
            .map(|part| part.replace("{port}", &port_text));
        let program = arguments.next().expect("a command has a program");
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), &program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("taskset and the server can be run");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Self { child, port }
    }

    /// CPU time of all of its threads.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let tasks = format!("/proc/{}/task", self.child.id());
        let tasks = fs::read_dir(tasks).expect("the server runs");
        let nanoseconds = |entry: fs::DirEntry| {
            let text = fs::read_to_string(entry.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next()?.parse::<f64>().ok()
        };
        tasks.flatten().filter_map(nanoseconds).sum::<f64>() / 1e9
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the server runs");
        field(&status, "VmRSS:") * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The memory that the kernel keeps for itself.
pub(crate) fn kernel_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").expect("the kernel tells");
    field(&text, "Slab:") * 1024
}

/// Gives the server the time to become idle, and the figures a second to differ in.
pub(crate) fn settle() {
    thread::sleep(Duration::from_secs(1));
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
