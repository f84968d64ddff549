//! Files.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    rc::Rc,
};

use annulus::{
    buf::{IoBuf as _, IoBufMut as _},
    fs::{File, OpenOptions},
    task::JoinSet,
};
use bytes::{Bytes, BytesMut};

use crate::support::{Folder, is_pattern, pattern, run};

#[test]
fn what_is_written_is_read_back() {
    let folder = Folder::new("written");
    let path = folder.path("file");
    run(async {
        let file = File::create(&path).await.unwrap();
        let (count, buf) = file.write_at("hello", 0).await.unwrap();
        assert_eq!((count, buf), (5, "hello"));
        file.write_all_at(b" world".to_vec(), 5).await.unwrap();
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
        file.close().await.unwrap();
        let file = File::open(&path).await.unwrap();
        let (count, buf) = file.read_at(Vec::with_capacity(100), 0).await.unwrap();
        assert_eq!((count, &buf[..]), (11, &b"hello world"[..]));
        let (count, buf) = file.read_at(buf, 6).await.unwrap();
        assert_eq!((count, &buf[..]), (5, &b"world"[..]));
    });
    assert_eq!(std::fs::read(&path).unwrap(), b"hello world");
}

#[test]
fn reading_overwrites_and_the_end_is_zero() {
    let folder = Folder::new("end");
    let path = folder.path("file");
    std::fs::write(&path, "0123456789").unwrap();
    run(async {
        let file = File::open(&path).await.unwrap();
        let (count, buf) = file.read_at(vec![b'x'; 20], 8).await.unwrap();
        assert_eq!((count, &buf[..]), (2, &b"89"[..]));
        for offset in [10, 11, 1 << 40] {
            let (count, buf) = file.read_at(vec![b'x'; 20], offset).await.unwrap();
            assert_eq!((count, buf.len()), (0, 0), "offset {offset}");
        }
        for offset in [0, 10] {
            let error = file.read_at(Vec::new(), offset).await.unwrap_err();
            assert_eq!(error.error.kind(), io::ErrorKind::InvalidInput);
        }
        let boxed = vec![b'.'; 4].into_boxed_slice();
        let (count, boxed) = file.read_at(boxed, 7).await.unwrap();
        assert_eq!((count, &boxed[..]), (3, &b"789."[..]));
        let mut vec = Vec::with_capacity(64);
        vec.extend_from_slice(b"ab");
        let (count, slice) = file.read_at(vec.slice_mut(2), 5).await.unwrap();
        assert_eq!((count, slice.into_inner()), (5, b"ab56789".to_vec()));
        let (count, bytes) = file.read_at(BytesMut::with_capacity(3), 0).await.unwrap();
        assert_eq!((count, &bytes[..]), (3, &b"012"[..]));
    });
}

#[test]
fn an_offset_that_no_file_has_is_an_error() {
    let folder = Folder::new("offset");
    let path = folder.path("file");
    std::fs::write(&path, "0123456789").unwrap();
    run(async {
        let options = OpenOptions::new().read(true).write(true);
        let file = options.open(&path).await.unwrap();
        for offset in [1 << 63, u64::MAX - 1, u64::MAX] {
            let error = file.read_at(vec![b'x'; 4], offset).await.unwrap_err();
            assert_eq!(error.error.kind(), io::ErrorKind::InvalidInput, "{offset}");
            assert_eq!(error.buf, b"xxxx");
            let error = file.write_at("bad", offset).await.unwrap_err();
            assert_eq!(error.error.kind(), io::ErrorKind::InvalidInput, "{offset}");
            assert_eq!(error.buf, "bad");
        }
    });
    assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
}

#[test]
fn writing_beyond_the_end_leaves_zeros() {
    let folder = Folder::new("hole");
    let path = folder.path("file");
    run(async {
        let file = File::create(&path).await.unwrap();
        file.write_all_at(Bytes::from_static(b"end"), 5)
            .await
            .unwrap();
        file.write_all_at("", 100).await.unwrap();
    });
    assert_eq!(std::fs::read(&path).unwrap(), b"\0\0\0\0\0end");
}

#[test]
fn appending_goes_to_the_end_whatever_the_offset() {
    let folder = Folder::new("append");
    let path = folder.path("file");
    std::fs::write(&path, "start").unwrap();
    run(async {
        let file = OpenOptions::new().append(true).open(&path).await.unwrap();
        assert_eq!(file.append(" one").await.unwrap().0, 4);
        assert_eq!(file.append(String::from(" two")).await.unwrap().0, 4);
        file.write_at(" three", 0).await.unwrap();
        assert_eq!(file.append("").await.unwrap().0, 0);
        let other = OpenOptions::new().append(true).open(&path).await.unwrap();
        other.append(" four").await.unwrap();
        file.append(" five".slice(..)).await.unwrap();
        let error = file.read_at(vec![0; 4], 0).await.unwrap_err();
        assert_eq!(error.error.raw_os_error(), Some(9), "not open for reading");
    });
    assert_eq!(
        std::fs::read(&path).unwrap(),
        b"start one two three four five"
    );
}

#[test]
fn open_options_mean_what_stds_mean() {
    let folder = Folder::new("options");
    let path = folder.path("file");
    run(async {
        let missing = File::open(&path).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let write = OpenOptions::new().write(true);
        let missing = write.open(&path).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let file = write
            .clone()
            .create_new(true)
            .mode(0o640)
            .open(&path)
            .await
            .unwrap();
        file.write_all_at("content", 0).await.unwrap();
        file.close().await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o640, mode, "no more than was asked for: {mode:o}");
        let there = write
            .clone()
            .create_new(true)
            .open(&path)
            .await
            .unwrap_err();
        assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
        write.clone().create(true).open(&path).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        write.clone().truncate(true).open(&path).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        let file = File::open(&path).await.unwrap();
        let error = file.write_at("no", 0).await.unwrap_err();
        assert_eq!(error.error.raw_os_error(), Some(9), "not open for writing");
        assert_eq!(error.buf, "no");
    });
}

#[test]
fn options_that_make_no_sense_are_invalid_input() {
    let folder = Folder::new("nonsense");
    let path = folder.path("file");
    run(async {
        let base = OpenOptions::new;
        for (number, options) in [
            base(),
            base().create(true),
            base().read(true).create(true),
            base().read(true).truncate(true),
            base().read(true).create_new(true),
            base().append(true).truncate(true),
        ]
        .into_iter()
        .enumerate()
        {
            let error = options.open(&path).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "case {number}");
        }
    });
    assert!(!path.exists());
}

#[test]
fn paths_that_cannot_be_opened_are_errors() {
    let folder = Folder::new("paths");
    run(async {
        let error = File::open("with\0zero").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = File::open("").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = File::open("/dev/null/below").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        let error = File::create(folder.path("")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let long = "x".repeat(5000);
        let error = File::open(&long).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
        // A name need not be text.
        let odd = folder.path("").join(OsStr::from_bytes(b"odd \xff name"));
        File::create(&odd).await.unwrap();
        assert!(odd.exists());
        // A relative path is relative to the working folder.
        let depth = env::current_dir().unwrap().components().count() - 1;
        let relative = Path::new(&"../".repeat(depth)).join(odd.strip_prefix("/").unwrap());
        File::open(relative).await.unwrap();
    });
}

#[test]
fn a_folder_is_no_file_to_read() {
    run(async {
        let folder = File::open("/").await.unwrap();
        let error = folder.read_at(vec![0; 4], 0).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::IsADirectory);
        folder.close().await.unwrap();
    });
}

#[test]
fn a_full_device_is_an_error_that_brings_the_buffer_back() {
    run(async {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .await
            .unwrap();
        let error = full.write_all_at(b"bytes".to_vec(), 0).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(error.buf, b"bytes");
    });
}

#[test]
fn a_large_file_is_written_and_read_in_any_order() {
    const LEN: usize = 32 << 20;
    const PIECE: usize = 100_000;
    let folder = Folder::new("large");
    let path = folder.path("file");
    run(async {
        let options = OpenOptions::new().read(true).write(true).create(true);
        let file = Rc::new(options.open(&path).await.unwrap());
        let all = Bytes::from(pattern(LEN));
        let mut writers = JoinSet::new();
        for start in (0..LEN).step_by(PIECE).rev() {
            let (file, piece) = (
                Rc::clone(&file),
                Bytes::slice(&all, start..(start + PIECE).min(LEN)),
            );
            writers.spawn(async move {
                file.write_all_at(piece, start as u64).await.unwrap();
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
        let mut readers = JoinSet::new();
        for start in (0..LEN).step_by(PIECE) {
            let file = Rc::clone(&file);
            readers.spawn(async move {
                let mut read = 0;
                let expected = PIECE.min(LEN - start);
                while read < expected {
                    let offset = start + read;
                    let buf = Vec::with_capacity(expected - read);
                    let (count, buf) = file.read_at(buf, offset as u64).await.unwrap();
                    assert!(count > 0 && is_pattern(&buf[..count], offset));
                    read += count;
                }
            });
        }
        while let Some(done) = readers.join_next().await {
            done.unwrap();
        }
        let everything = file.read_at(Vec::with_capacity(LEN + 1), 0).await.unwrap();
        assert!(is_pattern(&everything.1, 0));
        file.sync_all().await.unwrap();
    });
    assert_eq!(std::fs::metadata(&path).unwrap().len(), LEN as u64);
}

#[test]
fn closing_waits_for_what_was_dropped_in_flight() {
    let folder = Folder::new("closing");
    let path = folder.path("file");
    run(async {
        let file = File::create(&path).await.unwrap();
        for _ in 0..10 {
            let mut write = Box::pin(file.write_at(pattern(1 << 20), 0));
            let _ = crate::support::poll_once(&mut write).await;
        }
        file.close().await.unwrap();
        let (count, _) = File::open(&path)
            .await
            .unwrap()
            .read_at(Vec::with_capacity(1), 0)
            .await
            .unwrap();
        assert!(count <= 1);
    });
}

#[test]
fn files_without_a_cache_are_read_too() {
    run(async {
        let zero = File::open("/dev/zero").await.unwrap();
        let (count, buf) = zero.read_at(vec![1; 64], 0).await.unwrap();
        assert_eq!((count, &buf[..]), (64, &[0; 64][..]));
        let status = File::open("/proc/self/status").await.unwrap();
        let (count, buf) = status.read_at(Vec::with_capacity(9000), 0).await.unwrap();
        assert!(count > 100 && buf.starts_with(b"Name:"));
    });
}
