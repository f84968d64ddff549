//! Programs of this package that a test runs and reads.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

/// How long a test waits for a line before it fails.
const BOUND: Duration = Duration::from_secs(60);

/// A server that runs in a process of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    process: Child,
    lines: Receiver<String>,
    /// The lines that were read.
    seen: Vec<String>,
}

impl Program {
    /// Starts the program with port 0, and waits until it tells where it listens. Returns it with
    /// that address.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or does not tell.
    #[must_use]
    pub fn serve(path: impl AsRef<OsStr>) -> (Self, String) {
        Self::serve_with(path, &[])
    }

    /// As [`serve`](Self::serve), with more arguments behind the port.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or does not tell.
    #[must_use]
    pub fn serve_with(path: impl AsRef<OsStr>, arguments: &[&str]) -> (Self, String) {
        let mut program = Self::start(Command::new(path).arg("0").args(arguments));
        let line = program.line("listening on ");
        let (_, addr) = line.split_once("listening on ").expect("it is there");
        let addr = addr.to_owned();
        (program, addr)
    }

    /// Starts the program by a command, whose input and output are set here.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for the next line that has `text` in it.
    ///
    /// # Panics
    ///
    /// When the program ends without one, or none comes for a minute.
    pub fn line(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(BOUND) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ends without {text:?}: {:#?}", self.seen)
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {text:?}: {:#?}", self.seen),
            }
            if let Some(line) = self.seen.last().filter(|line| line.contains(text)) {
                return line.clone();
            }
        }
    }

    /// Interrupts the program as ctrl-c does, and returns all its lines.
    ///
    /// # Panics
    ///
    /// When it does not end well.
    #[must_use]
    pub fn interrupt(mut self) -> Vec<String> {
        let pid = self.process.id().to_string();
        let killed = Command::new("kill").args(["-INT", &pid]).status();
        assert!(killed.expect("there is kill").success());
        self.seen.extend(self.lines.iter());
        let status = self.process.wait().expect("it is a child");
        assert!(status.success(), "{status}: {:#?}", self.seen);
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
