//! The project that a reader of the guide has at its end.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{
    page::{File, Page},
    support::build,
};

/// The ports that the guide's servers use.
pub(crate) const PORTS: [&str; 2] = ["7000", "8080"];
/// The path of this crate in the guide's manifest.
const CRATE: &str = "\"../annulus\"";
/// Debug information would only be built and linked here, for nothing.
const PROFILE: &str = r"
[profile.dev.package]
annulus = { debug = false }
guide = { debug = false }
";
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
pub(crate) struct Project {
    folder: PathBuf,
    target: PathBuf,
}

impl Project {
    /// Writes the page's files, those that have changed since the last time.
    pub(crate) fn write(page: &Page) -> Self {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let project = Self {
            folder: tmp.join("guide"),
            target: tmp.parent().expect("it is in the target folder").into(),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(page.manifest.contains(CRATE), "{}", page.manifest);
        let manifest = page.manifest.replace(CRATE, &format!("{root:?}"));
        let package = "[package]\nname = \"guide\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        project.put(
            "Cargo.toml",
            &format!("{package}\n[workspace]\n\n{manifest}\n{PROFILE}"),
        );
        // The versions are the ones that are here already.
        let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
        if !project.folder.join("Cargo.lock").exists() {
            project.put("Cargo.lock", &lock);
        }
        // Files of an earlier form of the page would be built as well.
        for folder in ["src/bin", "tests"] {
            for entry in fs::read_dir(project.folder.join(folder))
                .into_iter()
                .flatten()
            {
                let path = entry.unwrap().path();
                let is_known = |file: &File| path == project.folder.join(&file.path);
                if !page.files.iter().any(is_known) {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        for file in &page.files {
            let text = with_addrs(&file.text);
            project.put(&file.path, &text);
        }
        project
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs cargo in the project, with the target folder of this crate.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Output {
        let mut command = build::cargo();
        command
            .args(arguments)
            .args(["--offline", "--quiet", "--target-dir"]);
        command.arg(&self.target).current_dir(&self.folder);
        command.output().unwrap()
    }

    /// Builds all programs, which must not give a warning.
    pub(crate) fn build(&self) {
        let output = self.cargo(&["build", "--bins"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !told.contains("warning"),
            "{told}"
        );
    }

    /// A program that is built.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.target.join("debug").join(name));
        command.current_dir(&self.folder);
        command
    }
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

/// An address on which nothing else listens. It is of this process alone, so that no other program
/// takes the port before the server does.
pub(crate) fn free_addr() -> SocketAddr {
    let [.., high, middle, low] = std::process::id().to_be_bytes();
    let ip = [127, high.max(1), middle, low.clamp(1, 254)];
    let listener = TcpListener::bind(SocketAddr::from((ip, 0))).unwrap();
    listener.local_addr().unwrap()
}
