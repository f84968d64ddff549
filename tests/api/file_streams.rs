//! Files as streams of bytes.

use std::{fs, future::poll_fn, io, pin::pin, task::Poll};

use annulus::{
    fs::{File, OpenOptions},
    io::{ByteRead as _, ByteWrite, Reader},
};

use crate::support::{Folder, run_each};

#[test]
fn a_reader_reads_a_file_from_an_offset_to_its_end() {
    run_each(async || {
        let folder = Folder::new("reader");
        let content: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        fs::write(folder.path("file"), &content).unwrap();
        let file = File::open(folder.path("file")).await.unwrap();
        let mut reader = file.reader(7);
        let mut bytes = Vec::new();
        loop {
            let piece = reader.recv().await.unwrap();
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
            assert_eq!(reader.position(), 7 + bytes.len() as u64);
        }
        assert!(bytes == content[7..]);
        // What is written meanwhile comes after the end.
        let more = OpenOptions::new()
            .append(true)
            .open(folder.path("file"))
            .await
            .unwrap();
        more.append("more").await.unwrap();
        assert_eq!(&*reader.recv().await.unwrap(), b"more");
        reader.set_position(299_999);
        assert_eq!(reader.recv().await.unwrap()[1..], *b"more");
    });
}

#[test]
fn lines_and_lengths_are_read_from_a_file() {
    run_each(async || {
        let folder = Folder::new("lines");
        let mut text = String::new();
        for number in 0..50_000 {
            text += &format!("line {number}\r\n");
        }
        text += "\0\0\0\x05hello";
        fs::write(folder.path("file"), text).unwrap();
        let file = File::open(folder.path("file")).await.unwrap();
        let mut reader = Reader::new(file.reader(0));
        for number in 0..50_000 {
            let line = reader.read_line(100).await.unwrap().unwrap();
            assert_eq!(line, format!("line {number}"));
        }
        assert_eq!(reader.read_exact(4).await.unwrap(), [0, 0, 0, 5]);
        assert_eq!(reader.read_exact(5).await.unwrap(), b"hello");
        let end = reader.read_exact(1).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_folder_has_no_bytes_to_read() {
    run_each(async || {
        let file = File::open("/").await.unwrap();
        let error = file.reader(0).recv().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    });
}

#[test]
fn a_writer_collects_small_writes_until_it_is_flushed() {
    run_each(async || {
        let folder = Folder::new("writer");
        let path = folder.path("file");
        let file = File::create(&path).await.unwrap();
        let mut writer = file.writer(3);
        writer.write_all(b"small").await.unwrap();
        assert_eq!((writer.unwritten(), writer.position()), (5, 3));
        assert_eq!(fs::read(&path).unwrap(), b"");
        writer.flush().await.unwrap();
        assert_eq!((writer.unwritten(), writer.position()), (0, 8));
        assert_eq!(fs::read(&path).unwrap(), b"\0\0\0small");
        let mut expected = b"\0\0\0small".to_vec();
        for number in 0..100_000_u32 {
            writer.write_all(&number.to_le_bytes()).await.unwrap();
            expected.extend(number.to_le_bytes());
            assert!(writer.unwritten() <= 128 * 1024);
        }
        let large = vec![7; 300_000];
        writer.write_all(&large).await.unwrap();
        expected.extend(large);
        writer.flush().await.unwrap();
        assert!(fs::read(&path).unwrap() == expected);
        // The trait's flushes by itself, as for every stream.
        ByteWrite::write_all(&mut writer, b"end").await.unwrap();
        assert!(fs::read(&path).unwrap().ends_with(b"end"));
        writer.write_all(b"lost").await.unwrap();
        drop(writer);
        assert!(fs::read(&path).unwrap().ends_with(b"end"));
    });
}

#[test]
fn an_error_keeps_the_bytes_that_were_taken() {
    run_each(async || {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .await
            .unwrap();
        let mut writer = full.writer(0);
        writer.write_all(b"bytes").await.unwrap();
        for _ in 0..3 {
            let error = writer.flush().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
            assert_eq!(writer.unwritten(), 5);
        }
        // More is not taken without end.
        let error = writer.write_all(&vec![0; 1 << 20]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        assert!(writer.unwritten() <= 128 * 1024);
    });
}

#[test]
fn a_dropped_flush_and_a_dropped_read_lose_nothing() {
    run_each(async || {
        let folder = Folder::new("dropped");
        let path = folder.path("file");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .open(&path)
            .await;
        let file = file.unwrap();
        let mut writer = file.writer(0);
        let mut expected = Vec::new();
        for number in 0..200_u8 {
            writer.write_all(&vec![number; 10_000]).await.unwrap();
            expected.extend(vec![number; 10_000]);
            let mut flush = pin!(writer.flush());
            let _ = poll_fn(|context| Poll::Ready(flush.as_mut().poll(context))).await;
        }
        writer.flush().await.unwrap();
        let mut reader = file.reader(0);
        let mut bytes = Vec::new();
        while bytes.len() < expected.len() {
            {
                let mut recv = pin!(reader.recv());
                let first = poll_fn(|context| Poll::Ready(recv.as_mut().poll(context))).await;
                if let Poll::Ready(piece) = first {
                    bytes.extend_from_slice(&piece.unwrap());
                    continue;
                }
            }
            bytes.extend_from_slice(&reader.recv().await.unwrap());
        }
        assert!(bytes == expected);
    });
}
