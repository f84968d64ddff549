//! The processors that this process may use.

use std::{cell::Cell, fs, io};

thread_local! {
    /// The affinity mask of this thread before it was pinned; none while it is not.
    static BEFORE_PIN: Cell<Option<CoreSet>> = const { Cell::new(None) };
}

/// A set of processors, as the kernel has them.
#[derive(Clone, Copy)]
struct CoreSet(libc::cpu_set_t);

impl CoreSet {
    fn empty() -> Self {
        // SAFETY: all zeros are a valid, empty set.
        Self(unsafe { std::mem::zeroed() })
    }

    /// The affinity mask of the calling thread; none on a machine with more processors than a set
    /// has room for.
    fn of_this_thread() -> Option<Self> {
        let mut set = Self::empty();
        let bytes = size_of::<libc::cpu_set_t>();
        // SAFETY: the kernel writes at most the size given.
        let result = unsafe { libc::sched_getaffinity(0, bytes, &raw mut set.0) };
        (result == 0).then_some(set)
    }

    /// Makes this the affinity mask of the calling thread.
    fn bind(&self) -> io::Result<()> {
        let bytes = size_of::<libc::cpu_set_t>();
        // SAFETY: the kernel reads the set during the call.
        let result = unsafe { libc::sched_setaffinity(0, bytes, &raw const self.0) };
        super::as_result(result).map(drop)
    }

    /// The numbers of the processors, in order; never none.
    fn list(&self) -> Vec<usize> {
        let numbers = 0..libc::CPU_SETSIZE as usize;
        // SAFETY: the index is below the set's size.
        let has = |core: &usize| unsafe { libc::CPU_ISSET(*core, &self.0) };
        let mut cores: Vec<usize> = numbers.filter(has).collect();
        if cores.is_empty() {
            cores.push(0);
        }
        cores
    }
}

/// The processors in this thread's affinity mask, in order, at most as many as the control
/// group's quota pays for.
pub(crate) fn allowed_cores() -> Vec<usize> {
    cut_to_quota(affine_cores())
}

/// The processors in this thread's affinity mask, in order; never none.
pub(crate) fn affine_cores() -> Vec<usize> {
    let set = CoreSet::of_this_thread();
    set.unwrap_or_else(CoreSet::empty).list()
}

/// How many processors there are for threads that are not pinned, as the calling thread may be.
pub(crate) fn unpinned_core_count() -> usize {
    let cores = BEFORE_PIN.get().map_or_else(affine_cores, |set| set.list());
    cut_to_quota(cores).len()
}

fn cut_to_quota(mut cores: Vec<usize>) -> Vec<usize> {
    if let Some(quota) = quota_cores() {
        cores.truncate(quota.max(1));
    }
    cores
}

/// Keeps the calling thread on one processor.
pub(crate) fn pin_to_core(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut set = CoreSet::empty();
    // SAFETY: the index is below the set's size.
    unsafe { libc::CPU_SET(core, &mut set.0) };
    let before = CoreSet::of_this_thread();
    set.bind()?;
    BEFORE_PIN.set(BEFORE_PIN.get().or(before));
    Ok(())
}

/// Returns `call` for a thread that the calling one starts. A new thread is pinned as the one that
/// starts it; this one may run wherever that one might before it was pinned.
pub(crate) fn unpinned<R>(call: impl FnOnce() -> R + Send) -> impl FnOnce() -> R + Send {
    let unpin = unpin();
    move || {
        unpin();
        call()
    }
}

/// Returns a function for threads that others start. They may run wherever the calling thread may,
/// or might before it was pinned.
pub(crate) fn unpin() -> impl Fn() + Send + Sync + 'static {
    let cores = BEFORE_PIN.get().or_else(CoreSet::of_this_thread);
    move || {
        if let Some(cores) = cores {
            // Processors that went away meanwhile are no reason not to run.
            let _ = cores.bind();
        }
    }
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
