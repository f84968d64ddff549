//! Feeds what libFuzzer makes up to the core of WebSocket. `run` builds and starts it.
#![no_main]
#![expect(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "it includes more than it uses"
)]

#[path = "../../src/http"]
mod http {
    pub(crate) mod base64;
    pub(crate) mod h1;
    pub(crate) mod ws;
}

#[path = "../../src/http/ws/tests"]
mod checks {
    mod inflating;
    mod oracle;
    mod play;
    mod properties;

    /// The first byte says whether it is the frames of a peer, and in which circumstances, a
    /// compressed payload, or fields of a handshake.
    pub(crate) fn check(input: &[u8]) {
        match input {
            [0x80..=0xff, fields @ ..] => properties::check_handshake(fields),
            [first @ 0x40..=0x7f, payload @ ..] => {
                inflating::check_inflated(payload, &properties::setting(*first).limits);
            }
            _ => properties::check(input),
        }
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
