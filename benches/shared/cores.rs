//! Server and load on a core each: where the scheduler puts them says more than the server does.
#![expect(unsafe_code, reason = "affinity is in the C library only")]

/// The cores that this thread may use.
pub(crate) fn usable_cores() -> Vec<usize> {
    let mut set = empty();
    // SAFETY: the set is there for the call, in the size that is given.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    assert_eq!(result, 0, "a thread can ask for its own affinity");
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the core is below the set's size.
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect()
}

/// Keeps this thread on one core.
pub(crate) fn pin_to(core: usize) {
    let mut set = empty();
    // SAFETY: `usable_cores` takes cores below the set's size only.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is there for the call, in the size that is given.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
    assert_eq!(result, 0, "a thread can choose among its cores");
}

fn empty() -> libc::cpu_set_t {
    // SAFETY: it is a field of bits, of which all may be zero.
    unsafe { std::mem::zeroed() }
}
