//! Runs the tests of the public interface and of cancellation on every kernel that is emulated
//! (`ANNULUS_KERNEL`), and on the poll driver.
//!
//! Cargo tells a test nothing about the other test programs, so it is asked for them: it builds
//! nothing anew where `cargo test` has built them a moment ago, and holds no lock while tests run.
//! The tests of a million operations notice the variables and do fewer.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const PROGRAMS: [&str; 2] = ["api", "cancel"];

#[test]
fn linux_5_6() {
    holds("ANNULUS_KERNEL", "5.6");
}

#[test]
fn linux_5_7() {
    holds("ANNULUS_KERNEL", "5.7");
}

#[test]
fn linux_5_10() {
    holds("ANNULUS_KERNEL", "5.10");
}

#[test]
fn linux_5_15() {
    holds("ANNULUS_KERNEL", "5.15");
}

#[test]
fn linux_5_19() {
    holds("ANNULUS_KERNEL", "5.19");
}

#[test]
fn linux_6_1() {
    holds("ANNULUS_KERNEL", "6.1");
}

#[test]
fn linux_6_12() {
    holds("ANNULUS_KERNEL", "6.12");
}

#[test]
fn the_poll_driver() {
    holds("ANNULUS_DRIVER", "poll");
}

/// Runs every program with one variable set.
fn holds(variable: &str, value: &str) {
    let mut failed = Vec::new();
    for (name, program) in programs() {
        let output = Command::new(program)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("ANNULUS_KERNEL")
            .env_remove("ANNULUS_DRIVER")
            .env(variable, value)
            .output()
            .unwrap_or_else(|error| panic!("{} cannot be run: {error}", program.display()));
        let out = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let err = String::from_utf8_lossy(&output.stderr);
            eprintln!("{name} with {variable}={value}:\n{out}{err}");
            failed.push(name);
        } else if out.contains("running 0 tests") {
            eprintln!("{name} has no tests");
            failed.push(name);
        }
    }
    assert!(
        failed.is_empty(),
        "with {variable}={value} these failed: {failed:?}"
    );
}

/// The test programs, by name.
fn programs() -> &'static [(&'static str, PathBuf)] {
    static FOUND: OnceLock<Vec<(&str, PathBuf)>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut found = Vec::new();
        for name in PROGRAMS {
            if tests.join(name).join("main.rs").exists() {
                found.push((name, build(name)));
                continue;
            }
            // Past the test harness, which would show it only if the test failed.
            let text = "so no old kernel was tried with it";
            let _ = writeln!(io::stderr(), "SKIPPED: there is no test `{name}`, {text}");
            assert!(
                env::var_os("ANNULUS_REQUIRE_ALL").is_none(),
                "ANNULUS_REQUIRE_ALL is set, and there is no test `{name}`"
            );
        }
        found
    })
}

/// The program of test `name`, built as this one was.
fn build(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["test", "--no-run", "--offline", "--test", name])
        .args(["--message-format", "json-render-diagnostics"]);
    // target/[TRIPLE/]PROFILE/deps/kernels-HASH
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
    if !cfg!(feature = "http") {
        cargo.arg("--no-default-features");
    }
    let output = cargo.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "`{name}` cannot be built:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut programs = messages.lines().filter_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split_once('"').map(|(path, _)| PathBuf::from(path))
    });
    programs
        .next()
        .unwrap_or_else(|| panic!("cargo tells no program of test `{name}`:\n{messages}"))
}

#[test]
fn a_failure_is_seen() {
    // A kernel that is refused makes every test of the program fail.
    let refused = std::panic::catch_unwind(|| holds("ANNULUS_KERNEL", "5.5"));
    assert!(refused.is_err());
}
