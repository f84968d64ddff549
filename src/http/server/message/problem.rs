//! Details of problems in JSON (RFC 9457).

use std::fmt::Write as _;

use super::response::Response;
use crate::http::{HeaderValue, StatusCode, header};

impl Response {
    /// Answers `status` with the details of a problem in JSON: `application/problem+json` (RFC
    /// 9457) with the status, its usual phrase as `title`, and `detail` if there is one.
    ///
    /// `type` is left out, which says that the status alone tells the problem's type.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Response, StatusCode};
    ///
    /// let response = Response::problem(StatusCode::CONFLICT, Some("the seat is taken"));
    /// assert_eq!(response.status(), StatusCode::CONFLICT);
    /// ```
    #[must_use]
    pub fn problem(status: StatusCode, detail: Option<&str>) -> Self {
        let mut json = format!(r#"{{"status":{}"#, status.as_u16());
        if let Some(title) = status.canonical_reason() {
            // No phrase has a character that JSON escapes.
            json += &format!(r#","title":"{title}""#);
        }
        if let Some(detail) = detail {
            json += r#","detail":"#;
            push_text(&mut json, detail);
        }
        json += "}\n";
        let content_type = HeaderValue::from_static("application/problem+json");
        Self::new(status)
            .with_field(header::CONTENT_TYPE, content_type)
            .with_body(json)
    }
}

/// Adds `text` as a JSON string (RFC 8259, section 7).
fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            character if character < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            character => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_escaped_as_json_wants() {
        for (text, expected) in [
            ("plain \u{fc}", "\"plain \u{fc}\""),
            ("\"\\/", r#""\"\\/""#),
            ("a\r\n\0\u{1f}", r#""a\u000d\u000a\u0000\u001f""#),
        ] {
            let mut json = String::new();
            push_text(&mut json, text);
            assert_eq!(json, expected);
        }
    }

    #[test]
    fn a_status_without_a_phrase_has_no_title() {
        let mut response = Response::problem(StatusCode::from_u16(499).unwrap(), None);
        assert_eq!(response.take_bytes().unwrap(), "{\"status\":499}\n");
    }
}
