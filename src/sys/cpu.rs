//! The processors that this process may use.

use std::{fs, io};

/// The processors in this thread's affinity mask, in order, at most as many as the control
/// group's quota pays for.
pub(crate) fn allowed_cores() -> Vec<usize> {
    let mut cores = affine_cores();
    if let Some(quota) = quota_cores() {
        cores.truncate(quota.max(1));
    }
    cores
}

/// The processors in this thread's affinity mask, in order; never none.
pub(crate) fn affine_cores() -> Vec<usize> {
    // SAFETY: all zeros are a valid, empty set.
    let mut set = unsafe { std::mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: the kernel writes at most the size given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    let mut cores = Vec::new();
    if result == 0 {
        for core in 0..libc::CPU_SETSIZE as usize {
            // SAFETY: the index is below the set's size.
            if unsafe { libc::CPU_ISSET(core, &set) } {
                cores.push(core);
            }
        }
    }
    if cores.is_empty() {
        cores.push(0);
    }
    cores
}

/// Keeps the calling thread on one processor.
pub(crate) fn pin_to_core(core: usize) -> io::Result<()> {
    // SAFETY: all zeros are a valid, empty set.
    let mut set = unsafe { std::mem::zeroed::<libc::cpu_set_t>() };
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the index is below the set's size.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the kernel reads the set during the call.
    let result =
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    super::as_result(result).map(drop)
}

/// The number of whole processors that the control group's quota pays for, rounded up.
pub(crate) fn quota_cores() -> Option<usize> {
    if let Some(path) = cgroup_path("0::") {
        // Every ancestor's quota binds too; the tightest counts.
        let mut folder = std::path::PathBuf::from(format!("/sys/fs/cgroup{path}"));
        let mut tightest = None;
        while folder.starts_with("/sys/fs/cgroup") {
            let text = fs::read_to_string(folder.join("cpu.max")).unwrap_or_default();
            let cores = parse_cpu_max(&text);
            tightest = match (tightest, cores) {
                (Some(a), Some(b)) => Some(std::cmp::min::<usize>(a, b)),
                (a, b) => a.or(b),
            };
            if !folder.pop() {
                break;
            }
        }
        if tightest.is_some() {
            return tightest;
        }
    }
    let read = |name: &str| -> Option<i64> {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/cpu/{name}")).ok()?;
        text.trim().parse().ok()
    };
    whole_cores(read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?)
}

fn cgroup_path(prefix: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(prefix))
        .map(str::to_owned)
}

fn parse_cpu_max(text: &str) -> Option<usize> {
    let mut words = text.split_whitespace();
    let quota = words.next()?.parse().ok()?;
    let period = words.next()?.parse().ok()?;
    whole_cores(quota, period)
}

fn whole_cores(quota: i64, period: i64) -> Option<usize> {
    if quota <= 0 || period <= 0 {
        return None;
    }
    usize::try_from((quota + period - 1) / period).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_rounded_up_to_whole_processors() {
        assert_eq!(parse_cpu_max("max 100000"), None);
        assert_eq!(parse_cpu_max("150000 100000"), Some(2));
        assert_eq!(parse_cpu_max("50000 100000\n"), Some(1));
        assert_eq!(parse_cpu_max(""), None);
        assert_eq!(whole_cores(-1, 100_000), None);
    }

    #[test]
    fn there_is_always_a_processor() {
        assert!(!allowed_cores().is_empty());
    }
}
