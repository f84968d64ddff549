//! The kernel's interface: the calls of Linux that the crate makes, in types without policy.
//!
//! `libc` and the raw names of io_uring appear here and nowhere else. Calls that a driver makes
//! in place of a ring entry answer as the ring does: a count or descriptor, or minus the errno.

mod addr;
mod beneath;
mod cpu;
mod datagram;
mod entry;
mod epoll;
mod features;
mod file;
mod handover;
mod inherited;
mod kernel;
mod limits;
mod listing;
mod mapping;
mod memory;
mod monotonic;
mod names;
mod per_process;
mod poll;
mod process;
mod reuseport;
mod rights;
mod ring;
mod send_file;
pub(crate) mod signal;
mod socket;
mod status;
mod temporary;
mod thread;
mod version;
mod wake_fd;
mod wake_set;

pub(crate) use addr::SocketAddress;
pub(crate) use beneath::{OpenHow, open_beneath, open_beneath_cached, open_cached};
#[cfg(feature = "tokio-context")]
pub(crate) use cpu::unpin;
pub(crate) use cpu::{
    affine_cores, allowed_cores, pin_to_core, quota_cores, unpinned, unpinned_core_count,
};
pub(crate) use datagram::{
    BATCH_MAX, DatagramHeader, DatagramLayout, Destination, SendControl, datagram_addr,
    datagram_ancillary, datagram_len, recvmmsg_now, send_message_now, send_to_now,
};
pub(crate) use entry::{Completion, Entry, PollEvents, Timespec, opcode};
pub(crate) use epoll::{Epoll, watch_broken, watch_only};
pub(crate) use features::Features;
pub(crate) use file::{
    OpenFlags, close, lock_exclusively, open_and_settle, pread, preadv2_nowait, pwrite, set_len,
    set_mode, sync, write_fd,
};
pub(crate) use handover::spawn_with_descriptors;
pub(crate) use inherited::inherited_descriptors;
pub(crate) use kernel::{KernelName, descriptors_possible, has_seccomp_filter, io_uring_disabled};
pub(crate) use limits::{ResourceLimit, descriptors_max};
pub(crate) use listing::{Listed, Listing};
pub(crate) use mapping::Mapping;
pub(crate) use memory::give_back_memory;
pub(crate) use monotonic::{monotonic_nanos, thread_cpu_nanos};
pub(crate) use names::{
    Root, create_dir, create_dir_all, hard_link, read_link, remove_dir, remove_dir_all,
    remove_file, rename, symlink,
};
pub(crate) use per_process::PerProcess;
pub(crate) use poll::{FDS_PER_CALL, PeerState, find_ended, has_unreceived, peer_state, poll_now};
pub(crate) use process::{Process, call_in_children, effective_user};
pub(crate) use reuseport::deal_by_core;
pub(crate) use rights::{DESCRIPTORS_MAX, receive_with_rights, send_with_rights};
pub(crate) use ring::{Ring, Wait};
pub(crate) use send_file::{is_in_memory, send_file_now};
pub(crate) use signal::SignalWatch;
pub(crate) use socket::{
    MessageHeader, TcpBytes, accept_now, accepted_addr, backlog_max, bind, connect_now, disconnect,
    listen, local_addr, new_datagram_socket, new_socket, peer_addr, peer_credentials, recv_now,
    send_now, send_slices_now, sendmsg_now, set_int_option, set_linger, set_nonblocking, shutdown,
    socket_error, socket_option, tcp_bytes, unacknowledged, unix_local_addr, unix_peer_addr,
    with_udp_socket,
};
pub(crate) use status::{FileKind, FileTime, Status, status};
pub(crate) use temporary::{TemporaryName, open_temporary, persist};
pub(crate) use thread::{RESTARTED, Thread, code_place};
pub(crate) use version::Version;
pub(crate) use wake_fd::WakeFd;
pub(crate) use wake_set::WakeSet;

/// The errnos that code above this module decides by.
pub(crate) mod errno {
    pub(crate) use libc::{
        EACCES, EADDRINUSE, EAGAIN, ECANCELED, ECONNABORTED, ECONNREFUSED, EEXIST, EHOSTDOWN,
        EHOSTUNREACH, EINPROGRESS, EINTR, EINVAL, EMFILE, ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS,
        ENOMEM, ENONET, ENOPROTOOPT, ENOSYS, EOPNOTSUPP, EPERM, EPIPE, EPROTO, ETIMEDOUT,
    };
    pub(crate) use libc::{EADDRNOTAVAIL, EAFNOSUPPORT, ELOOP, ENAMETOOLONG, ENODEV, ENXIO};
}

/// Socket options and flags that code above this module passes on.
pub(crate) mod option {
    pub(crate) use libc::{
        AF_INET, AF_INET6, AF_UNIX, IP_BIND_ADDRESS_NO_PORT, IP_MTU_DISCOVER, IP_MULTICAST_TTL,
        IP_PKTINFO, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE, IP_RECVTOS, IP_TOS, IP_TTL, IPPROTO_IP,
        IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPV6_MTU_DISCOVER, IPV6_MULTICAST_HOPS,
        IPV6_RECVPKTINFO, IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY,
        MSG_NOSIGNAL, MSG_WAITALL, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_ACCEPTCONN, SO_BROADCAST,
        SO_DOMAIN, SO_KEEPALIVE, SO_RCVBUF, SO_RCVLOWAT, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF,
        SO_TIMESTAMPNS, SO_TYPE, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, TCP_KEEPIDLE,
        TCP_NODELAY, UDP_GRO,
    };
}

/// Turns the result of a system call into that of a completion: minus the errno for an error.
fn as_completion(result: isize) -> i32 {
    if result >= 0 {
        return i32::try_from(result).unwrap_or(i32::MAX);
    }
    -std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// Turns the result of a system call into a `Result`.
fn as_result(result: i32) -> std::io::Result<i32> {
    if result >= 0 {
        Ok(result)
    } else {
        Err(std::io::Error::last_os_error())
    }
}
