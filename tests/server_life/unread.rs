//! Answers that are sent while their connection counts as idle already, to clients that do not
//! read.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsRawFd,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use annulus::{
    Cores,
    http::{ConnectionInfo, EndReason, Phase, Request, Response, Server, Timeouts},
};

use crate::{
    running::{NEVER, Running, expect_fin, get},
    support::{BOUND, http::read_answer},
};

/// So many that the server sends their answers by entries of a ring.
const CLIENT_COUNT: usize = 24;
/// Answers that the server gathers and writes at once, and the kernel does not take when the client
/// has not read those before.
const PIPELINED: usize = 4;
const BODY_BYTES: usize = 3 * 1024;

/// A server with one worker, whose clients have had an answer that they have not read, the last
/// piece of which the server cannot get rid of.
struct Unread {
    server: Running,
    clients: Vec<TcpStream>,
    /// Answers on each connection.
    answers: usize,
}

#[expect(unsafe_code, reason = "std has no call for the size of a buffer")]
fn small_send_buffer(socket: &impl AsRawFd) {
    let bytes: libc::c_int = 4096;
    let value = (&raw const bytes).cast();
    let len = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the kernel reads the value during the call only.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            value,
            len,
        )
    };
    assert_eq!(result, 0);
}

impl Unread {
    fn start(change: impl FnOnce(Server) -> Server + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        small_send_buffer(&listener);
        // The worker's thread waits at `/hold`, so that all the others' requests come to one turn.
        let (release, hold) = mpsc::channel::<()>();
        let (arrive, arrived) = mpsc::channel::<()>();
        let hold = Arc::new(Mutex::new(hold));
        let handler = async move |request: Request| match request.path() {
            "/hold" => {
                arrive.send(()).unwrap();
                hold.lock().unwrap().recv().unwrap();
                Response::text("held")
            }
            _ => Response::bytes(vec![b'x'; BODY_BYTES]),
        };
        let server = Running::start(
            1,
            |_| change(Server::new().listen_on([listener]).cores(Cores::Count(1))),
            handler,
        );
        let mut holder = server.connect();
        let clients = (0..CLIENT_COUNT).map(|_| server.connect()).collect();
        let start = Instant::now();
        let mut unread = Self {
            server,
            clients,
            answers: 0,
        };
        while unread.waiting() < CLIENT_COUNT {
            assert!(start.elapsed() < BOUND, "the kernel takes everything");
            let waiting = unread.waiting();
            assert_eq!(waiting, 0, "some take more than others");
            holder.write_all(get("/hold").as_bytes()).unwrap();
            arrived.recv_timeout(BOUND).unwrap();
            for client in &mut unread.clients {
                client
                    .write_all(get("/").repeat(PIPELINED).as_bytes())
                    .unwrap();
            }
            release.send(()).unwrap();
            read_answer(&mut holder);
            unread.answers += PIPELINED;
            unread.wait_answered();
        }
        unread
    }

    /// How many are seen to wait for their client.
    fn waiting(&self) -> usize {
        let infos = annulus::run(self.server.handle.connections());
        let is_writing = |info: &&ConnectionInfo| info.phase == Phase::Writing;
        infos.iter().filter(is_writing).count()
    }

    /// Waits until the requests of a round were answered, as far as their clients take it.
    fn wait_answered(&self) {
        let start = Instant::now();
        let mut before = None;
        loop {
            let infos = annulus::run(self.server.handle.connections());
            let sent: Vec<_> = infos.iter().map(|info| (info.phase, info.sent)).collect();
            if before.as_ref() == Some(&sent) {
                return;
            }
            before = Some(sent);
            assert!(start.elapsed() < BOUND);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read_answers(client: &mut TcpStream, count: usize) {
    for _ in 0..count {
        let answer = read_answer(client);
        assert!(answer.ends_with("xxxx") && answer.len() > BODY_BYTES);
    }
}

fn read_to_end(client: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    // The callers check how it ends.
    let _ = client.read_to_end(&mut bytes);
    bytes.len()
}

#[test]
fn who_reads_late_gets_everything_and_is_served_on() {
    let mut unread = Unread::start(|server| server);
    for client in &mut unread.clients {
        read_answers(client, unread.answers);
        client.write_all(get("/").as_bytes()).unwrap();
        read_answers(client, 1);
    }
    assert_eq!(unread.waiting(), 0);
    unread.server.handle.stop(NEVER);
    let report = unread.server.ended().unwrap();
    assert_eq!(report.cut, 0, "{report}");
}

#[test]
fn who_does_not_read_is_cut_after_the_write_timeout() {
    let timeout = Duration::from_secs(1);
    let mut unread = Unread::start(move |server| {
        server.timeouts(Timeouts {
            write: timeout,
            ..Timeouts::default()
        })
    });
    let start = Instant::now();
    while annulus::run(unread.server.handle.connections()).len() > 1 {
        assert!(start.elapsed() < BOUND, "no connection is cut");
        thread::sleep(Duration::from_millis(10));
    }
    for client in &mut unread.clients {
        assert!(read_to_end(client) < unread.answers * BODY_BYTES);
    }
    unread.server.handle.stop(NEVER);
    let report = unread.server.ended().unwrap();
    let expected = [(EndReason::WriteTimeout, CLIENT_COUNT as u64)];
    assert_eq!(report.refusals(), expected, "{report}");
}

#[test]
fn a_stop_waits_until_they_have_read() {
    let mut unread = Unread::start(|server| server);
    unread.server.handle.stop(NEVER);
    unread.server.wait_refused();
    for client in &mut unread.clients {
        read_answers(client, unread.answers);
        expect_fin(client);
    }
    let report = unread.server.ended().unwrap();
    assert_eq!(report.cut, 0, "{report}");
}

#[test]
fn the_deadline_of_a_stop_cuts_them() {
    let mut unread = Unread::start(|server| server);
    unread.server.handle.stop(Duration::ZERO);
    let report = unread.server.ended().unwrap();
    assert_eq!(report.cut, CLIENT_COUNT as u64, "{report}");
    for client in &mut unread.clients {
        assert!(read_to_end(client) < unread.answers * BODY_BYTES);
    }
}

#[test]
fn who_has_closed_its_side_is_sent_the_rest() {
    let unread = Unread::start(|server| server);
    for client in &unread.clients {
        client.shutdown(Shutdown::Write).unwrap();
    }
    // Behind the ends of the others.
    let mut last = unread.server.connect();
    last.write_all(get("/").as_bytes()).unwrap();
    read_answer(&mut last);
    unread.server.handle.stop(Duration::ZERO);
    let report = unread.server.ended().unwrap();
    assert_eq!(report.cut, CLIENT_COUNT as u64, "{report}");
}
