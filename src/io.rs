//! Streams of any kind, and readers over them.

mod byte_stream;
mod duplex;
mod reader;
mod receive;

pub use byte_stream::ByteStream;
pub use duplex::{Duplex, duplex};
pub use reader::Reader;
pub use receive::Receive;
