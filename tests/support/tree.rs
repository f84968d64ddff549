//! A folder with secrets beside it, and links and renames that lead there.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use annulus::fs::{Dir, File};

use super::Folder;

/// `root` with files and links, and `secret` and `other` beside it.
pub(crate) struct Tree(Folder);

impl Tree {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let path = |name: &str| folder.path(name);
        fs::create_dir_all(path("root/inside/deep")).unwrap();
        fs::create_dir_all(path("other")).unwrap();
        fs::write(path("root/inside/file"), "inside").unwrap();
        fs::write(path("secret"), "outside").unwrap();
        fs::write(path("other/file"), "outside").unwrap();
        for (target, link) in [
            ("inside/file", "near"),
            ("inside", "folder"),
            ("../secret", "far"),
            ("..", "up"),
            ("/proc/self/root", "magic"),
            ("loop", "loop"),
        ] {
            symlink(target, path("root").join(link)).unwrap();
        }
        symlink(path("secret"), path("root/absolute")).unwrap();
        symlink(path("other"), path("root/outside")).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }
}

/// The errno of opening each path beneath the root, 0 where it opens: with links, and where none
/// is followed.
pub(crate) const PATHS: [(&str, i32, i32); 22] = [
    ("inside/file", 0, 0),
    ("./inside//./file", 0, 0),
    ("inside", 0, 0),
    ("inside/", 0, 0),
    (".", 0, 0),
    ("inside/..", 0, 0),
    ("inside/deep/../file", 0, 0),
    ("near", 0, libc::ELOOP),
    ("folder/file", 0, libc::ELOOP),
    ("missing", libc::ENOENT, libc::ENOENT),
    ("missing/file", libc::ENOENT, libc::ENOENT),
    ("inside/file/more", libc::ENOTDIR, libc::ENOTDIR),
    ("", libc::ENOENT, libc::ENOENT),
    ("..", libc::EXDEV, libc::EXDEV),
    ("../secret", libc::EXDEV, libc::EXDEV),
    ("inside/../../secret", libc::EXDEV, libc::EXDEV),
    ("/etc/passwd", libc::EXDEV, libc::EXDEV),
    ("far", libc::EXDEV, libc::ELOOP),
    ("up/secret", libc::EXDEV, libc::ELOOP),
    ("absolute", libc::EXDEV, libc::ELOOP),
    ("outside/file", libc::EXDEV, libc::ELOOP),
    ("loop", libc::ELOOP, libc::ELOOP),
];

/// All that a file holds.
pub(crate) async fn content(file: &File) -> Vec<u8> {
    let (_count, bytes) = file.read_at(Vec::with_capacity(100), 0).await.unwrap();
    bytes
}

/// Exchanges two names at once.
fn exchange(one: &CString, other: &CString) {
    // SAFETY: both names are C strings that live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Opens paths beneath the root while another thread exchanges a folder with a link that leads out
/// of it, and moves a folder out and in. No open may bring a byte from outside.
///
/// It ends with the count of exchanges. The other thread waits for opens now and then, so that it
/// is not done before they have begun.
pub(crate) async fn nothing_leaves_in_a_race(tree: &Tree, exchanges: usize) {
    fs::create_dir_all(tree.path("root/place/deep")).unwrap();
    fs::write(tree.path("root/place/file"), "inside").unwrap();
    let opens = Arc::new(AtomicUsize::new(0));
    let other = Other::new(tree, Arc::clone(&opens));
    let other = thread::spawn(move || other.exchange_names(exchanges));
    let root = Dir::open(tree.root()).await.unwrap();
    let mut counts = [0_usize; 2];
    while !other.is_finished() {
        for path in ["inside/file", "place/deep/../file", "outside/file"] {
            let opened = root.open_file(path).await;
            if let Ok(file) = &opened {
                assert_eq!(content(file).await, b"inside", "{path}");
            }
            counts[usize::from(opened.is_ok())] += 1;
        }
        opens.fetch_add(1, Ordering::Relaxed);
    }
    other.join().unwrap();
    let [refused, made] = counts;
    println!("{exchanges} exchanges: {refused} opens refused, {made} made");
}

/// The thread that exchanges names.
struct Other {
    folder: CString,
    link: CString,
    deep: PathBuf,
    moved: PathBuf,
    opens: Arc<AtomicUsize>,
}

impl Other {
    fn new(tree: &Tree, opens: Arc<AtomicUsize>) -> Self {
        let name = |name: &str| CString::new(tree.path(name).as_os_str().as_bytes()).unwrap();
        Self {
            folder: name("root/inside"),
            link: name("root/outside"),
            deep: tree.path("root/place/deep"),
            moved: tree.path("other/deep"),
            opens,
        }
    }

    fn exchange_names(&self, exchanges: usize) {
        for count in 0..exchanges {
            exchange(&self.folder, &self.link);
            let (from, to) = match count % 2 {
                0 => (&self.deep, &self.moved),
                _ => (&self.moved, &self.deep),
            };
            fs::rename(from, to).unwrap();
            let before = self.opens.load(Ordering::Relaxed);
            let has_opened = || self.opens.load(Ordering::Relaxed) != before;
            // The test has failed when it has let go of the count.
            while count % 16 == 0 && !has_opened() && Arc::strong_count(&self.opens) > 1 {
                thread::yield_now();
            }
        }
    }
}
