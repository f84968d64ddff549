//! Folders: no path, link or race leaves them.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
};

use annulus::{
    blocking,
    fs::{Dir, File, Metadata, OpenOptions},
};

use crate::support::{
    long_repetitions, run, run_each,
    tree::{PATHS, Tree, content, nothing_leaves_in_a_race},
};

fn errno<T>(result: &io::Result<T>) -> i32 {
    let error = result.as_ref().err();
    error.map_or(0, |error| error.raw_os_error().unwrap())
}

#[test]
fn no_path_leaves_the_folder() {
    run_each(async || {
        let tree = Tree::new("dir-paths");
        let root = Dir::open(tree.root()).await.unwrap();
        let no_links = OpenOptions::new().read(true).follow_symlinks(false);
        for (path, expected, expected_without_links) in PATHS {
            assert_eq!(errno(&root.open_file(path).await), expected, "{path}");
            assert_eq!(
                errno(&root.open_file_with(path, &no_links).await),
                expected_without_links,
                "{path} without links"
            );
            assert_eq!(errno(&root.metadata(path).await), expected, "of {path}");
        }
        // Another process's folder is reached by no magic link.
        for path in ["magic", "magic/etc/passwd"] {
            assert_eq!(errno(&root.open_file(path).await), libc::EXDEV, "{path}");
        }
        let process = Dir::open("/proc/self").await.unwrap();
        assert_eq!(errno(&process.open_file("exe").await), libc::ELOOP);
        assert_eq!(
            errno(&process.open_file("cwd/Cargo.toml").await),
            libc::ELOOP
        );
        let zero = root.open_file("a\0b").await.unwrap_err();
        assert_eq!(zero.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn files_are_made_beneath_the_folder_only() {
    run_each(async || {
        let tree = Tree::new("dir-make");
        let root = Dir::open(tree.root()).await.unwrap();
        let options = OpenOptions::new().write(true).create(true).truncate(true);
        let file = root
            .open_file_with("inside/new", &options.clone().mode(0o640))
            .await
            .unwrap();
        file.write_all_at("new", 0).await.unwrap();
        let made = tree.path("root/inside/new");
        assert_eq!(fs::read(&made).unwrap(), b"new");
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777 & !0o640, 0);
        for path in ["../new", "far", "up/new", "outside/new", "/tmp/new"] {
            let error = root.open_file_with(path, &options).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::CrossesDevices, "{path}");
        }
        assert_eq!(fs::read(tree.path("secret")).unwrap(), b"outside");
        assert!(!tree.path("new").exists() && !tree.path("other/new").exists());
    });
}

#[test]
fn an_open_folder_stays_the_same_when_it_is_renamed() {
    run_each(async || {
        let tree = Tree::new("dir-renamed");
        let root = Dir::open(tree.root()).await.unwrap();
        let inside = root.open_dir("inside").await.unwrap();
        fs::rename(tree.path("root/inside"), tree.path("moved")).unwrap();
        let file = inside.open_file("file").await.unwrap();
        assert_eq!(content(&file).await, b"inside");
        assert_eq!(errno(&inside.open_file("../secret").await), libc::EXDEV);
        assert_eq!(errno(&root.open_file("inside/file").await), libc::ENOENT);
        assert_eq!(errno(&root.open_dir("near").await), libc::ENOENT);
        assert_eq!(errno(&root.open_dir("outside").await), libc::EXDEV);
        let file = tree.path("moved/file");
        assert_eq!(errno(&Dir::open(file).await), libc::ENOTDIR);
        let missing = Dir::open(tree.path("missing")).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    });
}

fn is_same(ours: &Metadata, theirs: &fs::Metadata) {
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(ours.size(), theirs.len());
    assert_eq!(ours.is_file(), theirs.is_file());
    assert_eq!(ours.is_dir(), theirs.is_dir());
    assert_eq!(ours.is_symlink(), theirs.is_symlink());
    assert_eq!(ours.permissions(), theirs.permissions());
    assert_eq!(ours.modified().unwrap(), theirs.modified().unwrap());
    assert_eq!(ours.created().ok(), theirs.created().ok());
    let numbers = [
        ours.dev(),
        ours.ino(),
        ours.nlink(),
        ours.blksize(),
        ours.blocks(),
    ];
    let expected = [
        theirs.dev(),
        theirs.ino(),
        theirs.nlink(),
        theirs.blksize(),
        theirs.blocks(),
    ];
    assert_eq!(numbers, expected);
    assert_eq!(
        (ours.mode(), ours.uid(), ours.gid()),
        (theirs.mode(), theirs.uid(), theirs.gid())
    );
    assert_eq!(
        [
            ours.mtime(),
            ours.mtime_nsec(),
            ours.ctime(),
            ours.ctime_nsec()
        ],
        [
            theirs.mtime(),
            theirs.mtime_nsec(),
            theirs.ctime(),
            theirs.ctime_nsec()
        ]
    );
}

#[test]
fn metadata_is_that_of_std() {
    run_each(async || {
        let tree = Tree::new("dir-metadata");
        let root = Dir::open(tree.root()).await.unwrap();
        let path = tree.path("root/inside/file");
        // Unreadable files have metadata all the same.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let file = File::open(&path).await.unwrap();
        is_same(&file.metadata().unwrap(), &fs::metadata(&path).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        for name in ["inside/file", "near", "inside"] {
            let theirs = tree.root().join(name);
            let ours = root.metadata(name).await.unwrap();
            is_same(&ours, &fs::metadata(&theirs).unwrap());
            let ours = root.symlink_metadata(name).await.unwrap();
            is_same(&ours, &fs::symlink_metadata(&theirs).unwrap());
        }
        assert_eq!(errno(&root.metadata("far").await), libc::EXDEV);
        let link = root.symlink_metadata("far").await.unwrap();
        assert!(link.is_symlink() && link.file_type().is_symlink());
        let null = Dir::open("/dev").await.unwrap().metadata("null").await;
        assert!(null.unwrap().file_type().is_char_device());
    });
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn no_open_beneath_waits_for_a_peer() {
    run_each(async || {
        let tree = Tree::new("dir-fifo");
        let root = Dir::open(tree.root()).await.unwrap();
        // More than there are threads.
        for number in 0..=blocking::stats().files.threads_max {
            let name = format!("fifo{number}");
            make_fifo(&tree.root().join(&name));
            let file = root.open_file(&name).await.unwrap();
            assert!(file.metadata().unwrap().file_type().is_fifo());
        }
        let _listener = std::os::unix::net::UnixListener::bind(tree.path("root/socket")).unwrap();
        assert_eq!(errno(&root.open_file("socket").await), libc::ENXIO);
        let kind = root.metadata("socket").await.unwrap().file_type();
        assert!(kind.is_socket());
    });
}

#[test]
fn nothing_leaves_a_folder_while_names_are_exchanged() {
    // Emulated machines are told to do fewer operations.
    let fewer = std::env::var("ANNULUS_CANCEL_OPERATIONS").ok();
    let fewer = fewer.and_then(|count| count.parse::<usize>().ok());
    let most = fewer.map_or(usize::MAX, |count| count / 10);
    let exchanges = long_repetitions(100_000).min(most);
    run(async {
        let tree = Tree::new("dir-race");
        nothing_leaves_in_a_race(&tree, exchanges).await;
    });
}

#[test]
fn a_folder_is_of_its_runtime() {
    let dir = annulus::run(async { Dir::open("/").await }).unwrap();
    assert!(dir.as_raw_fd() >= 0);
    annulus::run(async {
        let error = dir.open_file("lib.rs").await.unwrap_err();
        assert!(error.to_string().contains("runtime"), "{error}");
    });
}
