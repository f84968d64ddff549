//! The submission entry (SQE), field by field, and the completion (CQE).
//!
//! The entry is our own type, and not the one of the `io-uring` crate, because a few fields that
//! we need have no setter there, and because an entry must be readable to be checked against the
//! kernel that is being emulated.

use super::{DatagramLayout, OpenHow, Version};

/// The kernel's `struct io_uring_sqe`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Entry {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    op_flags: u32,
    user_data: u64,
    buf_group: u16,
    personality: u16,
    file_index: u32,
    addr3: u64,
    pad: u64,
}

const _: () = assert!(size_of::<Entry>() == 64);
const _: () = assert!(size_of::<io_uring::squeue::Entry>() == 64);

/// One completion, as it stood in the completion queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) res: i32,
    pub(crate) flags: u32,
}

impl Completion {
    #[inline]
    pub(crate) fn new(res: i32) -> Self {
        Self { res, flags: 0 }
    }

    /// The operation's result: a count or descriptor, or the errno as an error.
    #[inline]
    pub(crate) fn result(self) -> std::io::Result<u32> {
        match u32::try_from(self.res) {
            Ok(value) => Ok(value),
            Err(_) => Err(std::io::Error::from_raw_os_error(-self.res)),
        }
    }

    /// Whether the operation will post further completions.
    #[inline]
    pub(crate) fn more(self) -> bool {
        self.flags & F_MORE != 0
    }

    /// The provided buffer that the kernel picked, whatever `res` says.
    #[inline]
    pub(crate) fn buffer_id(self) -> Option<u16> {
        let id = (self.flags >> BUFFER_SHIFT) as u16;
        (self.flags & F_BUFFER != 0).then_some(id)
    }
}

const F_BUFFER: u32 = 1 << 0;
const F_MORE: u32 = 1 << 1;
const BUFFER_SHIFT: u32 = 16;

const IOSQE_BUFFER_SELECT: u8 = 1 << 5;

const RECVSEND_POLL_FIRST: u16 = 1 << 0;
const RECV_MULTISHOT: u16 = 1 << 1;
const POLL_ADD_MULTI: u32 = 1 << 0;
const ACCEPT_MULTISHOT: u16 = 1 << 0;

const FSYNC_DATASYNC: u32 = 1 << 0;

/// `POLL_ADD`'s events, those of poll(2). They fit the 16 bits that kernels before 5.9 read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollEvents(u16);

impl PollEvents {
    pub(crate) const READ: Self = Self(libc::POLLIN as u16 | libc::POLLRDHUP as u16);
    pub(crate) const WRITE: Self = Self(libc::POLLOUT as u16);
    /// The peer has finished sending, or the connection is gone.
    pub(crate) const CLOSED: Self = Self(libc::POLLRDHUP as u16);
    /// There is something to read.
    pub(crate) const INPUT: Self = Self(libc::POLLIN as u16);
    pub(crate) const PRIORITY: Self = Self(libc::POLLPRI as u16);
    /// Told whatever is asked for, as is `HUNG_UP`.
    pub(crate) const ERROR: Self = Self(libc::POLLERR as u16);
    pub(crate) const HUNG_UP: Self = Self(libc::POLLHUP as u16);

    /// The events that the kernel has told, by the bits of poll(2).
    #[inline]
    pub(crate) const fn told(bits: u32) -> Self {
        Self(bits as u16)
    }

    #[inline]
    pub(crate) fn bits(self) -> u32 {
        u32::from(self.0)
    }

    #[inline]
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two have an event in common.
    #[inline]
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of the events that answer a wait for `asked`: errors and hang-ups answer every wait.
    #[inline]
    pub(crate) const fn answering(self, asked: Self) -> Self {
        Self(self.0 & (asked.0 | Self::ERROR.0 | Self::HUNG_UP.0))
    }

    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The operations that this crate submits, each with the kernel that brought it.
pub(crate) mod opcode {
    use super::Version;
    use io_uring::opcode as known;

    pub(crate) const NOP: u8 = known::Nop::CODE;
    pub(crate) const FSYNC: u8 = known::Fsync::CODE;
    pub(crate) const POLL_ADD: u8 = known::PollAdd::CODE;
    pub(crate) const SENDMSG: u8 = known::SendMsg::CODE;
    pub(crate) const RECVMSG: u8 = known::RecvMsg::CODE;
    pub(crate) const TIMEOUT: u8 = known::Timeout::CODE;
    pub(crate) const TIMEOUT_REMOVE: u8 = known::TimeoutRemove::CODE;
    pub(crate) const ACCEPT: u8 = known::Accept::CODE;
    pub(crate) const ASYNC_CANCEL: u8 = known::AsyncCancel::CODE;
    pub(crate) const CONNECT: u8 = known::Connect::CODE;
    pub(crate) const OPENAT: u8 = known::OpenAt::CODE;
    pub(crate) const CLOSE: u8 = known::Close::CODE;
    pub(crate) const OPENAT2: u8 = known::OpenAt2::CODE;
    pub(crate) const READ: u8 = known::Read::CODE;
    pub(crate) const WRITE: u8 = known::Write::CODE;
    pub(crate) const SEND: u8 = known::Send::CODE;
    pub(crate) const RECV: u8 = known::Recv::CODE;

    /// No operation of the kernel's: a call on a helper thread.
    pub(crate) const HELPER: u8 = u8::MAX;

    /// How many opcodes this crate submits.
    pub(crate) const COUNT: usize = 17;

    const KNOWN: [(u8, Version, &str); COUNT] = [
        (NOP, Version::new(5, 1), "nop"),
        (FSYNC, Version::new(5, 1), "fsync"),
        (POLL_ADD, Version::new(5, 1), "poll"),
        (SENDMSG, Version::new(5, 3), "sendmsg"),
        (RECVMSG, Version::new(5, 3), "recvmsg"),
        (TIMEOUT, Version::new(5, 4), "timeout"),
        (TIMEOUT_REMOVE, Version::new(5, 5), "timeout_remove"),
        (ACCEPT, Version::new(5, 5), "accept"),
        (ASYNC_CANCEL, Version::new(5, 5), "cancel"),
        (CONNECT, Version::new(5, 5), "connect"),
        (OPENAT, Version::new(5, 6), "openat"),
        (OPENAT2, Version::new(5, 6), "openat2"),
        (CLOSE, Version::new(5, 6), "close"),
        (READ, Version::new(5, 6), "read"),
        (WRITE, Version::new(5, 6), "write"),
        (SEND, Version::new(5, 6), "send"),
        (RECV, Version::new(5, 6), "recv"),
    ];

    /// The kernel that brought `opcode`, or `None` for one that this crate never submits.
    pub(crate) fn since(opcode: u8) -> Option<Version> {
        find(opcode).map(|(_, version, _)| *version)
    }

    fn find(opcode: u8) -> Option<&'static (u8, Version, &'static str)> {
        KNOWN.iter().find(|(code, ..)| *code == opcode)
    }

    /// The names of all opcodes that this crate submits, by their places.
    pub(crate) fn names() -> [&'static str; COUNT] {
        KNOWN.map(|(_, _, name)| name)
    }

    /// The place of `opcode` among them.
    pub(crate) fn place(opcode: u8) -> Option<usize> {
        KNOWN.iter().position(|(code, ..)| *code == opcode)
    }

    /// The name of an operation, as that of the system call that does the same.
    pub(crate) fn name(opcode: u8) -> &'static str {
        find(opcode).map_or("", |(_, _, name)| name)
    }
}

impl Entry {
    fn new(opcode: u8, fd: i32) -> Self {
        Self {
            opcode,
            flags: 0,
            ioprio: 0,
            fd,
            off: 0,
            addr: 0,
            len: 0,
            op_flags: 0,
            user_data: 0,
            buf_group: 0,
            personality: 0,
            file_index: 0,
            addr3: 0,
            pad: 0,
        }
    }

    #[inline]
    pub(crate) fn fd(&self) -> i32 {
        self.fd
    }

    pub(crate) fn nop() -> Self {
        Self::new(opcode::NOP, -1)
    }

    pub(crate) fn fsync(fd: i32, data_only: bool) -> Self {
        let mut entry = Self::new(opcode::FSYNC, fd);
        entry.op_flags = if data_only { FSYNC_DATASYNC } else { 0 };
        entry
    }

    pub(crate) fn poll_add(fd: i32, events: PollEvents) -> Self {
        let mut entry = Self::new(opcode::POLL_ADD, fd);
        // Big-endian machines with 32-bit events swap halves; the low half alone is right there.
        entry.op_flags = if cfg!(target_endian = "big") {
            events.bits() << 16
        } else {
            events.bits()
        };
        entry
    }

    /// A poll that completes each time that `fd` is woken, and at once if it is ready.
    pub(crate) fn poll_add_multishot(fd: i32, events: PollEvents) -> Self {
        let mut entry = Self::poll_add(fd, events);
        entry.len = POLL_ADD_MULTI;
        entry
    }

    /// A relative timeout that nothing but its expiry completes.
    pub(crate) fn timeout(timespec: *const Timespec) -> Self {
        let mut entry = Self::new(opcode::TIMEOUT, -1);
        entry.addr = timespec as u64;
        entry.len = 1;
        entry
    }

    pub(crate) fn timeout_remove(user_data: u64) -> Self {
        let mut entry = Self::new(opcode::TIMEOUT_REMOVE, -1);
        entry.addr = user_data;
        entry
    }

    pub(crate) fn accept(fd: i32, flags: i32) -> Self {
        let mut entry = Self::new(opcode::ACCEPT, fd);
        entry.op_flags = flags as u32;
        entry
    }

    pub(crate) fn accept_multishot(fd: i32, flags: i32) -> Self {
        let mut entry = Self::accept(fd, flags);
        entry.ioprio = ACCEPT_MULTISHOT;
        entry
    }

    pub(crate) fn cancel(user_data: u64) -> Self {
        let mut entry = Self::new(opcode::ASYNC_CANCEL, -1);
        entry.addr = user_data;
        entry
    }

    pub(crate) fn connect(fd: i32, addr: *const u8, len: u32) -> Self {
        let mut entry = Self::new(opcode::CONNECT, fd);
        entry.addr = addr as u64;
        entry.off = u64::from(len);
        entry
    }

    pub(crate) fn sendmsg(fd: i32, header: *const libc::msghdr, flags: i32) -> Self {
        let mut entry = Self::new(opcode::SENDMSG, fd);
        entry.addr = header as u64;
        entry.len = 1;
        entry.op_flags = flags as u32;
        entry
    }

    pub(crate) fn openat(path: *const libc::c_char, flags: i32, mode: u32) -> Self {
        let mut entry = Self::new(opcode::OPENAT, libc::AT_FDCWD);
        entry.addr = path as u64;
        entry.len = mode;
        entry.op_flags = flags as u32;
        entry
    }

    pub(crate) fn openat2(folder: i32, path: *const libc::c_char, how: *const OpenHow) -> Self {
        let mut entry = Self::new(opcode::OPENAT2, folder);
        entry.addr = path as u64;
        entry.len = size_of::<OpenHow>() as u32;
        entry.off = how as u64;
        entry
    }

    pub(crate) fn close(fd: i32) -> Self {
        Self::new(opcode::CLOSE, fd)
    }

    pub(crate) fn read(fd: i32, buf: *mut u8, len: u32, offset: u64) -> Self {
        let mut entry = Self::new(opcode::READ, fd);
        entry.addr = buf as u64;
        entry.len = len;
        entry.off = offset;
        entry
    }

    pub(crate) fn write(fd: i32, buf: *const u8, len: u32, offset: u64) -> Self {
        let mut entry = Self::new(opcode::WRITE, fd);
        entry.addr = buf as u64;
        entry.len = len;
        entry.off = offset;
        entry
    }

    pub(crate) fn send(fd: i32, buf: *const u8, len: u32, flags: i32) -> Self {
        let mut entry = Self::new(opcode::SEND, fd);
        entry.addr = buf as u64;
        entry.len = len;
        entry.op_flags = flags as u32;
        entry
    }

    pub(crate) fn recv(fd: i32, buf: *mut u8, len: u32) -> Self {
        let mut entry = Self::new(opcode::RECV, fd);
        entry.addr = buf as u64;
        entry.len = len;
        entry
    }

    /// A receive into a buffer of `group`, repeated until the kernel says otherwise.
    pub(crate) fn recv_multishot(fd: i32, group: u16) -> Self {
        let mut entry = Self::new(opcode::RECV, fd);
        entry.flags = IOSQE_BUFFER_SELECT;
        entry.buf_group = group;
        entry.ioprio = RECV_MULTISHOT | RECVSEND_POLL_FIRST;
        entry
    }

    /// One receive of at most `len` bytes into a buffer of `group`.
    pub(crate) fn recv_select(fd: i32, group: u16, len: u32) -> Self {
        let mut entry = Self::new(opcode::RECV, fd);
        entry.flags = IOSQE_BUFFER_SELECT;
        entry.buf_group = group;
        entry.len = len;
        entry.ioprio = RECVSEND_POLL_FIRST;
        entry
    }

    /// Receives datagrams into buffers of `group`, each behind a header that `layout` describes,
    /// and repeats that until the kernel says otherwise.
    pub(crate) fn recvmsg_multishot(fd: i32, layout: DatagramLayout, group: u16) -> Self {
        let mut entry = Self::new(opcode::RECVMSG, fd);
        entry.flags = IOSQE_BUFFER_SELECT;
        entry.buf_group = group;
        entry.ioprio = RECV_MULTISHOT | RECVSEND_POLL_FIRST;
        entry.addr = layout.multishot_header() as u64;
        entry.len = 1;
        // The kernel tells the length that was sent, also of a datagram that it cuts.
        entry.op_flags = libc::MSG_TRUNC as u32;
        entry
    }

    pub(crate) fn with_user_data(mut self, user_data: u64) -> Self {
        self.user_data = user_data;
        self
    }

    /// The descriptor that an entry of [`Entry::close`] closes.
    pub(crate) fn closes(&self) -> Option<i32> {
        (self.opcode == opcode::CLOSE).then_some(self.fd)
    }

    #[inline]
    pub(crate) fn user_data(&self) -> u64 {
        self.user_data
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.opcode
    }

    /// The oldest kernel that takes this entry as it is, flags included.
    pub(crate) fn since(&self) -> Version {
        let mut since = opcode::since(self.opcode).expect("every entry is built in this file");
        if self.flags & IOSQE_BUFFER_SELECT != 0 {
            since = since.max(Version::new(5, 19));
        }
        match self.opcode {
            opcode::ACCEPT if self.ioprio & ACCEPT_MULTISHOT != 0 => {
                since = since.max(Version::new(5, 19));
            }
            opcode::RECV | opcode::RECVMSG if self.ioprio & RECV_MULTISHOT != 0 => {
                since = since.max(Version::new(6, 0));
            }
            opcode::RECV if self.ioprio & RECVSEND_POLL_FIRST != 0 => {
                since = since.max(Version::new(5, 19));
            }
            _ => {}
        }
        since
    }

    pub(super) fn into_crate(self) -> io_uring::squeue::Entry {
        // SAFETY: the crate's entry is a `repr(C)` wrapper of `struct io_uring_sqe`, whose fields
        // this type has in the same order; both sizes are checked above, and any bits are valid.
        unsafe { std::mem::transmute::<Self, io_uring::squeue::Entry>(self) }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("opcode", &self.opcode)
            .field("flags", &self.flags)
            .field("ioprio", &self.ioprio)
            .field("fd", &self.fd)
            .field("len", &self.len)
            .field("op_flags", &self.op_flags)
            .finish_non_exhaustive()
    }
}

/// The kernel's `struct __kernel_timespec`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Timespec {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl From<std::time::Duration> for Timespec {
    fn from(duration: std::time::Duration) -> Self {
        Self {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: i64::from(duration.subsec_nanos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_knows_the_oldest_kernel_that_takes_it() {
        assert_eq!(
            Entry::recv(0, std::ptr::null_mut(), 0).since(),
            Version::new(5, 6)
        );
        assert_eq!(Entry::recv_select(0, 0, 0).since(), Version::new(5, 19));
        assert_eq!(Entry::recv_multishot(0, 0).since(), Version::new(6, 0));
        let datagrams = Entry::recvmsg_multishot(0, DatagramLayout::PLAIN, 0);
        assert_eq!(datagrams.since(), Version::new(6, 0));
        assert_eq!(Entry::accept(0, 0).since(), Version::new(5, 5));
        assert_eq!(Entry::accept_multishot(0, 0).since(), Version::new(5, 19));
        assert_eq!(Entry::cancel(0).since(), Version::new(5, 5));
    }

    #[test]
    fn a_completion_names_its_buffer_whatever_its_result() {
        let completion = Completion {
            res: -105,
            flags: F_BUFFER | 7 << BUFFER_SHIFT,
        };
        assert_eq!(completion.buffer_id(), Some(7));
        assert_eq!(Completion::new(3).buffer_id(), None);
        assert!(!completion.more());
    }
}
