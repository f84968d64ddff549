//! Feeds what libFuzzer makes up to both sides of the core. `run` builds and starts it.
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
}

use http::h1::*;

#[path = "../../src/http/h1/tests"]
mod checks {
    mod play;
    mod properties;

    /// The first bytes say who speaks.
    pub(crate) fn check(input: &[u8]) {
        match input {
            [b'H', b'T', b'T', b'P', b'/', ..] => properties::check_responses(input),
            _ => properties::check_requests(input),
        }
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
