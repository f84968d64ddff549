//! The answers that the server gives by itself.

use super::{
    AnswerTo, RejectReason, date::DATE_LINE_LEN, response_encoder::write_status_line,
    write::write_content_length,
};

/// Writes the whole answer to a request that is refused: a line of text that names the reason.
/// Returns whether the connection stays open.
///
/// It does so only when the reason allows it and `answer_to` says that it may.
#[cold]
pub(crate) fn encode_reject(
    out: &mut Vec<u8>,
    reason: RejectReason,
    answer_to: AnswerTo,
    date_line: &[u8; DATE_LINE_LEN],
) -> bool {
    let status = reason.status();
    let keeps_alive = answer_to.keeps_alive && !reason.closes();
    let text = reason.message();

    write_status_line(out, status);
    out.extend_from_slice(b"Content-Type: text/plain\r\n");
    write_content_length(out, text.len() as u64 + 1);
    if let Some(seconds) = reason.retry_after() {
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
