//! Files that a handler keeps in memory, and how many.

use std::{fs, time::Duration};

use annulus::http::{Files, Router, test::TestClient};

use crate::site::Site;

/// As many as `docs/limits.md` says.
const FILES_MAX: usize = 256;
const FILES_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest file whose content is kept.
const SMALL_BYTES_MAX: usize = 128 * 1024;

/// Asks for files of `len` bytes each, changes all of them and asks for them again. The first
/// `kept` answers have the old content, and the others the new one.
fn old_answers(name: &str, count: usize, len: usize, kept: usize) {
    let site = Site::new(name);
    let write = |byte: u8| {
        for number in 0..count {
            fs::write(site.path(&format!("root/{number}.txt")), vec![byte; len]).unwrap();
        }
    };
    write(b'a');
    annulus::run(async {
        // No file is looked at again for as long as the test takes.
        let files = Files::new(site.root()).validity(Duration::from_secs(1_000_000));
        let client = TestClient::new(Router::new().files("/", files));
        let ask = async |number: usize| client.get(&format!("/{number}.txt")).send().await.unwrap();
        for number in 0..count {
            ask(number).await.bytes().await.unwrap();
        }
        write(b'b');
        for number in 0..count {
            let expected = if number < kept { b'a' } else { b'b' };
            let bytes = ask(number).await.bytes().await.unwrap();
            assert_eq!((bytes.len(), bytes[0]), (len, expected), "{number}");
        }
    });
}

#[test]
fn no_more_files_are_kept_than_the_limit_says() {
    old_answers("files-kept", FILES_MAX + 2, 1, FILES_MAX);
}

#[test]
fn no_more_bytes_of_files_are_kept_than_the_limit_says() {
    let kept = FILES_BYTES_MAX / SMALL_BYTES_MAX;
    old_answers("files-kept-bytes", kept + 2, SMALL_BYTES_MAX, kept);
}
