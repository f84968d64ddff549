//! Contents through each coding and back.

use std::io::Read as _;

use super::{Lent, is_compressible};
use crate::http::representation::Coding;

fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        Coding::Gzip => {
            let mut reader = flate2::read::GzDecoder::new(bytes);
            let _ = reader.read_to_end(&mut out);
        }
        Coding::Brotli => {
            let mut reader = brotli_decompressor::Decompressor::new(bytes, 4096);
            let mut piece = [0; 512];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                out.extend_from_slice(&piece[..count]);
            }
        }
        Coding::Zstd => {
            let mut reader = ruzstd::decoding::StreamingDecoder::new(bytes).unwrap();
            let mut piece = [0; 512];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                out.extend_from_slice(&piece[..count]);
            }
        }
    }
    out
}

/// The codings that this build has.
fn codings() -> Vec<Coding> {
    let is_there = |coding: &Coding| Lent::new(*coding, 3, usize::MAX).is_some();
    Coding::ALL.into_iter().filter(is_there).collect()
}

fn contents() -> Vec<Vec<u8>> {
    let mut random = 1_u64;
    let noise = std::iter::repeat_with(|| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 56) as u8
    });
    vec![
        Vec::new(),
        b"x".to_vec(),
        b"a line of text\n".repeat(10_000),
        noise.take(100_000).collect(),
    ]
}

#[test]
fn a_content_comes_back_from_each_coding_and_an_encoder_is_used_again() {
    for coding in codings() {
        for level in [0, 1, 4, 9, 30] {
            for content in contents() {
                let mut encoder = Lent::new(coding, level, usize::MAX).unwrap();
                let mut out = Vec::new();
                for piece in content.chunks(30_000) {
                    encoder.write(piece, &mut out).unwrap();
                }
                encoder.finish(&mut out).unwrap();
                assert_eq!(decoded(coding, &out), content, "{coding:?} {level}");
                if content.len() < 2 {
                    assert!(out.len() < 40, "{}", out.len());
                }
            }
        }
    }
}

#[test]
fn a_piece_can_be_decoded_once_it_is_flushed() {
    for coding in codings() {
        let mut encoder = Lent::new(coding, 4, usize::MAX).unwrap();
        let (mut out, mut content) = (Vec::new(), Vec::new());
        for number in 0..50 {
            let piece = format!("piece {number}\n").repeat(number * 40);
            content.extend_from_slice(piece.as_bytes());
            encoder.write(piece.as_bytes(), &mut out).unwrap();
            encoder.flush(&mut out).unwrap();
            if coding != Coding::Zstd {
                assert_eq!(decoded(coding, &out), content, "{coding:?} {number}");
            }
        }
        encoder.finish(&mut out).unwrap();
        assert_eq!(decoded(coding, &out), content, "{coding:?}");
    }
}

#[test]
fn an_encoder_that_was_dropped_in_the_middle_begins_anew() {
    for coding in codings() {
        let mut encoder = Lent::new(coding, 4, usize::MAX).unwrap();
        encoder
            .write(&b"secret".repeat(1000), &mut Vec::new())
            .unwrap();
        drop(encoder);
        let mut encoder = Lent::new(coding, 4, usize::MAX).unwrap();
        let mut out = Vec::new();
        encoder.write(b"other", &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        assert_eq!(decoded(coding, &out), b"other", "{coding:?}");
    }
}

#[test]
fn no_more_encoders_are_lent_than_there_may_be() {
    let one = Lent::new(Coding::Gzip, 4, 2).unwrap();
    let two = Lent::new(Coding::Gzip, 4, 2).unwrap();
    assert!(Lent::new(Coding::Gzip, 4, 2).is_none());
    drop(one);
    drop(two);
    assert!(Lent::new(Coding::Gzip, 4, 1).is_some());
}

#[test]
fn types_that_become_smaller() {
    for (content_type, expected) in [
        ("text/html; charset=utf-8", true),
        ("TEXT/Plain", true),
        ("application/json", true),
        ("application/problem+json;a=b", true),
        ("image/svg+xml", true),
        ("application/wasm", true),
        ("text/event-stream", false),
        ("text", false),
        ("application/octet-stream", false),
        ("image/png", false),
        ("video/mp4", false),
        ("font/woff2", false),
        ("application/x-own", true),
        ("", false),
    ] {
        let also = ["application/x-own".to_owned()];
        let found = is_compressible(content_type.as_bytes(), &also);
        assert_eq!(found, expected, "{content_type}");
    }
}
