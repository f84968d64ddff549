//! The answers that the server gives by itself.

use ::http::StatusCode;

use super::{
    AnswerTo, date::DATE_LINE_LEN, response_encoder::write_status_line, write::write_content_length,
};

/// The parts of an answer that the server gives by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reject {
    pub(crate) status: StatusCode,
    /// The line that is its body.
    pub(crate) text: &'static str,
    /// When the client should come back, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// Whether the connection ends with the answer, even if it may stay open otherwise.
    pub(crate) closes: bool,
}

/// Writes the whole answer to a request that is refused: a line of text that names the reason.
/// Returns whether the connection stays open.
///
/// It does so only when `reject` allows it and `answer_to` says that it may.
#[cold]
pub(crate) fn encode_reject(
    out: &mut Vec<u8>,
    reject: Reject,
    answer_to: AnswerTo,
    date_line: &[u8; DATE_LINE_LEN],
) -> bool {
    let Reject { status, text, .. } = reject;
    let keeps_alive = answer_to.keeps_alive && !reject.closes;

    write_status_line(out, status);
    out.extend_from_slice(b"Content-Type: text/plain\r\n");
    write_content_length(out, text.len() as u64 + 1);
    if let Some(seconds) = reject.retry_after {
        out.extend_from_slice(format!("Retry-After: {seconds}\r\n").as_bytes());
    }
    out.extend_from_slice(match (keeps_alive, answer_to.is_http10) {
        (false, _) => b"Connection: close\r\n",
        (true, true) => b"Connection: keep-alive\r\n",
        (true, false) => b"",
    });
    out.extend_from_slice(date_line);
    out.extend_from_slice(b"\r\n");
    if !answer_to.is_head {
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\n");
    }
    keeps_alive
}
