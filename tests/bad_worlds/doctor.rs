//! The example `doctor`, and a server, where filters and sysctls forbid the ring or let it through.

use std::{
    env,
    ffi::CString,
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use annulus::{DriverKind, Runtime};

use crate::{
    child::{child, descriptors, everything_works},
    forbidden::{forbid, rings_are_allowed},
    profile::{self, Profile},
    support::{
        BOUND, build,
        seccomp::{Filter, RING},
        skip::skip,
    },
};

const PROFILE: &str = "docs/seccomp/annulus.json";
const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";

/// An example that is free to choose its driver, and makes its calls through a filter.
fn example(name: &str, filter: &Filter) -> Command {
    let mut filter = filter.clone();
    let mut command = Command::new(build::example(name));
    command.env_remove("ANNULUS_DRIVER");
    command.env_remove("ANNULUS_KERNEL");
    // SAFETY: the closure makes nothing but system calls in the child.
    unsafe { command.pre_exec(move || filter.install()) };
    command
}

/// The report and the status of the doctor.
fn ask(doctor: &mut Command) -> io::Result<(String, Option<i32>)> {
    let output = doctor.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.is_empty(),
        "the doctor warns in its report only: {told}"
    );
    Ok((
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    ))
}

/// The text of each paragraph with that label, in one line.
fn paragraphs(report: &str, label: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_it = false;
    for line in report.lines() {
        let (begin, words) = line.split_at(13.min(line.len()));
        if !begin.trim().is_empty() {
            is_it = begin.trim() == label;
            if is_it {
                found.push(words.to_owned());
            }
        } else if is_it {
            let last = found.last_mut().unwrap();
            *last += " ";
            *last += words;
        }
    }
    found
}

/// Expects a whole report, which says that the ring is refused for a reason with these words.
fn is_refused(report: &str, status: Option<i32>, reason: &str) {
    assert_eq!(status, Some(1), "{report}");
    assert!(
        paragraphs(report, "driver")[0].starts_with("A runtime uses epoll"),
        "{report}"
    );
    assert!(paragraphs(report, "reason")[0].contains(reason), "{report}");
    assert!(
        paragraphs(report, "seccomp")[0].starts_with("A filter looks"),
        "{report}"
    );
    assert!(
        paragraphs(report, "features")[0].starts_with("Unknown"),
        "{report}"
    );
    assert!(paragraphs(report, "missing").is_empty(), "{report}");
}

/// Expects the driver and the reason in the page about operating, as they are printed.
fn is_shown(report: &str) {
    let page = fs::read_to_string("docs/operating.md").unwrap();
    let (head, _) = report.split_once("kernel  ").unwrap();
    assert!(page.contains(head), "docs/operating.md lacks:\n{head}");
}

/// Expects an answer of the example `hello` to a request.
fn hello_answers(filter: &Filter) {
    let mut hello = example("hello", filter);
    hello.arg("0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut hello = hello.spawn().unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(hello.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    let addr = line.trim().strip_prefix("listening on http://");
    let addr = addr
        .and_then(|addr| addr.strip_suffix('/'))
        .expect("it says where it listens");
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("Hello, World!"),
        "{answer}"
    );
    hello.kill().unwrap();
    hello.wait().unwrap();
}

#[test]
fn a_filter_that_says_eperm_is_told_and_hello_answers() {
    if !rings_are_allowed() {
        return;
    }
    let filter = Filter::of(&RING, libc::EPERM);
    let (report, status) = ask(&mut example("doctor", &filter)).unwrap();
    is_refused(
        &report,
        status,
        "forbidden here, most likely by a seccomp filter",
    );
    is_shown(&report);
    hello_answers(&filter);
}

#[test]
fn a_filter_that_says_enosys_is_told_and_hello_answers() {
    if !rings_are_allowed() {
        return;
    }
    let filter = Filter::of(&RING, libc::ENOSYS);
    let (report, status) = ask(&mut example("doctor", &filter)).unwrap();
    is_refused(
        &report,
        status,
        "or a seccomp filter or a sandbox such as gVisor answers",
    );
    hello_answers(&filter);
}

#[test]
fn the_marks_of_containers_bring_their_advice() {
    if !rings_are_allowed() {
        return;
    }
    let filter = Filter::of(&RING, libc::EPERM);
    let mut doctor = example("doctor", &filter);
    doctor.env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    doctor.env("container", "podman");
    let (report, status) = ask(&mut doctor).unwrap();
    is_refused(&report, status, "seccomp");
    let inside = &paragraphs(&report, "inside")[0];
    assert!(
        inside.contains("Podman") && inside.contains("Kubernetes"),
        "{report}"
    );
    for start in ["Podman: ", "Kubernetes: "] {
        let advice = paragraphs(&report, "advice");
        assert!(
            advice.iter().any(|sentence| sentence.starts_with(start)),
            "{report}"
        );
    }
}

#[test]
fn an_error_is_told_as_a_build_tells_it() {
    let name = "doctor::an_error_is_told_as_a_build_tells_it";
    let asking = [("ANNULUS_DRIVER", "ring"), ("ANNULUS_KERNEL", "")];
    let written = child(name, &asking, || {
        forbid(&RING, libc::EPERM);
        // The harness has begun a line.
        println!("\nerror: {}", Runtime::new().unwrap_err());
    });
    let mut lines = written.out.lines();
    let error = lines.find_map(|line| line.strip_prefix("error: ")).unwrap();
    let mut doctor = example("doctor", &Filter::of(&RING, libc::EPERM));
    doctor.env("ANNULUS_DRIVER", "ring");
    let (report, status) = ask(&mut doctor).unwrap();
    assert_eq!(status, Some(1));
    let driver = paragraphs(&report, "driver");
    assert_eq!(driver, ["A runtime cannot be built."]);
    assert_eq!(paragraphs(&report, "reason"), [format!("{error}.")]);
}

#[test]
fn to_ask_changes_nothing() {
    if !rings_are_allowed() {
        return;
    }
    let name = "doctor::to_ask_changes_nothing";
    let free = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];
    let written = child(name, &free, || {
        forbid(&RING, libc::EPERM);
        let before = descriptors();
        let outside = annulus::diagnose();
        assert_eq!(outside.driver(), Some(DriverKind::Poll));
        let poll = Runtime::builder().driver(DriverKind::Poll).build().unwrap();
        let inside = poll.block_on(async {
            let inside = annulus::diagnose();
            everything_works().await;
            inside
        });
        assert_eq!(inside.reason(), outside.reason());
        drop(poll);
        assert_eq!(descriptors(), before);
        eprintln!("asked");
        // The warning is still to come, once.
        drop(Runtime::new().unwrap());
        drop(annulus::diagnose());
        drop(Runtime::new().unwrap());
    });
    let (before, _) = written.err.split_once("asked").unwrap();
    assert!(!before.contains("annulus: "), "{before}");
    let warnings = written.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let reason = warnings[0].strip_prefix("annulus: ").unwrap();
    assert!(reason.ends_with("; using epoll instead"), "{reason}");
}

/// A doctor whose sysctl has that value: another file lies over it, in a mount namespace of its
/// own. The kernel's answer to the sysctl is given by a filter.
fn with_sysctl(value: &str) -> io::Result<(String, Option<i32>)> {
    let mut name = env::temp_dir();
    name.push(format!("annulus-sysctl-{}-{value}", std::process::id()));
    fs::write(&name, value)?;
    let text = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
    let (over, root, below) = (text(&name), text(Path::new("/")), text(Path::new(SYSCTL)));
    let mut filter = Filter::of(&RING, libc::EPERM);
    let mut doctor = Command::new(build::example("doctor"));
    doctor
        .env_remove("ANNULUS_DRIVER")
        .env_remove("ANNULUS_KERNEL");
    let lay_over = move || {
        // SAFETY: the call takes no address.
        if unsafe { libc::unshare(libc::CLONE_NEWNS) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let steps = [
            (&root, &root, libc::MS_REC | libc::MS_PRIVATE),
            (&over, &below, libc::MS_BIND),
        ];
        for (from, to, flags) in steps {
            let nothing = std::ptr::null();
            // SAFETY: the paths live through the call, and the other addresses are none.
            let result =
                unsafe { libc::mount(from.as_ptr(), to.as_ptr(), nothing, flags, nothing.cast()) };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        filter.install()
    };
    // SAFETY: the closure makes nothing but system calls in the child.
    unsafe { doctor.pre_exec(lay_over) };
    let asked = ask(&mut doctor);
    fs::remove_file(&name)?;
    asked
}

#[test]
fn a_sysctl_that_forbids_is_named_with_its_value() {
    if !rings_are_allowed() {
        return;
    }
    for (value, words) in [
        (
            "2",
            "for all users of this machine: the sysctl kernel.io_uring_disabled is 2",
        ),
        (
            "1",
            "for this user: the sysctl kernel.io_uring_disabled is 1",
        ),
    ] {
        let (report, status) = match with_sysctl(value) {
            Ok(asked) => asked,
            Err(error) => {
                skip(&format!("no file can be laid over the sysctl: {error}"));
                return;
            }
        };
        is_refused(&report, status, words);
        if value == "2" {
            is_shown(&report);
        }
        let sysctl = format!("kernel.io_uring_disabled is {value}: ");
        assert!(
            paragraphs(&report, "sysctl")[0].starts_with(&sysctl),
            "{report}"
        );
        let advice = paragraphs(&report, "advice");
        assert!(
            advice[0].starts_with("The sysctl belongs to the host"),
            "{report}"
        );
    }
}

#[test]
fn our_profile_lets_the_ring_through() {
    if !rings_are_allowed() {
        return;
    }
    let name = "doctor::our_profile_lets_the_ring_through";
    let free = [("ANNULUS_DRIVER", ""), ("ANNULUS_KERNEL", "")];
    child(name, &free, || {
        Profile::read(PROFILE).filter().install().unwrap();
        let runtime = Runtime::new().unwrap();
        assert_eq!(runtime.driver_kind(), DriverKind::Ring);
        runtime.block_on(everything_works());
        let thread = thread::spawn(|| annulus::run(everything_works()));
        thread.join().unwrap();
    });
    let filter = Profile::read(PROFILE).filter();
    let (report, status) = ask(&mut example("doctor", &filter)).unwrap();
    assert_eq!(status, Some(0), "{report}");
    let driver = paragraphs(&report, "driver");
    assert_eq!(driver, ["A runtime uses the ring (io_uring)."]);
    is_shown(&report);
    let seccomp = &paragraphs(&report, "seccomp")[0];
    assert!(seccomp.starts_with("A filter looks"), "{report}");
    hello_answers(&filter);
}

/// Each call is made with arguments that make no sense, so that one that got through would fail
/// in another way, and do no harm.
#[test]
fn our_profile_refuses_what_it_names() {
    let name = "doctor::our_profile_refuses_what_it_names";
    child(name, &[], || {
        let profile = Profile::read(PROFILE);
        profile.filter().install().unwrap();
        for (name, bits, errno) in profile.rules() {
            // It takes no arguments, and would end the terminal's session.
            let Some(call) = profile::call(name).filter(|_| name != "vhangup") else {
                continue;
            };
            let first = bits.map_or(-1, |bits| i64::from(bits.value));
            // SAFETY: no address among the arguments is valid, and the kernel does not come to
            // look at them.
            let result =
                unsafe { libc::syscall(call, first, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64) };
            let error = io::Error::last_os_error();
            assert_eq!(
                (result, error.raw_os_error()),
                (-1, Some(errno)),
                "{name}: {error}"
            );
        }
    });
}

#[test]
fn the_addition_names_the_calls_of_the_ring() {
    let text = fs::read_to_string("docs/seccomp/addition.json").unwrap();
    let addition: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(addition["action"], "SCMP_ACT_ALLOW");
    let names = ["io_uring_setup", "io_uring_enter", "io_uring_register"];
    assert_eq!(addition["names"], serde_json::json!(names));
}
