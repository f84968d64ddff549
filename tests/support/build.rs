//! Other programs of this package that a test runs: examples and suites.
//!
//! Cargo builds them with the features, the profile and the target folder of the program that asks.
//! So nothing is built anew where `cargo test` has built it a moment ago. Cargo holds no lock while
//! tests run.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The program of the suite `name`.
pub(crate) fn suite(name: &str) -> PathBuf {
    built(&["test", "--no-run", "--test", name])
}

/// The program of the example `name`.
pub(crate) fn example(name: &str) -> PathBuf {
    built(&["build", "--example", name])
}

/// The folder of the examples, all of which are built.
pub(crate) fn examples() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let program = built(&["build", "--examples"]);
        program.parent().expect("it is in a folder").to_owned()
    })
}

/// The libraries that a suite is linked with.
pub(crate) struct Libraries {
    /// Cargo's messages, which name them.
    messages: String,
}

impl Libraries {
    pub(crate) fn of(suite: &str) -> Self {
        let messages = messages(&["test", "--no-run", "--test", suite]);
        Self { messages }
    }

    /// A call of the compiler for a program that uses `crates`, which are among the libraries.
    pub(crate) fn compiler(&self, crates: &[&str]) -> Command {
        // The compiler stands beside cargo.
        let beside = Path::new(env!("CARGO")).with_file_name("rustc");
        let mut compile = Command::new(env::var_os("RUSTC").unwrap_or(beside.into()));
        compile.args(["--edition", "2024"]);
        for name in crates {
            let library = self.library(name);
            let folder = library.parent().expect("it is in a folder");
            compile.arg("-L");
            compile.arg(format!("dependency={}", folder.display()));
            compile.arg("--extern");
            compile.arg(format!("{name}={}", library.display()));
        }
        compile
    }

    fn library(&self, name: &str) -> &Path {
        let start = format!("lib{name}-");
        let mut paths = self.messages.split('"').map(Path::new).filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&start) && name.ends_with(".rlib"))
        });
        paths.next().expect("cargo names the library")
    }
}

/// A call of cargo that sees what the outer cargo saw. That one tells a test about its package in
/// variables. The build scripts of dependencies look at some of them and would run again.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let name = name.to_str().unwrap_or_default();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// A program that cargo has built by these arguments.
fn built(arguments: &[&str]) -> PathBuf {
    let messages = messages(arguments);
    let mut programs = messages.lines().filter_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split_once('"').map(|(path, _)| PathBuf::from(path))
    });
    programs
        .next()
        .unwrap_or_else(|| panic!("cargo {arguments:?} names no program:\n{messages}"))
}

/// The messages of cargo when it has built by these arguments.
fn messages(arguments: &[&str]) -> String {
    let mut cargo = cargo();
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .args(["--offline", "--message-format", "json-render-diagnostics"])
        .args(features());
    // target/[TRIPLE/]PROFILE/deps/SUITE-HASH
    let here = env::current_exe().unwrap();
    let profile = here.ancestors().nth(2).unwrap();
    let mut target = profile.parent().unwrap();
    match profile.file_name().and_then(|profile| profile.to_str()) {
        Some("debug") | None => {}
        Some(profile) => drop(cargo.args(["--profile", profile])),
    }
    let folder = target.file_name().unwrap().to_str().unwrap();
    if folder.split('-').count() >= 3 && folder.contains("-linux-") {
        cargo.args(["--target", folder]);
        target = target.parent().unwrap();
    }
    cargo.arg("--target-dir").arg(target);
    let output = cargo.output().unwrap();
    assert!(
        output.status.success(),
        "cargo {arguments:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Cargo's arguments for the features of this program.
fn features() -> Vec<&'static str> {
    let mut arguments = Vec::new();
    if !cfg!(feature = "http") {
        arguments.push("--no-default-features");
    }
    for (name, is_on) in OPTIONAL {
        if is_on {
            arguments.extend(["--features", name]);
        }
    }
    arguments
}

/// The features that are off by default, and whether this program has them.
pub(crate) const OPTIONAL: [(&str, bool); 13] = [
    ("compress", cfg!(feature = "compress")),
    ("compress-zstd", cfg!(feature = "compress-zstd")),
    ("futures-io", cfg!(feature = "futures-io")),
    ("http2", cfg!(feature = "http2")),
    ("hyper", cfg!(feature = "hyper")),
    ("json", cfg!(feature = "json")),
    ("signed-cookies", cfg!(feature = "signed-cookies")),
    ("tls", cfg!(feature = "tls")),
    ("tls-bundled-roots", cfg!(feature = "tls-bundled-roots")),
    ("tokio-context", cfg!(feature = "tokio-context")),
    ("tokio-io", cfg!(feature = "tokio-io")),
    ("tower", cfg!(feature = "tower")),
    ("tracing", cfg!(feature = "tracing")),
];
