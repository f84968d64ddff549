//! Properties of every input, for tests with random messages and for the fuzzer, which includes
//! this file.
//!
//! The oracles are slow and simple, and share no code with what they are held against.

use ::http::{HeaderName, HeaderValue, Method};

use super::play::play_pieces;
use crate::http::h1::{
    BodyDecoder, BodyEncoder, BodyLength, RequestEncoder, RequestHead, ResponseHead, Rules,
};

/// Whether `input` crosses no limit but those of numbers: it is short and has few lines.
fn is_small(input: &[u8]) -> bool {
    input.len() <= 2000 && input.iter().filter(|&&byte| byte == b'\n').count() <= 30
}

/// A number that depends on all of `input`, to choose pieces by.
fn hash(input: &[u8]) -> usize {
    input.iter().fold(17, |hash, &byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(byte))
    })
}

/// Checks everything that holds for bytes that a client sends.
pub(super) fn check_requests(input: &[u8]) {
    let rules = Rules::default();
    let whole = play_pieces([input], &rules);
    assert_eq!(play_pieces(input.chunks(1), &rules), whole, "byte by byte");
    let size = hash(input) % 40 + 2;
    assert_eq!(play_pieces(input.chunks(size), &rules), whole, "by {size}");
    let (start, end) = input.split_at(hash(input) / 64 % (input.len() + 1));
    assert_eq!(play_pieces([start, end], &rules), whole, "in two pieces");
    check_first_request(input, &rules);
}

/// Checks the first request by the oracles, and that it survives being written and read again.
fn check_first_request(input: &[u8], rules: &Rules) {
    let mut head = RequestHead::new();
    let Ok(Some(len)) = head.read(input, rules) else {
        return;
    };
    let (text, rest) = input.split_at(len);
    let plain = PlainHead::parse(text);
    let mut words = plain.start_line.split(|&byte| byte == b' ');
    assert_eq!(words.next(), Some(head.method().as_str().as_bytes()));
    assert_eq!(words.next(), Some(head.target().as_bytes()));
    assert!(matches!(
        words.next(),
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', _])
    ));
    assert_eq!(words.next(), None);
    let found: Vec<(&[u8], &[u8])> = head
        .fields()
        .iter()
        .map(|(name, value)| (name.as_bytes(), value))
        .collect();
    assert_eq!(found, plain.fields);
    for (name, _) in &found {
        let name = std::str::from_utf8(name).expect("a name is ASCII");
        let shouted = name.to_ascii_uppercase();
        let values: Vec<&[u8]> = head.field_all(&shouted).collect();
        assert_eq!(values, plain.values(name), "{name}");
    }
    let hosts = plain.values("host");
    assert!(hosts.len() == 1 || (hosts.is_empty() && head.version() == ::http::Version::HTTP_10));
    assert_eq!(head.body_length(), plain.request_body_length());

    let content = check_body(rest, head.body_length(), rules);
    if let Some(content) = content {
        check_round_trip(&head, &content, rules);
    }
}

/// Reads a body and holds it against the oracle. Returns its data if it is complete.
fn check_body(input: &[u8], length: BodyLength, rules: &Rules) -> Option<Vec<u8>> {
    let mut decoder = BodyDecoder::new();
    decoder.begin(length, rules.limits.body_bytes_max);
    let mut data = Vec::new();
    let mut consumed = 0;
    let is_malformed = loop {
        if decoder.is_end() || (consumed == input.len() && decoder.check_length().is_ok()) {
            break false;
        }
        match decoder.decode(&input[consumed..], rules) {
            Ok(step) => {
                assert!(step.consumed > 0 || step.is_end, "it gets on");
                data.extend_from_slice(&input[consumed..][step.data]);
                consumed += step.consumed;
            }
            Err(_) => break true,
        }
    };

    let mut joined = input.to_vec();
    let mut second = BodyDecoder::new();
    second.begin(length, rules.limits.body_bytes_max);
    if let Ok(step) = second.decode_in_place(&mut joined, rules) {
        assert_eq!(joined[step.data], data, "in place");
        assert!(is_malformed || step.consumed == consumed);
    } else {
        assert!(is_malformed && data.is_empty());
    }

    let expected = match length {
        BodyLength::None => Plain::Complete(Vec::new(), 0),
        BodyLength::Sized(length) => match usize::try_from(length) {
            Ok(length) if length <= input.len() => {
                Plain::Complete(input[..length].to_vec(), length)
            }
            _ => Plain::Incomplete,
        },
        BodyLength::Chunked => plain_chunks(input),
        BodyLength::UntilClose => return None,
    };
    match expected {
        Plain::Complete(expected, end) if decoder.is_end() => {
            assert_eq!((expected, end), (data.clone(), consumed));
            Some(data)
        }
        Plain::Complete(..) => {
            assert!(is_malformed && !is_small(input), "only a limit refuses it");
            None
        }
        Plain::Incomplete => {
            assert!(!decoder.is_end());
            None
        }
        Plain::Malformed => {
            assert!(is_malformed, "the oracle refuses it");
            None
        }
    }
}

/// Checks that a request that is written as it was read is read as it was.
fn check_round_trip(head: &RequestHead, content: &[u8], rules: &Rules) {
    let host = head.field("host").unwrap_or(b"a");
    let host = std::str::from_utf8(host).expect("a host is ASCII");
    let mut text = Vec::new();
    let Ok(mut encoder) = RequestEncoder::new(&mut text, head.method(), head.target(), host) else {
        assert!(host.is_empty(), "what was accepted can be sent");
        return;
    };
    let is_own = |name: &str| {
        let own = ["host", "content-length", "transfer-encoding"];
        own.iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let mut fields = Vec::new();
    for (name, value) in head.fields().iter().filter(|(name, _)| !is_own(name)) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name is a token");
        let value = HeaderValue::from_bytes(value).expect("a value has no controls");
        encoder.field(&name, &value);
        fields.push((name, value));
    }
    encoder.finish(head.body_length());
    let mut body = BodyEncoder::new(head.body_length());
    for piece in content.chunks(hash(content) % 50 + 1) {
        body.write(&mut text, piece).expect("as much as promised");
    }
    body.finish(&mut text).expect("all that was promised");
    // It gained a field where there was no host.
    if !is_small(&text) {
        return;
    }

    let mut again = RequestHead::new();
    let len = match again.read(&text, rules) {
        Ok(Some(len)) => len,
        other => panic!("written and refused: {other:?} {}", text.escape_ascii()),
    };
    assert_eq!(again.method(), head.method());
    assert_eq!(decoded(again.target()), decoded(head.target()));
    let found: Vec<(HeaderName, HeaderValue)> = again
        .fields()
        .iter()
        .filter(|(name, _)| !is_own(name))
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name is a token");
            (
                name,
                HeaderValue::from_bytes(value).expect("a value has no controls"),
            )
        })
        .collect();
    assert_eq!(found, fields);
    let found = check_body(&text[len..], again.body_length(), rules);
    assert_eq!(found.as_deref(), Some(content));
}

/// A target without its percent-encoding, where it is well-formed.
fn decoded(target: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = target.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex = behind
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.map(|hex| u8::from_str_radix(hex, 16)) {
            Some(Ok(byte)) if first == b'%' && behind[0] != b'+' => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    bytes
}

/// Checks everything that holds for bytes that a server sends.
pub(super) fn check_responses(input: &[u8]) {
    let rules = Rules::default();
    for method in [Method::GET, Method::HEAD, Method::CONNECT] {
        let whole = play_response([input], &method, &rules);
        let slow = play_response(input.chunks(1), &method, &rules);
        assert_eq!(slow, whole, "byte by byte");
        let size = hash(input) % 40 + 2;
        assert_eq!(
            play_response(input.chunks(size), &method, &rules),
            whole,
            "by {size}"
        );
    }
    let mut head = ResponseHead::new();
    let Ok(Some(len)) = head.read(input, &Method::GET, &rules) else {
        return;
    };
    let plain = PlainHead::parse(&input[..len]);
    let found: Vec<(&[u8], &[u8])> = head
        .fields()
        .iter()
        .map(|(name, value)| (name.as_bytes(), value))
        .collect();
    assert_eq!(found, plain.fields);
    let status = head.status().as_u16().to_string();
    assert_eq!(&plain.start_line[8..12], format!(" {status}").as_bytes());
    check_body(&input[len..], head.body_length(), &rules);
}

/// Reads one answer in these pieces as a client does.
fn play_response<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    method: &Method,
    rules: &Rules,
) -> String {
    let mut head = ResponseHead::new();
    let mut body = BodyDecoder::new();
    let (mut parked, mut data) = (Vec::new(), Vec::new());
    let mut in_body = false;
    for piece in pieces {
        parked.extend_from_slice(piece);
        if !in_body {
            match head.read(&parked, method, rules) {
                Ok(None) => continue,
                Ok(Some(len)) => drop(parked.drain(..len)),
                Err(error) => return error.as_str().to_owned(),
            }
            in_body = true;
            body.begin(head.body_length(), rules.limits.body_bytes_max);
        }
        while !body.is_end() && !parked.is_empty() {
            match body.decode(&parked, rules) {
                Ok(step) => {
                    data.extend_from_slice(&parked[step.data]);
                    parked.drain(..step.consumed);
                }
                Err(error) => return format!("{} {}", data.escape_ascii(), error.as_str()),
            }
        }
    }
    let state = (
        in_body,
        body.is_end(),
        body.eof().is_ok(),
        head.keeps_alive(),
    );
    format!(
        "{} {} {state:?}",
        parked.escape_ascii(),
        data.escape_ascii()
    )
}

/// A head that was accepted, taken apart in the plainest way.
struct PlainHead<'a> {
    start_line: &'a [u8],
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> PlainHead<'a> {
    fn parse(mut text: &'a [u8]) -> Self {
        while let Some(rest) = text.strip_prefix(b"\r\n") {
            text = rest;
        }
        let text = text.strip_suffix(b"\r\n\r\n").expect("a head ends so");
        let mut lines = Vec::new();
        let mut rest = text;
        while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
            lines.push(&rest[..end]);
            rest = &rest[end + 2..];
        }
        lines.push(rest);
        for line in &lines {
            assert!(!line.is_empty(), "the head ends with the first empty line");
            assert!(!line.iter().any(|byte| b"\r\n\0".contains(byte)));
        }
        let fields = lines[1..].iter().map(|line| {
            let colon = line.iter().position(|&byte| byte == b':').expect("a colon");
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            assert!(!name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic()));
            (name, trimmed(value))
        });
        Self {
            start_line: lines[0],
            fields: fields.collect(),
        }
    }

    fn values(&self, name: &str) -> Vec<&'a [u8]> {
        let matches = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
        let found = self.fields.iter().filter(|field| matches(field.0));
        found.map(|field| field.1).collect()
    }

    /// How long the body of a request is that must be accepted with these fields.
    fn request_body_length(&self) -> BodyLength {
        let codings = self.values("transfer-encoding");
        let lengths = self.values("content-length");
        match (&codings[..], &lengths[..]) {
            ([], []) => BodyLength::None,
            ([], [length]) => {
                assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit));
                let text = std::str::from_utf8(length).expect("digits are text");
                BodyLength::Sized(text.parse().expect("the number fits"))
            }
            ([coding], []) => {
                assert!(coding.eq_ignore_ascii_case(b"chunked"));
                BodyLength::Chunked
            }
            other => panic!("the end of the message is in doubt: {other:?}"),
        }
    }
}

/// Without blanks around it: space and tab, and nothing else.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The oracle's verdict on a body.
#[derive(Debug)]
enum Plain {
    /// Its data, and how many bytes it takes.
    Complete(Vec<u8>, usize),
    Incomplete,
    Malformed,
}

/// A chunked body by the grammar of RFC 9112, section 7.1.
fn plain_chunks(input: &[u8]) -> Plain {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line = match plain_line(input, at) {
            Ok(line) => line,
            Err(plain) => return plain,
        };
        at += line.len() + 2;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let size = std::str::from_utf8(&line[..digits]).expect("digits are text");
        let Ok(size) = usize::from_str_radix(size, 16) else {
            return Plain::Malformed;
        };
        let zeros = line.iter().take_while(|&&byte| byte == b'0').count();
        let is_bounded = zeros <= 16 && digits - zeros.min(digits) <= 16;
        if !is_bounded || size > i64::MAX as usize || !is_extensions(&line[digits..]) {
            return Plain::Malformed;
        }
        if size == 0 {
            break;
        }
        let Some(chunk) = input.get(at..).and_then(|rest| rest.get(..size)) else {
            return Plain::Incomplete;
        };
        data.extend_from_slice(chunk);
        at += size;
        match &input[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Plain::Incomplete,
            _ => return Plain::Malformed,
        }
    }
    loop {
        let line = match plain_line(input, at) {
            Ok(line) => line,
            // A trailer is looked at when its line is there.
            Err(Plain::Malformed) if !input[at..].contains(&b'\n') => return Plain::Incomplete,
            Err(plain) => return plain,
        };
        at += line.len() + 2;
        if line.is_empty() {
            return Plain::Complete(data, at);
        }
        let is_field = line
            .iter()
            .position(|&byte| byte == b':')
            .is_some_and(|colon| {
                colon > 0
                    && line[..colon].iter().all(|&byte| is_token(byte))
                    && line[colon + 1..].iter().all(|&byte| is_text(byte))
            });
        if !is_field {
            return Plain::Malformed;
        }
    }
}

/// The line at `at`, without its end.
///
/// A line without an end may be malformed in a way that is seen already, or be over a limit, so
/// that nothing is claimed about it: `Incomplete` allows a decoder both but not an end.
fn plain_line(input: &[u8], at: usize) -> Result<&[u8], Plain> {
    let rest = &input[at..];
    match rest.iter().position(|&byte| byte == b'\r' || byte == b'\n') {
        None => Err(Plain::Incomplete),
        Some(end) => match rest[end..] {
            [b'\r', b'\n', ..] => Ok(&rest[..end]),
            [b'\r'] => Err(Plain::Incomplete),
            _ => Err(Plain::Malformed),
        },
    }
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`
fn is_extensions(mut text: &[u8]) -> bool {
    while let [b';', rest @ ..] = without_blanks(text) {
        let rest = without_blanks(rest);
        let name = rest.iter().take_while(|&&byte| is_token(byte)).count();
        if name == 0 {
            return false;
        }
        text = &rest[name..];
        let [b'=', value @ ..] = without_blanks(text) else {
            continue;
        };
        let value = without_blanks(value);
        let len = match value {
            [b'"', quoted @ ..] => {
                let mut len = 1;
                let mut bytes = quoted.iter();
                loop {
                    len += 1;
                    match bytes.next() {
                        Some(b'"') => break,
                        Some(b'\\') => {
                            len += 1;
                            if !bytes.next().is_some_and(|&byte| is_text(byte)) {
                                return false;
                            }
                        }
                        Some(&byte) if is_text(byte) => {}
                        _ => return false,
                    }
                }
                len
            }
            token => token.iter().take_while(|&&byte| is_token(byte)).count(),
        };
        if len == 0 {
            return false;
        }
        text = &value[len..];
    }
    text.is_empty()
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let count = text.iter().take_while(|byte| is_blank(byte)).count();
    &text[count..]
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=0x7E | 0x80..)
}
