//! Feeds what libFuzzer makes up to the reader of bodies in parts. `run` builds and starts it.
#![no_main]
#![expect(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "it includes more than it uses"
)]

#[path = "../../src/http"]
mod http {
    pub(crate) mod h1;
    pub(crate) mod multipart;
    pub(crate) mod percent;
}

#[path = "../../src/http/multipart/tests"]
mod checks {
    mod oracle;
    mod play;
    mod properties;

    /// The first byte says whether it is a `Content-Type`, or a body and its limits.
    pub(crate) fn check(input: &[u8]) {
        match input {
            [0x80..=0xff, content_type @ ..] => properties::check_type(content_type),
            _ => properties::check(input),
        }
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
