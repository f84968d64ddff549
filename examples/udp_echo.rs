//! Sends each datagram back to its sender.
//!
//! ```text
//! cargo run --release --example udp_echo    # then, elsewhere: nc -u 127.0.0.1 7000
//! ```
//!
//! A port may be given as the argument.

use annulus::net::UdpSocket;

#[path = "shared/plain.rs"]
mod plain;
#[path = "shared/port.rs"]
mod port;

fn main() -> plain::Result {
    let port = port::argument("udp_echo", 7000);
    annulus::run(async {
        let socket = UdpSocket::bind(format!("127.0.0.1:{port}")).await?;
        plain::say(format_args!("bound to {}", socket.local_addr()?));
        loop {
            let (datagram, from) = socket.recv_from().await?;
            if datagram.is_truncated() {
                let len = datagram.sent_len();
                plain::note(format_args!("{from}: {len} bytes are too many\n"));
            } else if let Err(error) = socket.send_to(datagram, from).await {
                plain::note(format_args!("{from}: {error}\n"));
            }
        }
    })
}
