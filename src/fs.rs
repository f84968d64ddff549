//! Files and folders: reads and writes at an offset, and opens that stay beneath a folder, on the
//! ring or on helper threads.

mod dir;
mod file;
mod file_type;
mod metadata;
mod open_options;
mod opening;

pub use dir::Dir;
pub use file::File;
pub use file_type::FileType;
pub use metadata::Metadata;
pub use open_options::OpenOptions;
