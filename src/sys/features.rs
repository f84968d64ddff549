//! The features of the running kernel, found out by trying, once a process.
//!
//! Versions are never compared: distributions carry features back and forth. A version appears
//! only in the mask, by which tests make a new kernel behave like an old one.

use std::{io, sync::OnceLock};

use io_uring::{IoUring, Probe, squeue};

use super::{Entry, Version, opcode, ring};

/// The set-up flags that a ring is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetupFlags {
    /// `SUBMIT_ALL` (5.18): a bad entry does not stop the ones behind it.
    pub(crate) submit_all: bool,
    /// `COOP_TASKRUN` and `TASKRUN_FLAG` (5.19): completions do not interrupt the thread.
    pub(crate) coop_taskrun: bool,
    /// `SINGLE_ISSUER` and `DEFER_TASKRUN` (6.1): completions run inside enter only.
    pub(crate) defer_taskrun: bool,
    /// `NO_SQARRAY` (6.6): one indirection less.
    pub(crate) no_sqarray: bool,
}

/// The features of a kernel. A plain value: every decision in the crate reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    pub(crate) setup: SetupFlags,
    /// Bit n is set when operation n exists.
    opcodes: u64,
    /// Receives and accepts on an idle socket wait without a worker thread (5.7).
    pub(crate) fast_poll: bool,
    /// Enter takes a timeout (5.11).
    pub(crate) ext_arg: bool,
    /// The ring itself can be a registered descriptor (5.18).
    pub(crate) registered_ring: bool,
    /// A ring of provided buffers (5.19).
    pub(crate) buffer_ring: bool,
    /// One accept serves many connections (5.19).
    pub(crate) multishot_accept: bool,
    /// One receive serves a whole connection (6.0).
    pub(crate) multishot_recv: bool,
    /// Sleeping in enter is not accounted as waiting for a device (6.15).
    pub(crate) no_iowait: bool,
    /// The kernel that is being emulated.
    pub(crate) mask: Option<Version>,
}

impl Features {
    /// Probes the kernel, and remembers the answer once there is one.
    ///
    /// # Errors
    ///
    /// The errno of the call that failed when no ring can be had at all. It is not remembered:
    /// limits can be raised, and descriptors come back.
    pub(crate) fn probe() -> Result<Self, i32> {
        static FEATURES: OnceLock<Features> = OnceLock::new();
        if let Some(features) = FEATURES.get() {
            return Ok(*features);
        }
        let probed = Self::probe_now();
        let features = probed.map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))?;
        Ok(*FEATURES.get_or_init(|| features))
    }

    fn probe_now() -> io::Result<Self> {
        let (setup, mut ring) = best_ring()?;
        // A filter may allow to set a ring up and forbid to use it.
        try_entry(&mut ring, Entry::nop())?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let mut opcodes = 0;
        for code in 0..64 {
            if probe.is_supported(code) {
                opcodes |= 1 << code;
            }
        }
        let parameters = ring.params();
        let mut features = Self {
            setup,
            opcodes,
            fast_poll: parameters.is_feature_fast_poll(),
            ext_arg: parameters.is_feature_ext_arg(),
            // The two came with the same kernel, and a failure to register is harmless.
            registered_ring: parameters.is_feature_linked_file(),
            buffer_ring: false,
            multishot_accept: false,
            multishot_recv: false,
            no_iowait: parameters.is_feature_no_iowait(),
            mask: None,
        };
        // An entry with a bad descriptor is refused with EBADF when its flags are understood and
        // with EINVAL when they are not. Kernels before 5.18 look at the descriptor first, so
        // there the answer would always be EBADF; none of what is asked for exists there.
        if parameters.is_feature_linked_file() {
            let understands = |result: io::Result<i32>| result.is_ok_and(|res| res == -libc::EBADF);
            features.multishot_accept =
                understands(try_entry(&mut ring, Entry::accept_multishot(-1, 0)));
            features.multishot_recv =
                understands(try_entry(&mut ring, Entry::recv_multishot(-1, 0)));
            features.buffer_ring = can_register_buffers(&ring);
            features.multishot_recv &= features.buffer_ring;
        }
        Ok(features)
    }

    /// No ring at all.
    pub(crate) fn none() -> Self {
        Self {
            setup: SetupFlags::default(),
            opcodes: 0,
            fast_poll: false,
            ext_arg: false,
            registered_ring: false,
            buffer_ring: false,
            multishot_accept: false,
            multishot_recv: false,
            no_iowait: false,
            mask: None,
        }
    }

    /// Whether operation `code` exists.
    pub(crate) fn supports(&self, code: u8) -> bool {
        code < 64 && self.opcodes & 1 << code != 0
    }

    /// The names of what a ring lacks here, but for the operations that do not exist.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let all = [
            ("FAST_POLL", self.fast_poll),
            ("EXT_ARG", self.ext_arg),
            ("SUBMIT_ALL", self.setup.submit_all),
            ("REG_REG_RING", self.registered_ring),
            ("COOP_TASKRUN", self.setup.coop_taskrun),
            ("PBUF_RING", self.buffer_ring),
            ("ACCEPT_MULTISHOT", self.multishot_accept),
            ("RECV_MULTISHOT", self.multishot_recv),
            ("DEFER_TASKRUN", self.setup.defer_taskrun),
            ("NO_SQARRAY", self.setup.no_sqarray),
            ("NO_IOWAIT", self.no_iowait),
        ];
        let missing = all.into_iter().filter(|(_, is_there)| !is_there);
        missing.map(|(name, _)| name).collect()
    }

    /// Without everything that is newer than `version`.
    pub(crate) fn masked(mut self, version: Version) -> Self {
        let has = |major, minor| version >= Version::new(major, minor);
        for code in 0..64 {
            let known = opcode::since(code).is_some_and(|since| since <= version);
            if !known {
                self.opcodes &= !(1 << code);
            }
        }
        self.setup.submit_all &= has(5, 18);
        self.setup.coop_taskrun &= has(5, 19);
        self.setup.defer_taskrun &= has(6, 1);
        self.setup.no_sqarray &= has(6, 6);
        self.fast_poll &= has(5, 7);
        self.ext_arg &= has(5, 11);
        self.registered_ring &= has(5, 18);
        self.buffer_ring &= has(5, 19);
        self.multishot_accept &= has(5, 19);
        self.multishot_recv &= has(6, 0);
        self.no_iowait &= has(6, 15);
        self.mask = Some(version);
        self
    }
}

/// The first set of flags, best to plain, that the kernel takes, with its ring.
fn best_ring() -> io::Result<(SetupFlags, IoUring)> {
    let best = SetupFlags {
        submit_all: true,
        coop_taskrun: true,
        defer_taskrun: true,
        no_sqarray: true,
    };
    let cascade = [
        best,
        SetupFlags {
            no_sqarray: false,
            ..best
        },
        SetupFlags {
            no_sqarray: false,
            defer_taskrun: false,
            ..best
        },
        SetupFlags {
            submit_all: true,
            ..SetupFlags::default()
        },
        SetupFlags::default(),
    ];
    let mut refused = None;
    for setup in cascade {
        match ring::probe(setup) {
            Ok(ring) => return Ok((setup, ring)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.expect("the cascade is not empty"))
}

/// Runs one entry to its completion, on a ring that has nothing else to do.
fn try_entry(ring: &mut IoUring, entry: Entry) -> io::Result<i32> {
    let entry: squeue::Entry = entry.into_crate();
    // SAFETY: the entries that are tried name no memory.
    let pushed = unsafe { ring.submission().push(&entry) };
    assert!(pushed.is_ok(), "the queue is empty");
    ring.submit_and_wait(1)?;
    let completion = ring.completion().next();
    Ok(completion.map_or(-libc::EINVAL, |completion| completion.result()))
}

fn can_register_buffers(ring: &IoUring) -> bool {
    let Ok(memory) = super::Mapping::new(4096, 4096) else {
        return false;
    };
    let address = memory.as_ptr() as u64;
    let registered = ring::with_patience(|| {
        // SAFETY: the memory is mapped, page-aligned, large enough for eight descriptors, and
        // unregistered below before it goes.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, 8, 0, 0)
        }
    });
    match registered {
        Ok(()) => ring.submitter().unregister_buf_ring(0).is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Features {
        Features {
            setup: SetupFlags {
                submit_all: true,
                coop_taskrun: true,
                defer_taskrun: true,
                no_sqarray: true,
            },
            opcodes: u64::MAX,
            fast_poll: true,
            ext_arg: true,
            registered_ring: true,
            buffer_ring: true,
            multishot_accept: true,
            multishot_recv: true,
            no_iowait: true,
            mask: None,
        }
    }

    #[test]
    fn a_mask_takes_away_what_is_newer_and_nothing_else() {
        let old = everything().masked(Version::new(5, 6));
        assert!(old.supports(opcode::RECV));
        assert!(!old.fast_poll && !old.ext_arg && !old.buffer_ring);
        assert_eq!(old.setup, SetupFlags::default());
        let middle = everything().masked(Version::new(5, 19));
        assert!(middle.buffer_ring && middle.multishot_accept && !middle.multishot_recv);
        assert!(middle.setup.coop_taskrun && !middle.setup.defer_taskrun);
        let new = everything().masked(Version::new(6, 12));
        assert!(new.multishot_recv && new.setup.no_sqarray && !new.no_iowait);
    }
}
