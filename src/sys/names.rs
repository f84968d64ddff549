//! Calls on the names of files beneath a folder.
//!
//! The kernel keeps an open beneath a folder (openat2(2)), and no rename or removal. So the parent
//! of a name is opened beneath the folder first, and the call is made on the name in it. None of
//! these calls follows a symbolic link at the name, which has no `/`: so none leaves the folder,
//! whatever is renamed meanwhile.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    thread,
};

use super::{
    OpenFlags, OpenHow, as_result,
    file::open,
    listing::Listing,
    open_beneath,
    status::{FileKind, kind_at},
};

/// How often a parent is looked up again because a folder was renamed meanwhile.
const LOOKUP_RETRIES_MAX: u32 = 100;

/// Folders inside of each other that are removed at once. Each is an open descriptor.
const REMOVED_DEPTH_MAX: usize = 128;

/// The paths that a call takes: those beneath an open folder, or all.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Root {
    Anywhere,
    /// The descriptor of a folder, which its owner keeps open.
    Folder(i32),
}

impl Root {
    /// Opens a path without waiting for a peer.
    pub(super) fn open(self, path: &CStr, flags: i32) -> io::Result<OwnedFd> {
        let flags = flags | OpenFlags::CLOSE_ON_EXEC;
        let mut retries = LOOKUP_RETRIES_MAX;
        loop {
            let fd = match self {
                Self::Anywhere => open(path, flags, 0),
                Self::Folder(root) => open_beneath(root, path, OpenHow::beneath(flags, 0, true)),
            };
            match -fd {
                // SAFETY: the call made the descriptor for this caller.
                ..=0 => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
                libc::EINTR => {}
                libc::EAGAIN if retries > 0 => {
                    retries -= 1;
                    thread::yield_now();
                }
                errno => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }

    pub(super) fn open_folder(self, path: &CStr) -> io::Result<OwnedFd> {
        self.open(path, OpenFlags::PATH | OpenFlags::FOLDER)
    }
}

/// A name in its folder, which is open.
pub(super) struct Place {
    folder: OwnedFd,
    /// It is neither empty nor `.` nor `..`, and has no `/`.
    name: CString,
    /// Whether `/` stands after the name, as after that of a folder.
    names_folder: bool,
}

impl Place {
    pub(super) fn find(root: Root, path: &CStr) -> io::Result<Self> {
        let bytes = path.to_bytes();
        if bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let trimmed = without_end(bytes);
        let (parent, name) = match trimmed.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => trimmed.split_at(slash + 1),
            None => (&b"."[..], trimmed),
        };
        if matches!(name, b"" | b"." | b"..") {
            drop(root.open_folder(path)?);
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let folder = root.open_folder(&c_string(parent)?)?;
        Ok(Self {
            folder,
            name: c_string(name)?,
            names_folder: trimmed.len() < bytes.len(),
        })
    }

    pub(super) fn folder(&self) -> i32 {
        self.folder.as_raw_fd()
    }

    pub(super) fn copy_folder(&self) -> io::Result<OwnedFd> {
        self.folder.try_clone()
    }

    /// The name, which must not be written as that of a folder.
    pub(super) fn file_name(&self) -> io::Result<&CStr> {
        if self.names_folder {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        Ok(&self.name)
    }

    /// The name as it was written. The calls that take it follow no link at its end.
    fn written_name(&self) -> io::Result<CString> {
        let mut name = self.name.to_bytes().to_vec();
        if self.names_folder {
            name.push(b'/');
        }
        c_string(&name)
    }
}

/// A path without `/` at its end.
fn without_end(path: &[u8]) -> &[u8] {
    let last = path.iter().rposition(|byte| *byte != b'/');
    &path[..last.map_or(0, |last| last + 1)]
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

pub(crate) fn rename(root: Root, from: &CStr, to: &CStr) -> io::Result<()> {
    let (from, to) = (Place::find(root, from)?, Place::find(root, to)?);
    let names = (from.written_name()?, to.written_name()?);
    rename_at((from.folder(), &names.0), (to.folder(), &names.1))
}

pub(super) fn rename_at(from: (i32, &CStr), to: (i32, &CStr)) -> io::Result<()> {
    // SAFETY: both names are C strings that live through the call.
    let result = unsafe { libc::renameat(from.0, from.1.as_ptr(), to.0, to.1.as_ptr()) };
    as_result(result).map(drop)
}

/// Gives a file another name.
pub(crate) fn hard_link(root: Root, original: &CStr, link: &CStr) -> io::Result<()> {
    let (original, link) = (Place::find(root, original)?, Place::find(root, link)?);
    let names = (original.file_name()?, link.file_name()?);
    link_at((original.folder(), names.0), (link.folder(), names.1))
}

pub(super) fn link_at(from: (i32, &CStr), to: (i32, &CStr)) -> io::Result<()> {
    // SAFETY: both names are C strings that live through the call.
    let result = unsafe { libc::linkat(from.0, from.1.as_ptr(), to.0, to.1.as_ptr(), 0) };
    as_result(result).map(drop)
}

/// Makes a symbolic link. Its target is a text, which is looked up when the link is followed.
pub(crate) fn symlink(root: Root, target: &CStr, link: &CStr) -> io::Result<()> {
    let link = Place::find(root, link)?;
    let name = link.file_name()?;
    // SAFETY: both texts are C strings that live through the call.
    let result = unsafe { libc::symlinkat(target.as_ptr(), link.folder(), name.as_ptr()) };
    as_result(result).map(drop)
}

/// The text of a symbolic link.
pub(crate) fn read_link(root: Root, path: &CStr) -> io::Result<Vec<u8>> {
    let place = Place::find(root, path)?;
    let name = place.file_name()?;
    // No file system has longer ones.
    let mut text = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the name is a C string, and the vector has so many bytes; both live through the call.
    let len = unsafe {
        libc::readlinkat(
            place.folder(),
            name.as_ptr(),
            text.as_mut_ptr().cast(),
            text.len(),
        )
    };
    if len < 0 {
        return Err(io::Error::last_os_error());
    }
    text.truncate(len as usize);
    Ok(text)
}

pub(crate) fn create_dir(root: Root, path: &CStr) -> io::Result<()> {
    let place = Place::find(root, path)?;
    // SAFETY: the name is a C string that lives through the call.
    as_result(unsafe { libc::mkdirat(place.folder(), place.name.as_ptr(), 0o777) }).map(drop)
}

/// Makes a folder and those above it that are missing.
pub(crate) fn create_dir_all(root: Root, path: &CStr) -> io::Result<()> {
    // Paths of folders that are missing, the last one first.
    let mut missing = Vec::new();
    let mut rest = without_end(path.to_bytes());
    loop {
        if rest.is_empty() {
            // A path beneath a folder that begins with `/` leaves it.
            if path.to_bytes().first() == Some(&b'/') {
                drop(root.open_folder(c"/")?);
            }
            break;
        }
        let here = c_string(rest)?;
        match root.open_folder(&here) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(here),
            Err(error) => return Err(error),
        }
        let slash = rest.iter().rposition(|byte| *byte == b'/');
        rest = without_end(&rest[..slash.unwrap_or(0)]);
    }
    for folder in missing.iter().rev() {
        match create_dir(root, folder) {
            Ok(()) => {}
            // Another process may have made it meanwhile.
            Err(error) => drop(root.open_folder(folder).map_err(|_| error)?),
        }
    }
    Ok(())
}

pub(crate) fn remove_file(root: Root, path: &CStr) -> io::Result<()> {
    let place = Place::find(root, path)?;
    unlink_at(place.folder(), place.file_name()?, 0)
}

pub(crate) fn remove_dir(root: Root, path: &CStr) -> io::Result<()> {
    let place = Place::find(root, path)?;
    unlink_at(place.folder(), &place.name, libc::AT_REMOVEDIR)
}

pub(super) fn unlink_at(folder: i32, name: &CStr, flags: i32) -> io::Result<()> {
    // SAFETY: the name is a C string that lives through the call.
    as_result(unsafe { libc::unlinkat(folder, name.as_ptr(), flags) }).map(drop)
}

/// Removes a folder and all in it, without following a symbolic link. A link at the path itself is
/// removed alone.
pub(crate) fn remove_dir_all(root: Root, path: &CStr) -> io::Result<()> {
    let place = Place::find(root, path)?;
    let Some(first) = Removed::open(place.folder(), place.name.clone())? else {
        return match kind_at(place.folder(), &place.name)? {
            FileKind::SYMLINK => unlink_at(place.folder(), &place.name, 0),
            _ => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
        };
    };
    let mut open = vec![first];
    while let Some(here) = open.last_mut() {
        let Some(name) = here.next_name()? else {
            let Some(done) = open.pop() else { break };
            let parent = open.last().map_or(place.folder(), Removed::raw);
            gone_is_fine(unlink_at(parent, &done.name, libc::AT_REMOVEDIR))?;
            continue;
        };
        let folder = here.raw();
        match unlink_at(folder, &name, 0) {
            Err(error) if error.raw_os_error() == Some(libc::EISDIR) => {}
            // A file system may say so of a folder, too.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
            result => {
                gone_is_fine(result)?;
                continue;
            }
        }
        if open.len() == REMOVED_DEPTH_MAX {
            return Err(io::Error::other(format!(
                "expected at most {REMOVED_DEPTH_MAX} folders inside of each other, found more"
            )));
        }
        match Removed::open(folder, name.clone()) {
            Ok(Some(inner)) => open.push(inner),
            Ok(None) => gone_is_fine(unlink_at(folder, &name, 0))?,
            Err(error) => gone_is_fine(Err(error))?,
        }
    }
    Ok(())
}

/// Another process may have removed it before.
fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A folder that is being emptied.
struct Removed {
    fd: OwnedFd,
    name: CString,
    listing: Listing,
}

impl Removed {
    /// Opens a folder; none for what is no folder.
    fn open(parent: i32, name: CString) -> io::Result<Option<Self>> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the name is a C string that lives through the call.
        match as_result(unsafe { libc::openat(parent, name.as_ptr(), flags) }) {
            Ok(fd) => Ok(Some(Self {
                // SAFETY: the call made the descriptor for this caller.
                fd: unsafe { OwnedFd::from_raw_fd(fd) },
                name,
                listing: Listing::default(),
            })),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOTDIR | libc::ELOOP) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn raw(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// The next name in the folder; none when there is no other.
    fn next_name(&mut self) -> io::Result<Option<CString>> {
        loop {
            if let Some(entry) = self.listing.next() {
                return c_string(entry.name).map(Some);
            }
            if !self.listing.read(self.fd.as_raw_fd())? {
                return Ok(None);
            }
        }
    }
}
