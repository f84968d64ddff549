//! Tests of bodies in parts.

mod oracle;
mod play;
mod properties;
mod random;
mod types;
mod whole;
