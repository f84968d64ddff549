//! Threads of this process, as seen from another one: the system call that a thread is in, and a
//! signal handler that notes what the thread does.
//!
//! A thread that does not answer can be asked by a signal alone: its handler runs on that thread,
//! in the middle of what it does. There is one question at a time, and `QUESTION` says whose it is
//! and how far it is. So a signal that comes too late, on a thread that had it blocked, is for no
//! question, and its handler does nothing.

use std::{
    cell::UnsafeCell,
    ffi::{CStr, c_int, c_void},
    fs, io,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::as_result;

/// A thread of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thread(libc::pid_t);

/// Frames of a backtrace at most.
const FRAME_COUNT: usize = 64;

/// No question is open.
const NONE: u64 = 0;
/// The thread whose number stands above these bits is asked.
const ASKED: u64 = 1;
/// Its handler is writing the answer.
const ANSWERING: u64 = 2;
const ANSWERED: u64 = 3;

static QUESTION: AtomicU64 = AtomicU64::new(NONE);
static BOARD: Board = Board(UnsafeCell::new(Contents {
    call: None,
    frames: [0; FRAME_COUNT],
    frame_count: 0,
}));

struct Board(UnsafeCell<Contents>);

/// A function that the handler calls, with its argument.
type Call = (unsafe fn(*const ()), *const ());

struct Contents {
    call: Option<Call>,
    frames: [usize; FRAME_COUNT],
    frame_count: usize,
}

// SAFETY: the asking thread uses it while `QUESTION` is `NONE` or `ANSWERED`, and the handler that
// has changed that from `ASKED` to `ANSWERING` until it changes it to `ANSWERED`.
unsafe impl Sync for Board {}

impl Thread {
    /// The thread that calls this.
    pub(crate) fn current() -> Self {
        // SAFETY: the call takes no address. Older C libraries have no function for it.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) };
        Self(libc::pid_t::try_from(thread).unwrap_or(0))
    }

    pub(crate) fn id(self) -> i32 {
        self.0
    }

    fn phase(self, phase: u64) -> u64 {
        u64::from(self.0.unsigned_abs()) << 2 | phase
    }

    /// The name of the system call that the thread sleeps in; none when it runs, and where the
    /// kernel does not tell.
    pub(crate) fn system_call(self) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/self/task/{}/syscall", self.0)).ok()?;
        let number: libc::c_long = text.split_whitespace().next()?.parse().ok()?;
        // Minus one is a thread that is stopped outside of a system call.
        (number >= 0).then(|| {
            let named = CALL_NAMES.iter().find(|(known, _)| *known == number);
            named.map_or_else(
                || format!("system call {number}"),
                |(_, name)| (*name).into(),
            )
        })
    }

    /// Interrupts the thread: it calls `call` with `argument`, and its backtrace is returned,
    /// innermost first. None when it did not begin to do so for as long as `patience`, or cannot.
    ///
    /// # Safety
    ///
    /// A signal handler on that thread may call `call` with this argument until this returns. One
    /// thread of a process at a time calls this.
    pub(crate) unsafe fn interrupt(
        self,
        call: unsafe fn(*const ()),
        argument: *const (),
        patience: Duration,
    ) -> Option<Vec<usize>> {
        let signal = interrupting_signal()?;
        // A child begins with what its parent had in the middle of a question.
        QUESTION.store(NONE, Ordering::Relaxed);
        // SAFETY: no question is open, so that no handler uses it.
        unsafe { (*BOARD.0.get()).call = Some((call, argument)) };
        QUESTION.store(self.phase(ASKED), Ordering::Release);
        let process = std::process::id();
        // SAFETY: the call takes no address. The number is a thread of this process, or of none:
        // then it is an error.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, self.0, signal) };
        let until = Instant::now() + patience;
        while QUESTION.load(Ordering::Acquire) != self.phase(ANSWERED) {
            if sent != 0 || Instant::now() >= until {
                let taken_back = QUESTION.compare_exchange(
                    self.phase(ASKED),
                    NONE,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if taken_back.is_ok() {
                    return None;
                }
            }
            thread::sleep(Duration::from_micros(100));
        }
        // SAFETY: the handler has ended, and no question is open.
        let contents = unsafe { &*BOARD.0.get() };
        Some(contents.frames[..contents.frame_count].to_vec())
    }
}

/// The signal that interrupts a thread. The first call finds a real-time signal without a handler
/// and gives it one, for ever. None when all have one.
fn interrupting_signal() -> Option<c_int> {
    static SIGNAL: OnceLock<Option<c_int>> = OnceLock::new();
    *SIGNAL.get_or_init(|| {
        // The first call may load a library, which a handler must not.
        unwind::load();
        (libc::SIGRTMIN()..=libc::SIGRTMAX())
            .rev()
            .find(|&signal| handle(signal).unwrap_or(false))
    })
}

/// Makes `on_signal` the handler of a signal that has none. False when it has one.
fn handle(signal: c_int) -> io::Result<bool> {
    // SAFETY: zero is a value of it, and one that asks for nothing.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills in the action during the call.
    as_result(unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) })?;
    if action.sa_sigaction != libc::SIG_DFL {
        return Ok(false);
    }
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the action is valid, and its handler does what handlers may do.
    as_result(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    Ok(true)
}

extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the call takes no address.
    let errno_place = unsafe { libc::__errno_location() };
    // SAFETY: the place of errno is the thread's own.
    let errno = unsafe { errno_place.read() };
    let thread = Thread::current();
    let begun = QUESTION.compare_exchange(
        thread.phase(ASKED),
        thread.phase(ANSWERING),
        Ordering::Acquire,
        Ordering::Relaxed,
    );
    if begun.is_ok() {
        // SAFETY: this handler has the board until it has answered.
        let contents = unsafe { &mut *BOARD.0.get() };
        if let Some((call, argument)) = contents.call.take() {
            // SAFETY: the asking thread says that a handler here may call it.
            unsafe { call(argument) };
        }
        contents.frame_count = unwind::frames(&mut contents.frames, interrupted_at(context));
        QUESTION.store(thread.phase(ANSWERED), Ordering::Release);
    }
    // SAFETY: as above.
    unsafe { errno_place.write(errno) };
}

/// The address of the instruction that a signal came before, on processors where it is known.
fn interrupted_at(context: *mut c_void) -> Option<usize> {
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
    {
        // SAFETY: the kernel gives the handler a context.
        let address = unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] };
        usize::try_from(address).ok()
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: the kernel gives the handler a context.
        let address = unsafe { (*context).uc_mcontext.pc };
        usize::try_from(address).ok()
    }
    #[cfg(not(any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        target_arch = "aarch64"
    )))]
    {
        let _ = context;
        None
    }
}

/// The GNU C library's backtrace(3).
#[cfg(target_env = "gnu")]
mod unwind {
    use std::ffi::{c_int, c_void};

    use super::FRAME_COUNT;

    /// Frames of the handler, which come before those that it has interrupted.
    const OWN_FRAMES: usize = 8;

    pub(super) fn load() {
        let mut frames = [std::ptr::null_mut(); 1];
        // SAFETY: there is room for one.
        unsafe { libc::backtrace(frames.as_mut_ptr(), 1) };
    }

    /// Fills in return addresses, from the frame that was interrupted at `interrupted_at` on.
    pub(super) fn frames(into: &mut [usize; FRAME_COUNT], interrupted_at: Option<usize>) -> usize {
        const ALL_COUNT: usize = FRAME_COUNT + OWN_FRAMES;
        let mut all: [*mut c_void; ALL_COUNT] = [std::ptr::null_mut(); ALL_COUNT];
        // SAFETY: there is room for so many.
        let count = unsafe { libc::backtrace(all.as_mut_ptr(), ALL_COUNT as c_int) };
        let all = &all[..usize::try_from(count).unwrap_or(0)];
        let first = all
            .iter()
            .position(|address| Some(address.addr()) == interrupted_at)
            .unwrap_or(0);
        let mut filled = 0;
        for (place, address) in into.iter_mut().zip(&all[first..]) {
            *place = address.addr();
            filled += 1;
        }
        filled
    }
}

/// Other C libraries have no backtrace(3): the only address is that of the interrupted instruction.
#[cfg(not(target_env = "gnu"))]
mod unwind {
    use super::FRAME_COUNT;

    pub(super) fn load() {}

    pub(super) fn frames(into: &mut [usize; FRAME_COUNT], interrupted_at: Option<usize>) -> usize {
        into[0] = interrupted_at.unwrap_or(0);
        usize::from(interrupted_at.is_some())
    }
}

/// The file that an address of code comes from, its offset there, and the name of the exported
/// function that it is in.
pub(crate) fn code_place(address: usize) -> Option<(String, usize, Option<String>)> {
    // SAFETY: zero is a value of it.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for, and the linker fills in the value during the call.
    let is_found = unsafe { libc::dladdr(std::ptr::without_provenance(address), &raw mut info) };
    if is_found == 0 || info.dli_fname.is_null() {
        return None;
    }
    let text = |name| {
        // SAFETY: a string of the linker's, for a library that stays: a thread is in its code.
        let text = unsafe { CStr::from_ptr(name) };
        text.to_string_lossy().into_owned()
    };
    let function = (!info.dli_sname.is_null()).then(|| text(info.dli_sname));
    let offset = address.wrapping_sub(info.dli_fbase.addr());
    Some((text(info.dli_fname), offset, function))
}

/// The call in which the kernel goes on with a sleep or a wait that it has interrupted, as it does
/// when a ring has work for the thread. It does not tell which one that was.
pub(crate) const RESTARTED: &str = "restart_syscall";

/// Names of the system calls that a thread is most often found in.
const CALL_NAMES: &[(libc::c_long, &str)] = &[
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_close, "close"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_io_uring_enter, "io_uring_enter"),
    (libc::SYS_madvise, "madvise"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_pselect6, "pselect6"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_read, "read"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_restart_syscall, RESTARTED),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_waitid, "waitid"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, "epoll_wait"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, "open"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, "poll"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_select, "select"),
];
