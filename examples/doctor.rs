//! Tells which driver a runtime gets on this machine and why, and what to change for the ring.
//!
//! ```text
//! cargo run --release --example doctor
//! ```
//!
//! It ends with status 0 where the ring is used, and with 1 where it is not. Run it where the
//! service runs: in the same container, as the same user.

#[path = "shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    if std::env::args().len() > 1 {
        plain::usage("doctor");
    }
    let diagnosis = annulus::diagnose();
    plain::say(&diagnosis);
    if !diagnosis.uses_ring() {
        std::process::exit(1);
    }
    Ok(())
}
