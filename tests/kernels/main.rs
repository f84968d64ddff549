//! Runs the tests of the public interface and of cancellation on emulated kernels
//! (`ANNULUS_KERNEL`), and on the poll driver.
//!
//! Most tests wait, so the programs run side by side. They take much of the time of `cargo test`.
//! So without `ANNULUS_REQUIRE_ALL=1` tests that repeat what they do notice the variables and do a
//! quarter, and cancellation is tried on the oldest kernel, on one in the middle, and on the poll
//! driver. The closing line of `cargo test` names the kernels that were left out.

use std::{env, path::PathBuf, process::Command, sync::OnceLock, thread};

#[path = "../support/mod.rs"]
mod support;

use support::{FREE_MEMORY_KEPT, build, skip};

const PROGRAMS: [&str; 2] = ["api", "cancel"];

/// Where a short run tries cancellation, too.
const CANCEL_ALWAYS: [&str; 3] = ["5.6", "5.19", "poll"];

/// Where a full run does not, either. `.ci/run` tries it on a real kernel with the io_uring of
/// 5.15. All that 6.12 has is used without a mask, too.
const CANCEL_ELSEWHERE: [&str; 2] = ["5.15", "6.12"];

#[test]
fn linux_5_6() {
    holds("ANNULUS_KERNEL", "5.6");
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

/// Runs both programs with one variable set, at the same time: most tests wait.
fn holds(variable: &str, value: &str) {
    let is_full = env::var_os("ANNULUS_REQUIRE_ALL").is_some();
    let mut asked = programs();
    if CANCEL_ELSEWHERE.contains(&value) {
        asked = &asked[..1];
    } else if !is_full && !CANCEL_ALWAYS.contains(&value) {
        asked = &asked[..1];
        skip::leave_out("without ANNULUS_REQUIRE_ALL=1 `cancel` runs on fewer kernels");
    }
    let failed: Vec<_> = thread::scope(|scope| {
        let runs = asked.iter();
        let runs = runs.map(|run| (run, scope.spawn(move || passes(run, &[], variable, value))));
        let runs: Vec<_> = runs.collect();
        runs.into_iter()
            .filter_map(|((name, _), passes)| (!passes.join().unwrap()).then_some(*name))
            .collect()
    });
    assert!(
        failed.is_empty(),
        "with {variable}={value} these failed: {failed:?}"
    );
}

/// Whether a program finds tests with `arguments`, and they pass. If not, it prints the reason.
fn passes(
    (name, program): &(&str, PathBuf),
    arguments: &[&str],
    variable: &str,
    value: &str,
) -> bool {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("ANNULUS_KERNEL")
        .env_remove("ANNULUS_DRIVER")
        .envs([(variable, value), FREE_MEMORY_KEPT])
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", program.display()));
    let out = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let err = String::from_utf8_lossy(&output.stderr);
        eprintln!("{name} with {variable}={value}:\n{out}{err}");
        return false;
    }
    let has_tests = !out.contains("running 0 tests");
    if !has_tests {
        eprintln!("{name} has no tests");
    }
    has_tests
}

/// The test programs, by name.
fn programs() -> &'static [(&'static str, PathBuf)] {
    static FOUND: OnceLock<Vec<(&str, PathBuf)>> = OnceLock::new();
    FOUND.get_or_init(|| PROGRAMS.map(|name| (name, build::suite(name))).into())
}

#[test]
fn a_failure_is_seen() {
    // A kernel that is refused makes every test of a program fail. One is asked for: the backtraces
    // of all of them took 200 s of CPU.
    let asked = ["--exact", "runtime::run_returns_the_output"];
    let run = &programs()[0];
    assert!(passes(run, &asked, "ANNULUS_KERNEL", "5.6"));
    assert!(!passes(run, &asked, "ANNULUS_KERNEL", "5.5"));
    assert!(!passes(run, &["no_such_test"], "ANNULUS_KERNEL", "5.6"));
}
