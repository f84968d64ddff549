//! Handlers whose client leaves, by real sockets.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::Shutdown,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use annulus::{
    http::{self, BodyWriter, Connection, Handler, Request, Response},
    net::{TcpListener, TcpStream},
    spawn,
    sync::{Notify, oneshot},
    task, time,
};
use futures_util::StreamExt as _;

use crate::support::BOUND;

/// Tells when it is dropped.
struct Told(Option<oneshot::Sender<()>>);

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            let _ = tell.send(());
        }
    }
}

/// A handler's value that tells when it is dropped, and what is told.
fn told() -> (Rc<RefCell<Option<Told>>>, oneshot::Receiver<()>) {
    let (tell, dropped) = oneshot::channel();
    (Rc::new(RefCell::new(Some(Told(Some(tell))))), dropped)
}

/// The client's end of a connection that `handler` serves.
async fn client_of(handler: impl Handler) -> (TcpStream, task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let client = TcpStream::connect(addr).await.unwrap();
    let (served, _) = listener.accept().await.unwrap();
    (client, spawn(Connection::new().serve(served, handler)))
}

async fn send(client: &TcpStream, request: &'static str) {
    client.write_all(request).await.unwrap();
}

fn reset(client: TcpStream) {
    client.set_linger(Some(Duration::ZERO)).unwrap();
}

async fn soon<F: Future>(future: F) -> F::Output {
    time::timeout(BOUND, future).await.expect("it comes")
}

async fn until_end(client: &TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let more = soon(client.recv()).await.unwrap();
        if more.is_empty() {
            return String::from_utf8(bytes).unwrap();
        }
        bytes.extend_from_slice(&more);
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// A handler that says when it runs, and then waits for ever.
fn waits(
    running: &Rc<Notify>,
    told: &Rc<RefCell<Option<Told>>>,
    before: impl Fn(&Request) + 'static,
) -> impl Handler {
    let (running, told) = (Rc::clone(running), Rc::clone(told));
    async move |request: Request| {
        let _told = told.take();
        before(&request);
        running.notify_one();
        std::future::pending::<Response>().await
    }
}

#[test]
fn a_reset_drops_the_handler() {
    annulus::run(async {
        let (value, dropped) = told();
        let running = Rc::new(Notify::new());
        let (client, served) = client_of(waits(&running, &value, |_| {})).await;
        send(&client, GET).await;
        soon(running.notified()).await;
        reset(client);
        soon(dropped).await.unwrap();
        soon(served).await.unwrap();
    });
}

/// The reset races with the data and with the start of the receive, which not every kernel reports.
#[test]
fn uploads_that_are_reset_at_once_end_their_handlers() {
    const UPLOADS: usize = 400;
    const START: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nstart";
    annulus::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = std::thread::spawn(move || {
            annulus::run(async move {
                for _ in 0..UPLOADS {
                    let client = TcpStream::connect(addr).await.unwrap();
                    send(&client, START).await;
                    reset(client);
                }
            });
        });
        let complete = Rc::new(Cell::new(false));
        let mut connections = task::JoinSet::new();
        for _ in 0..UPLOADS {
            let (served, _) = soon(listener.accept()).await.unwrap();
            let complete = Rc::clone(&complete);
            let handler = async move |mut request: Request| {
                let mut body = request.take_body();
                while body.next().await?.is_some() {}
                complete.set(true);
                http::Result::<Response>::Ok(Response::text("complete"))
            };
            connections.spawn(Connection::new().serve(served, handler));
        }
        while let Some(ended) = soon(connections.join_next()).await {
            ended.unwrap();
        }
        assert!(!complete.get(), "no upload was complete");
        clients.join().unwrap();
    });
}

#[test]
fn a_closed_side_drops_the_handler_that_asked_for_it() {
    annulus::run(async {
        let (value, dropped) = told();
        let running = Rc::new(Notify::new());
        let handler = waits(&running, &value, Request::stop_on_half_close);
        let (client, _served) = client_of(handler).await;
        send(&client, GET).await;
        soon(running.notified()).await;
        client.shutdown(Shutdown::Write).await.unwrap();
        soon(dropped).await.unwrap();
    });
}

#[test]
fn a_closed_side_alone_leaves_the_handler_to_answer() {
    annulus::run(async {
        let gate = Rc::new(Notify::new());
        let (opened, running) = (Rc::clone(&gate), Rc::new(Notify::new()));
        let runs = Rc::clone(&running);
        let (client, _served) = client_of(async move |_: Request| {
            runs.notify_one();
            opened.notified().await;
            "late"
        })
        .await;
        send(&client, GET).await;
        client.shutdown(Shutdown::Write).await.unwrap();
        soon(running.notified()).await;
        for _ in 0..100 {
            task::yield_now().await;
        }
        gate.notify_one();
        assert!(until_end(&client).await.ends_with("\r\n\r\nlate"));
    });
}

#[test]
fn a_closed_side_drops_a_writer_without_an_end() {
    annulus::run(async {
        let (value, dropped) = told();
        let (client, _served) = client_of(async move |_: Request| {
            let told = value.take();
            Response::writer(async move |mut out: BodyWriter| {
                let _told = told;
                out.write("first").await?;
                std::future::pending().await
            })
        })
        .await;
        send(&client, GET).await;
        assert!(!soon(client.recv()).await.unwrap().is_empty());
        client.shutdown(Shutdown::Write).await.unwrap();
        soon(dropped).await.unwrap();
    });
}

#[test]
fn a_handler_that_keeps_running_is_not_dropped() {
    annulus::run(async {
        let (value, mut dropped) = told();
        let (gate, running) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (opened, runs) = (Rc::clone(&gate), Rc::clone(&running));
        let (done, finished) = oneshot::channel();
        let done = RefCell::new(Some(done));
        let (client, served) = client_of(async move |request: Request| {
            let _told = value.take();
            request.keep_running();
            runs.notify_one();
            opened.notified().await;
            done.take().unwrap().send(()).unwrap();
            "an answer without a client"
        })
        .await;
        send(&client, GET).await;
        soon(running.notified()).await;
        reset(client);
        for _ in 0..100 {
            task::yield_now().await;
        }
        assert!(dropped.try_recv().is_err());
        gate.notify_one();
        soon(finished).await.unwrap();
        soon(served).await.unwrap();
    });
}

#[test]
fn a_request_behind_one_that_keeps_running_ends_with_the_connection() {
    annulus::run(async {
        for is_streamed in [false, true] {
            let (gate, running) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
            let (opened, runs) = (Rc::clone(&gate), Rc::clone(&running));
            let paths: Rc<RefCell<Vec<String>>> = Rc::default();
            let seen = Rc::clone(&paths);
            let (client, served) = client_of(async move |request: Request| {
                seen.borrow_mut().push(request.path().to_owned());
                request.keep_running();
                let (opened, runs) = (Rc::clone(&opened), Rc::clone(&runs));
                if is_streamed {
                    return Response::writer(async move |mut out: BodyWriter| {
                        runs.notify_one();
                        opened.notified().await;
                        out.write("an answer without a client").await
                    });
                }
                runs.notify_one();
                opened.notified().await;
                Response::text("an answer without a client")
            })
            .await;
            let requests = "GET /first HTTP/1.1\r\nHost: t\r\n\r\n\
                            GET /second HTTP/1.1\r\nHost: t\r\n\r\n";
            send(&client, requests).await;
            soon(running.notified()).await;
            reset(client);
            // The reset is here once the kernel tells this end of it.
            for _ in 0..100 {
                task::yield_now().await;
            }
            gate.notify_one();
            soon(served).await.unwrap();
            assert_eq!(*paths.borrow(), ["/first"]);
        }
    });
}

#[test]
fn a_body_that_another_task_pulls_arrives_while_the_handler_waits_for_that_task() {
    annulus::run(async {
        let (client, _served) = client_of(async |mut request: Request| -> http::Result<String> {
            let mut body = request.take_body();
            let puller = spawn(async move {
                let mut sum = 0;
                while let Some(piece) = body.next().await.unwrap() {
                    sum += piece.len();
                }
                sum
            });
            Ok(format!("{} bytes", puller.await.unwrap()))
        })
        .await;
        send(
            &client,
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
        )
        .await;
        for piece in ["one", "two", "six"] {
            for _ in 0..20 {
                task::yield_now().await;
            }
            send(&client, piece).await;
        }
        assert!(until_end(&client).await.ends_with("\r\n\r\n9 bytes"));
    });
}

/// The part of an answer in two pieces that reaches a client which closes its side after its
/// request.
async fn after_half_close(request: &'static str, promise: Option<u64>) -> std::io::Result<Vec<u8>> {
    after_half_close_of(request, promise, |_| (), |response, _| response).await
}

/// The same, where the handler says what becomes of it, and gives its answer another form.
async fn after_half_close_of(
    request: &'static str,
    promise: Option<u64>,
    prepare: fn(&Request),
    recode: fn(Response, &Request) -> Response,
) -> std::io::Result<Vec<u8>> {
    let (go, running) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
    let (gone, begun) = (Rc::clone(&go), Rc::clone(&running));
    let (client, _served) = client_of(async move |request: Request| {
        prepare(&request);
        let (go, running) = (Rc::clone(&gone), Rc::clone(&begun));
        let response = Response::writer(async move |mut out: BodyWriter| {
            out.write("one").await?;
            out.flush().await?;
            running.notify_one();
            go.notified().await;
            out.write("two").await
        });
        let response = match promise {
            Some(len) => response.with_field(http::header::CONTENT_LENGTH, len.into()),
            None => response,
        };
        recode(response, &request)
    })
    .await;
    send(&client, request).await;
    soon(running.notified()).await;
    client.shutdown(Shutdown::Write).await.unwrap();
    if promise.is_some() {
        // Enough turns for a close to be seen.
        let (near, far) = annulus::net::UnixStream::pair().unwrap();
        for _ in 0..10 {
            far.write_all("ping").await.unwrap();
            near.recv().await.unwrap();
        }
        // Without a ring those are all done at once, and it is the yields that end a turn.
        for _ in 0..100 {
            task::yield_now().await;
        }
        go.notify_one();
    }
    let mut bytes = Vec::new();
    loop {
        let more = soon(client.recv()).await?;
        if more.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&more);
    }
}

#[test]
fn a_closed_side_alone_leaves_a_writer_that_promised_its_length() {
    annulus::run(async {
        let answer = after_half_close(GET, Some(6)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nonetwo"), "{answer}");
    });
}

#[cfg(feature = "compress")]
#[test]
fn a_compressed_answer_of_promised_length_is_left_as_its_handler_says() {
    const GZIP: &str = "GET / HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n";
    let compress = |response: Response, request: &Request| {
        let name = http::header::CONTENT_TYPE;
        let response = response.with_field(name, http::HeaderValue::from_static("text/plain"));
        response.compressed(request)
    };
    annulus::run(async {
        // It has an end, as it would have in its own length.
        let whole = after_half_close_of(GZIP, Some(6), |_| (), compress).await;
        assert!(whole.unwrap().ends_with(b"\r\n0\r\n\r\n"));
        let whole = after_half_close_of(GZIP, Some(6), Request::keep_running, compress).await;
        assert!(whole.unwrap().ends_with(b"\r\n0\r\n\r\n"));
        let left = after_half_close_of(GZIP, Some(6), Request::stop_on_half_close, compress).await;
        assert!(left.map_or(true, |bytes| !bytes.ends_with(b"\r\n0\r\n\r\n")));
    });
}

#[test]
fn an_answer_until_the_close_that_is_left_is_reset() {
    annulus::run(async {
        let answer = after_half_close("GET / HTTP/1.0\r\n\r\n", None).await;
        let error = answer.expect_err("half an answer does not look whole");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_writer_whose_body_breaks_after_a_continue_does_not_answer_twice() {
    annulus::run(async {
        let (client, _served) = client_of(async |mut request: Request| {
            let mut body = request.take_body();
            Response::writer(async move |mut out: BodyWriter| {
                while let Some(piece) = body.next().await? {
                    out.write(piece.to_vec()).await?;
                }
                Ok(())
            })
        })
        .await;
        let head = "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        send(&client, head).await;
        let mut answer = String::new();
        while !answer.contains("200 OK") {
            let more = soon(client.recv()).await.unwrap();
            answer.push_str(std::str::from_utf8(&more).unwrap());
        }
        send(&client, "broken\r\n").await;
        answer.push_str(&until_end(&client).await);
        assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "));
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
    });
}

#[test]
fn a_body_dropped_as_a_stream_that_waits_leaves_the_client_to_be_watched() {
    annulus::run(async {
        let (value, dropped) = told();
        let running = Rc::new(Notify::new());
        let runs = Rc::clone(&running);
        let (client, _served) = client_of(async move |mut request: Request| {
            let _told = value.take();
            let mut body = request.take_body();
            let first = body.next().await.unwrap().unwrap();
            assert_eq!(&*first, b"half");
            let waits = poll_fn(|context| Poll::Ready(body.poll_next_unpin(context).is_pending()));
            assert!(waits.await);
            drop(body);
            runs.notify_one();
            std::future::pending::<Response>().await
        })
        .await;
        send(
            &client,
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf",
        )
        .await;
        soon(running.notified()).await;
        reset(client);
        soon(dropped).await.unwrap();
    });
}
