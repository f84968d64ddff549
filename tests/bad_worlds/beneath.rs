//! Filters that forbid openat2(2): a folder keeps its promise.

use std::io;

use annulus::{
    DriverKind, Runtime,
    fs::{Dir, OpenOptions},
};

use crate::{
    child::{child, descriptors},
    forbidden::forbid,
    support::{
        long_repetitions,
        tree::{PATHS, Tree, content, nothing_leaves_in_a_race},
    },
};

async fn paths_stay_beneath(tree: &Tree) {
    let root = Dir::open(tree.root()).await.unwrap();
    let errno = |error: &io::Error| error.raw_os_error().unwrap();
    for (path, _, without_links) in PATHS {
        let opened = root.open_file(path).await;
        assert_eq!(
            opened.as_ref().err().map_or(0, errno),
            without_links,
            "{path}"
        );
        let metadata = root.metadata(path).await;
        assert_eq!(
            metadata.as_ref().err().map_or(0, errno),
            without_links,
            "{path}"
        );
    }
    let link = root.symlink_metadata("far").await.unwrap();
    assert!(link.is_symlink());
    let inside = root.open_dir("inside").await.unwrap();
    let file = inside.open_file("file").await.unwrap();
    assert_eq!(content(&file).await, b"inside");
    let options = OpenOptions::new().write(true).create(true);
    inside.open_file_with("new", &options).await.unwrap();
    let error = root.open_file_with("far", &options).await.unwrap_err();
    assert_eq!(errno(&error), libc::ELOOP);
    names_stay_beneath(&root).await;
    assert_eq!(std::fs::read(tree.path("secret")).unwrap(), b"outside");
    assert_eq!(std::fs::read(tree.path("other/file")).unwrap(), b"outside");
}

async fn names_stay_beneath(root: &Dir) {
    let errno = |result: io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
    root.create_dir_all("made/deep").await.unwrap();
    root.rename("inside/new", "made/deep/new").await.unwrap();
    for (path, expected) in [
        ("outside/file", libc::ELOOP),
        ("up/new", libc::ELOOP),
        ("../new", libc::EXDEV),
        ("/tmp/annulus-new", libc::EXDEV),
    ] {
        assert_eq!(errno(root.rename("made", path).await), expected, "{path}");
        assert_eq!(errno(root.remove_file(path).await), expected, "{path}");
        assert_eq!(errno(root.create_dir(path).await), expected, "{path}");
    }
    let file = root.temp_file("made").await.unwrap();
    file.write_all_at("whole", 0).await.unwrap();
    assert_eq!(errno(file.persist("outside/file").await), libc::ELOOP);
    file.persist("made/file").await.unwrap();
    assert_eq!(root.read("made/file").await.unwrap(), b"whole");
    root.remove_dir_all("made").await.unwrap();
}

fn stays_beneath(name: &str, errno: i32) {
    child(name, &[("ANNULUS_DRIVER", "")], || {
        // Before the filter: it would hold the tools that make a tree, too.
        let tree = Tree::new("beneath");
        forbid(&[libc::SYS_openat2], errno);
        // On a ring the kernel opens, which no filter sees.
        Runtime::new().unwrap().block_on(async {
            let root = Dir::open(tree.root()).await.unwrap();
            root.open_file("inside/file").await.unwrap();
        });
        let runtime = Runtime::builder().driver(DriverKind::Poll).build().unwrap();
        let before = descriptors();
        runtime.block_on(paths_stay_beneath(&tree));
        runtime.block_on(nothing_leaves_in_a_race(&tree, long_repetitions(100_000)));
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn nothing_leaves_a_folder_where_openat2_is_unknown() {
    let name = "beneath::nothing_leaves_a_folder_where_openat2_is_unknown";
    stays_beneath(name, libc::ENOSYS);
}

#[test]
fn nothing_leaves_a_folder_where_openat2_is_not_permitted() {
    let name = "beneath::nothing_leaves_a_folder_where_openat2_is_not_permitted";
    stays_beneath(name, libc::EPERM);
}
