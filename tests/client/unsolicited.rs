//! Bytes that come to an idle connection while the thread is busy and does not see them.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use annulus::{
    http::client::{Client, Proxy},
    spawn,
    task::yield_now,
};

use crate::support::{BOUND, http::ok, run_each};

/// The act of a server on its first connection, once it is told to.
#[derive(Clone, Copy, Debug)]
enum Act {
    Answer,
    /// The head of a response, whose body never comes.
    Begin,
    Continue,
    End,
    EndBoth,
}

const ACTS: [Act; 5] = [
    Act::Answer,
    Act::Begin,
    Act::Continue,
    Act::End,
    Act::EndBoth,
];

trait Stream: Read + Write {
    fn end(&self, how: Act);
}

impl Stream for TcpStream {
    fn end(&self, how: Act) {
        let how = match how {
            // What comes afterwards is answered by a reset.
            Act::EndBoth => Shutdown::Both,
            _ => Shutdown::Write,
        };
        self.shutdown(how).unwrap();
    }
}

impl Stream for UnixStream {
    fn end(&self, how: Act) {
        let how = match how {
            Act::EndBoth => Shutdown::Both,
            _ => Shutdown::Write,
        };
        self.shutdown(how).unwrap();
    }
}

/// Answers `good`, and on the first connection acts when it is told to, and tells that it has.
struct Server {
    told: Receiver<()>,
    done: Sender<()>,
    act: Act,
    /// Whether the end of the first answer comes when it is told to, before the act.
    is_halved: bool,
}

impl Server {
    fn serve(self, mut streams: impl Iterator<Item = Box<dyn Stream + Send>>) {
        let mut stream = streams.next().unwrap();
        thread::spawn(move || {
            let _ = self.serve_first(&mut *stream);
        });
        for mut stream in streams {
            thread::spawn(move || while answer(&mut *stream, ok("good")).is_some() {});
        }
    }

    /// None when the client has left.
    fn serve_first(self, stream: &mut dyn Stream) -> Option<()> {
        if self.is_halved {
            answer(stream, &ok("good")[..ok("good").len() - 2])?;
            self.told.recv().ok()?;
            stream.write_all(b"od").ok()?;
        } else {
            answer(stream, ok("good"))?;
        }
        self.told.recv().ok()?;
        match self.act {
            Act::Answer => stream.write_all(ok("evil").as_bytes()).ok()?,
            Act::Begin => stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
                .ok()?,
            Act::Continue => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?,
            Act::End | Act::EndBoth => stream.end(self.act),
        }
        self.done.send(()).ok()?;
        while answer(stream, ok("evil")).is_some() {}
        None
    }
}

/// Answers the next request, which comes in one piece.
fn answer(stream: &mut dyn Stream, answer: impl AsRef<[u8]>) -> Option<()> {
    let count = stream.read(&mut [0; 4096]).ok()?;
    stream.write_all(answer.as_ref()).ok()?;
    (count > 0).then_some(())
}

/// The test's side of a server's bell.
struct Bell {
    tell: Sender<()>,
    done: Receiver<()>,
}

impl Bell {
    /// Has the server act, while this thread is at work and sees nothing of what comes.
    fn work(&self) {
        self.tell.send(()).unwrap();
        self.done.recv_timeout(BOUND).unwrap();
        // It is on its way through the kernel.
        thread::sleep(Duration::from_millis(10));
    }
}

fn bell(act: Act, is_halved: bool) -> (Bell, Server) {
    let (tell, told) = mpsc::channel();
    let (send, done) = mpsc::channel();
    let server = Server {
        told,
        done: send,
        act,
        is_halved,
    };
    (Bell { tell, done }, server)
}

/// A server on TCP.
fn tcp(act: Act, is_halved: bool) -> (Bell, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (bell, server) = bell(act, is_halved);
    thread::spawn(move || {
        let streams = listener.incoming().map(|stream| {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            Box::new(stream) as Box<dyn Stream + Send>
        });
        server.serve(streams);
    });
    (bell, format!("http://{addr}"))
}

/// Asks, has the server act while the thread is at work, and asks again.
async fn ask_twice(client: &Client, url: &str, bell: &Bell, act: Act) {
    let response = client.post(url).body("x").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "good");
    bell.work();
    let response = client.post(url).body("x").send().await;
    let response = response.unwrap_or_else(|error| panic!("{act:?}: {error}"));
    assert_eq!(response.text().await.unwrap(), "good", "{act:?}");
    let state = client.pool_state();
    assert_eq!((state.opened, state.reused, state.died), (2, 0, 1));
}

#[test]
fn a_connection_that_idles_in_the_pool_is_not_used_again() {
    for act in ACTS {
        run_each(|| async move {
            let (bell, url) = tcp(act, false);
            ask_twice(&Client::new(), &url, &bell, act).await;
        });
    }
}

#[test]
fn nor_is_one_of_a_proxy() {
    for act in ACTS {
        run_each(|| async move {
            let (bell, url) = tcp(act, false);
            let client = Client::builder().proxy(Proxy::http(&*url).unwrap());
            ask_twice(&client.build(), "http://a.test/", &bell, act).await;
        });
    }
}

#[test]
fn nor_is_one_of_a_unix_socket() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    for act in ACTS {
        run_each(|| async move {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("annulus-{}-{count}.sock", std::process::id());
            let path = std::env::temp_dir().join(name);
            let listener = UnixListener::bind(&path).unwrap();
            let (bell, server) = bell(act, false);
            thread::spawn(move || {
                let streams = listener.incoming();
                server.serve(streams.map(|stream| Box::new(stream.unwrap()) as _));
            });
            let client = Client::builder().unix(&path).build();
            ask_twice(&client, "http://a.test/", &bell, act).await;
            std::fs::remove_file(&path).unwrap();
        });
    }
}

#[test]
fn nor_is_one_that_is_handed_to_a_waiter() {
    for act in ACTS {
        run_each(|| async move {
            let (bell, url) = tcp(act, true);
            let client = Client::builder().connections_per_host_max(1).build();
            let post = || client.post(&*url).body("x").send();
            let first = post().await.unwrap();
            let waiter = spawn(post());
            while client.pool_state().waiting() == 0 {
                yield_now().await;
            }
            bell.tell.send(()).unwrap();
            assert_eq!(first.text().await.unwrap(), "good");
            assert_eq!(
                (client.pool_state().waiting(), waiter.is_finished()),
                (0, false)
            );
            // The connection is the waiter's, which has not run since.
            bell.work();
            let response = waiter.await.unwrap().unwrap();
            assert_eq!(response.text().await.unwrap(), "good", "{act:?}");
            let state = client.pool_state();
            assert_eq!((state.opened, state.reused, state.died), (2, 0, 1));
        });
    }
}
