//! Readers over streams.

mod reader;
mod receive;

pub use reader::Reader;
pub use receive::Receive;
