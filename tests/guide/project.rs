//! The project that a reader of the guide has at its end.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use super::{
    page::Page,
    support::build::{self, Libraries},
};

/// The ports that the guide's servers use.
pub(crate) const PORTS: [&str; 2] = ["7000", "8080"];
/// The folder of the guide's programs.
pub(crate) const PROGRAMS: &str = "src/bin/";
/// The path of this crate in the guide's manifest.
const CRATE: &str = "\"../annulus\"";
/// Replaces addresses in the guide's programs, so that they run beside whatever uses those ports.
const ADDR: &str = r#"
#[allow(dead_code, reason = "programs without an address do not call it")]
fn guide_addr(text: &str) -> &'static str {
    let mut text = text.to_owned();
    for port in ["7000", "8080"] {
        if let Ok(addr) = std::env::var(format!("GUIDE_{port}")) {
            text = text.replace(&format!("127.0.0.1:{port}"), &addr);
        }
    }
    text.leak()
}
"#;

/// A project on the disk.
///
/// Cargo reads its manifest. The compiler builds its files with the libraries of this suite, which
/// cargo would build once more: the manifest has other features than `cargo test` was given.
pub(crate) struct Project {
    folder: PathBuf,
    libraries: Libraries,
}

impl Project {
    /// Writes the page's files in place of those of an earlier run.
    pub(crate) fn write(page: &Page) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
        let _ = fs::remove_dir_all(&folder);
        let libraries = Libraries::of("guide");
        let project = Self { folder, libraries };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(page.manifest.contains(CRATE), "{}", page.manifest);
        let manifest = page.manifest.replace(CRATE, &format!("{root:?}"));
        let package = "[package]\nname = \"guide\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        project.put(
            "Cargo.toml",
            &format!("{package}\n[workspace]\n\n{manifest}\n"),
        );
        // The versions are the ones that are here already.
        let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
        project.put("Cargo.lock", &lock);
        for file in &page.files {
            let text = with_addrs(&file.text);
            project.put(&file.path, &text);
        }
        project
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Has cargo read the manifest, and builds the library and all programs.
    pub(crate) fn build(&self, page: &Page) {
        let mut tree = build::cargo();
        tree.args(["tree", "--offline", "--depth", "1"]);
        succeeds_in_silence(tree.current_dir(&self.folder));
        self.compile(
            "src/lib.rs",
            "programs",
            &["--crate-type", "lib", "--crate-name", "guide"],
        );
        let programs = page.files.iter().map(|file| &*file.path);
        let programs = programs.filter(|path| path.starts_with(PROGRAMS));
        let programs = Mutex::new(programs);
        let next = || programs.lock().unwrap().next();
        let build_some = || {
            while let Some(path) = next() {
                let name = path
                    .strip_prefix(PROGRAMS)
                    .and_then(|path| path.strip_suffix(".rs"));
                let is_optimized = name.is_some_and(|name| page.is_optimized(name));
                let level = if is_optimized {
                    "opt-level=3"
                } else {
                    "opt-level=0"
                };
                self.compile(path, "programs", &["--crate-type", "bin", "-C", level]);
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(build_some);
            }
        });
    }

    /// Builds a file into a folder of the project. It must not give a warning.
    fn compile(&self, path: &str, to: &str, arguments: &[&str]) {
        let is_library = path == "src/lib.rs";
        let mut compile = self.libraries.compiler(&["annulus", "serde"]);
        if !is_library {
            compile.args(["--extern", "guide", "-L", "programs"]);
        }
        compile.args(arguments).args(["--out-dir", to, path]);
        succeeds_in_silence(compile.current_dir(&self.folder));
    }

    /// A program that is built.
    pub(crate) fn program(&self, name: &str) -> Command {
        self.command(&format!("programs/{name}"))
    }

    /// The tests in a file, which this builds.
    pub(crate) fn tests(&self, path: &str) -> Command {
        self.compile(path, "tested", &["--test"]);
        let name = path.rsplit('/').next().unwrap_or(path);
        self.command(&format!("tested/{}", name.trim_end_matches(".rs")))
    }

    fn command(&self, path: &str) -> Command {
        let mut command = Command::new(self.folder.join(path));
        command.current_dir(&self.folder);
        command
    }
}

/// Runs `command`, which must end well and have no warning.
fn succeeds_in_silence(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !told.contains("warning"),
        "{command:?}: {told}"
    );
}

/// The program with the addresses of its servers taken from the environment.
fn with_addrs(text: &str) -> String {
    let mut changed = String::new();
    let mut has_changed = false;
    for line in text.lines() {
        let place = PORTS
            .iter()
            .find_map(|port| line.find(&format!("127.0.0.1:{port}")));
        let Some(place) = place.filter(|_| !line.contains("println!")) else {
            changed.push_str(line);
            changed.push('\n');
            continue;
        };
        let start = line[..place]
            .rfind('"')
            .expect("an address is in a literal");
        let end = place + line[place..].find('"').expect("a literal ends") + 1;
        let (before, literal, after) = (&line[..start], &line[start..end], &line[end..]);
        changed.push_str(&format!("{before}guide_addr({literal}){after}\n"));
        has_changed = true;
    }
    if has_changed {
        changed.push_str(ADDR);
    }
    changed
}

/// An address on which nothing else listens. It is of this process and `part` alone, so that no
/// other program takes the port before the server does.
pub(crate) fn free_addr(part: u8) -> SocketAddr {
    let [.., high, middle, low] = std::process::id().to_be_bytes();
    // Process ids have 22 bits.
    let high = (high | part << 6).max(1);
    let ip = [127, high, middle, low.clamp(1, 254)];
    let listener = TcpListener::bind(SocketAddr::from((ip, 0))).unwrap();
    listener.local_addr().unwrap()
}
