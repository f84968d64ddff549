//! The checklist of the protocol, class by class, played against the core.

mod answers;
mod bodies;
mod client;
mod dates;
mod fields;
mod framing;
mod fuzz;
mod limits;
mod oracle;
mod play;
mod properties;
mod request_line;
mod requests;
