//! The checklist of the protocol, class by class, played against the core.

mod answers;
mod bodies;
mod client;
mod dates;
mod fields;
mod framing;
mod limits;
mod oracle;
mod play;
mod request_line;
mod requests;
