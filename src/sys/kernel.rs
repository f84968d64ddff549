//! The words that the kernel has about itself and about the use of io_uring.

use std::{ffi::CStr, fs};

/// The kernel's name for itself, as uname(2) tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KernelName {
    /// Such as `6.1.0-18-amd64`.
    pub(crate) release: String,
    /// The build: its number, its options and its day.
    pub(crate) build: String,
}

impl KernelName {
    /// That of the running kernel.
    pub(crate) fn of_this_one() -> Self {
        // SAFETY: all zeros are valid, and empty texts.
        let mut name = unsafe { std::mem::zeroed::<libc::utsname>() };
        // SAFETY: the kernel writes to the struct during the call.
        if unsafe { libc::uname(&raw mut name) } < 0 {
            return Self::default();
        }
        Self {
            release: text(&name.release),
            build: text(&name.version),
        }
    }
}

fn text(field: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = field.iter().map(|&byte| byte as u8).collect();
    let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
    text.to_string_lossy().into_owned()
}

/// The sysctl `kernel.io_uring_disabled`; `None` where there is none (before 6.6) or it cannot be
/// read.
pub(crate) fn io_uring_disabled() -> Option<u32> {
    number("/proc/sys/kernel/io_uring_disabled")
}

/// The sysctl `fs.nr_open`: the highest limit on descriptors that a process may have.
pub(crate) fn descriptors_possible() -> Option<u64> {
    number("/proc/sys/fs/nr_open")
}

fn number<N: std::str::FromStr>(path: &str) -> Option<N> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether a seccomp filter looks at this thread's system calls; `None` where that cannot be read.
pub(crate) fn has_seccomp_filter() -> Option<bool> {
    filtered(&fs::read_to_string("/proc/thread-self/status").ok()?)
}

/// The answer of `/proc/PID/status`.
fn filtered(status: &str) -> Option<bool> {
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"))?;
    Some(mode.trim() == "2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_told_by_its_mode() {
        assert_eq!(
            filtered("Name:\ta\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
            Some(true)
        );
        assert_eq!(
            filtered("Name:\ta\nSeccomp:\t0\nSeccomp_filters:\t0\n"),
            Some(false)
        );
        assert_eq!(filtered("Name:\ta\n"), None);
    }

    #[test]
    fn the_kernel_has_a_release() {
        let name = KernelName::of_this_one();
        assert!(
            name.release
                .starts_with(|letter: char| letter.is_ascii_digit()),
            "{name:?}"
        );
        assert!(!name.build.is_empty());
    }
}
