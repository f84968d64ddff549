//! Servers that do what they are told.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{BOUND, http::field};

/// A server whose connections are served by a function, each on a thread of its own.
pub(crate) struct Script {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// One connection of a scripted server.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    /// The number of the connection, from 0.
    pub(crate) index: usize,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(crate) fn new(serve: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let serve = Arc::new(serve);
        let (count, log) = (Arc::clone(&accepted), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(BOUND)).unwrap();
                let index = count.fetch_add(1, Ordering::SeqCst);
                let (serve, requests) = (Arc::clone(&serve), Arc::clone(&log));
                thread::spawn(move || {
                    serve(&mut Conn {
                        stream,
                        index,
                        requests,
                    });
                });
            }
        });
        Self {
            addr,
            accepted,
            requests,
        }
    }

    /// A server that answers every request on every connection with `answer`.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |conn| {
            while conn.request().is_some() {
                conn.send(&answer);
            }
        })
    }

    /// A server that answers one request on each connection with `answer`, and closes.
    pub(crate) fn answering_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |conn| {
            if conn.request().is_some() {
                conn.send(&answer);
                conn.finish();
            }
        })
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.addr)
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The requests so far, with their bodies where the framing tells them.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Conn {
    /// Reads the next request with its body; none when the client has closed.
    pub(crate) fn request(&mut self) -> Option<String> {
        let head = self.head()?;
        let mut text = head.clone();
        if let Some(length) = field(&head, "content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut body).ok()?;
            text.push_str(&String::from_utf8_lossy(&body));
        } else if field(&head, "transfer-encoding").is_some() {
            let body = self.through(b"\r\n0\r\n\r\n", text.into_bytes())?;
            text = String::from_utf8_lossy(&body).into_owned();
        }
        self.requests.lock().unwrap().push(text.clone());
        Some(text)
    }

    /// Reads the head of the next request.
    pub(crate) fn head(&mut self) -> Option<String> {
        let head = self.through(b"\r\n\r\n", Vec::new())?;
        Some(String::from_utf8(head).unwrap())
    }

    /// Reads until the bytes end with `end`, and nothing after that.
    fn through(&mut self, end: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let mut next = [0; 4096];
        loop {
            let count = self.stream.peek(&mut next).ok()?;
            let begun = bytes.len();
            for &byte in &next[..count] {
                bytes.push(byte);
                if bytes.ends_with(end) {
                    break;
                }
            }
            let taken = bytes.len() - begun;
            self.stream.read_exact(&mut next[..taken]).ok()?;
            if taken == 0 || bytes.ends_with(end) {
                return (taken > 0).then_some(bytes);
            }
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            _ => None,
        }
    }

    /// Sends bytes; a client that has gone is not this server's business.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Ends the sending direction, and reads until the client has closed.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.wait_close();
    }

    /// Reads until the client has closed.
    pub(crate) fn wait_close(&mut self) {
        while self.byte().is_some() {}
    }
}
