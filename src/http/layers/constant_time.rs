//! The comparison of secrets.

use std::hint::black_box;

/// Whether `given` is `secret`. The time that this takes depends on the length of `given` alone, so
/// that it does not tell a client how much of a guess was right.
pub(super) fn is_equal(given: &[u8], secret: &[u8]) -> bool {
    let mut difference = usize::from(given.len() != secret.len());
    for (index, &byte) in given.iter().enumerate() {
        let other = match secret.len() {
            0 => 0,
            len => secret[index % len],
        };
        difference |= black_box(usize::from(byte ^ other));
    }
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::is_equal;

    #[test]
    fn secrets_are_equal_when_all_their_bytes_are() {
        for (given, secret, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("secret", "secret", true),
            ("secret", "secreT", false),
            ("Secret", "secret", false),
            ("secre", "secret", false),
            ("secretsecret", "secret", false),
            ("", "secret", false),
            ("\0", "", false),
            ("a", "", false),
        ] {
            let found = is_equal(given.as_bytes(), secret.as_bytes());
            assert_eq!(found, expected, "{given:?} {secret:?}");
        }
    }
}
