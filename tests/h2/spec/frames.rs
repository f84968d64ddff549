//! The formats of frames, and the states of streams.

use super::*;

#[test]
fn frames_keep_their_format() {
    let large = vec![b'a'; 16_384];
    let larger = vec![b'a'; 16_385];
    let begun = || frame(HEADERS, END_STREAM, 1, &usual());
    let mut reserved = frame(PING, 0, 0, b"whatever");
    reserved[5] |= 0x80;
    check(vec![
        (
            "4.1",
            "an unknown type",
            frame(0x16, 0, 0, b"whatever"),
            Fine,
        ),
        (
            "4.1",
            "an undefined flag",
            frame(PING, 0x16, 0, b"whatever"),
            Fine,
        ),
        ("4.1", "the reserved bit", reserved, Fine),
        (
            "4.2",
            "DATA of the largest size",
            join(&[post(1, "/"), frame(DATA, END_STREAM, 1, &large)]),
            Answer,
        ),
        (
            "4.2",
            "DATA that is larger",
            join(&[post(1, "/"), frame(DATA, END_STREAM, 1, &larger)]),
            Either(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.2",
            "HEADERS that are larger",
            frame(HEADERS, EVERYTHING, 1, &larger),
            Connection(FRAME_SIZE_ERROR),
        ),
        (
            "4.3",
            "a field block that cannot be read",
            frame(HEADERS, EVERYTHING, 1, b"\x40"),
            Coarse(COMPRESSION_ERROR),
        ),
        (
            "4.3",
            "PRIORITY inside of a field block",
            join(&[begun(), frame(PRIORITY, 0, 1, &priority(0, 255))]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "4.3",
            "HEADERS of another stream inside of one",
            join(&[begun(), get(3, "/")]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "5.5",
            "an unknown type inside of a field block",
            join(&[
                begun(),
                frame(0x16, 0, 1, b"x"),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "5.5",
            "an unknown type between frames",
            join(&[frame(0xff, 0, 1, b"x"), get(1, "/")]),
            Answer,
        ),
    ]);
}

#[test]
fn streams_have_their_states() {
    let ended = || join(&[post(1, "/"), frame(DATA, END_STREAM, 1, b"x")]);
    let cancelled = || join(&[post(1, "/"), reset(1, CANCEL)]);
    let data = || frame(DATA, END_STREAM, 1, b"test");
    let trailing = || frame(CONTINUATION, END_HEADERS, 1, &block(&[("x-a", "1")]));
    check(vec![
        ("5.1", "idle: DATA", data(), Connection(PROTOCOL_ERROR)),
        (
            "5.1",
            "idle: RST_STREAM",
            reset(1, CANCEL),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "5.1",
            "idle: WINDOW_UPDATE",
            window_update(1, 100),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "5.1",
            "idle: CONTINUATION",
            trailing(),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "5.1",
            "half-closed: DATA",
            join(&[get(1, "/"), data()]),
            Either(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "half-closed: HEADERS",
            join(&[get(1, "/"), get(1, "/")]),
            Either(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "half-closed: CONTINUATION",
            join(&[get(1, "/"), trailing()]),
            Either(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "after RST_STREAM: CONTINUATION",
            join(&[cancelled(), trailing()]),
            Either(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "after END_STREAM: DATA",
            join(&[ended(), data()]),
            Either(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1",
            "after END_STREAM: CONTINUATION",
            join(&[ended(), trailing()]),
            Either(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "5.1.1",
            "an even stream",
            get(2, "/"),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "5.1.1",
            "a stream smaller than one before",
            join(&[get(5, "/"), get(3, "/")]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "5.3.1",
            "HEADERS that depend on themselves",
            frame(
                HEADERS,
                EVERYTHING | WITH_PRIORITY,
                1,
                &[priority(1, 255), usual()].concat(),
            ),
            Either(&[PROTOCOL_ERROR]),
        ),
        (
            "5.3.1",
            "PRIORITY that depends on itself",
            join(&[post(1, "/"), frame(PRIORITY, 0, 1, &priority(1, 255))]),
            Either(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn each_frame_keeps_its_rules() {
    let opened = |frames: &[Vec<u8>]| join(&[post(1, "/"), frames.concat()]);
    let begun = || frame(HEADERS, END_STREAM, 1, &usual());
    let rest = |flags| frame(CONTINUATION, flags, 1, &block(&[("x-a", "1")]));
    check(vec![
        (
            "6.1",
            "DATA on stream 0",
            frame(DATA, END_STREAM, 0, b"test"),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.1",
            "DATA with too much padding",
            opened(&[frame(DATA, END_STREAM | PADDED, 1, b"\x17test")]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.2",
            "HEADERS before PRIORITY",
            join(&[begun(), frame(PRIORITY, 0, 1, &priority(0, 1))]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.2",
            "HEADERS before those of another",
            join(&[begun(), get(3, "/")]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.2",
            "HEADERS on stream 0",
            get(0, "/"),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.2",
            "HEADERS with too much padding",
            frame(
                HEADERS,
                EVERYTHING | PADDED,
                1,
                &[vec![255], usual()].concat(),
            ),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.3",
            "PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &priority(0, 1)),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.3",
            "PRIORITY of four bytes",
            opened(&[frame(PRIORITY, 0, 1, b"\x80\0\0\x01")]),
            Coarse(FRAME_SIZE_ERROR),
        ),
        (
            "6.4",
            "RST_STREAM on stream 0",
            reset(0, CANCEL),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.4",
            "RST_STREAM on an idle stream",
            reset(1, CANCEL),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.4",
            "RST_STREAM of three bytes",
            opened(&[frame(RST_STREAM, 0, 1, b"\0\0\0")]),
            Coarse(FRAME_SIZE_ERROR),
        ),
        (
            "6.5",
            "an acknowledgement with a payload",
            frame(SETTINGS, ACK, 0, b"\0"),
            Coarse(FRAME_SIZE_ERROR),
        ),
        (
            "6.5",
            "SETTINGS on a stream",
            frame(SETTINGS, 0, 1, b""),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.5",
            "SETTINGS of three bytes",
            frame(SETTINGS, 0, 0, b"\0\x03\0"),
            Coarse(FRAME_SIZE_ERROR),
        ),
        (
            "6.5.2",
            "ENABLE_PUSH of 2",
            settings(&[(2, 2)]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.5.2",
            "a window of 2^31",
            settings(&[(4, 1 << 31)]),
            Coarse(FLOW_CONTROL_ERROR),
        ),
        (
            "6.5.2",
            "frames below 2^14",
            settings(&[(5, 16_383)]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.5.2",
            "frames of 2^24",
            settings(&[(5, 1 << 24)]),
            Connection(PROTOCOL_ERROR),
        ),
        ("6.5.2", "an unknown setting", settings(&[(0xff, 1)]), Fine),
        (
            "6.7",
            "PING on a stream",
            frame(PING, 0, 1, b"whatever"),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.7",
            "PING of six bytes",
            frame(PING, 0, 0, b"\0\0\0\0\0\0"),
            Coarse(FRAME_SIZE_ERROR),
        ),
        (
            "6.7",
            "an acknowledgement without a ping",
            frame(PING, ACK, 0, b"whatever"),
            Fine,
        ),
        (
            "6.8",
            "GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.9",
            "WINDOW_UPDATE of 0",
            window_update(0, 0),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.9",
            "WINDOW_UPDATE of 0 on a stream",
            opened(&[window_update(1, 0)]),
            Either(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9",
            "WINDOW_UPDATE of three bytes",
            frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01"),
            Coarse(FRAME_SIZE_ERROR),
        ),
        (
            "6.9.1",
            "a window beyond 2^31 - 1",
            window_update(0, i32::MAX as u32),
            Connection(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.1",
            "a stream's window beyond it",
            opened(&[window_update(1, i32::MAX as u32)]),
            Stream(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.2",
            "an initial window beyond it",
            settings(&[(4, u32::MAX)]),
            Coarse(FLOW_CONTROL_ERROR),
        ),
        (
            "6.10",
            "CONTINUATION before HEADERS",
            join(&[begun(), get(1, "/")]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.10",
            "CONTINUATION on stream 0",
            join(&[begun(), frame(CONTINUATION, END_HEADERS, 0, b"")]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.10",
            "CONTINUATION after the last",
            join(&[get(1, "/"), rest(END_HEADERS)]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.10",
            "CONTINUATION after the last CONTINUATION",
            join(&[begun(), rest(END_HEADERS), rest(END_HEADERS)]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "6.10",
            "CONTINUATION after DATA",
            opened(&[frame(DATA, 0, 1, b"x"), rest(END_HEADERS)]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "7",
            "an unknown code of RST_STREAM",
            opened(&[reset(1, 0xff)]),
            Fine,
        ),
        (
            "8.4",
            "PUSH_PROMISE",
            join(&[
                get(1, "/"),
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    &[vec![0, 0, 0, 2], usual()].concat(),
                ),
            ]),
            Connection(PROTOCOL_ERROR),
        ),
    ]);
}
