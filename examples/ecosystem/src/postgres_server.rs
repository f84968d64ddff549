//! A PostgreSQL server of a test's own, from Debian's package `postgresql`.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// A server with an empty cluster in a folder of its own, on a free port of the loopback device. It
/// trusts every user. Dropping it ends it and removes the folder.
#[derive(Debug)]
pub struct PostgresServer {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl PostgresServer {
    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    ///
    /// When the package is not installed, and when the cluster cannot be made or served.
    pub fn start() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let programs = programs().ok_or(io::ErrorKind::NotFound)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("annulus-postgres-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        let user = server_user()?;
        if let Some((user, group)) = user {
            chown(&folder, Some(user), Some(group))?;
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            if let Some((user, group)) = user {
                command.gid(group).uid(user);
            }
            command
                .current_dir(&folder)
                .stdin(Stdio::null())
                .arg("-D")
                .arg(folder.join("data"));
            command
        };
        let made = command("initdb")
            .args([
                "-U",
                "postgres",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .stdout(Stdio::null())
            .status()?;
        if !made.success() {
            return Err(io::Error::other("initdb failed"));
        }
        let port = free_port()?;
        let mut process = command("postgres")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-c",
                "fsync=off",
                "-k",
            ])
            .arg(&folder)
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let server = Self {
            process,
            folder,
            port,
        };
        let mut seen = Vec::new();
        for line in log.by_ref().map_while(Result::ok) {
            if line.contains("ready to accept connections") {
                // A full pipe would stop the server.
                thread::spawn(move || log.for_each(drop));
                return Ok(server);
            }
            seen.push(line);
        }
        Err(io::Error::other(format!("the server ended: {seen:#?}")))
    }

    /// Where it listens, for the user and the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // A fast end: connections are cut, and the shared memory is given back.
        let pid = self.process.id().to_string();
        let told = Command::new("kill").args(["-INT", &pid]).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the server's programs, of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders
        .filter(|folder| folder.join("initdb").exists())
        .max()
}

/// The user and group `postgres` for a process of root's, as whom the server refuses to run.
fn server_user() -> io::Result<Option<(u32, u32)>> {
    if Path::new("/proc/self").metadata()?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users
        .lines()
        .find_map(|line| line.strip_prefix("postgres:"));
    let mut numbers = line.unwrap_or_default().split(':').skip(1).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok(Some((user, group))),
        _ => Err(io::Error::other("there is no user postgres")),
    }
}

fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}
