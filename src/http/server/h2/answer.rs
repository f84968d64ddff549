//! The head of an answer: its status and fields.

use std::cell::{Cell, RefCell};

use ::http::{HeaderMap, HeaderName, HeaderValue, Response as Head, StatusCode, Version, header};

use crate::http::{h1::BodyLength, server::message::response::Response};

/// A line `Date: ..` without its name and its end.
const DATE: std::ops::Range<usize> = 6..35;

/// The fields that are about the connection, and that no answer of HTTP/2 may have (RFC 9113,
/// section 8.2.2).
const FORBIDDEN: [HeaderName; 4] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The value of `Date`, which is made once a second.
#[derive(Default)]
pub(super) struct DateValue {
    line: Cell<Option<[u8; 37]>>,
    value: RefCell<Option<HeaderValue>>,
}

impl DateValue {
    fn of(&self, line: [u8; 37]) -> HeaderValue {
        if self.line.replace(Some(line)) != Some(line) {
            let value = HeaderValue::from_bytes(&line[DATE]).expect("a date has no control bytes");
            self.value.replace(Some(value));
        }
        let value = self.value.borrow().clone();
        value.expect("it was made together with its line")
    }
}

/// Makes the head of an answer whose body has `body_len` bytes, or as many as come when that is
/// `None`; and says how the body is to be sent.
pub(super) fn head(
    response: &Response,
    body_len: Option<u64>,
    is_head: bool,
    date: &DateValue,
    date_line: [u8; 37],
) -> (Head<()>, BodyLength) {
    let mut head = Head::new(());
    let status = response.status();
    *head.status_mut() = status;
    *head.version_mut() = Version::HTTP_2;
    let fields = head.headers_mut();
    fields.reserve(response.field_list().len() + 3);
    if let Some(content_type) = response.content_type() {
        fields.insert(header::CONTENT_TYPE, content_type.clone());
    }
    let mut promised = None;
    for (name, value) in response.field_list() {
        if *name == header::CONTENT_LENGTH {
            promised = promised.or_else(|| length(value));
        } else if !is_forbidden(name) {
            fields.append(name, value.clone());
        }
    }
    let (told, body) = framing(status, body_len, promised, is_head);
    if let Some(length) = told {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !fields.contains_key(header::DATE) {
        fields.insert(header::DATE, date.of(date_line));
    }
    (head, body)
}

/// The length that the head tells, and that of the body that is sent. As in HTTP/1.1, a length that
/// the handler promises counts where there is no body to measure.
fn framing(
    status: StatusCode,
    body_len: Option<u64>,
    promised: Option<u64>,
    is_head: bool,
) -> (Option<u64>, BodyLength) {
    let here = body_len.filter(|&length| length > 0);
    match status {
        StatusCode::NO_CONTENT => (None, BodyLength::None),
        StatusCode::RESET_CONTENT => (Some(0), BodyLength::None),
        StatusCode::NOT_MODIFIED => {
            let told = promised.map(|promised| here.unwrap_or(promised));
            (told, BodyLength::None)
        }
        _ if is_head => (here.or(promised).or(body_len), BodyLength::None),
        _ => match body_len.or(promised) {
            Some(length) => (Some(length), BodyLength::Sized(length)),
            None => (None, BodyLength::UntilClose),
        },
    }
}

/// Whether the field is one of those that are about the connection.
fn is_forbidden(name: &HeaderName) -> bool {
    FORBIDDEN.contains(name) || *name == "proxy-connection"
}

/// The length that a handler promises. `parse` would take a sign.
fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Makes the heads of the interim answers that are written in `bytes` as HTTP/1.1 has them.
pub(super) fn interim(mut bytes: &[u8]) -> Vec<Head<()>> {
    let mut heads = Vec::new();
    while !bytes.is_empty() {
        let mut slots = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut slots);
        let Ok(httparse::Status::Complete(len)) = parsed.parse(bytes) else {
            // More fields than there are slots: hints need not arrive.
            break;
        };
        let mut head = Head::new(());
        let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        *head.status_mut() = code.expect("it was written by us");
        let fields: &mut HeaderMap = head.headers_mut();
        for field in parsed.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            if let (Ok(name), Ok(value)) = (name, value) {
                if !is_forbidden(&name) {
                    fields.append(name, value);
                }
            }
        }
        heads.push(head);
        bytes = &bytes[len..];
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framing_is_that_of_http_1() {
        use BodyLength::{None as Nothing, Sized, UntilClose};
        let cases = [
            (200, Some(5), None, false, Some(5), Sized(5)),
            (200, Some(5), Some(9), false, Some(5), Sized(5)),
            (200, None, Some(9), false, Some(9), Sized(9)),
            (200, None, None, false, None, UntilClose),
            (200, Some(5), None, true, Some(5), Nothing),
            (200, Some(0), Some(9), true, Some(9), Nothing),
            (200, None, None, true, None, Nothing),
            (204, Some(5), Some(9), false, None, Nothing),
            (205, Some(5), None, false, Some(0), Nothing),
            (304, Some(0), Some(9), false, Some(9), Nothing),
            (304, Some(5), None, false, None, Nothing),
        ];
        for (code, body_len, promised, is_head, told, body) in cases {
            let status = StatusCode::from_u16(code).unwrap();
            let found = framing(status, body_len, promised, is_head);
            assert_eq!(
                found,
                (told, body),
                "{code} {body_len:?} {promised:?} {is_head}"
            );
        }
    }

    #[test]
    fn an_answer_has_no_field_about_the_connection() {
        let mut response = Response::text("hi");
        for name in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
            let name = HeaderName::from_static(name);
            response = response.with_field(name, HeaderValue::from_static("x"));
        }
        let te = HeaderValue::from_static("chunked");
        let response = response.with_field(header::TRANSFER_ENCODING, te);
        let line = *b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let (head, _) = super::head(&response, Some(2), false, &DateValue::default(), line);
        let names: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "content-length", "date"]);
        assert_eq!(head.headers()["date"], "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn interim_answers_are_read_one_after_the_other() {
        let bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        let heads = interim(bytes);
        let codes: Vec<_> = heads.iter().map(|head| head.status().as_u16()).collect();
        assert_eq!(codes, [103, 100]);
        assert_eq!(heads[0].headers()["link"], "</a>");
    }
}
