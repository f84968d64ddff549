//! A server that speaks as much of MongoDB's protocol as a test of its driver needs. Debian has no
//! MongoDB, so the driver is tested against this.
//!
//! It answers `OP_MSG` with the commands `hello`, `ping`, `insert`, `find` (with equal fields as
//! the filter), `getMore` and `endSessions`, and keeps documents in memory.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use mongodb::bson::{Bson, DateTime, Document, doc};

const OP_MSG: i32 = 2013;
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES_MAX: usize = 48_000_000;

#[derive(Debug, Default)]
struct Data {
    collections: HashMap<String, Vec<Document>>,
    /// The documents that each open cursor has left.
    cursors: HashMap<i64, Vec<Document>>,
    cursor_count: i64,
}

/// Starts the server on a thread that runs until the process ends, and returns where it listens.
///
/// # Errors
///
/// When no port can be had.
pub fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let data = Arc::new(Mutex::new(Data::default()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let data = Arc::clone(&data);
            // It ends with the connection.
            thread::spawn(move || drop(serve(stream, &data)));
        }
    });
    Ok(addr)
}

fn serve(mut stream: TcpStream, data: &Mutex<Data>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header)?;
        let number = |index: usize| {
            let bytes = header[4 * index..][..4].try_into().expect("four bytes");
            i32::from_le_bytes(bytes)
        };
        let length = usize::try_from(number(0)).unwrap_or(0);
        if !(HEADER_BYTES + 5..MESSAGE_BYTES_MAX).contains(&length) || number(3) != OP_MSG {
            return Err(invalid("expected a message of the kind OP_MSG"));
        }
        let mut body = vec![0; length - HEADER_BYTES];
        stream.read_exact(&mut body)?;
        let command = command(&body)?;
        let answer = data.lock().expect("no thread panics").answer(&command);
        let answer = answer.to_vec().map_err(io::Error::other)?;
        let length = HEADER_BYTES + 5 + answer.len();
        let mut message = Vec::with_capacity(length);
        for field in [length as i32, 0, number(1), OP_MSG, 0] {
            message.extend_from_slice(&field.to_le_bytes());
        }
        message.push(0);
        message.extend_from_slice(&answer);
        stream.write_all(&message)?;
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The command of a message, with its sequences of documents as arrays in it.
fn command(body: &[u8]) -> io::Result<Document> {
    let mut rest = &body[4..];
    let mut command = Document::new();
    let mut sequences = Vec::new();
    while let Some((kind, section)) = rest.split_first() {
        let length = section
            .first_chunk()
            .map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let length = usize::try_from(length).unwrap_or(0);
        let section = section.get(..length).filter(|section| section.len() > 4);
        let section = section.ok_or_else(|| invalid("a section is cut"))?;
        match kind {
            0 => command = document(section)?,
            1 => sequences.push(sequence(&section[4..])?),
            _ => return Err(invalid("expected a section of kind 0 or 1")),
        }
        rest = &rest[1 + length..];
    }
    for (name, documents) in sequences {
        command.insert(name, documents);
    }
    Ok(command)
}

fn document(bytes: &[u8]) -> io::Result<Document> {
    Document::from_reader(bytes).map_err(io::Error::other)
}

fn sequence(bytes: &[u8]) -> io::Result<(String, Vec<Bson>)> {
    let end = bytes.iter().position(|&byte| byte == 0);
    let end = end.ok_or_else(|| invalid("a sequence has no name"))?;
    let name = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut rest = &bytes[end + 1..];
    let mut documents = Vec::new();
    while !rest.is_empty() {
        // It takes one document off the front.
        documents.push(Bson::Document(
            Document::from_reader(&mut rest).map_err(io::Error::other)?,
        ));
    }
    Ok((name, documents))
}

fn documents(command: &Document, name: &str) -> Vec<Document> {
    let array = command.get_array(name).ok();
    let documents = array.into_iter().flatten().filter_map(Bson::as_document);
    documents.cloned().collect()
}

impl Data {
    fn answer(&mut self, command: &Document) -> Document {
        let Some((name, value)) = command.iter().next() else {
            return doc! { "ok": 0.0, "errmsg": "there is no command", "code": 59 };
        };
        let collection = value.as_str().unwrap_or_default().to_owned();
        match &**name {
            "hello" | "isMaster" | "ismaster" => doc! {
                "ok": 1.0, "ismaster": true, "isWritablePrimary": true, "helloOk": true,
                "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": MESSAGE_BYTES_MAX as i32,
                "maxWriteBatchSize": 100_000, "localTime": DateTime::now(),
                "minWireVersion": 0, "maxWireVersion": 21, "readOnly": false,
            },
            "ping" | "endSessions" => doc! { "ok": 1.0 },
            "insert" => {
                let documents = documents(command, "documents");
                let count = documents.len() as i32;
                self.collections
                    .entry(collection)
                    .or_default()
                    .extend(documents);
                doc! { "ok": 1.0, "n": count }
            }
            "find" => {
                let filter = command.get_document("filter").cloned().unwrap_or_default();
                let matches = |document: &&Document| {
                    filter
                        .iter()
                        .all(|(name, value)| document.get(name) == Some(value))
                };
                let found = self.collections.get(&collection).into_iter().flatten();
                let found = found.filter(matches).cloned().collect();
                self.batch(command, &collection, found, "firstBatch")
            }
            "getMore" => {
                let cursor = value.as_i64().unwrap_or_default();
                let left = self.cursors.remove(&cursor).unwrap_or_default();
                let collection = command.get_str("collection").unwrap_or_default();
                self.batch(command, collection, left, "nextBatch")
            }
            _ => doc! { "ok": 0.0, "errmsg": format!("no such command: {name}"), "code": 59 },
        }
    }

    /// An answer with the first documents of `left`, and a cursor if there are more.
    fn batch(
        &mut self,
        command: &Document,
        collection: &str,
        mut left: Vec<Document>,
        name: &str,
    ) -> Document {
        let size = command.get("batchSize").map_or(101, |size| match size {
            Bson::Int32(size) => i64::from(*size),
            size => size.as_i64().unwrap_or(101),
        });
        let rest = left.split_off(left.len().min(usize::try_from(size).unwrap_or(0)));
        let mut id = 0;
        if !rest.is_empty() {
            self.cursor_count += 1;
            id = self.cursor_count;
            self.cursors.insert(id, rest);
        }
        let database = command.get_str("$db").unwrap_or("test");
        let mut cursor = doc! { "id": id, "ns": format!("{database}.{collection}") };
        cursor.insert(name, left);
        doc! { "ok": 1.0, "cursor": cursor }
    }
}
