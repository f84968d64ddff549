//! The chat server of docs/from_tokio.md as it was, on tokio: `nc 127.0.0.1 7000`, and the first
//! line is the name.

use std::{env, io};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    signal,
    sync::broadcast,
};

type Room = broadcast::Sender<String>;

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7000".into());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    let room = Room::new(64);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _peer) = accepted?;
                let room = room.clone();
                tokio::spawn(async move {
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
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let Some(name) = lines.next_line().await? else {
        return Ok(());
    };
    let mut heard = room.subscribe();
    let _ = room.send(format!("{name} is here\n"));
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    let _ = room.send(format!("{name}: {line}\n"));
                }
                None => break,
            },
            said = heard.recv() => match said {
                Ok(said) => writer.write_all(said.as_bytes()).await?,
                Err(_) => writer.write_all(b"(you missed some)\n").await?,
            },
        }
    }
    let _ = room.send(format!("{name} has left\n"));
    Ok(())
}
