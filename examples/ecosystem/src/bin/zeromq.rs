//! Asks a service for squares, and subscribes to what it tells of its work, over ZeroMQ.
//!
//! ```text
//! $ cargo run --features zeromq --bin zeromq
//! 1 squared is 1
//! 2 squared is 4
//! 3 squared is 9
//! told: the service has answered 3 questions
//! ```
//!
//! Service and client are tasks of one thread here; over TCP they may be two programs.

use std::io;

use annulus::spawn;
use ecosystem::zeromq::Socket;
use zmq::{Context, PUB, REP, REQ, SUB};

fn main() -> io::Result<()> {
    let context = Context::new();
    annulus::run(async {
        let answering = context.socket(REP)?;
        answering.bind("inproc://squares")?;
        let telling = context.socket(PUB)?;
        telling.bind("inproc://work")?;
        let service = spawn(serve(Socket::new(answering)?, Socket::new(telling)?));

        let hearing = context.socket(SUB)?;
        hearing.connect("inproc://work")?;
        hearing.set_subscribe(b"told: ")?;
        let hearing = Socket::new(hearing)?;
        let asking = context.socket(REQ)?;
        asking.connect("inproc://squares")?;
        let asking = Socket::new(asking)?;
        for number in 1..=3 {
            asking.send(number.to_string()).await?;
            println!("{number} squared is {}", text(&asking.recv().await?));
        }
        asking.send("enough").await?;
        println!("{}", text(&hearing.recv().await?));
        service.await.map_err(io::Error::other)?
    })
}

/// Answers until a message is no number.
async fn serve(answering: Socket, telling: Socket) -> io::Result<()> {
    let mut count = 0;
    while let Ok(number) = text(&answering.recv().await?).parse::<u64>() {
        let square = number.saturating_mul(number);
        answering.send(square.to_string()).await?;
        count += 1;
    }
    let told = format!("told: the service has answered {count} questions");
    telling.send(told).await
}

fn text(message: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(message)
}
