//! Does what the guide's sessions say.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::{
    page::{Session, Step, is_shown},
    project::{PORTS, PROGRAMS, Project, free_addr},
    support::{BOUND, program::Program},
};

/// Plays sessions, with the servers that they start.
pub(crate) struct Player<'a> {
    project: &'a Project,
    /// The number of its part of the page.
    part: u8,
    /// The servers that run, the last one last.
    servers: Vec<Running>,
    /// The address in place of each port.
    addrs: Vec<(&'static str, SocketAddr)>,
    has_run: HashSet<String>,
    /// The page waits a little: the next command is tried until its output is as shown.
    waits: bool,
}

/// A program that runs, ended with this value.
struct Running {
    process: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    /// The next line, or none at the end of the output.
    fn next_line(&self) -> Option<String> {
        match self.lines.recv_timeout(BOUND) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line comes"),
        }
    }

    fn interrupt(&self) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl<'a> Player<'a> {
    pub(crate) fn new(project: &'a Project, part: u8) -> Self {
        Self {
            project,
            part,
            servers: Vec::new(),
            addrs: addrs(part),
            has_run: HashSet::new(),
            waits: false,
        }
    }

    /// Plays the sessions of a part in their order, and returns the names of the programs in them.
    pub(crate) fn play(mut self, part: &[Session]) -> HashSet<String> {
        for session in part {
            self.play_session(session);
        }
        self.has_run
    }

    fn play_session(&mut self, session: &Session) {
        for step in &session.steps {
            let place = format!("docs/guide.md, line {}: {:?}", session.line, step.command);
            println!("{place}");
            let check = |found: &[String]| is_shown(&step.output, found, !session.has_figures);
            let found = match step.command.as_deref() {
                None => self.server_lines(step),
                Some(command) if command.starts_with("sleep ") => {
                    self.waits = true;
                    continue;
                }
                Some(command) if command.starts_with("cargo run --") => self.run(command, step),
                Some(command) if command.starts_with("cargo test --") => self.test(command),
                Some(command) => match self.shell(command, &check) {
                    Some(found) => found,
                    None => continue,
                },
            };
            assert!(
                check(&found),
                "{place} shows {:#?}, found {found:#?}",
                step.output
            );
        }
    }

    /// Starts a program, and reads its output: to the end, or as much as is shown of a server.
    fn run(&mut self, command: &str, step: &Step) -> Vec<String> {
        let mut words = command
            .split(' ')
            .skip_while(|word| *word != "--bin")
            .skip(1);
        let name = words.next().expect("a program has a name");
        self.has_run.insert(name.to_owned());
        let is_server = step
            .output
            .iter()
            .any(|line| line.starts_with("listening on "));
        if is_server {
            // The page says to stop the one before.
            self.servers.clear();
            self.addrs = addrs(self.part);
        }
        let mut program = self.project.program(name);
        program.args(words.map(|word| self.to_real(word)));
        for (port, addr) in &self.addrs {
            program.env(format!("GUIDE_{port}"), addr.to_string());
        }
        let mut running = Running::start(program);
        let mut found = Vec::new();
        while !(is_server && found.len() == step.output.len()) {
            let Some(line) = running.next_line() else {
                break;
            };
            found.push(self.to_shown(&line));
        }
        if is_server {
            self.servers.push(running);
        } else {
            assert!(
                running.process.wait().unwrap().success(),
                "{command}: {found:#?}"
            );
        }
        found
    }

    /// Lines of the server that was started last, which a line `^C` interrupts.
    fn server_lines(&mut self, step: &Step) -> Vec<String> {
        let server = self.servers.last_mut().expect("a server runs");
        let interrupted = step.output.iter().any(|line| line == "^C");
        let mut found = Vec::new();
        if interrupted {
            let before = step.output.iter().take_while(|line| *line != "^C");
            let last = before.last().map_or("", String::as_str);
            // What is shown in front of `^C` has come.
            while found.last().is_none_or(|line| line != last) && !last.is_empty() {
                found.extend(server.next_line());
            }
            server.interrupt();
            found.extend(server.lines.iter());
            let report = found.len() - 1;
            found.insert(report, "^C".to_owned());
            assert!(server.process.wait().unwrap().success());
        } else {
            while found.len() < step.output.len() {
                found.extend(server.next_line());
            }
        }
        found.iter().map(|line| self.to_shown(line)).collect()
    }

    /// Runs the tests of a program (`cargo test --bin NAME`) or of a file in `tests`
    /// (`cargo test --test NAME`).
    fn test(&self, command: &str) -> Vec<String> {
        let path = match command.split(' ').collect::<Vec<_>>()[..] {
            ["cargo", "test", "--bin", name] => format!("{PROGRAMS}{name}.rs"),
            ["cargo", "test", "--test", name] => format!("tests/{name}.rs"),
            _ => panic!("unknown tests: {command}"),
        };
        let output = self.project.tests(&path).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let found = lines(&output.stdout);
        assert!(output.status.success(), "{found:#?}\n{told}");
        found
    }

    /// The output of another program, if it is installed.
    fn shell(
        &mut self,
        command: &str,
        is_shown: &dyn Fn(&[String]) -> bool,
    ) -> Option<Vec<String>> {
        for name in ["curl", "nc"] {
            if command.split(' ').any(|word| word == name) {
                Program::find(name)?;
            }
        }
        let waits = std::mem::take(&mut self.waits);
        let start = Instant::now();
        loop {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(self.to_real(command));
            let output = shell.stderr(Stdio::null()).output().unwrap();
            let found = lines(&output.stdout);
            let found: Vec<_> = found.iter().map(|line| self.to_shown(line)).collect();
            if !waits || is_shown(&found) || start.elapsed() > BOUND {
                return Some(found);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The text with the addresses that the servers have here.
    fn to_real(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (port, addr) in &self.addrs {
            text = text.replace(&format!("127.0.0.1:{port}"), &addr.to_string());
            let apart = format!("{} {}", addr.ip(), addr.port());
            text = text.replace(&format!("127.0.0.1 {port}"), &apart);
        }
        text
    }

    /// The text with the addresses of the page.
    fn to_shown(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (port, addr) in &self.addrs {
            text = text.replace(&addr.to_string(), &format!("127.0.0.1:{port}"));
        }
        text
    }
}

fn addrs(part: u8) -> Vec<(&'static str, SocketAddr)> {
    PORTS.map(|port| (port, free_addr(part))).into()
}

fn lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}
