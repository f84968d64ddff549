//! An echo server that does nothing but its system calls: wait, receive, send.
#![expect(unsafe_code, reason = "epoll is in the C library only")]

use std::{
    io::{self, Read, Write},
    net::TcpListener,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

const EVENTS_MAX: usize = 256;

/// Serves the next `connection_count` connections until they are closed.
pub(crate) fn serve(listener: TcpListener, connection_count: usize) {
    let epoll = new_epoll().expect("there are descriptors left");
    let mut streams = Vec::with_capacity(connection_count);
    for index in 0..connection_count {
        let (stream, _) = listener.accept().expect("a connection comes");
        stream.set_nodelay(true).expect("it is a TCP socket");
        watch(&epoll, stream.as_raw_fd(), index as u64).expect("the socket is new here");
        streams.push(Some(stream));
    }
    let mut open_count = connection_count;
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
    let mut buf = [0; 4096];
    while open_count > 0 {
        let ready_count = wait(&epoll, &mut events).expect("nothing interrupts");
        for event in &events[..ready_count] {
            let stream = &mut streams[event.u64 as usize];
            // The socket blocks, but there is something to read: only readable ones come here.
            let count = stream.as_ref().map_or(Ok(0), |mut stream| {
                let count = stream.read(&mut buf)?;
                stream.write_all(&buf[..count])?;
                io::Result::Ok(count)
            });
            if count.unwrap_or(0) == 0 {
                *stream = None;
                open_count -= 1;
            }
        }
    }
}

fn new_epoll() -> io::Result<OwnedFd> {
    // SAFETY: it takes no address.
    let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn watch(epoll: &OwnedFd, fd: RawFd, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: data,
    };
    // SAFETY: the event is there for the call.
    let result = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
    check(result).map(drop)
}

fn wait(epoll: &OwnedFd, events: &mut [libc::epoll_event]) -> io::Result<usize> {
    let (first, count) = (events.as_mut_ptr(), events.len() as i32);
    // SAFETY: the events are there for the call, as many as it is told.
    let result = unsafe { libc::epoll_wait(epoll.as_raw_fd(), first, count, -1) };
    check(result).map(|count| count as usize)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
