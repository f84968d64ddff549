//! Opening beneath a folder: no path, symbolic link or race leaves it.
//!
//! The kernel does that itself (openat2(2), 5.6). Some filters of system calls know no such call.
//! There the path is walked by its components, each opened in the folder before it without
//! following a symbolic link: a name that is no link and has no `/` is in its folder, whatever is
//! renamed meanwhile.

use std::ffi::{CStr, CString};

use super::{
    OpenFlags, as_completion,
    file::settle,
    status::{FileKind, kind_at, status},
};

/// The kernel's `struct open_how`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

impl OpenHow {
    /// Opens beneath a folder, by open(2)'s flags. Symbolic links that stay there are followed, or
    /// none is.
    pub(crate) fn beneath(flags: i32, mode: u32, follows_symlinks: bool) -> Self {
        let mut resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
        if !follows_symlinks {
            resolve |= libc::RESOLVE_NO_SYMLINKS;
        }
        // The call wants no mode where no file can be made.
        let makes_file = flags & (libc::O_CREAT | OpenFlags::TEMPORARY) != 0;
        Self {
            flags: u64::from(flags as u32),
            mode: if makes_file {
                u64::from(mode & 0o7777)
            } else {
                0
            },
            resolve,
        }
    }

    pub(crate) fn flags(&self) -> i32 {
        self.flags as i32
    }
}

/// Opens `path` beneath the folder `fd`, and leaves in non-blocking mode only what may wait for a
/// peer.
pub(crate) fn open_beneath(folder: i32, path: &CStr, how: OpenHow) -> i32 {
    let fd = match openat2(folder, path, how) {
        result if result == -libc::ENOSYS || result == -libc::EPERM => walk(folder, path, how),
        result => result,
    };
    settle(fd, how.flags())
}

/// As [`open_beneath`], of what is found without asking a device (5.12); `EAGAIN` otherwise, and
/// where the call is not known or a file has to be made.
pub(crate) fn open_beneath_cached(folder: i32, path: &CStr, how: OpenHow) -> i32 {
    let flags = how.flags();
    if flags & (OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::TEMPORARY) != 0 {
        return -libc::EAGAIN;
    }
    let how = OpenHow {
        resolve: how.resolve | libc::RESOLVE_CACHED,
        ..how
    };
    match openat2(folder, path, how) {
        result if [libc::EINVAL, libc::ENOSYS, libc::EPERM].contains(&-result) => -libc::EAGAIN,
        result => settle(result, flags),
    }
}

/// As [`open_beneath_cached`], of any path.
pub(crate) fn open_cached(path: &CStr, flags: i32) -> i32 {
    // open(2) ignores this flag beside `O_PATH`, where openat2(2) refuses it.
    let is_path = flags & OpenFlags::PATH != 0;
    let ignored = if is_path { OpenFlags::NONBLOCKING } else { 0 };
    let how = OpenHow {
        flags: u64::from((flags & !ignored) as u32),
        mode: 0,
        resolve: 0,
    };
    open_beneath_cached(libc::AT_FDCWD, path, how)
}

fn openat2(folder: i32, path: &CStr, how: OpenHow) -> i32 {
    // SAFETY: the path is a C string, and both it and the struct live through the call.
    as_completion(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            folder,
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    } as isize)
}

/// openat(2) of one name, which is no symbolic link.
fn open_name(folder: i32, name: &CStr, flags: i32, mode: u32) -> i32 {
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name is a C string that lives through the call.
    as_completion(unsafe { libc::openat(folder, name.as_ptr(), flags, mode) } as isize)
}

/// As openat2(2) beneath, but for symbolic links, which are all refused with `ELOOP`.
///
/// `..` takes the component before it away, which is looked at no more.
fn walk(folder: i32, path: &CStr, how: OpenHow) -> i32 {
    let components = match Components::of(path) {
        Ok(components) => components,
        Err(errno) => return -errno,
    };
    let mut flags = how.flags();
    let wants_link = flags & libc::O_NOFOLLOW != 0;
    if components.names_folder {
        flags |= libc::O_DIRECTORY;
    }
    let Some((last, parents)) = components.names.split_last() else {
        return open_name(folder, c".", flags, how.mode as u32);
    };
    // The folder of the next component, which this walk owns after the first step.
    let mut opened: Option<Closing> = None;
    for parent in parents {
        let here = opened.as_ref().map_or(folder, |opened| opened.0);
        let fd = open_name(here, parent, libc::O_PATH | libc::O_DIRECTORY, 0);
        if fd < 0 {
            return told_as_link(here, parent, fd);
        }
        opened = Some(Closing(fd));
    }
    let here = opened.as_ref().map_or(folder, |opened| opened.0);
    let fd = open_name(here, last, flags, how.mode as u32);
    if fd < 0 {
        return told_as_link(here, last, fd);
    }
    // `O_PATH` opens the link itself.
    let is_link = || status(fd).is_ok_and(|it| FileKind::of_mode(it.mode) == FileKind::SYMLINK);
    if flags & libc::O_PATH != 0 && !wants_link && is_link() {
        super::close(fd);
        return -libc::ELOOP;
    }
    fd
}

/// `ELOOP` where `name` is a symbolic link that was to be a folder, which open(2) tells as
/// `ENOTDIR`.
fn told_as_link(folder: i32, name: &CStr, result: i32) -> i32 {
    let is_link = || kind_at(folder, name).is_ok_and(|kind| kind == FileKind::SYMLINK);
    if result == -libc::ENOTDIR && is_link() {
        return -libc::ELOOP;
    }
    result
}

/// A descriptor that is closed at the end.
struct Closing(i32);

impl Drop for Closing {
    fn drop(&mut self) {
        super::close(self.0);
    }
}

/// The names of a path from its folder on, without `.` and `..`.
#[derive(Debug, PartialEq, Eq)]
struct Components {
    names: Vec<CString>,
    /// Whether the path ends as that of a folder does.
    names_folder: bool,
}

impl Components {
    /// Takes a path apart, or tells the errno of one that leaves its folder.
    fn of(path: &CStr) -> Result<Self, i32> {
        let bytes = path.to_bytes();
        if bytes.is_empty() {
            return Err(libc::ENOENT);
        }
        if bytes[0] == b'/' {
            return Err(libc::EXDEV);
        }
        if bytes.len() >= libc::PATH_MAX as usize {
            return Err(libc::ENAMETOOLONG);
        }
        let mut names = Vec::new();
        let mut names_folder = false;
        for part in bytes.split(|byte| *byte == b'/') {
            names_folder = matches!(part, b"" | b"." | b"..");
            match part {
                b"" | b"." => {}
                b".." => {
                    names.pop().ok_or(libc::EXDEV)?;
                }
                name => names.push(CString::new(name).map_err(|_| libc::EINVAL)?),
            }
        }
        Ok(Self {
            names,
            names_folder,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        os::unix::fs::symlink,
        path::PathBuf,
    };

    use super::*;

    /// A folder with `inside/file`, links in and out of it, and a file beside it.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("annulus-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("root/inside")).unwrap();
            fs::write(path.join("root/inside/file"), "inside").unwrap();
            fs::write(path.join("secret"), "outside").unwrap();
            symlink("inside/file", path.join("root/near")).unwrap();
            symlink("inside", path.join("root/folder")).unwrap();
            symlink("../secret", path.join("root/far")).unwrap();
            symlink("..", path.join("root/up")).unwrap();
            symlink(path.join("secret"), path.join("root/absolute")).unwrap();
            symlink("/proc/self/root/etc", path.join("root/magic")).unwrap();
            Self(path)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read_flags() -> i32 {
        libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK
    }

    fn errno_of(result: i32) -> i32 {
        if result < 0 {
            return -result;
        }
        // SAFETY: the call made the descriptor for this test.
        drop(unsafe { OwnedFd::from_raw_fd(result) });
        0
    }

    #[test]
    fn the_walk_answers_as_the_kernel_but_for_links() {
        let tree = Tree::new("walk");
        let root = fs::File::open(tree.0.join("root")).unwrap();
        let how = OpenHow::beneath(read_flags(), 0, true);
        for (path, by_kernel, by_walk) in [
            (c"inside/file", 0, 0),
            (c"./inside//./file", 0, 0),
            (c"inside", 0, 0),
            (c"inside/", 0, 0),
            (c".", 0, 0),
            (c"inside/..", 0, 0),
            (c"inside/../inside/file", 0, 0),
            (c"inside/file/", libc::ENOTDIR, libc::ENOTDIR),
            (c"inside/file/more", libc::ENOTDIR, libc::ENOTDIR),
            (c"missing", libc::ENOENT, libc::ENOENT),
            (c"missing/file", libc::ENOENT, libc::ENOENT),
            (c"", libc::ENOENT, libc::ENOENT),
            (c"..", libc::EXDEV, libc::EXDEV),
            (c"../secret", libc::EXDEV, libc::EXDEV),
            (c"inside/../../secret", libc::EXDEV, libc::EXDEV),
            (c"/etc/passwd", libc::EXDEV, libc::EXDEV),
            (c"far", libc::EXDEV, libc::ELOOP),
            (c"up/secret", libc::EXDEV, libc::ELOOP),
            (c"absolute", libc::EXDEV, libc::ELOOP),
            (c"magic", libc::EXDEV, libc::ELOOP),
            (c"near", 0, libc::ELOOP),
            (c"folder/file", 0, libc::ELOOP),
        ] {
            assert_eq!(
                errno_of(openat2(root.as_raw_fd(), path, how)),
                by_kernel,
                "openat2 of {path:?}"
            );
            assert_eq!(
                errno_of(walk(root.as_raw_fd(), path, how)),
                by_walk,
                "walk of {path:?}"
            );
        }
    }

    #[test]
    fn the_walk_takes_no_link_for_what_it_leads_to() {
        let tree = Tree::new("walk-path");
        let root = fs::File::open(tree.0.join("root")).unwrap();
        let kind = |flags: i32| {
            let how = OpenHow::beneath(libc::O_PATH | libc::O_CLOEXEC | flags, 0, true);
            walk(root.as_raw_fd(), c"near", how)
        };
        assert_eq!(errno_of(kind(0)), libc::ELOOP);
        let link = kind(libc::O_NOFOLLOW);
        let mode = status(link).unwrap().mode;
        assert_eq!(errno_of(link), 0);
        assert_eq!(FileKind::of_mode(mode), FileKind::SYMLINK);
        assert_eq!(errno_of(kind(libc::O_DIRECTORY)), libc::ELOOP);
    }

    #[test]
    fn the_walk_makes_files() {
        let tree = Tree::new("walk-make");
        let root = fs::File::open(tree.0.join("root")).unwrap();
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        let how = OpenHow::beneath(flags, 0o600, true);
        assert_eq!(errno_of(walk(root.as_raw_fd(), c"inside/new", how)), 0);
        assert!(tree.0.join("root/inside/new").exists());
        let again = walk(root.as_raw_fd(), c"inside/new", how);
        assert_eq!(errno_of(again), libc::EEXIST);
        assert_eq!(
            errno_of(walk(root.as_raw_fd(), c"far", how)),
            libc::EEXIST,
            "a new file does not replace a link"
        );
    }
}
