//! Files and folders: reads and writes at an offset, and opens that stay beneath a folder, on the
//! ring or on helper threads.

mod call;
mod contents;
mod dir;
mod dir_entry;
mod file;
mod file_reader;
mod file_type;
mod file_writer;
mod metadata;
mod names;
mod open_options;
mod opening;
mod read_dir;
mod temp_file;

pub use contents::{copy, read, read_to_string, write};
pub use dir::Dir;
pub use dir_entry::DirEntry;
pub use file::File;
pub use file_reader::FileReader;
pub use file_type::FileType;
pub use file_writer::FileWriter;
pub use metadata::Metadata;
pub use names::{
    canonicalize, create_dir, create_dir_all, hard_link, metadata, read_link, remove_dir,
    remove_dir_all, remove_file, rename, set_permissions, symlink, symlink_metadata, try_exists,
};
pub use open_options::OpenOptions;
pub use read_dir::{ReadDir, read_dir};
pub use temp_file::TempFile;
