//! The servers that are measured.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::Setting;

/// A server in a process of its own. Dropping it ends it.
pub(super) struct Server {
    child: Child,
    ports: Vec<(String, u16)>,
}

impl Server {
    pub(super) fn start(name: &str, setting: &Setting) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", &setting.last]).stdin(Stdio::null());
        if name == "nginx" {
            return Self::nginx(command, setting);
        }
        let program = match name {
            "annulus" => env!("CARGO_BIN_EXE_arena"),
            _ => env!("CARGO_BIN_EXE_arena_axum"),
        };
        command
            .args([program, "--address", "127.0.0.1", "--data"])
            .arg(&setting.data);
        command.arg("--certs").arg(&setting.certs);
        for port in ["--port", "--tls-port", "--h2c-port", "--h2-port"] {
            command.args([port, "0"]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it is built");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let ports = output.lines().map_while(Result::ok).take(4).map(|line| {
            let (name, addr) = line
                .split_once(" listening on ")
                .expect("it says its ports");
            let port = addr.rsplit(':').next().and_then(|port| port.parse().ok());
            (name.to_owned(), port.expect("an address has a port"))
        });
        let ports = ports.collect();
        Self { child, ports }
    }

    /// nginx with one worker, for the files alone.
    fn nginx(mut command: Command, setting: &Setting) -> Self {
        let port = free_port();
        let root = setting
            .data
            .canonicalize()
            .expect("the folder of the data exists");
        let config = format!(
            "worker_processes 1; daemon off; master_process off; pid {scratch}/nginx.pid;\n\
             error_log stderr crit; events {{ worker_connections 1024; }}\n\
             http {{ include /etc/nginx/mime.types; access_log off; sendfile on; tcp_nopush on;\n\
             keepalive_requests 1000000000; gzip_static on;\n\
             open_file_cache max=100 inactive=60s; open_file_cache_valid 1s;\n\
             server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n",
            scratch = setting.scratch.display(),
            root = root.display(),
        );
        let path = setting.scratch.join("nginx.conf");
        fs::write(&path, config).expect("the scratch folder can be written to");
        let child = command.args(["nginx", "-c"]).arg(path).spawn();
        let child = child.expect("nginx is installed");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self {
            child,
            ports: vec![("http".into(), port)],
        }
    }

    pub(super) fn port(&self, name: &str) -> u16 {
        let found = self.ports.iter().find(|(known, _)| known == name);
        found.expect("the server has this port").1
    }

    /// The processor time of all its threads.
    pub(super) fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanoseconds = |entry: fs::DirEntry| {
            let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        tasks
            .expect("it runs")
            .flatten()
            .filter_map(nanoseconds)
            .sum::<f64>()
            / 1e9
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}
