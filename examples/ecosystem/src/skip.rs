//! Tests that need a service which the machine may not have.

/// Says why a test is skipped, after which the test returns.
///
/// # Panics
///
/// With `ANNULUS_REQUIRE_ALL` set, where nothing may be skipped.
pub fn skip(why: &str) {
    let required = std::env::var_os("ANNULUS_REQUIRE_ALL").is_some();
    assert!(!required, "ANNULUS_REQUIRE_ALL is set, and there is {why}");
    eprintln!("skipped: there is {why}");
}
