//! Names of files that clients send, made safe for a folder.

/// The longest name of a file on Linux.
const NAME_BYTES_MAX: usize = 255;

/// `name` as the name of a file that stays in its folder; none where nothing is left of it.
///
/// Folders in front of it, of either kind of slash, and dots at its beginning are left out. A
/// control character becomes an underscore. The end of a name of more than 255 bytes is cut off.
pub(crate) fn safe_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next()?;
    let last = last.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let mut safe = String::with_capacity(last.len());
    for c in last.trim_end().chars() {
        let c = if c.is_control() { '_' } else { c };
        if safe.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        safe.push(c);
    }
    (!safe.is_empty()).then_some(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_name_stays_in_its_folder() {
        for (name, expected) in [
            ("a.txt", Some("a.txt")),
            ("../../etc/passwd", Some("passwd")),
            ("/etc/passwd", Some("passwd")),
            ("C:\\Users\\a b.doc", Some("a b.doc")),
            ("..\\x", Some("x")),
            ("a/..", None),
            ("..", None),
            (".", None),
            ("", None),
            ("a/", None),
            (".bashrc", Some("bashrc")),
            (" . .x", Some("x")),
            ("x ", Some("x")),
            ("a\0b\r\n\u{7f}", Some("a_b___")),
            ("\u{fc}.png", Some("\u{fc}.png")),
        ] {
            assert_eq!(safe_file_name(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = safe_file_name(&"\u{20ac}".repeat(100)).unwrap();
        assert_eq!(name, "\u{20ac}".repeat(85));
        assert_eq!(safe_file_name(&"a".repeat(256)).unwrap().len(), 255);
    }
}
