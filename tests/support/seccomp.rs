//! Real seccomp filters, as containers install them.

use std::io;

/// The number of this machine's calling convention (`AUDIT_ARCH_` of the kernel).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Where the fields of the kernel's `struct seccomp_data` begin.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;

/// The calls of io_uring.
pub(crate) const RING: [i64; 3] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// The bits of an argument that a rule looks at, and the value that they have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits {
    pub(crate) index: u32,
    pub(crate) mask: u32,
    pub(crate) value: u32,
}

/// A filter that allows all calls but those that it refuses.
#[derive(Clone)]
pub(crate) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Allows every call of this machine's calling convention, and ends callers by another.
    pub(crate) fn new() -> Self {
        let mut filter = Self(Vec::new());
        filter.load(ARCHITECTURE_OFFSET);
        filter.compare(libc::BPF_JEQ, ARCHITECTURE, 1, 0);
        filter.answer(libc::SECCOMP_RET_KILL_PROCESS);
        filter.load(NUMBER_OFFSET);
        // The calls of x32, which has the same convention by its number.
        filter.compare(libc::BPF_JGE, 0x4000_0000, 0, 1);
        filter.answer(libc::SECCOMP_RET_KILL_PROCESS);
        filter
    }

    /// A filter that refuses `calls` with `errno`.
    pub(crate) fn of(calls: &[i64], errno: i32) -> Self {
        let mut filter = Self::new();
        for call in calls {
            filter.refuse(*call, None, errno);
        }
        filter.finished()
    }

    /// Refuses a call with `errno`, where its argument has those bits if any are named.
    pub(crate) fn refuse(&mut self, call: i64, bits: Option<Bits>, errno: i32) {
        let call = u32::try_from(call).expect("the number of a call is small");
        let answer = libc::SECCOMP_RET_ERRNO | errno as u32;
        let Some(bits) = bits else {
            self.compare(libc::BPF_JEQ, call, 0, 1);
            self.answer(answer);
            return;
        };
        self.compare(libc::BPF_JEQ, call, 0, 5);
        self.load(ARGUMENTS_OFFSET + 8 * bits.index);
        self.statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, bits.mask);
        self.compare(libc::BPF_JEQ, bits.value, 0, 1);
        self.answer(answer);
        self.load(NUMBER_OFFSET);
    }

    /// Installs it for this thread, and for the threads and programs that it starts.
    ///
    /// Between fork(2) and exec(3) nothing but system calls is made here.
    pub(crate) fn install(&mut self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_mut_ptr(),
        };
        // SAFETY: this call takes plain numbers.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the program and its filter live through the call, which copies them.
        let result = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Ends the list of refusals; only then it can be installed.
    pub(crate) fn finished(mut self) -> Self {
        self.answer(libc::SECCOMP_RET_ALLOW);
        self
    }

    fn load(&mut self, offset: u32) {
        self.statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    }

    fn answer(&mut self, answer: u32) {
        self.statement(libc::BPF_RET | libc::BPF_K, answer);
    }

    fn statement(&mut self, code: u32, value: u32) {
        self.0.push(libc::sock_filter {
            code: code as u16,
            jt: 0,
            jf: 0,
            k: value,
        });
    }

    /// Goes on after so many statements, by the outcome of a comparison.
    fn compare(&mut self, comparison: u32, value: u32, if_true: u8, if_false: u8) {
        self.0.push(libc::sock_filter {
            code: (libc::BPF_JMP | comparison | libc::BPF_K) as u16,
            jt: if_true,
            jf: if_false,
            k: value,
        });
    }
}
