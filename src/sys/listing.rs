//! The names in a folder, by pieces of bounded memory (getdents64(2)).

use std::{ffi::CStr, io};

use super::{
    as_result,
    status::{FileKind, kind_at},
};

/// The memory for one piece of a listing: at least a hundred names, and some thousand short ones.
const LISTING_BYTES: usize = 32 * 1024;

/// The place of the kind in an entry, and of the name. Before them stand the number of the file,
/// a position, both of 8 bytes, and the entry's length of 2 bytes.
const KIND_AT: usize = 18;
const NAME_AT: usize = 19;

/// The kinds of files in a listing: the bits of a mode, shifted, and zero for one that the file
/// system does not tell.
const KIND_SHIFT: u32 = 12;
const UNKNOWN: u8 = libc::DT_UNKNOWN;

/// A piece of a listing: entries as the kernel has written them.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    bytes: Vec<u8>,
    start: usize,
}

/// An entry of a listing.
pub(crate) struct Listed<'a> {
    pub(crate) name: &'a [u8],
    /// The kind as the bits of a mode; zero when the file was gone before it was asked for.
    pub(crate) mode: u32,
    pub(crate) inode: u64,
}

impl Listing {
    /// Reads the next piece, in place of this one. False is the end of the folder.
    ///
    /// Kinds that the file system does not list are looked up, without following links.
    pub(crate) fn read(&mut self, folder: i32) -> io::Result<bool> {
        self.start = 0;
        self.bytes.clear();
        self.bytes.reserve(LISTING_BYTES);
        // SAFETY: the vector has room for so many bytes, and lives through the call.
        let count = as_result(unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                folder,
                self.bytes.as_mut_ptr(),
                LISTING_BYTES,
            )
        } as i32)?;
        // SAFETY: the kernel has written that many bytes.
        unsafe { self.bytes.set_len(count as usize) };
        let mut start = 0;
        while let Some((_, end)) = entry_at(&self.bytes, start) {
            if self.bytes[start + KIND_AT] == UNKNOWN {
                let name = CStr::from_bytes_until_nul(&self.bytes[start + NAME_AT..end]);
                let kind = name.ok().and_then(|name| kind_at(folder, name).ok());
                let mode = kind.map_or(0, FileKind::mode);
                self.bytes[start + KIND_AT] = (mode >> KIND_SHIFT) as u8;
            }
            start = end;
        }
        Ok(count > 0)
    }

    /// The next entry of this piece, without `.` and `..`.
    pub(crate) fn next(&mut self) -> Option<Listed<'_>> {
        loop {
            let (entry, end) = entry_at(&self.bytes, self.start)?;
            let is_own = matches!(entry.name, b"." | b"..");
            if !is_own {
                let start = std::mem::replace(&mut self.start, end);
                return entry_at(&self.bytes, start).map(|(entry, _)| entry);
            }
            self.start = end;
        }
    }
}

/// The entry that begins at `start`, and where it ends.
fn entry_at(bytes: &[u8], start: usize) -> Option<(Listed<'_>, usize)> {
    let rest = bytes.get(start..)?;
    let inode = u64::from_ne_bytes(*rest.first_chunk()?);
    let len = u16::from_ne_bytes(*rest.get(16..)?.first_chunk()?);
    let entry = rest.get(..usize::from(len))?;
    let kind = *entry.get(KIND_AT)?;
    let name = CStr::from_bytes_until_nul(entry.get(NAME_AT..)?).ok()?;
    let listed = Listed {
        name: name.to_bytes(),
        mode: u32::from(kind) << KIND_SHIFT,
        inode,
    };
    Some((listed, start + entry.len()))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, env, fs, os::fd::AsRawFd as _, process};

    use super::*;

    #[test]
    fn every_name_comes_once_with_its_kind() {
        let path = env::temp_dir().join(format!("annulus-listing-{}", process::id()));
        fs::create_dir_all(path.join("folder")).unwrap();
        // More than one read brings.
        for number in 0..2000 {
            fs::write(
                path.join(format!("a-file-with-a-long-name-{number}.rs")),
                "",
            )
            .unwrap();
        }
        let folder = fs::File::open(&path).unwrap();
        let mut listing = Listing::default();
        let mut names = BTreeSet::new();
        while listing.read(folder.as_raw_fd()).unwrap() {
            while let Some(entry) = listing.next() {
                let name = String::from_utf8(entry.name.to_vec()).unwrap();
                let is_folder = FileKind::of_mode(entry.mode) == FileKind::FOLDER;
                assert_eq!(is_folder, !name.ends_with(".rs"), "{name}");
                assert!(names.insert(name));
            }
        }
        let expected = fs::read_dir(&path).unwrap();
        let expected = expected.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names, expected.collect());
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn bytes_that_end_early_are_no_entry() {
        let mut bytes = vec![0_u8; 24];
        bytes[16..18].copy_from_slice(&24_u16.to_ne_bytes());
        bytes[NAME_AT..22].copy_from_slice(b"abc");
        let (entry, end) = entry_at(&bytes, 0).unwrap();
        assert_eq!((entry.name, end), (&b"abc"[..], 24));
        for len in 0..24 {
            assert!(entry_at(&bytes[..len], 0).is_none(), "{len}");
        }
        assert!(entry_at(&bytes, 24).is_none());
    }
}
