//! Files: reads and writes at an offset, on the ring or on helper threads.

mod file;
mod open_options;

pub use file::File;
pub use open_options::OpenOptions;
