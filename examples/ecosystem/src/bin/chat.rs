//! The chat server of docs/from_tokio.md, moved to annulus: `nc 127.0.0.1 7000`, and the first line
//! is the name.

use std::{env, io};

use annulus::{
    io::Reader,
    net::{TcpListener, TcpStream},
    signal,
};
use tokio::sync::broadcast;

type Room = broadcast::Sender<String>;

/// The longest line that a member may send.
const LINE_BYTES_MAX: usize = 1024;

fn main() -> io::Result<()> {
    annulus::run(serve())
}

async fn serve() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7000".into());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    let room = Room::new(64);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _peer) = accepted?;
                let room = room.clone();
                annulus::spawn(async move {
                    if let Err(error) = member(stream, room).await {
                        eprintln!("{error}");
                    }
                });
            }
            stopped = signal::ctrl_c() => return stopped,
        }
    }
}

async fn member(stream: TcpStream, room: Room) -> io::Result<()> {
    let mut reader = Reader::new(&stream);
    let Some(name) = reader.read_line(LINE_BYTES_MAX).await? else {
        return Ok(());
    };
    let mut heard = room.subscribe();
    let _ = room.send(format!("{name} is here\n"));
    loop {
        tokio::select! {
            line = reader.read_line(LINE_BYTES_MAX) => match line? {
                Some(line) => {
                    let _ = room.send(format!("{name}: {line}\n"));
                }
                None => break,
            },
            said = heard.recv() => match said {
                Ok(said) => drop(stream.write_all(said).await?),
                Err(_) => drop(stream.write_all("(you missed some)\n").await?),
            },
        }
    }
    let _ = room.send(format!("{name} has left\n"));
    Ok(())
}
