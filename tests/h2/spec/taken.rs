//! Frames and field blocks of every kind, right ones and wrong ones.

use super::*;

#[test]
fn frames_of_every_kind_are_taken() {
    let half = usual().len() / 2;
    let (first, rest) = (&usual()[..half], &usual()[half..]);
    let third = half / 2;
    let closed = |frames: &[Vec<u8>]| join(&[get(1, "/"), frames.concat()]);
    check(vec![
        ("generic/1", "a preface", vec![], Fine),
        (
            "generic/2",
            "PRIORITY on an idle stream",
            join(&[frame(PRIORITY, 0, 1, &priority(0, 255)), get(1, "/")]),
            Answer,
        ),
        (
            "generic/2",
            "WINDOW_UPDATE on a half-closed stream",
            closed(&[window_update(1, 1)]),
            Answer,
        ),
        (
            "generic/2",
            "PRIORITY on a half-closed stream",
            closed(&[frame(PRIORITY, 0, 1, &priority(0, 1))]),
            Answer,
        ),
        (
            "generic/2",
            "RST_STREAM on a half-closed stream",
            closed(&[reset(1, CANCEL)]),
            Fine,
        ),
        (
            "generic/2",
            "PRIORITY on a closed stream",
            join(&[
                post(1, "/"),
                reset(1, CANCEL),
                frame(PRIORITY, 0, 1, &priority(0, 1)),
            ]),
            Fine,
        ),
        (
            "generic/3.1",
            "one DATA",
            join(&[post(1, "/"), frame(DATA, END_STREAM, 1, b"test")]),
            Answer,
        ),
        (
            "generic/3.1",
            "several DATA",
            join(&[
                post(1, "/"),
                frame(DATA, 0, 1, b"test"),
                frame(DATA, END_STREAM, 1, b"test"),
            ]),
            Answer,
        ),
        (
            "generic/3.1",
            "DATA with padding",
            join(&[
                post(1, "/"),
                frame(DATA, END_STREAM | PADDED, 1, &padded(b"test", 6)),
            ]),
            Answer,
        ),
        ("generic/3.2", "HEADERS", get(1, "/"), Answer),
        (
            "generic/3.2",
            "HEADERS with padding",
            frame(HEADERS, EVERYTHING | PADDED, 1, &padded(&usual(), 6)),
            Answer,
        ),
        (
            "generic/3.2",
            "HEADERS with priority",
            frame(
                HEADERS,
                EVERYTHING | WITH_PRIORITY,
                1,
                &[priority(0, 255), usual()].concat(),
            ),
            Answer,
        ),
        (
            "generic/3.3",
            "PRIORITY with priority 1",
            join(&[frame(PRIORITY, 0, 1, &priority(0, 0)), get(1, "/")]),
            Answer,
        ),
        (
            "generic/3.3",
            "PRIORITY with priority 256",
            join(&[frame(PRIORITY, 0, 1, &priority(0, 255)), get(1, "/")]),
            Answer,
        ),
        (
            "generic/3.3",
            "PRIORITY with a dependency",
            join(&[frame(PRIORITY, 0, 1, &priority(3, 255)), get(1, "/")]),
            Answer,
        ),
        (
            "generic/3.3",
            "PRIORITY, exclusive",
            join(&[
                frame(PRIORITY, 0, 1, &priority(3 | 1 << 31, 255)),
                get(1, "/"),
            ]),
            Answer,
        ),
        (
            "generic/3.3",
            "PRIORITY on an idle stream after others",
            join(&[get(1, "/"), frame(PRIORITY, 0, 7, &priority(0, 9))]),
            Answer,
        ),
        (
            "generic/3.4",
            "RST_STREAM",
            join(&[post(1, "/"), reset(1, CANCEL)]),
            Fine,
        ),
        (
            "generic/3.5",
            "SETTINGS",
            join(&[settings(&[(3, 100)]), get(1, "/")]),
            Answer,
        ),
        ("generic/3.7", "PING", frame(PING, 0, 0, b"whatever"), Fine),
        (
            "generic/3.9",
            "WINDOW_UPDATE of the connection",
            join(&[window_update(0, 1), get(1, "/")]),
            Answer,
        ),
        (
            "generic/3.9",
            "WINDOW_UPDATE of a stream",
            closed(&[window_update(1, 1)]),
            Answer,
        ),
        (
            "generic/3.10",
            "CONTINUATION",
            join(&[
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ]),
            Answer,
        ),
        (
            "generic/3.10",
            "several CONTINUATION",
            join(&[
                frame(HEADERS, END_STREAM, 1, &first[..third]),
                frame(CONTINUATION, 0, 1, &first[third..]),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ]),
            Answer,
        ),
        ("generic/4", "GET", get(1, "/"), Answer),
        (
            "generic/4",
            "HEAD",
            headers(EVERYTHING, 1, &request("HEAD", "/")),
            Answer,
        ),
        (
            "generic/4",
            "POST",
            join(&[post(1, "/"), frame(DATA, END_STREAM, 1, b"test")]),
            Answer,
        ),
        (
            "generic/4",
            "POST with trailers",
            join(&[
                post(1, "/"),
                frame(DATA, 0, 1, b"test"),
                headers(EVERYTHING, 1, &[("x-sum", "1")]),
            ]),
            Answer,
        ),
    ]);
}

#[test]
fn field_blocks_of_every_kind_are_taken() {
    let name = b"\x08x-header\x05value";
    let literal = |first: &[u8]| raw(&[first, name].concat());
    // "www.example.com" in Huffman's code, from RFC 7541, C.4.1.
    let huffman = b"\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let indexed: &[u8] = b"\x82\x86\x84\x41\x04test";
    check(vec![
        (
            "generic/5",
            "indexed fields",
            frame(HEADERS, EVERYTHING, 1, indexed),
            Answer,
        ),
        (
            "generic/5",
            "a literal with indexing, indexed name",
            raw(b"\x7a\x05agent"),
            Answer,
        ),
        (
            "generic/5",
            "a literal with indexing, new name",
            literal(b"\x40"),
            Answer,
        ),
        (
            "generic/5",
            "a literal without indexing, indexed name",
            raw(b"\x0f\x2b\x05agent"),
            Answer,
        ),
        (
            "generic/5",
            "a literal without indexing, new name",
            literal(b"\x00"),
            Answer,
        ),
        (
            "generic/5",
            "a literal never indexed, indexed name",
            raw(b"\x1f\x2b\x05agent"),
            Answer,
        ),
        (
            "generic/5",
            "a literal never indexed, new name",
            literal(b"\x10"),
            Answer,
        ),
        (
            "generic/5",
            "an entry of the dynamic table",
            join(&[
                raw(&[b"\x40", &name[..]].concat()),
                frame(
                    HEADERS,
                    EVERYTHING,
                    3,
                    &[usual(), b"\xbe".to_vec()].concat(),
                ),
            ]),
            Answer,
        ),
        (
            "generic/5",
            "a value in Huffman's code",
            raw(&[b"\x0f\x2b", &huffman[..]].concat()),
            Answer,
        ),
        (
            "generic/5",
            "a name in Huffman's code",
            raw(b"\x00\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x01v"),
            Answer,
        ),
        (
            "generic/5",
            "a smaller table",
            frame(
                HEADERS,
                EVERYTHING,
                1,
                &[b"\x20".to_vec(), usual()].concat(),
            ),
            Answer,
        ),
        (
            "generic/5",
            "a table of the largest size",
            frame(
                HEADERS,
                EVERYTHING,
                1,
                &[b"\x3f\xe1\x1f".to_vec(), usual()].concat(),
            ),
            Answer,
        ),
        (
            "hpack/2.3.3",
            "an index beyond the tables",
            raw(b"\xc6"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "hpack/2.3.3",
            "a name's index beyond the tables",
            raw(b"\x7f\x07\x01v"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "hpack/4.2",
            "a table size at the end of a block",
            raw(b"\x20"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "hpack/5.2",
            "padding of more than seven bits",
            raw(b"\x0f\x2b\x82\x1c\xff\xff"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "hpack/5.2",
            "padding of other bits than EOS's",
            raw(b"\x0f\x2b\x81\x00"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "hpack/5.2",
            "EOS in a text",
            raw(b"\x0f\x2b\x84\xff\xff\xff\xff"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "hpack/6.1",
            "index 0",
            raw(b"\x80"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "hpack/6.3",
            "a table larger than the settings allow",
            frame(
                HEADERS,
                EVERYTHING,
                1,
                &[b"\x3f\xe2\x1f".to_vec(), usual()].concat(),
            ),
            Coarse(COMPRESSION_ERROR),
        ),
    ]);
}
