//! UDP sockets and those of others: std's, other programs', and the runtime beside.

use std::{
    io,
    net::{SocketAddr, UdpSocket as StdSocket},
    os::fd::{AsFd as _, AsRawFd as _},
    process::{Command, Stdio},
    task::Poll,
    thread,
    time::Duration,
};

use annulus::{
    Runtime,
    net::{Datagram, UdpSocket},
};

use crate::support::{counted::Counted, guarded, pattern, poll_once, run, settle, skip::skip};

async fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

fn std_socket() -> (StdSocket, SocketAddr) {
    let socket = StdSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

#[test]
fn a_socket_goes_to_std_and_back_with_what_it_had_received() {
    run(async {
        let (std, addr) = std_socket();
        let socket = UdpSocket::from_std(std).unwrap();
        assert_eq!(socket.as_fd().as_raw_fd(), socket.as_raw_fd());
        let mut recv = Box::pin(socket.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        for number in 0..10 {
            socket.send_to(vec![number], addr).await.unwrap();
        }
        settle().await;
        drop(recv);
        let (std, received) = socket.into_std().await.unwrap();
        let mut numbers: Vec<u8> = received
            .iter()
            .map(|datagram: &Datagram| datagram[0])
            .collect();
        std.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        while numbers.len() < 10 {
            let mut byte = [0];
            assert_eq!(std.recv(&mut byte).unwrap(), 1);
            numbers.extend(byte);
        }
        assert_eq!(numbers, (0..10).collect::<Vec<u8>>());
        let socket = UdpSocket::from_std(std).unwrap();
        socket.send_to("again", addr).await.unwrap();
        assert_eq!(&*socket.recv().await.unwrap(), b"again");
    });
}

fn says_so<T>(result: io::Result<T>) {
    let Err(error) = result else {
        panic!("it belongs to another runtime");
    };
    let text = error.to_string();
    assert!(
        text.contains("belongs to another annulus runtime"),
        "{text}"
    );
}

#[test]
fn in_another_runtime_and_after_the_end_of_its_own_each_call_says_so() {
    let own = Runtime::new().unwrap();
    let (socket, addr) = own.block_on(bind());
    let elsewhere = async || {
        let counted = Counted::new();
        says_so(socket.recv().await);
        says_so(socket.recv_from().await);
        says_so(socket.try_recv());
        says_so(socket.read_from(vec![0; 9]).await.map_err(io::Error::from));
        says_so(socket.send_to("x", addr).await.map_err(io::Error::from));
        says_so(socket.try_send_to(b"x", addr));
        says_so(socket.connect(addr).await);
        let Poll::Ready(polled) = socket.poll_recv_from(&mut counted.context()) else {
            panic!("it never waits");
        };
        says_so(polled);
        let Poll::Ready(polled) = socket.poll_send_to(&mut counted.context(), b"x", addr) else {
            panic!("it never waits");
        };
        says_so(polled);
    };
    let mut begun = Box::pin(socket.recv());
    own.block_on(async { assert!(poll_once(&mut begun).await.is_pending()) });
    let other = Runtime::new().unwrap();
    other.block_on(guarded(async { says_so(begun.await) }));
    other.block_on(guarded(elsewhere()));
    drop(own);
    other.block_on(guarded(elsewhere()));
    other.block_on(guarded(async { says_so(socket.into_std().await) }));
    let outside = std_socket().0;
    assert!(UdpSocket::from_std(outside).is_err());
}

/// Runs a program of another make that answers datagrams at the port that it prints.
fn foreign(command: &mut Command) -> Option<std::process::Child> {
    match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            skip(&format!(
                "{:?} cannot be run: {error}",
                command.get_program()
            ));
            None
        }
    }
}

#[test]
fn pythons_sockets_understand_ours() {
    use std::io::{BufRead as _, BufReader};
    const ECHO: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 0))
print(s.getsockname()[1], flush=True)
while True:
    data, peer = s.recvfrom(65535)
    s.sendto(data[::-1], peer)
    if data == b'end': break
";
    let Some(mut python) = foreign(Command::new("python3").args(["-c", ECHO])) else {
        return;
    };
    let mut line = String::new();
    let mut stdout = BufReader::new(python.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap()));
    run(async {
        let (socket, _) = bind().await;
        socket.set_datagram_bytes_max(65_507);
        for len in [0, 1, 64, 1472, 20_000, 65_507] {
            let sent = socket.send_to(pattern(len), addr).await.unwrap();
            let (datagram, from) = socket.recv_from().await.unwrap();
            assert!(
                from == addr && datagram.iter().eq(sent.iter().rev()),
                "{len}"
            );
        }
        socket.send_to("end", addr).await.unwrap();
        assert_eq!(&*socket.recv().await.unwrap(), b"dne");
    });
    assert!(python.wait().unwrap().success());
}

#[test]
fn netcat_understands_ours() {
    use std::io::Write as _;
    let (std, addr) = std_socket();
    let port = addr.port().to_string();
    let mut command = Command::new("nc");
    command
        .args(["-u", "-w", "60", "127.0.0.1", &port])
        .stdin(Stdio::piped());
    let mut netcat = match command.stdout(Stdio::piped()).spawn() {
        Ok(netcat) => netcat,
        Err(error) => return skip(&format!("netcat cannot be run: {error}")),
    };
    let mut stdin = netcat.stdin.take().unwrap();
    let mut stdout = netcat.stdout.take().unwrap();
    let writer = thread::spawn(move || {
        stdin.write_all(b"hello\n").unwrap();
        stdin
    });
    run(async {
        let socket = UdpSocket::from_std(std).unwrap();
        let (datagram, from) = socket.recv_from().await.unwrap();
        assert_eq!(&*datagram, b"hello\n");
        socket.send_to("and back\n", from).await.unwrap();
    });
    let mut answer = [0; 9];
    std::io::Read::read_exact(&mut stdout, &mut answer).unwrap();
    assert_eq!(&answer, b"and back\n");
    drop(writer.join().unwrap());
    netcat.kill().unwrap();
    netcat.wait().unwrap();
}
