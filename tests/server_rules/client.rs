//! A client that sends what it is told, and reads answers as strictly as it can.

use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use crate::support::BOUND;

/// A connection and the bytes of it that were not looked at yet.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// Names in lower case and values.
type Fields = Vec<(String, String)>;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
}

impl Answer {
    /// The only field with this name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|field| field.0 == name);
        let first = found.next();
        assert!(found.next().is_none(), "{name} comes twice: {self:?}");
        first.map(|field| &*field.1)
    }

    /// Whether it says that the connection ends with it.
    pub(crate) fn closes(&self) -> bool {
        let field = self.field("connection").unwrap_or("").to_ascii_lowercase();
        let has = |option| field.split(',').any(|item| item.trim() == option);
        has("close") || (self.version == "HTTP/1.0" && !has("keep-alive"))
    }

    /// The request as the echo understood it: method, target and body.
    pub(crate) fn echo(&self) -> String {
        let mut text = format!(
            "{} {}",
            self.field("x-method").unwrap_or("?"),
            self.field("x-target").unwrap_or("?")
        );
        if !self.body.is_empty() {
            write!(text, " {}", self.body.escape_ascii()).unwrap();
        }
        text
    }
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Ends the direction in which it sends.
    pub(crate) fn fin(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Receives some bytes; none at the end.
    fn receive(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 << 10];
        let count = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.unread.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// The answer to a request that was not `HEAD`.
    pub(crate) fn answer(&mut self) -> Answer {
        self.next_answer(false).expect("an answer")
    }

    pub(crate) fn answer_to_head(&mut self) -> Answer {
        self.next_answer(true).expect("an answer")
    }

    /// The next answer, or what is instead of a whole one.
    pub(crate) fn next_answer(&mut self, is_head: bool) -> Result<Answer, String> {
        let head = self.take_head()?;
        let text = String::from_utf8(head).map_err(|_| "the head is no text".to_owned())?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or("");
        let (version, status) = match status_line.split(' ').collect::<Vec<_>>()[..] {
            [version, status, ..] if status.len() == 3 => (version, status.parse::<u16>()),
            _ => return Err(format!("expected a status line, found {status_line:?}")),
        };
        let status = status.map_err(|_| format!("no status in {status_line:?}"))?;
        let mut answer = Answer {
            version: version.to_owned(),
            status,
            fields: fields(lines)?,
            body: Vec::new(),
            trailers: Vec::new(),
        };
        let length = answer.field("content-length").map(str::parse::<usize>);
        let coding = answer.field("transfer-encoding");
        if length.is_some() && coding.is_some() {
            return Err(format!("two lengths: {answer:?}"));
        }
        if is_head || status < 200 || status == 204 || status == 304 {
            return Ok(answer);
        }
        answer.body = match (length, coding) {
            (Some(length), _) => self.take(length.map_err(|error| error.to_string())?)?,
            (None, Some("chunked")) => {
                let (body, trailers) = self.take_chunks()?;
                answer.trailers = trailers;
                body
            }
            (None, Some(other)) => return Err(format!("an unknown coding: {other}")),
            (None, None) => {
                while self.receive().map_err(|error| error.to_string())? > 0 {}
                std::mem::take(&mut self.unread)
            }
        };
        Ok(answer)
    }

    /// The next `count` bytes.
    fn take(&mut self, count: usize) -> Result<Vec<u8>, String> {
        while self.unread.len() < count {
            self.more()?;
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// The bytes before the next `end`, which is skipped.
    fn take_until(&mut self, end: &[u8]) -> Result<Vec<u8>, String> {
        let mut looked_at = 0;
        loop {
            let found = self.unread[looked_at..]
                .windows(end.len())
                .position(|window| window == end);
            if let Some(offset) = found {
                let mut taken = self.take(looked_at + offset + end.len())?;
                taken.truncate(looked_at + offset);
                return Ok(taken);
            }
            looked_at = self.unread.len().saturating_sub(end.len() - 1);
            self.more()?;
        }
    }

    pub(crate) fn take_head(&mut self) -> Result<Vec<u8>, String> {
        self.take_until(b"\r\n\r\n")
    }

    fn more(&mut self) -> Result<(), String> {
        match self.receive() {
            Ok(0) => Err(format!(
                "FIN behind {:?}",
                self.unread.escape_ascii().to_string()
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error} behind {} bytes", self.unread.len())),
        }
    }

    fn take_chunks(&mut self) -> Result<(Vec<u8>, Fields), String> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.take_until(b"\r\n")?).unwrap();
            let size = usize::from_str_radix(&line, 16)
                .map_err(|_| format!("expected a chunk size, found {line:?}"))?;
            if size == 0 {
                break;
            }
            body.extend(self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return Err("expected a line end behind a chunk".to_owned());
            }
        }
        let mut lines = Vec::new();
        loop {
            let line = String::from_utf8(self.take_until(b"\r\n")?).unwrap();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        Ok((body, fields(lines.iter().map(|line| &**line))?))
    }

    /// Whether nothing of an answer is here.
    pub(crate) fn has_nothing(&self) -> bool {
        self.unread.is_empty()
    }

    /// The bytes up to the end, which must be a FIN and no reset.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, String> {
        loop {
            match self.receive() {
                Ok(0) => return Ok(std::mem::take(&mut self.unread)),
                Ok(_) => {}
                Err(error) => return Err(format!("expected FIN, found {error}")),
            }
        }
    }

    /// Checks that nothing but a FIN comes.
    #[track_caller]
    pub(crate) fn expect_fin(&mut self) {
        let rest = self.rest().unwrap();
        assert!(
            rest.is_empty(),
            "expected FIN, found {}",
            rest.escape_ascii()
        );
    }
}

/// Names in lower case and values.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Fields, String> {
    lines
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("expected a field, found {line:?}"))?;
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect()
}
