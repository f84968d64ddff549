//! Runs one test in a process of its own, and what such tests share.

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write as _},
    process::{Command, Output},
    thread,
    time::Duration,
};

use crate::support::{echo, pair, recv_at_least};

const WORLD: &str = "ANNULUS_TEST_WORLD";

/// A child that takes this long hangs.
const HANG: Duration = Duration::from_secs(100);

/// Runs `world` in a child process with some environment variables, and gives what it wrote. In
/// the child it does not come back.
///
/// `name` is the test's own, with its module, so that the child finds it.
pub(crate) fn child(name: &str, variables: &[(&str, &str)], world: impl FnOnce()) -> Written {
    if env::var(WORLD).as_deref() == Ok(name) {
        guard();
        world();
        // Past this point the test harness would only add what is not looked at.
        std::process::exit(0);
    }
    assert!(
        env::var(WORLD).is_err(),
        "the child was made for another test: is {name} its whole name?"
    );
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(WORLD, name)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    Written::new(output, name)
}

/// Whether this is a child.
pub(crate) fn is_child() -> bool {
    env::var_os(WORLD).is_some()
}

/// Ends a child that hangs.
fn guard() {
    thread::spawn(|| {
        block_signals();
        thread::sleep(HANG);
        eprintln!("the child hangs");
        std::process::abort();
    });
}

/// The output of a child that ended well.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Written {
    fn new(output: Output, name: &str) -> Self {
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "the child of {name} ended with {}:\n{out}{err}",
            output.status
        );
        assert!(
            !out.contains("running 0 tests"),
            "the child of {name} did not find its test"
        );
        for line in err.lines().filter(|line| line.starts_with("skipped:")) {
            // Past the test harness, as the child has written it.
            let _ = writeln!(io::stderr(), "{line}");
        }
        Self { out, err }
    }

    /// The lines that the library wrote.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.err
            .lines()
            .filter(|line| line.starts_with("annulus: "))
            .collect()
    }
}

/// Keeps signals away from this thread, and from those that it starts.
pub(crate) fn block_signals() {
    // SAFETY: all zeros are a signal set, and it is filled before it is used.
    let mut all = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: the set lives through the call.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: as above, and the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()) };
}

/// The open descriptors of this process.
pub(crate) fn descriptors() -> BTreeSet<i32> {
    let mut open = BTreeSet::new();
    for fd in 0..4096 {
        // SAFETY: the call takes no address.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0 {
            open.insert(fd);
        }
    }
    open
}

/// CPU time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes to the struct during the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// That sockets, files, helper threads and timers work.
pub(crate) async fn everything_works() {
    let (near, far) = pair().await;
    let server = annulus::spawn(echo(far));
    for round in 0..20_u8 {
        near.write_all(vec![round; 3000]).await.unwrap();
        assert_eq!(recv_at_least(&near, 3000).await, [round; 3000]);
    }
    drop(near);
    server.await.unwrap();
    let file = annulus::fs::File::open("Cargo.toml").await.unwrap();
    let (count, _) = file.read_at(Vec::with_capacity(100), 0).await.unwrap();
    assert_eq!(count, 100);
    file.close().await.unwrap();
    assert_eq!(annulus::blocking::run(|| 5).await, 5);
    annulus::time::sleep(Duration::from_millis(2)).await;
}
