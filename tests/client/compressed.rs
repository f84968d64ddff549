//! Compressed bodies, and those that only say they are.

use std::io::Write as _;

use annulus::http::{
    HeaderValue,
    client::{Client, ErrorKind},
    header,
};

use crate::{
    script::Script,
    support::{http::field, run},
};

/// `compressed text ` eight times over, in each coding.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\xce\xcf\x2d\x28\x4a\x2d\x2e\x4e\x4d\x51\x28\x49\xad\x28\x51\x48\xa6\x33\x1f\x00\xa2\xf9\xbf\x66\x80\x00\x00\x00";
const ZLIB: &[u8] = b"\x78\x9c\x4b\xce\xcf\x2d\x28\x4a\x2d\x2e\x4e\x4d\x51\x28\x49\xad\x28\x51\x48\xa6\x33\x1f\x00\xa2\x8c\x31\xd1";
const DEFLATE: &[u8] =
    b"\x4b\xce\xcf\x2d\x28\x4a\x2d\x2e\x4e\x4d\x51\x28\x49\xad\x28\x51\x48\xa6\x33\x1f\x00";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04\x58\xbd\x00\x00\x80\x63\x6f\x6d\x70\x72\x65\x73\x73\x65\x64\x20\x74\x65\x78\x74\x20\x01\x00\xda\xa4\x73\x09\xa8\xac\x93\x82";
/// `hello`, stored.
const BROTLI: &[u8] = b"\x0b\x02\x80hello\x03";

fn answer(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn ask(coding: &str, body: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let server = Script::answering(answer(coding, body));
    run(async {
        let response = Client::new().get(server.url("/")).send().await.unwrap();
        response.bytes().await.map_err(|error| error.kind())
    })
}

fn cases() -> [(&'static str, &'static [u8], String); 5] {
    let text = "compressed text ".repeat(8);
    [
        ("gzip", GZIP, text.clone()),
        ("deflate", ZLIB, text.clone()),
        ("deflate", DEFLATE, text.clone()),
        ("zstd", ZSTD, text),
        ("br", BROTLI, "hello".to_owned()),
    ]
}

#[test]
fn every_coding_that_is_asked_for_is_undone() {
    for (coding, body, text) in cases() {
        assert_eq!(ask(coding, body).unwrap(), text.as_bytes(), "{coding}");
        assert_eq!(ask(coding, b"").unwrap(), b"", "{coding}");
    }
    let twice = [GZIP, GZIP].concat();
    assert_eq!(ask("X-GZip", &twice).unwrap().len(), 256);
    assert_eq!(ask("gzip", &[GZIP, &[0; 9]].concat()).unwrap().len(), 128);
    assert_eq!(ask("unheard-of", b"as it is").unwrap(), b"as it is");
}

#[test]
fn a_body_that_is_cut_off_is_an_error() {
    for (coding, body, _) in cases() {
        for end in 1..body.len() {
            let result = ask(coding, &body[..end]);
            assert!(
                matches!(result, Err(ErrorKind::Decode(_))),
                "{coding} {end}"
            );
        }
    }
}

#[test]
fn a_body_that_is_broken_is_an_error() {
    for (coding, body, _) in cases() {
        let nonsense = [body, b"x"].concat();
        let _ = ask(coding, &nonsense);
        let result = ask(coding, b"\xff\xfenonsense");
        assert!(matches!(result, Err(ErrorKind::Decode(_))), "{coding}");
    }
    // Checksums are looked at.
    for (coding, body, place) in [("gzip", GZIP, 8), ("deflate", ZLIB, 1), ("zstd", ZSTD, 1)] {
        let mut broken = body.to_vec();
        let place = broken.len() - place;
        broken[place] ^= 1;
        let result = ask(coding, &broken);
        assert!(matches!(result, Err(ErrorKind::Decode(_))), "{coding}");
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    for (coding, body, text) in cases() {
        let answer = answer(coding, body);
        let head = answer.len() - body.len();
        let server = Script::new(move |conn| {
            conn.request();
            conn.send(&answer[..head]);
            for byte in &answer[head..] {
                conn.send([*byte]);
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            conn.wait_close();
        });
        run(async {
            let response = Client::new().get(server.url("/")).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), text, "{coding}");
        });
    }
}

#[test]
fn a_small_body_that_stands_for_a_huge_one_is_stopped_by_the_limit() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 200_000);
    let result = ask("gzip", &bomb);
    assert_eq!(
        result,
        Err(ErrorKind::TooLarge {
            bytes_max: 10 << 20
        })
    );
    // Piece by piece all of it can be had, and no piece is large.
    let server = Script::answering(answer("gzip", &bomb));
    run(async {
        let mut response = Client::new().get(server.url("/")).send().await.unwrap();
        let mut total = 0;
        while let Some(piece) = response.next().await.unwrap() {
            assert!(piece.len() <= 1 << 16);
            total += piece.len();
        }
        assert_eq!(total, 100 << 20);
    });
}

#[test]
fn whoever_does_not_want_it_undone_gets_it_as_it_came() {
    let server = Script::answering(answer("gzip", GZIP));
    run(async {
        let client = Client::new();
        let request = client.get(server.url("/")).decompress(false);
        let response = request.send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap(), GZIP);
        client.get(server.url("/")).send().await.unwrap();
    });
    let requests = server.requests();
    assert_eq!(field(&requests[0], "accept-encoding"), Some("identity"));
    let accepted = field(&requests[1], "accept-encoding");
    assert_eq!(accepted, Some("gzip, deflate, br, zstd"));
}

/// A response with these fields before its length, pulled with this client.
fn ask_with(fields: &str, body: &[u8]) -> Result<(Vec<u8>, Vec<&'static str>, bool), ErrorKind> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\nX: y\r\n\r\n");
    let server = Script::answering([head.as_bytes(), body].concat());
    run(async {
        let response = Client::new().get(server.url("/")).send().await.unwrap();
        let codings = response.decoded_codings().to_vec();
        let was_decoded = response.was_decoded();
        assert_eq!(was_decoded, !codings.is_empty());
        let has = |name| response.field(name).is_some() || response.field_map().contains_key(name);
        assert_eq!(has("content-length"), !was_decoded);
        assert!(has("x"));
        let stands = has("content-encoding");
        let bytes = response.bytes().await.map_err(|error| error.kind())?;
        Ok((bytes, codings, stands))
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_codings_of_all_field_lines_are_one_list() {
    let twice = gzip(&gzip(b"hello"));
    let brotli_in_gzip = gzip(BROTLI);
    let four = gzip(&gzip(&twice));
    let one = gzip(b"hello");
    let list = |fields: &[&str]| -> String {
        let line = |value: &&str| format!("Content-Encoding: {value}\r\n");
        fields.iter().map(line).collect()
    };
    for (fields, body, codings) in [
        (&["gzip", "gzip"][..], &twice, &["gzip", "gzip"][..]),
        (&["gzip, x-gzip"], &twice, &["gzip", "gzip"]),
        (
            &["", "GZIP ,, identity", ",gzip"],
            &twice,
            &["gzip", "gzip"],
        ),
        (&["identity", "gzip"], &one, &["gzip"]),
        (&["gzip", "identity"], &one, &["gzip"]),
        (&["br", "gzip"], &brotli_in_gzip, &["br", "gzip"]),
        (&["gzip, gzip", "gzip,gzip"], &four, &["gzip"; 4]),
    ] {
        let found = ask_with(&list(fields), body);
        assert_eq!(
            found,
            Ok((b"hello".to_vec(), codings.to_vec(), false)),
            "{fields:?}"
        );
    }
    // Those that cannot be undone all are left as they are, with their fields.
    for fields in [
        &["unheard-of", "gzip"][..],
        &["gzip", "unheard-of"],
        &["gzip, unheard-of"],
        &["gzip;q=1"],
        &["identity"],
        &["", " , "],
    ] {
        let found = ask_with(&list(fields), &one);
        assert_eq!(found, Ok((one.clone(), vec![], true)), "{fields:?}");
    }
    // Codings that do not fit the body, and too many of them, are errors and nothing half done.
    for fields in [&["gzip", "gzip"][..], &["br, gzip"], &["gzip"; 5]] {
        let found = ask_with(&list(fields), &one);
        assert!(matches!(found, Err(ErrorKind::Decode(_))), "{fields:?}");
    }
}

#[test]
fn lists_of_codings_are_undone_piece_by_piece_and_within_the_limit() {
    let text: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    let body = gzip(&gzip(&gzip(&text)));
    let fields = "Content-Encoding: gzip, gzip\r\nContent-Encoding: gzip\r\n";
    assert_eq!(ask_with(fields, &body).unwrap().0, text);
    for end in (1..body.len()).step_by(1000) {
        let found = ask_with(fields, &body[..end]);
        assert!(matches!(found, Err(ErrorKind::Decode(_))), "{end}");
    }
    let zeros = gzip(&vec![0; 11 << 20]);
    let found = ask_with("Content-Encoding: gzip, gzip\r\n", &gzip(&zeros));
    let bytes_max = 10 << 20;
    assert_eq!(found, Err(ErrorKind::TooLarge { bytes_max }));
    // Members without content stand for nothing, and a little of another coding for many of them.
    let nothing = gzip(b"").repeat((5 << 20) / gzip(b"").len());
    let found = ask_with("Content-Encoding: gzip, gzip\r\n", &gzip(&nothing));
    assert!(matches!(found, Err(ErrorKind::Decode(_))));
}

#[test]
fn frames_of_zstd_that_are_to_be_skipped_are() {
    let skipped = |magic: u8, len: u32| {
        let head = [&[magic, 0x2a, 0x4d, 0x18], &len.to_le_bytes()[..]].concat();
        [head, vec![7; len as usize]].concat()
    };
    let text = b"compressed text ".repeat(8);
    for (frames, count) in [
        (vec![skipped(0x50, 4), ZSTD.to_vec()], 1),
        (vec![ZSTD.to_vec(), skipped(0x5f, 4)], 1),
        (vec![ZSTD.to_vec(), skipped(0x5a, 0), ZSTD.to_vec()], 2),
        (
            vec![skipped(0x50, 0), skipped(0x51, 1 << 20), ZSTD.to_vec()],
            1,
        ),
        (vec![skipped(0x50, 9)], 0),
        (vec![skipped(0x50, 0).repeat(100_000), ZSTD.to_vec()], 1),
    ] {
        assert_eq!(ask("zstd", &frames.concat()).unwrap(), text.repeat(count));
    }
    let hello =
        b"\x50\x2a\x4d\x18\x04\0\0\0SKIP\x28\xb5\x2f\xfd\x04\x58\x29\0\0hello\xa3\x6d\x9f\x88";
    assert_eq!(ask("zstd", hello).unwrap(), b"hello");
    for end in 1..hello.len() {
        // Behind the skipped frame nothing is missing.
        let found = ask("zstd", &hello[..end]);
        assert_eq!(found.is_ok(), end == 12, "{end}");
    }
    for broken in [
        &b"\x50\x2a\x4d\x19\0\0\0\0"[..],
        b"\x60\x2a\x4d\x18\0\0\0\0",
    ] {
        assert!(matches!(ask("zstd", broken), Err(ErrorKind::Decode(_))));
    }
    // One that announces more than is to be skipped of any body is refused before it comes.
    let huge = b"\x50\x2a\x4d\x18\xff\xff\xff\xff";
    assert!(matches!(ask("zstd", huge), Err(ErrorKind::Decode(_))));
}

#[test]
fn a_part_of_a_body_is_neither_asked_for_coded_nor_decoded() {
    let part = b"\x1f\x8b";
    let head = "HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\n\
                Content-Range: bytes 0-1/52\r\nContent-Length: 2\r\n\r\n";
    let server = Script::answering([head.as_bytes(), part].concat());
    run(async {
        let client = Client::new();
        let own =
            Client::builder().with_field(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        let own = own.build();
        let coded = || client.get(server.url("/")).with_field("Range", "bytes=0-1");
        for request in [
            coded(),
            own.get(server.url("/")),
            coded().with_field("Accept-Encoding", "gzip"),
        ] {
            let response = request.send().await.unwrap();
            assert!(!response.was_decoded());
            assert_eq!(response.field("content-encoding"), Some(&b"gzip"[..]));
            assert_eq!(response.field("content-length"), Some(&b"2"[..]));
            assert_eq!(response.bytes().await.unwrap(), part);
        }
    });
    let said =
        |index: usize| field(&server.requests()[index], "accept-encoding").map(str::to_owned);
    assert_eq!((said(0), said(1)), (None, None));
    assert_eq!(said(2).as_deref(), Some("gzip"));
}

#[test]
fn a_response_without_a_body_keeps_its_fields() {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 52\r\n\r\n";
    let server = Script::answering(head);
    run(async {
        let response = Client::new().head(server.url("/")).send().await.unwrap();
        assert!(!response.was_decoded());
        assert_eq!(response.field("content-encoding"), Some(&b"gzip"[..]));
        assert_eq!(response.field("content-length"), Some(&b"52"[..]));
        assert_eq!(response.bytes().await.unwrap(), b"");
    });
}
