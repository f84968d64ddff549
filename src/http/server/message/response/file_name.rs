//! Answers that browsers save.

use super::Response;
use crate::http::{HeaderValue, header, percent::push_encoded};

impl Response {
    /// Lets browsers save the answer under `name` instead of showing it (RFC 6266):
    /// `Content-Disposition: attachment` with the name, which may have any characters. They take
    /// its last segment only.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::Response;
    ///
    /// let response = Response::text("a,b\n1,2\n").with_file_name("prices.csv");
    /// # let _ = response;
    /// ```
    #[must_use]
    pub fn with_file_name(self, name: &str) -> Self {
        self.with_field(header::CONTENT_DISPOSITION, disposition(name))
    }
}

fn disposition(name: &str) -> HeaderValue {
    let mut plain = String::new();
    let mut encoded = String::new();
    for c in name.chars() {
        let is_plain = c == ' ' || c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%');
        plain.push(if is_plain { c } else { '_' });
    }
    for byte in name.bytes() {
        // RFC 8187, section 3.2.1: `attr-char`.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            push_encoded(&mut encoded, byte);
        }
    }
    let mut text = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        text.push_str("; filename*=UTF-8''");
        text.push_str(&encoded);
    }
    HeaderValue::try_from(text).expect("it is visible ASCII and blanks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_others_than_plain_ones_told_twice() {
        for (name, expected) in [
            ("a b.csv", "attachment; filename=\"a b.csv\""),
            (
                "\u{fc}.txt",
                "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt",
            ),
            (
                "a\"\r\nb%\\;",
                "attachment; filename=\"a___b__;\"; filename*=UTF-8''a%22%0D%0Ab%25%5C%3B",
            ),
            ("", "attachment; filename=\"\""),
        ] {
            assert_eq!(disposition(name), expected);
        }
    }
}
