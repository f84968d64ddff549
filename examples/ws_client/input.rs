//! Standard input, which a thread of its own reads, since reading may block for ever.

use std::{
    io::{self, BufRead as _},
    thread,
};

use annulus::{
    http::websocket::{Message, Sender},
    sync::remote::mpsc,
};

/// Lines that wait until they are sent.
const WAITING_MAX: usize = 16;

pub(crate) type Messages = mpsc::Receiver<io::Result<Message>>;

/// Begins to read. Each line is a message, in the end an error if reading has failed.
pub(crate) fn messages(is_binary: bool) -> Messages {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let message = line.and_then(|line| message(line, is_binary));
            let is_last = message.is_err();
            if sender.blocking_send(message).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

fn message(line: Vec<u8>, is_binary: bool) -> io::Result<Message> {
    if is_binary {
        return Ok(line.into());
    }
    let text = String::from_utf8(line);
    let text = text.map_err(|_| io::Error::other("the input is no UTF-8; try --binary"))?;
    Ok(text.into())
}

/// Sends all messages, and waits for room when the server is slow. Returns an error of the input;
/// one of the connection is received by the other task as well.
pub(crate) async fn send_all(mut messages: Messages, sender: &Sender) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        if sender.send(message?).await.is_err() {
            break;
        }
    }
    Ok(())
}
