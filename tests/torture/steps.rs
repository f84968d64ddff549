//! The steps, each inside of a runtime.

use std::{
    future::{Future as _, pending, poll_fn},
    io,
    net::Shutdown,
    os::unix::net::UnixStream as StdUnixStream,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use annulus::{
    ManagedBuf, blocking,
    buf::{IoBuf, IoBufMut, IoVectored},
    fs::{File, OpenOptions},
    net::{TcpListener, TcpStream, UnixStream},
    signal::{self, SignalKind},
    spawn,
    task::yield_now,
    time,
};

use crate::{
    bombs::{self, BombBuf},
    forks,
    world::{Call, World},
};

const BYTES_MAX: usize = 100_000;

/// A stream of either kind.
#[derive(Clone)]
enum Stream {
    Tcp(Rc<TcpStream>),
    Unix(Rc<UnixStream>),
}

macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
        }
    };
}

impl Stream {
    async fn recv(&self) -> io::Result<ManagedBuf> {
        each!(self, stream => stream.recv().await)
    }

    async fn read(&self, buf: impl IoBufMut, appends: bool) {
        match appends {
            true => drop(each!(self, stream => stream.read_append(buf).await)),
            false => drop(each!(self, stream => stream.read(buf).await)),
        }
    }

    async fn write(&self, buf: impl IoBuf, all: bool) {
        match all {
            true => drop(each!(self, stream => stream.write_all(buf).await)),
            false => drop(each!(self, stream => stream.write(buf).await)),
        }
    }

    async fn write_vectored(&self, bufs: impl IoVectored, all: bool) {
        match all {
            true => drop(each!(self, stream => stream.write_all_vectored(bufs).await)),
            false => drop(each!(self, stream => stream.write_vectored(bufs).await)),
        }
    }
}

/// Whether a runtime does what it should.
pub(crate) async fn works() {
    let (near, far) = UnixStream::pair().unwrap();
    let bytes: Vec<u8> = (0..20_000).map(|index| (index % 251) as u8).collect();
    let echo = spawn(async move {
        // A planned panic may end the other side at any time.
        while let Ok(piece) = far.recv().await {
            if piece.is_empty() || far.write_all(piece).await.is_err() {
                return;
            }
        }
    });
    let sent = near.write_all(bytes).await.unwrap();
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let piece = near.recv().await.unwrap();
        assert!(!piece.is_empty(), "the stream ended");
        received.extend_from_slice(&piece);
    }
    assert!(received == sent, "other bytes came than were sent");
    drop(near);
    echo.await.unwrap();
}

fn any_stream(world: &World) -> Option<Stream> {
    let tcp = world.tcp.look(&world.random).map(Stream::Tcp);
    let unix = world.unix.look(&world.random).map(Stream::Unix);
    if world.one_in(2) {
        tcp.or(unix)
    } else {
        unix.or(tcp)
    }
}

fn keep_tcp(world: &World, stream: TcpStream) {
    let other = world.tcp.put(Rc::new(stream), 8, &world.random);
    bombs::defused(|| drop(other));
}

fn keep_unix(world: &World, stream: UnixStream) {
    let other = world.unix.put(Rc::new(stream), 8, &world.random);
    bombs::defused(|| drop(other));
}

fn make_streams(world: &World) {
    match world.below(4) {
        0 => {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (far, _) = listener.accept().unwrap();
            keep_tcp(world, TcpStream::from_std(near).unwrap());
            keep_tcp(world, TcpStream::from_std(far).unwrap());
        }
        1 => {
            let (near, far) = UnixStream::pair().unwrap();
            keep_unix(world, near);
            keep_unix(world, far);
        }
        2 => {
            // One that has sent something and is gone.
            let (near, mut far) = StdUnixStream::pair().unwrap();
            io::Write::write_all(&mut far, &[1; 5000]).unwrap();
            keep_unix(world, UnixStream::from_std(near).unwrap());
        }
        _ => {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let listener = Rc::new(TcpListener::from_std(listener).unwrap());
            let other = world.listeners.put((listener, addr), 3, &world.random);
            bombs::defused(|| drop(other));
        }
    }
}

fn bytes(world: &World) -> Vec<u8> {
    let mut random = world.random.borrow_mut();
    let len = random.len(BYTES_MAX);
    match random.below(4) {
        0 => random.bytes(len.min(1000)),
        _ => vec![b'x'; len],
    }
}

fn room(world: &World) -> Vec<u8> {
    let len = world.random.borrow_mut().len(BYTES_MAX);
    Vec::with_capacity(len)
}

/// A call of a stream.
fn stream_call(world: &Rc<World>) -> Option<Call> {
    let stream = any_stream(world)?;
    let all = world.one_in(2);
    let world = Rc::clone(world);
    Some(match world.below(12) {
        0 | 1 => Box::pin(async move {
            if let Ok(bytes) = stream.recv().await {
                let other = world.received.put(bytes, 30, &world.random);
                drop(other);
            }
        }),
        2 => {
            let buf = room(&world);
            Box::pin(async move { stream.read(buf, all).await })
        }
        3 => {
            let buf = BombBuf(room(&world));
            Box::pin(async move { stream.read(buf, all).await })
        }
        4 | 5 => {
            let buf = bytes(&world);
            Box::pin(async move { stream.write(buf, all).await })
        }
        6 => {
            let buf = BombBuf(bytes(&world));
            Box::pin(async move { stream.write(buf, all).await })
        }
        7 => {
            let bufs = vec![bytes(&world), bytes(&world)];
            Box::pin(async move { stream.write_vectored(bufs, all).await })
        }
        8 => {
            let bytes = world.received.take(&world.random)?;
            Box::pin(async move { stream.write(bytes, all).await })
        }
        9 => Box::pin(async move { drop(each!(&stream, stream => stream.closed().await)) }),
        10 => Box::pin(async move { drop(each!(&stream, stream => stream.flush().await)) }),
        _ => Box::pin(async move {
            let how = if all { Shutdown::Write } else { Shutdown::Both };
            drop(each!(&stream, stream => stream.shutdown(how).await));
        }),
    })
}

/// A call of something else.
fn other_call(world: &Rc<World>) -> Option<Call> {
    let world = Rc::clone(world);
    Some(match world.below(8) {
        0 => {
            let (listener, _) = world.listeners.look(&world.random)?;
            Box::pin(async move {
                if let Ok((stream, _)) = listener.accept().await {
                    keep_tcp(&world, stream);
                }
            })
        }
        1 => {
            let (_, addr) = world.listeners.look(&world.random)?;
            Box::pin(async move {
                if let Ok(stream) = TcpStream::connect(addr).await {
                    keep_tcp(&world, stream);
                }
            })
        }
        2 => {
            let stream = Rc::try_unwrap(world.tcp.take(&world.random)?).ok()?;
            Box::pin(async move {
                if let Ok(detached) = stream.detach().await {
                    let other = world.detached.put(detached, 2, &world.random);
                    drop(other);
                }
            })
        }
        3 => {
            let path = world.folder.join(world.below(3).to_string());
            Box::pin(async move {
                let mut options = OpenOptions::new();
                options = options.read(true).write(true).create(true);
                if let Ok(file) = options.open(path).await {
                    let other = world.files.put(Rc::new(file), 4, &world.random);
                    drop(other);
                }
            })
        }
        4 => {
            let file = world.files.look(&world.random)?;
            let (buf, offset) = (bytes(&world), world.below(BYTES_MAX) as u64);
            Box::pin(async move { file_call(&world, &file, buf, offset).await })
        }
        5 => {
            let file = Rc::try_unwrap(world.files.take(&world.random)?).ok()?;
            Box::pin(async move { drop(file.close().await) })
        }
        6 => Box::pin(async move {
            if let Ok(mut signals) = signal::stream(SignalKind::user2()) {
                drop(signals.recv().await);
            }
        }),
        _ => {
            let value = bytes(&world);
            let mut call = Box::pin(blocking::run(move || value.len()));
            let process = std::process::id();
            Box::pin(poll_fn(move |context| {
                // In a child it would be a panic.
                if std::process::id() == process {
                    return call
                        .as_mut()
                        .poll(context)
                        .map(|len| assert!(len <= BYTES_MAX));
                }
                Poll::Ready(())
            }))
        }
    })
}

async fn file_call(world: &World, file: &File, buf: Vec<u8>, offset: u64) {
    match world.below(4) {
        0 => drop(file.read_at(BombBuf(room(world)), offset).await),
        1 => drop(file.read_at(room(world), offset).await),
        2 => drop(file.write_all_at(BombBuf(buf), offset).await),
        _ => drop(file.sync_all().await),
    }
}

/// Polls a call once, with a waker of some kind.
fn begin(world: &World, mut call: Call, task: &Waker) {
    let bomb = bombs::waker();
    let waker = match world.below(8) {
        0 => &bomb,
        1..4 => task,
        _ => Waker::noop(),
    };
    let mut context = Context::from_waker(waker);
    match bombs::defused(|| call.as_mut().poll(&mut context)) {
        Some(Poll::Pending) => world.keep_call(call),
        Some(Poll::Ready(())) | None => {
            bombs::defused(|| drop(call));
        }
    }
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A future that does things when it is dropped.
fn havoc(world: &Rc<World>) -> Call {
    let inner = Rc::clone(world);
    let spawns_itself = world.one_in(3);
    let on_drop = OnDrop(move || {
        inner.poll_call(Waker::noop());
        let call = inner.calls.take(&inner.random);
        bombs::defused(|| drop(call));
        if inner.one_in(2) {
            make_streams_quietly(&inner);
        }
        if spawns_itself {
            drop(spawn(havoc(&inner)));
        }
        if inner.one_in(4) {
            bombs::panic();
        }
    });
    Box::pin(async move {
        let _on_drop = on_drop;
        pending::<()>().await;
    })
}

fn make_streams_quietly(world: &World) {
    if let Ok((near, far)) = UnixStream::pair() {
        keep_unix(world, near);
        keep_unix(world, far);
    }
}

/// One step.
pub(crate) async fn step(world: &Rc<World>) {
    world.count_step();
    let task = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
    match world.below(40) {
        0..3 => make_streams(world),
        3..14 => {
            if let Some(call) = stream_call(world) {
                begin(world, call, &task);
            }
        }
        14..18 => {
            if let Some(call) = other_call(world) {
                begin(world, call, &task);
            }
        }
        18..22 => world.poll_call(&task),
        22..24 => {
            let call = world.calls.take(&world.random);
            bombs::defused(|| drop(call));
        }
        24 => {
            if world.one_in(4) {
                std::mem::forget(world.calls.take(&world.random));
            }
        }
        25 => {
            let stream = (
                world.tcp.take(&world.random),
                world.unix.take(&world.random),
            );
            bombs::defused(|| drop(stream));
        }
        26 => drop(world.received.take(&world.random)),
        27 => time::sleep(Duration::from_micros(world.below(300) as u64)).await,
        28 => yield_now().await,
        29 | 30 => spawn_task(world),
        31 => {
            if let Some(task) = world.tasks.take(&world.random) {
                if world.one_in(2) {
                    task.abort();
                }
                bombs::defused(|| drop(task));
            }
        }
        32 => {
            let task = spawn(havoc(world));
            let other = world.tasks.put(task, 20, &world.random);
            bombs::defused(|| drop(other));
        }
        33 => {
            if world.one_in(4) {
                let runtime = world.make_runtime();
                let other = world.runtimes.put(runtime, 3, &world.random);
                bombs::defused(|| drop(other));
            }
        }
        34 => {
            if world.one_in(3) {
                // It ends inside of this one.
                let runtime = world.runtimes.take(&world.random);
                bombs::defused(|| drop(runtime));
            }
        }
        35 => {
            if let Some(detached) = world.detached.take(&world.random) {
                if let Ok(stream) = detached.attach() {
                    keep_tcp(world, stream);
                }
            }
        }
        36 => try_both(world),
        37 => {
            if world.one_in(30) {
                let inner = Rc::clone(world);
                forks::fork(move || inner.drop_some());
            }
        }
        38 => {
            if world.one_in(100) {
                bombs::panic();
            }
        }
        _ => works_within(world).await,
    }
}

async fn works_within(world: &World) {
    if world.one_in(10) {
        works().await;
    }
}

fn try_both(world: &World) {
    let Some(stream) = any_stream(world) else {
        return;
    };
    let buf = bytes(world);
    let _ = each!(&stream, stream => stream.try_write(&buf));
    if let Ok(bytes) = each!(&stream, stream => stream.try_recv()) {
        let other = world.received.put(bytes, 30, &world.random);
        drop(other);
    }
}

/// Spawns a task that makes a call, for some time.
fn spawn_task(world: &Rc<World>) {
    let call = if world.one_in(2) {
        stream_call(world)
    } else {
        other_call(world)
    };
    let Some(call) = call else { return };
    let limit = Duration::from_micros(world.below(2000) as u64);
    let timed: Call = Box::pin(async move {
        let _ = time::timeout(limit, call).await;
    });
    let task = spawn(timed);
    let other = world.tasks.put(task, 20, &world.random);
    bombs::defused(|| drop(other));
}
