//! Files without a name, and the names that they get (open(2), `O_TMPFILE`).

use std::{
    collections::hash_map::RandomState,
    ffi::{CStr, CString},
    fmt::Write as _,
    hash::{BuildHasher as _, Hasher as _},
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::{
    OpenFlags, as_result,
    names::{Place, Root, link_at, rename_at, unlink_at},
};

/// How often another name is tried where one is taken.
const NAME_RETRIES_MAX: u32 = 16;

/// The name of a temporary file, which is removed with the value.
#[derive(Debug)]
pub(crate) struct TemporaryName {
    folder: OwnedFd,
    name: CString,
}

impl TemporaryName {
    fn place(&self) -> (i32, &CStr) {
        (self.folder.as_raw_fd(), &self.name)
    }
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let (folder, name) = self.place();
        let _ = unlink_at(folder, name, 0);
    }
}

/// Opens a new file in a folder, to read and write: without a name where the file system has such
/// files and a name can be given later, else with one of its own.
pub(crate) fn open_temporary(
    root: Root,
    folder: &CStr,
    mode: u32,
) -> io::Result<(OwnedFd, Option<TemporaryName>)> {
    let folder = root.open_folder(folder)?;
    let unnamed = open_at(
        &folder,
        c".",
        OpenFlags::TEMPORARY | OpenFlags::FOLDER,
        mode,
    );
    match unnamed {
        Ok(fd) if can_be_named(&fd) => return Ok((fd, None)),
        Ok(_) => {}
        Err(error) => match error.raw_os_error() {
            // File systems without such files, and a filter or kernel that knows them not.
            Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT | libc::EINVAL) => {}
            _ => return Err(error),
        },
    }
    let (fd, name) = open_named(folder, mode)?;
    Ok((fd, Some(name)))
}

fn open_named(folder: OwnedFd, mode: u32) -> io::Result<(OwnedFd, TemporaryName)> {
    let flags = OpenFlags::CREATE_NEW | OpenFlags::NO_FOLLOW;
    let (fd, name) = with_new_name(|name| open_at(&folder, name, flags, mode))?;
    Ok((fd, TemporaryName { folder, name }))
}

fn open_at(folder: &OwnedFd, name: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let flags = flags | OpenFlags::READ_WRITE | OpenFlags::CLOSE_ON_EXEC;
    // SAFETY: the name is a C string that lives through the call.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags, mode & 0o7777) };
    // SAFETY: the call made the descriptor for this caller.
    as_result(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls with names that are most likely free, until one is.
fn with_new_name<T>(mut call: impl FnMut(&CStr) -> io::Result<T>) -> io::Result<(T, CString)> {
    let mut retries = NAME_RETRIES_MAX;
    loop {
        let mut name = String::from(".annulus-");
        // Each value has a key of its own, which the process drew at random.
        let number = RandomState::new().build_hasher().finish();
        let _ = write!(name, "{number:016x}");
        let name = CString::new(name)?;
        match call(&name) {
            Ok(output) => return Ok((output, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && retries > 0 => {
                retries -= 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The path by which every kernel names an open file without a privilege.
fn path_of(fd: i32) -> io::Result<CString> {
    Ok(CString::new(format!("/proc/self/fd/{fd}"))?)
}

/// Whether `/proc` is there, which gives the name.
fn can_be_named(fd: &OwnedFd) -> bool {
    let Ok(path) = path_of(fd.as_raw_fd()) else {
        return false;
    };
    // SAFETY: the path is a C string that lives through the call.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}

/// Gives an open file a name that is free.
fn link_open(fd: i32, folder: i32, name: &CStr) -> io::Result<()> {
    let path = path_of(fd)?;
    // SAFETY: both texts are C strings that live through the call.
    as_result(unsafe {
        libc::linkat(
            libc::AT_FDCWD,
            path.as_ptr(),
            folder,
            name.as_ptr(),
            libc::AT_SYMLINK_FOLLOW,
        )
    })
    .map(drop)
}

/// Gives a temporary file its path, in one step: in place of a file that has it, or as a new one.
///
/// No call gives an open file a name that is taken. So it gets a temporary one beside that, which
/// is renamed. It keeps that one when the rename fails: a file that has lost its only name gets no
/// other.
pub(crate) fn persist(
    fd: i32,
    temporary: &mut Option<TemporaryName>,
    (root, path): (Root, &CStr),
    replaces: bool,
) -> io::Result<()> {
    let place = Place::find(root, path)?;
    let target = (place.folder(), place.file_name()?);
    let name = match temporary {
        Some(name) => name,
        None => match link_open(fd, target.0, target.1) {
            Err(error) if replaces && error.kind() == io::ErrorKind::AlreadyExists => {
                let folder = place.copy_folder()?;
                let ((), name) = with_new_name(|name| link_open(fd, target.0, name))?;
                temporary.insert(TemporaryName { folder, name })
            }
            result => return result,
        },
    };
    if replaces {
        rename_at(name.place(), target)?;
    } else {
        link_at(name.place(), target)?;
    }
    // The name is still there after a link, and after a rename to another name of the same file,
    // which does nothing.
    *temporary = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::PathBuf};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("annulus-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn path(&self, name: &str) -> CString {
            CString::new(self.0.join(name).to_str().unwrap()).unwrap()
        }

        fn open(&self) -> OwnedFd {
            Root::Anywhere.open_folder(&self.path(".")).unwrap()
        }

        fn count(&self) -> usize {
            fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// As on file systems where each file has a name.
    #[test]
    fn a_name_is_removed_unless_the_file_got_its_path() {
        let folder = Folder::new("named");
        let (_fd, name) = open_named(folder.open(), 0o600).unwrap();
        assert_eq!(folder.count(), 1);
        drop(name);
        assert_eq!(folder.count(), 0);
        let path = folder.path("file");
        let target = (Root::Anywhere, &*path);
        for content in ["old", "new"] {
            let (fd, name) = open_named(folder.open(), 0o600).unwrap();
            let mut name = Some(name);
            let raw = fd.as_raw_fd();
            let file = fs::File::from(fd);
            (&file).write_all(content.as_bytes()).unwrap();
            persist(raw, &mut name, target, true).unwrap();
            assert!(name.is_none());
            assert_eq!(folder.count(), 1);
            assert_eq!(fs::read_to_string(folder.0.join("file")).unwrap(), content);
        }
    }

    #[test]
    fn a_file_with_a_name_gets_a_path_that_is_free() {
        let folder = Folder::new("named-new");
        let (fd, name) = open_named(folder.open(), 0o600).unwrap();
        let mut name = Some(name);
        let path = folder.path("file");
        let mut give = || persist(fd.as_raw_fd(), &mut name, (Root::Anywhere, &path), false);
        fs::write(folder.0.join("file"), "taken").unwrap();
        let taken = give().unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(folder.0.join("file")).unwrap();
        give().unwrap();
        assert_eq!(folder.count(), 1);
        // It may get a second path then, as a file without a name does.
        fs::rename(folder.0.join("file"), folder.0.join("first")).unwrap();
        give().unwrap();
        assert_eq!(folder.count(), 2);
    }

    #[test]
    fn a_path_that_cannot_be_given_leaves_no_other_name() {
        let folder = Folder::new("unnamed");
        let (fd, mut name) = open_temporary(Root::Anywhere, &folder.path("."), 0o600).unwrap();
        fs::create_dir(folder.0.join("folder")).unwrap();
        let path = folder.path("folder");
        let target = (Root::Anywhere, &*path);
        let error = persist(fd.as_raw_fd(), &mut name, target, true).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EISDIR));
        drop(name);
        assert_eq!(folder.count(), 1);
    }
}
