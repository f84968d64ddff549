//! Out of descriptors while a server accepts.

use std::{
    cell::Cell,
    io::{self, Read as _, Write as _},
    net,
    os::fd::OwnedFd,
    rc::Rc,
    time::Duration,
};

use annulus::{
    DriverKind, Runtime, fs::File, net::TcpListener, net::TcpStream, spawn, stats, time,
};

use crate::{
    child::{child, descriptors, everything_works},
    limits::set_descriptors_max,
    support::echo,
};

/// Takes every descriptor that is left.
fn take_all() -> Vec<OwnedFd> {
    let mut taken = Vec::new();
    let null = std::fs::File::open("/dev/null").unwrap();
    loop {
        match null.try_clone() {
            Ok(file) => taken.push(file.into()),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                taken.push(null.into());
                return taken;
            }
        }
    }
}

fn goes_on(name: &str, driver: DriverKind, by_stream: bool) {
    const CLIENTS: usize = 12;
    child(name, &[], move || {
        set_descriptors_max(128);
        let before = descriptors();
        let runtime = Runtime::builder().driver(driver).build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let refused = Rc::new(Cell::new(0));
            let accepted = Rc::new(Cell::new(0));
            let server = spawn({
                let (refused, accepted) = (Rc::clone(&refused), Rc::clone(&accepted));
                async move {
                    let mut incoming = by_stream.then(|| listener.incoming());
                    loop {
                        let next = match &mut incoming {
                            Some(incoming) => {
                                futures_util::StreamExt::next(incoming).await.unwrap()
                            }
                            None => listener.accept().await.map(|(stream, _)| stream),
                        };
                        match next {
                            Ok(stream) => {
                                accepted.set(accepted.get() + 1);
                                spawn(echo(stream));
                            }
                            Err(error) => {
                                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                                refused.set(refused.get() + 1);
                            }
                        }
                    }
                }
            });
            // The kernel connects them; no task has accepted yet.
            let mut clients: Vec<net::TcpStream> = (0..CLIENTS)
                .map(|_| net::TcpStream::connect(addr).unwrap())
                .collect();
            let taken = take_all();
            let start = stats().driver;
            time::sleep(Duration::from_millis(350)).await;
            let end = stats().driver;
            assert!(refused.get() > 0, "the server was told");
            assert!(refused.get() <= 8, "{} errors in 0.35 s", refused.get());
            let enters = end.enters - start.enters;
            assert!(enters <= 60, "{enters} enters in 0.35 s");
            let attempts = end.attempts - start.attempts;
            assert!(attempts <= 60, "{attempts} attempts in 0.35 s");
            assert_eq!(accepted.get(), 0);
            // Other calls tell the same, and lose nothing.
            let error = TcpStream::connect(addr).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            let error = TcpListener::bind("127.0.0.1:0").await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            let error = File::open("Cargo.toml").await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            drop(taken);
            while accepted.get() < CLIENTS {
                time::sleep(Duration::from_millis(5)).await;
            }
            // Every one of them is served.
            for client in &mut clients {
                client.write_all(b"hello").unwrap();
            }
            let served = annulus::blocking::run(move || -> io::Result<()> {
                for client in &mut clients {
                    let mut answer = [0; 5];
                    client.read_exact(&mut answer)?;
                    assert_eq!(&answer, b"hello");
                }
                Ok(())
            });
            served.await.unwrap();
            everything_works().await;
            server.abort();
        });
        drop(runtime);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_server_goes_on_when_descriptors_return() {
    let name = "exhausted::a_server_goes_on_when_descriptors_return";
    goes_on(name, DriverKind::Auto, false);
}

#[test]
fn a_server_on_epoll_goes_on_when_descriptors_return() {
    let name = "exhausted::a_server_on_epoll_goes_on_when_descriptors_return";
    goes_on(name, DriverKind::Poll, false);
}

#[test]
fn a_stream_of_connections_goes_on_when_descriptors_return() {
    let name = "exhausted::a_stream_of_connections_goes_on_when_descriptors_return";
    goes_on(name, DriverKind::Auto, true);
}
