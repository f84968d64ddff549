//! A database server in a process of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// How long a start may take.
const BOUND: Duration = Duration::from_secs(60);

/// A folder for a server's files. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    owner: Option<Account>,
}

impl Folder {
    /// Makes a folder. Where this process is the administrator it belongs to the account `owner`,
    /// since servers refuse to run as the administrator.
    pub(crate) fn new(owner: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("annulus-{owner}-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("the folder for temporary files can be written to");
        let owner = Account::to_become(owner);
        if let Some(Account { user, group }) = owner {
            chown(&path, Some(user), Some(group)).expect("the administrator may do so");
        }
        Self { path, owner }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs in the folder, as its owner.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.path).stdin(Stdio::null());
        if let Some(Account { user, group }) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// An account of the system.
#[derive(Clone, Copy, Debug)]
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The account of that name, if this process is the administrator.
    fn to_become(name: &str) -> Option<Self> {
        (id("-u", None) == 0).then(|| Self {
            user: id("-u", Some(name)),
            group: id("-g", Some(name)),
        })
    }
}

/// Asks `id` for a number.
fn id(option: &str, name: Option<&str>) -> u32 {
    let output = Command::new("id").arg(option).args(name).output();
    let output = output.expect("there is `id`");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("there is no account {name:?}: is the server installed?"))
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct DatabaseProcess(Child);

impl DatabaseProcess {
    /// Starts `command`, which writes `ready` to its output or to its error output once it accepts
    /// connections. None if it ends before that.
    pub(crate) fn start(command: &mut Command, ready: &str) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: is the server installed?"));
        let (tell, lines) = mpsc::channel();
        for pipe in [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<_>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<_>),
        ] {
            let pipe: Box<dyn Read + Send> = pipe.expect("it is piped");
            let tell = tell.clone();
            // It reads on until the server ends, which must not meet a full pipe.
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            });
        }
        drop(tell);
        let this = Self(child);
        this.is_ready(&lines, ready).then_some(this)
    }

    fn is_ready(&self, lines: &Receiver<String>, ready: &str) -> bool {
        loop {
            match lines.recv_timeout(BOUND) {
                Ok(line) if line.contains(ready) => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("{:?} is not ready", self.0),
            }
        }
    }
}

impl Drop for DatabaseProcess {
    /// Interrupts it, on which it ends its connections, and waits for its end.
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.0.wait();
    }
}

/// Calls `start` with free ports until it returns a server: another process may take a port first.
///
/// # Panics
///
/// When several starts fail.
pub(crate) fn on_a_free_port<T>(start: impl Fn(u16) -> Option<T>) -> (u16, T) {
    for _ in 0..5 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        if let Some(started) = start(port) {
            return (port, started);
        }
    }
    panic!("the server does not start")
}
