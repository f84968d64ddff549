//! Descriptors that std has no type of. Once made, std's `File` reads and writes them.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _},
};

/// Takes a descriptor that a call has made.
fn made(result: i64) -> File {
    assert!(result >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the descriptor is new and has no other owner.
    unsafe { File::from_raw_fd(result as i32) }
}

/// A counter that is readable when it is above 0, in non-blocking mode.
pub(crate) fn eventfd() -> File {
    // SAFETY: the call takes no address.
    made(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }.into())
}

/// Adds to a counter.
pub(crate) fn add(counter: &File, count: u64) {
    use std::io::Write as _;

    let mut counter = counter;
    assert_eq!(counter.write(&count.to_ne_bytes()).unwrap(), 8);
}

/// Takes all of a counter, or of a timer's expirations.
pub(crate) fn take(counter: &File) -> io::Result<u64> {
    use std::io::Read as _;

    let (mut counter, mut bytes) = (counter, [0; 8]);
    assert_eq!(counter.read(&mut bytes)?, 8);
    Ok(u64::from_ne_bytes(bytes))
}

/// The reading and the writing end of a pipe, in non-blocking mode.
pub(crate) fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes the two numbers during the call.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    (made(ends[0].into()), made(ends[1].into()))
}

/// A terminal: the end of the one who sits there, and that of the program.
pub(crate) fn terminal() -> (File, File) {
    let mut ends = [0; 2];
    let [near, far] = &mut ends;
    let nothing = std::ptr::null_mut();
    // SAFETY: the C library writes the two numbers during the call.
    let result = unsafe { libc::openpty(near, far, nothing, std::ptr::null(), std::ptr::null()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    (made(ends[0].into()), made(ends[1].into()))
}

/// A timer that expires once, so many nanoseconds from now.
pub(crate) fn timer(nanoseconds: i64) -> File {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: the call takes no address.
    let timer = made(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) }.into());
    // SAFETY: zeroes are times without anything.
    let mut times: libc::itimerspec = unsafe { std::mem::zeroed() };
    times.it_value.tv_nsec = nanoseconds;
    // SAFETY: the kernel reads the times during the call.
    let result = unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const times, std::ptr::null_mut())
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    timer
}

/// Tells of files that are made in a folder.
pub(crate) fn inotify(folder: &std::path::Path) -> File {
    // SAFETY: the call takes no address.
    let watch = made(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) }.into());
    let path = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
    // SAFETY: the kernel reads the path during the call.
    let result =
        unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), libc::IN_CREATE) };
    assert!(result >= 0, "{}", io::Error::last_os_error());
    watch
}

/// Tells of `SIGUSR2` that is sent to this thread by `signal_self`.
pub(crate) fn signalfd() -> File {
    // SAFETY: zeroes are a set, which the calls fill.
    let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is written during the call.
    unsafe { libc::sigemptyset(&raw mut signals) };
    // SAFETY: the set is written during the call.
    unsafe { libc::sigaddset(&raw mut signals, libc::SIGUSR2) };
    // SAFETY: the set is read during the call.
    let result =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut()) };
    assert_eq!(result, 0);
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set is read during the call.
    made(unsafe { libc::signalfd(-1, &raw const signals, flags) }.into())
}

/// Sends `SIGUSR2` to this thread, which has blocked it.
pub(crate) fn signal_self() {
    // SAFETY: the call takes no address.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: the thread is there.
    let result = unsafe { libc::pthread_kill(own, libc::SIGUSR2) };
    assert_eq!(result, 0);
}

/// Is readable once a process has ended.
pub(crate) fn pidfd(process: u32) -> File {
    // SAFETY: the call takes no address.
    made(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })
}

/// Puts another open file in the place of a descriptor, which is what a close and an open that
/// gets the same number do, without another thread that could get it in between.
pub(crate) fn replace(descriptor: &File, by: &File) {
    // SAFETY: the call takes no address.
    let result = unsafe { libc::dup3(by.as_raw_fd(), descriptor.as_raw_fd(), libc::O_CLOEXEC) };
    assert!(result >= 0, "{}", io::Error::last_os_error());
}

/// Sends a byte of urgent data.
pub(crate) fn send_urgent(stream: &std::net::TcpStream) {
    let byte = b'!';
    // SAFETY: the kernel reads the byte during the call.
    let sent = unsafe {
        libc::send(
            stream.as_raw_fd(),
            (&raw const byte).cast(),
            1,
            libc::MSG_OOB,
        )
    };
    assert_eq!(sent, 1, "{}", io::Error::last_os_error());
}

/// A number that no descriptor has.
pub(crate) fn no_descriptor() -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: nothing is asked of it that could harm another, since no process has so many.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(1 << 30) }
}
