//! UDP sockets of Python and netcat, which exchange datagrams with ours.

use std::{
    net::{SocketAddr, UdpSocket as StdSocket},
    process::{Command, Stdio},
    thread,
};

use annulus::net::UdpSocket;

use crate::support::{pattern, run, skip::skip};

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
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
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
    let std = StdSocket::bind("127.0.0.1:0").unwrap();
    let addr = std.local_addr().unwrap();
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
