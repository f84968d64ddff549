//! Chunks, trailers, and the decoder of bodies.

use super::play::{check, play_with};
use crate::http::h1::{
    BodyDecoder, BodyEncoder, BodyError, BodyLength, HeadError, Leniency, Limits, PromiseBroken,
    Rules,
    body_decoder::BodyStep,
    chunk_encoder::{ChunkHeader, LAST_CHUNK},
};

use ::http::{HeaderMap, HeaderName, HeaderValue};

const START: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// Plays a request with this chunked body, and another behind it.
#[track_caller]
fn body(chunks: impl AsRef<[u8]>, expected: &str) {
    check(
        [START.as_bytes(), chunks.as_ref(), NEXT.as_bytes()].concat(),
        expected,
    );
}

/// Plays a chunk of five bytes with this line.
#[track_caller]
fn line(line: impl AsRef<[u8]>, expected: &str) {
    body(
        [line.as_ref(), b"\r\nhello\r\n0\r\n\r\n"].concat(),
        expected,
    );
}

/// A chunk line that is fine, for five bytes.
#[track_caller]
fn good(text: impl AsRef<[u8]>) {
    line(text, "POST / hello; GET /next");
}

#[test]
fn chunk_sizes_are_hex_digits() {
    good("5");
    good("05");
    good("0000000000000005");
    good("00000000000000005");
    body(
        "A\r\n0123456789\r\n0\r\n\r\n",
        "POST / 0123456789; GET /next",
    );
    body(
        "a\r\n0123456789\r\n0\r\n\r\n",
        "POST / 0123456789; GET /next",
    );
    body("0\r\n\r\n", "POST /; GET /next");
    body("000\r\n\r\n", "POST /; GET /next");
    line("", "400 chunk-size-missing");
    line(";a", "400 chunk-size-missing");
    body("\n", "400 chunk-size-missing");
    for size in [
        "g", "+5", "-5", "0x5", " 5", "5_0", "_5", "\u{665}", "\0", "5\0", "\x0b5", "5\x0b", "5g",
        "\t5", "5.0", "5,5", "5:", "\u{ff15}", "5\u{a0}",
    ] {
        line(size, "400 chunk-size-invalid");
    }
}

#[test]
fn chunk_sizes_have_16_digits_and_63_bits() {
    line("10000000000000000", "400 chunk-size-too-large"); // 2^64
    line(
        "00000000000000001000000000000000f",
        "400 chunk-size-too-large",
    );
    // Sixteen leading zeros are enough.
    good("00000000000000005");
    line("000000000000000005", "400 chunk-size-too-large");
    line("FFFFFFFFFFFFFFFF", "400 chunk-size-too-large"); // 2^64 - 1
    line("8000000000000000", "400 chunk-size-too-large"); // 2^63
    line("7FFFFFFFFFFFFFFF", "413 body-too-large");
    line("100001", "413 body-too-large");
    // The sum counts, at the size that crosses the limit.
    body("5\r\nhello\r\nffffc\r\n", "413 body-too-large");
    let content = "x".repeat(1 << 20);
    body(
        format!("100000\r\n{content}\r\n0\r\n\r\n"),
        &format!("POST / {content}; GET /next"),
    );
}

#[test]
fn chunk_lines_end_with_cr_lf() {
    body("5\nhello\r\n0\r\n\r\n", "400 chunk-line-end");
    body("5\rhello\r\n0\r\n\r\n", "400 chunk-line-end");
    body("5\r\rhello\r\n0\r\n\r\n", "400 chunk-line-end");
    body("5\n\rhello\r\n0\r\n\r\n", "400 chunk-line-end");
    line("5 ", "400 chunk-size-invalid");
    line("5\t", "400 chunk-size-invalid");
}

#[test]
fn chunk_data_ends_with_cr_lf() {
    for end in [
        "", "\n", "\r", "x", "xy", "\n\r", "\r\r\n", "x\r\n", "\0\r\n",
    ] {
        body(format!("5\r\nhello{end}0\r\n\r\n"), "400 chunk-data-end");
    }
    body("5\r\nhell\r\n0\r\n\r\n", "400 chunk-data-end");
    body("5\r\nhello!\r\n0\r\n\r\n", "400 chunk-data-end");
}

#[test]
fn chunk_extensions_are_ignored() {
    good("5;a");
    good("5;a=b");
    good("5;a;b=c;d=\"e f;g\"");
    good("5;a=\"\"");
    good("5;a=\"\\\"\\\\\"");
    good("5;a=\"\t\u{e9}\"");
    good("5;a=\"b\";c");
    body(
        "5;a\r\nhello\r\n0;z=\"x\"\r\n\r\n",
        "POST / hello; GET /next",
    );
}

#[test]
fn chunk_extensions_follow_their_grammar() {
    for text in [
        "5;",
        "5;;",
        "5;a=",
        "5;=b",
        "5;a=b=c",
        "5;a=\"",
        "5;a=\"b",
        "5;a=\"b\"c",
        "5; ",
        "5;a ",
        "5;a=b ",
        "5;a=\"b\"\t",
        "5;a b",
        "5;a =",
        "5;a= ",
        "5;a=b c",
        "5;a=\"b\" c",
        "5;a=b =c",
        "5;a ; ",
        "5;a\x0b=b",
        "5;a\0",
        "5;a=\"\0\"",
        "5;a=\"\\\0\"",
        "5;a=\"b\"\"",
        "5;a=b\"",
        "5;\t",
        "5;a=\"\x7f\"",
        "5;(",
        "5;a;",
        "5;a\u{e9}",
        "5;a=\"\\",
    ] {
        line(text, "400 chunk-extension-invalid");
    }
    body("5;a\nhello\r\n0\r\n\r\n", "400 chunk-extension-invalid");
    body(
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "400 chunk-extension-invalid",
    );
    body(
        "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "400 chunk-extension-invalid",
    );
    body(
        "5;a=\"\\\r\n\"\r\nhello\r\n0\r\n\r\n",
        "400 chunk-extension-invalid",
    );
    body("5;a\rhello\r\n0\r\n\r\n", "400 chunk-line-end");
}

#[test]
fn blanks_around_the_marks_of_extensions_are_read() {
    for blank in [" ", "\t", " \t  "] {
        good(format!("5{blank};a=b"));
        good(format!("5;{blank}a=b"));
        good(format!("5;a{blank}=b"));
        good(format!("5;a={blank}b"));
        good(format!("5;a={blank}\"b\""));
        good(format!("5;a{blank};c"));
        good(format!("5;a=b{blank};c"));
        good(format!("5;a=\"b\"{blank};{blank}c{blank}={blank}d"));
        line(format!("5{blank}"), "400 chunk-size-invalid");
        line(format!("5{blank}a"), "400 chunk-size-invalid");
        line(format!("5{blank}5"), "400 chunk-size-invalid");
        line(format!("5{blank}=b"), "400 chunk-size-invalid");
        line(format!("5{blank};"), "400 chunk-extension-invalid");
        body(
            format!("5\r\nhello\r\n0{blank};a\r\n\r\n"),
            "POST / hello; GET /next",
        );
    }
    body("5 \nhello\r\n0\r\n\r\n", "400 chunk-line-end");
    body("5 ;a\nhello\r\n0\r\n\r\n", "400 chunk-extension-invalid");
    // They count as extensions do.
    good(format!("5{};a", " ".repeat(4094)));
    line(
        format!("5{};a", " ".repeat(4095)),
        "400 chunk-extension-too-large",
    );
}

#[test]
fn blanks_at_the_end_of_a_chunk_line_are_a_leniency() {
    let rules = Rules {
        leniency: Leniency {
            chunk_line_blanks: true,
            ..Leniency::default()
        },
        ..Rules::default()
    };
    let play = |chunks: &str| play_with(format!("{START}{chunks}").as_bytes(), &rules);
    for end in [" ", "\t", " \t ", ";a ", ";a=b\t", ";a=\"b\" ", " ;a= b "] {
        assert_eq!(
            play(&format!("5{end}\r\nhello\r\n0{end}\r\n\r\n")),
            "POST / hello",
            "{end:?}"
        );
    }
    for start in ["5 5", "5; ", "5;a= ", "5;a b", "5 \n", "5 \r", " 5"] {
        let outcome = play(&format!("{start}\r\nhello\r\n0\r\n\r\n"));
        assert!(outcome.starts_with("400 chunk-"), "{start:?}: {outcome}");
    }
    let spaces = " ".repeat(5000);
    assert_eq!(
        play(&format!("5{spaces}\r\n")),
        "400 chunk-extension-too-large"
    );
}

#[test]
fn chunk_extensions_have_limits() {
    let extension = |len: usize| format!(";{}", "x".repeat(len - 1));
    good(format!("5{}", extension(4096)));
    line(
        format!("5{}", extension(4097)),
        "400 chunk-extension-too-large",
    );
    let chunk = format!("1{}\r\na\r\n", extension(1024));
    body(
        format!("{}0\r\n\r\n", chunk.repeat(16)),
        "POST / aaaaaaaaaaaaaaaa; GET /next",
    );
    body(
        format!("{}0;x\r\n\r\n", chunk.repeat(16)),
        "400 chunk-extension-too-large",
    );
    let chunks = chunk.repeat(2000);
    body(chunks, "400 chunk-extension-too-large");
}

#[test]
fn trailers_are_kept_apart() {
    body("0\r\nA: b\r\n\r\n", "POST / A=b; GET /next");
    body(
        "1\r\nx\r\n0\r\nA: b\r\nC:\r\nA:  d \r\n\r\n",
        "POST / x A=b C= A=d; GET /next",
    );
    let many: String = (0..32).map(|index| format!("X{index}: y\r\n")).collect();
    let seen: String = (0..32).map(|index| format!(" X{index}=y")).collect();
    body(
        format!("0\r\n{many}\r\n"),
        &format!("POST /{seen}; GET /next"),
    );
}

#[test]
fn trailers_that_come_too_late_are_ignored() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "Host",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Connection",
        "TE",
        "Trailer",
        "Content-Type",
        "Content-Encoding",
        "Expect",
        "Upgrade",
    ] {
        body(
            format!("0\r\n{name}: 5\r\nA: b\r\n\r\n"),
            "POST / A=b; GET /next",
        );
    }
}

#[test]
fn malformed_trailers_are_refused() {
    for line in [
        "A",
        " A: b",
        "\tA: b",
        "A : b",
        ": b",
        "A: b\0",
        "A\0: b",
        "A: b\rc",
        "A B: c",
        "A: b\r\n c",
        "A: b\r",
        "XY",
        "GET / HTTP/1.1",
    ] {
        body(format!("0\r\n{line}\r\n\r\n"), "400 trailer-invalid");
    }
    body("0\r\nA: b\n\r\n", "400 trailer-invalid");
    body("0\r\n\n", "400 trailer-invalid");
    body("0\r\n\r\r\n", "400 trailer-invalid");
    body("0\r\n\rX", "400 trailer-invalid");
    // The final line end is missing: the next request line is no trailer.
    body("0\r\n", "400 trailer-invalid");
    body("0\r\nXY", "400 trailer-invalid");
}

#[test]
fn trailers_have_limits() {
    let many = "X: y\r\n".repeat(33);
    body(format!("0\r\n{many}\r\n"), "431 too-many-trailers");
    // Ignored ones count as well.
    body(
        format!("0\r\n{}\r\n", "Host: y\r\n".repeat(33)),
        "431 too-many-trailers",
    );
    let trailers = |len: usize| format!("0\r\nX: {}\r\n\r\n", "y".repeat(len - 7));
    body(
        trailers(8192),
        &format!("POST / X={}; GET /next", "y".repeat(8192 - 7)),
    );
    body(trailers(8193), "431 trailers-too-large");
    body(trailers(100_000), "431 trailers-too-large");
}

#[test]
fn the_error_that_comes_first_in_the_bytes_is_told() {
    let rules = Rules {
        limits: Limits {
            trailer_bytes_max: 20,
            ..Limits::default()
        },
        ..Rules::default()
    };
    let play = |chunks: &str| play_with(format!("{START}{chunks}").as_bytes(), &rules);
    assert_eq!(
        play("0\r\nA: b\nccccccccccccccccccccc"),
        "400 trailer-invalid"
    );
    assert_eq!(
        play("0\r\nA: bccccccccccccccccccccc\n"),
        "431 trailers-too-large"
    );
}

/// Decodes `input` in pieces of `len` bytes, `in_place` or not.
fn decode(
    length: BodyLength,
    bytes_max: u64,
    input: &[u8],
    len: usize,
    in_place: bool,
) -> (Vec<u8>, Result<bool, BodyError>, Vec<u8>) {
    let rules = Rules::default();
    let mut decoder = BodyDecoder::new();
    decoder.begin(length, bytes_max);
    let mut content = Vec::new();
    let mut rest = input.to_vec();
    let mut parked = Vec::new();
    while !decoder.is_end() {
        if rest.is_empty() && parked.is_empty() {
            break;
        }
        if parked.is_empty() {
            parked = rest.drain(..len.min(rest.len())).collect();
        }
        let step = if in_place {
            decoder.decode_in_place(&mut parked, &rules)
        } else {
            decoder.decode(&parked, &rules)
        };
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(
                    decoder.decode(&parked, &rules),
                    Err(error),
                    "an error comes again"
                );
                return (content, Err(error), Vec::new());
            }
        };
        assert!(step.consumed > 0 || step.is_end);
        content.extend_from_slice(&parked[step.data]);
        parked.drain(..step.consumed);
    }
    assert_eq!(decoder.received(), content.len() as u64);
    parked.extend_from_slice(&rest);
    (content, Ok(decoder.is_end()), parked)
}

/// Length, limit and input; content, whether the body ended, and what is left of the input.
type Case = (
    BodyLength,
    u64,
    &'static [u8],
    &'static [u8],
    Result<bool, BodyError>,
    &'static [u8],
);

#[test]
fn decoding_does_not_depend_on_pieces_or_place() {
    let chunked = b"3\r\nabc\r\n10;x=\"y\"\r\n0123456789abcdef\r\n1\r\n!\r\n0\r\nA: b\r\n\r\nrest";
    let cases: &[Case] = &[
        (BodyLength::None, 0, b"rest", b"", Ok(true), b"rest"),
        (BodyLength::Sized(0), 0, b"rest", b"", Ok(true), b"rest"),
        (
            BodyLength::Sized(4),
            4,
            b"bodyrest",
            b"body",
            Ok(true),
            b"rest",
        ),
        (BodyLength::Sized(4), 4, b"bod", b"bod", Ok(false), b""),
        (
            BodyLength::Sized(4),
            3,
            b"body",
            b"",
            Err(BodyError::TooLarge),
            b"",
        ),
        (BodyLength::UntilClose, 4, b"body", b"body", Ok(false), b""),
        (
            BodyLength::UntilClose,
            3,
            b"body",
            b"bod",
            Err(BodyError::TooLarge),
            b"",
        ),
        (
            BodyLength::Chunked,
            20,
            chunked,
            b"abc0123456789abcdef!",
            Ok(true),
            b"rest",
        ),
        (
            BodyLength::Chunked,
            19,
            chunked,
            b"abc0123456789abcdef",
            Err(BodyError::TooLarge),
            b"",
        ),
        (
            BodyLength::Chunked,
            9,
            b"1\r\na\r\n1\r\nbb",
            b"ab",
            Err(BodyError::ChunkDataEnd),
            b"",
        ),
        (
            BodyLength::Chunked,
            9,
            b"1\r\na\r\n1\r\nb",
            b"ab",
            Ok(false),
            b"",
        ),
        (
            BodyLength::Chunked,
            9,
            b"1\r\na\r\n0\r\nA\r\n\r\n",
            b"a",
            Err(BodyError::Trailer(HeadError::ColonMissing)),
            b"",
        ),
    ];
    for &(length, bytes_max, input, content, ended, rest) in cases {
        for len in 1..=input.len() {
            for in_place in [false, true] {
                let seen = decode(length, bytes_max, input, len, in_place);
                let expected = (content.to_vec(), ended, rest.to_vec());
                assert_eq!(seen, expected, "{} by {len}", input.escape_ascii());
            }
        }
    }
}

#[test]
fn many_tiny_chunks_take_linear_time_and_come_as_one_run() {
    let mut input = b"1\r\nx\r\n".repeat(50_000);
    input.extend_from_slice(LAST_CHUNK);
    let rules = Rules::default();
    let mut decoder = BodyDecoder::new();
    decoder.begin(BodyLength::Chunked, 50_000);
    let step = decoder.decode_in_place(&mut input, &rules).unwrap();
    assert_eq!(step.data.len(), 50_000);
    assert!(input[step.data].iter().all(|&byte| byte == b'x'));
    assert!(step.is_end && step.consumed == input.len());
}

#[test]
fn the_end_comes_with_the_last_data() {
    let rules = Rules::default();
    let mut decoder = BodyDecoder::new();
    decoder.begin(BodyLength::Chunked, 100);
    let step = decoder.decode(b"5\r\nhello\r\n0\r\n\r\nGET", &rules);
    assert_eq!(
        step,
        Ok(BodyStep {
            data: 3..8,
            consumed: 15,
            is_end: true
        })
    );
}

#[test]
fn a_body_ends_with_the_connection_only_when_it_says_so() {
    let mut decoder = BodyDecoder::new();
    for (length, expected) in [
        (BodyLength::None, Ok(())),
        (BodyLength::Sized(0), Ok(())),
        (BodyLength::UntilClose, Ok(())),
        (BodyLength::Sized(1), Err(BodyError::UnexpectedEof)),
        (BodyLength::Chunked, Err(BodyError::UnexpectedEof)),
    ] {
        decoder.begin(length, 100);
        assert_eq!(decoder.eof(), expected);
        assert_eq!(decoder.is_end(), expected.is_ok());
    }
}

#[test]
fn a_length_over_the_limit_is_known_before_the_body_comes() {
    let mut decoder = BodyDecoder::new();
    decoder.begin(BodyLength::Sized(10), 9);
    assert_eq!(decoder.check_length(), Err(BodyError::TooLarge));
    assert_eq!(
        decoder.decode(b"", &Rules::default()),
        Err(BodyError::TooLarge)
    );
    decoder.set_bytes_max(10);
    assert_eq!(decoder.check_length(), Ok(()));
    assert_eq!(decoder.bytes_left(), Some(10));
    assert!(
        decoder
            .decode(b"0123456789", &Rules::default())
            .unwrap()
            .is_end
    );
}

#[test]
fn a_limit_that_is_lowered_on_the_way_holds() {
    let rules = Rules::default();
    let chunk: &[u8] = b"6\r\nab";
    for (length, input) in [
        (BodyLength::Sized(6), &b"ab"[..]),
        (BodyLength::Chunked, chunk),
        (BodyLength::UntilClose, b"ab"),
    ] {
        let mut decoder = BodyDecoder::new();
        decoder.begin(length, 6);
        assert_eq!(decoder.decode(input, &rules).unwrap().data.len(), 2);
        for bytes_max in [0, 1, 2] {
            decoder.set_bytes_max(bytes_max);
            assert_eq!(
                decoder.decode(b"cdef\r\n", &rules),
                Err(BodyError::TooLarge)
            );
        }
        decoder.set_bytes_max(6);
        assert_eq!(decoder.decode(b"cdef", &rules).unwrap().data.len(), 4);
    }
}

#[test]
fn chunk_headers() {
    let header = |len| ChunkHeader::new(len).map(|header| header.as_slice().to_vec());
    assert_eq!(header(0), None);
    assert_eq!(header(1).unwrap(), b"1\r\n");
    assert_eq!(header(26).unwrap(), b"1A\r\n");
    assert_eq!(header(0xDEAD_BEEF).unwrap(), b"DEADBEEF\r\n");
    assert_eq!(header(usize::MAX).unwrap(), b"FFFFFFFFFFFFFFFF\r\n");
}

/// Encodes a body in these pieces.
fn encode(length: BodyLength, pieces: &[&[u8]]) -> Result<Vec<u8>, PromiseBroken> {
    let mut out = Vec::new();
    let mut encoder = BodyEncoder::new(length);
    for piece in pieces {
        encoder.write(&mut out, piece)?;
    }
    encoder.finish(&mut out).map(|()| out)
}

#[test]
fn a_body_goes_on_the_wire_as_its_head_said() {
    let pieces: &[&[u8]] = &[b"hello", b"", b" there"];
    let sent = |length| encode(length, pieces).unwrap();
    assert_eq!(sent(BodyLength::None), b"");
    assert_eq!(sent(BodyLength::Sized(11)), b"hello there");
    assert_eq!(sent(BodyLength::UntilClose), b"hello there");
    assert_eq!(
        sent(BodyLength::Chunked),
        b"5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n"
    );
    assert_eq!(encode(BodyLength::Chunked, &[]).unwrap(), b"0\r\n\r\n");
    assert_eq!(encode(BodyLength::Sized(0), &[b""]).unwrap(), b"");
}

#[test]
fn promises_about_a_body_are_kept_or_told() {
    let pieces: &[&[u8]] = &[b"hello", b" there"];
    assert_eq!(
        encode(BodyLength::Sized(12), pieces),
        Err(PromiseBroken::Short)
    );
    assert_eq!(
        encode(BodyLength::Sized(10), pieces),
        Err(PromiseBroken::Surplus)
    );
    assert_eq!(
        encode(BodyLength::Sized(5), pieces),
        Err(PromiseBroken::Surplus)
    );
    // The surplus is refused, what was promised can still be sent.
    let mut out = Vec::new();
    let mut encoder = BodyEncoder::new(BodyLength::Sized(5));
    assert_eq!(
        encoder.write(&mut out, b"hello!"),
        Err(PromiseBroken::Surplus)
    );
    assert_eq!(encoder.write(&mut out, b"hello"), Ok(()));
    assert_eq!(encoder.finish(&mut out), Ok(()));
    assert_eq!(out, b"hello");
}

#[test]
fn what_is_encoded_is_decoded() {
    let mut out = Vec::new();
    let mut encoder = BodyEncoder::new(BodyLength::Chunked);
    encoder.write(&mut out, b"hello").unwrap();
    encoder.write(&mut out, &[b'x'; 300]).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.append(
        HeaderName::from_static("x-sum"),
        HeaderValue::from_static("1"),
    );
    trailers.append(
        HeaderName::from_static("content-length"),
        HeaderValue::from_static("2"),
    );
    encoder.finish_with_trailers(&mut out, &trailers).unwrap();
    assert!(
        out.ends_with(b"\r\n0\r\nx-sum: 1\r\n\r\n"),
        "{}",
        out.escape_ascii()
    );
    let (content, ended, rest) = decode(BodyLength::Chunked, 1000, &out, 7, false);
    assert_eq!(content, [&b"hello"[..], &[b'x'; 300]].concat());
    assert_eq!((ended, rest), (Ok(true), Vec::new()));
    let mut out = Vec::new();
    let short = BodyEncoder::new(BodyLength::Sized(1)).finish_with_trailers(&mut out, &trailers);
    assert_eq!((short, out.len()), (Err(PromiseBroken::Short), 0));
}
