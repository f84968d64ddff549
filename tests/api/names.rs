//! Names of files: made, changed, listed and removed, anywhere and beneath a folder.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use annulus::{
    blocking,
    fs::{self as ours, Dir, File, ReadDir},
};

use crate::support::{Folder, run, run_each, tree::Tree};

fn errno<T>(result: &io::Result<T>) -> i32 {
    let error = result.as_ref().err();
    error.map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}

#[test]
fn names_are_made_changed_and_removed() {
    run_each(async || {
        let folder = Folder::new("names");
        let path = |name: &str| folder.path(name);
        ours::create_dir_all(path("a/b/c")).await.unwrap();
        ours::create_dir_all(path("a/b/c")).await.unwrap();
        let again = ours::create_dir(path("a")).await;
        assert_eq!(errno(&again), libc::EEXIST);
        ours::write(path("a/file"), "content").await.unwrap();
        ours::rename(path("a/file"), path("a/b/file"))
            .await
            .unwrap();
        assert_eq!(fs::read(path("a/b/file")).unwrap(), b"content");
        ours::hard_link(path("a/b/file"), path("second"))
            .await
            .unwrap();
        assert_eq!(fs::metadata(path("second")).unwrap().nlink(), 2);
        ours::symlink("a/b/file", path("link")).await.unwrap();
        assert_eq!(
            ours::read_link(path("link")).await.unwrap(),
            Path::new("a/b/file")
        );
        let canonical = ours::canonicalize(path("link")).await.unwrap();
        assert_eq!(canonical, fs::canonicalize(path("a/b/file")).unwrap());
        let only_owner = Permissions::from_mode(0o600);
        ours::set_permissions(path("link"), only_owner)
            .await
            .unwrap();
        assert_eq!(fs::metadata(path("second")).unwrap().mode() & 0o777, 0o600);
        assert!(ours::metadata(path("link")).await.unwrap().is_file());
        assert!(
            ours::symlink_metadata(path("link"))
                .await
                .unwrap()
                .is_symlink()
        );
        assert!(ours::try_exists(path("link")).await.unwrap());
        ours::remove_file(path("a/b/file")).await.unwrap();
        assert!(!ours::try_exists(path("link")).await.unwrap());
        let below_a_file = ours::try_exists(path("second/more")).await;
        assert_eq!(errno(&below_a_file), libc::ENOTDIR);
        assert_eq!(errno(&ours::remove_dir(path("a")).await), libc::ENOTEMPTY);
        ours::remove_dir(path("a/b/c")).await.unwrap();
        ours::remove_dir_all(path("a")).await.unwrap();
        assert_eq!(errno(&ours::remove_file(path("a")).await), libc::ENOENT);
        let zero = ours::rename("a\0b", "c").await.unwrap_err();
        assert_eq!(zero.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn outside_of_a_runtime_a_call_is_an_error() {
    let rename = Box::pin(ours::rename("a", "b"));
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    let mut rename = rename;
    let std::task::Poll::Ready(result) = rename.as_mut().poll(&mut context) else {
        panic!("there is nothing to wait for");
    };
    assert!(result.unwrap_err().to_string().contains("runtime"));
}

#[test]
fn whole_files_are_read_written_and_copied() {
    run_each(async || {
        let folder = Folder::new("whole");
        let path = |name: &str| folder.path(name);
        let content: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
        ours::write(path("file"), content.clone()).await.unwrap();
        assert!(ours::read(path("file")).await.unwrap() == content);
        fs::set_permissions(path("file"), Permissions::from_mode(0o640)).unwrap();
        fs::write(path("copy"), vec![1; 4_000_000]).unwrap();
        let copied = ours::copy(path("file"), path("copy")).await.unwrap();
        assert_eq!(copied, content.len() as u64);
        assert!(fs::read(path("copy")).unwrap() == content);
        assert_eq!(fs::metadata(path("copy")).unwrap().mode() & 0o777, 0o640);
        ours::write(path("file"), "short").await.unwrap();
        assert_eq!(ours::read_to_string(path("file")).await.unwrap(), "short");
        ours::write(path("file"), vec![0xff]).await.unwrap();
        let text = ours::read_to_string(path("file")).await.unwrap_err();
        assert_eq!(text.kind(), io::ErrorKind::InvalidData);
        assert_eq!(errno(&ours::read(path(".")).await), libc::EISDIR);
        // Its size is told as zero.
        let status = ours::read_to_string("/proc/self/status").await.unwrap();
        assert!(status.contains("Threads:"));
        fs::write(path("empty"), "").unwrap();
        assert_eq!(ours::read(path("empty")).await.unwrap(), b"");
        assert_eq!(ours::copy(path("empty"), path("other")).await.unwrap(), 0);
    });
}

#[test]
fn a_copy_to_itself_leaves_the_file() {
    run_each(async || {
        let folder = Folder::new("itself");
        fs::write(folder.path("file"), "content").unwrap();
        symlink("file", folder.path("link")).unwrap();
        for other in ["file", "link"] {
            let error = ours::copy(folder.path("file"), folder.path(other)).await;
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(fs::read(folder.path("file")).unwrap(), b"content");
        }
    });
}

#[test]
fn no_whole_file_waits_for_a_peer() {
    run_each(async || {
        let folder = Folder::new("peers");
        let fifo = folder.path("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        // More than there are threads.
        for _ in 0..=blocking::stats().files.threads_max {
            assert_eq!(errno(&ours::read(&fifo).await), libc::ESPIPE);
            let copied = ours::copy(&fifo, folder.path("file")).await;
            assert_eq!(copied.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(errno(&ours::write(&fifo, "bytes").await), libc::ENXIO);
        }
    });
}

#[test]
fn a_file_is_cut_and_its_permissions_are_set() {
    run_each(async || {
        let folder = Folder::new("cut");
        let path = folder.path("file");
        let file = File::create(&path).await.unwrap();
        file.write_all_at("content", 0).await.unwrap();
        file.set_len(3).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"con");
        file.set_permissions(Permissions::from_mode(0o604))
            .await
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o604);
        assert_eq!(errno(&file.set_len(u64::MAX).await), libc::EFBIG);
    });
}

async fn names(mut entries: ReadDir) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    while let Some(entry) = entries.next().await {
        let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
        assert!(names.insert(name), "each comes once");
    }
    assert!(entries.next().await.is_none());
    names
}

#[test]
fn a_folder_of_many_pieces_is_listed_whole() {
    run_each(async || {
        let folder = Folder::new("list");
        fs::create_dir(folder.path("many")).unwrap();
        let mut expected = BTreeSet::new();
        for number in 0..3000 {
            let name = format!("a-name-of-some-length-{number}");
            fs::write(folder.path("many").join(&name), "").unwrap();
            expected.insert(name);
        }
        let many = folder.path("many");
        assert_eq!(names(ours::read_dir(&many).await.unwrap()).await, expected);
        let root = Dir::open(folder.path(".")).await.unwrap();
        assert_eq!(names(root.read_dir("many").await.unwrap()).await, expected);
        assert_eq!(names(root.read_dir(".").await.unwrap()).await.len(), 1);
        let no_folder = ours::read_dir(many.join("a-name-of-some-length-0")).await;
        assert_eq!(errno(&no_folder), libc::ENOTDIR);
    });
}

#[test]
fn an_entry_tells_its_kind_and_path() {
    run_each(async || {
        let tree = Tree::new("entries");
        let mut entries = ours::read_dir(tree.root()).await.unwrap();
        let mut count = 0;
        while let Some(entry) = entries.next().await {
            let entry = entry.unwrap();
            let theirs = fs::symlink_metadata(entry.path()).unwrap();
            let kind = entry.file_type().unwrap();
            assert_eq!(kind.is_symlink(), theirs.is_symlink());
            assert_eq!(kind.is_dir(), theirs.is_dir());
            assert_eq!(entry.ino(), theirs.ino());
            assert_eq!(entry.metadata().await.unwrap().ino(), theirs.ino());
            count += 1;
        }
        assert_eq!(count, fs::read_dir(tree.root()).unwrap().count());
        // The path of an entry beneath a folder is relative to that.
        let root = Dir::open(tree.root()).await.unwrap();
        let mut entries = root.read_dir("inside").await.unwrap();
        while let Some(entry) = entries.next().await {
            let path = entry.unwrap().path();
            assert!(path.starts_with("inside"), "{path:?}");
            root.symlink_metadata(path).await.unwrap();
        }
    });
}

#[test]
fn a_folder_changes_names_beneath_it() {
    run_each(async || {
        let tree = Tree::new("beneath-names");
        let inside = |name: &str| tree.root().join(name);
        let root = Dir::open(tree.root()).await.unwrap();
        root.create_dir_all("x/./y//z/").await.unwrap();
        root.create_dir_all("x/y/z").await.unwrap();
        root.create_dir("x/new/").await.unwrap();
        root.write("x/file", "content").await.unwrap();
        root.rename("x/file", "folder/moved").await.unwrap();
        assert_eq!(fs::read(inside("inside/moved")).unwrap(), b"content");
        assert_eq!(
            root.read_to_string("inside/moved").await.unwrap(),
            "content"
        );
        let as_folder = root.rename("inside/moved", "inside/again/").await;
        assert_eq!(errno(&as_folder), libc::ENOTDIR);
        root.hard_link("inside/moved", "x/second").await.unwrap();
        root.symlink("../inside/moved", "x/link").await.unwrap();
        assert_eq!(root.read("x/link").await.unwrap(), b"content");
        let text = root.read_link("x/link").await.unwrap();
        assert_eq!(text, Path::new("../inside/moved"));
        root.rename("x/y/", "x/renamed/").await.unwrap();
        assert!(root.try_exists("x/renamed/z").await.unwrap());
        assert!(!root.try_exists("x/y").await.unwrap());
        root.remove_file("x/second").await.unwrap();
        root.remove_dir("x/new").await.unwrap();
        assert_eq!(errno(&root.remove_dir("x").await), libc::ENOTEMPTY);
        symlink(tree.path("other"), inside("x/out")).unwrap();
        root.remove_dir_all("x").await.unwrap();
        assert!(!inside("x").exists() && tree.path("other/file").exists());
    });
}

#[test]
fn no_change_leaves_the_folder() {
    run_each(async || {
        let tree = Tree::new("beneath-changes");
        let root = Dir::open(tree.root()).await.unwrap();
        for path in [
            "../new",
            "up/new",
            "outside/new",
            "/tmp/annulus-new",
            "inside/../../new",
        ] {
            for result in [
                root.rename("inside/file", path).await,
                root.rename(path, "inside/new").await,
                root.create_dir(path).await,
                root.create_dir_all(path).await,
                root.symlink("a", path).await,
                root.hard_link("inside/file", path).await,
                root.remove_file(path).await,
                root.remove_dir_all(path).await,
                root.write(path, "bytes").await,
                root.read_dir(path).await.map(drop),
                root.read_link(path).await.map(drop),
            ] {
                assert_eq!(errno(&result), libc::EXDEV, "{path}");
            }
        }
        // Names that are no names: nothing is changed by them.
        for path in ["..", "/", "inside/../.."] {
            assert_eq!(
                errno(&root.remove_dir_all(path).await),
                libc::EXDEV,
                "{path}"
            );
            assert_eq!(
                errno(&root.rename("inside", path).await),
                libc::EXDEV,
                "{path}"
            );
        }
        for path in [".", "inside/..", "inside/."] {
            assert_eq!(
                errno(&root.remove_dir_all(path).await),
                libc::EINVAL,
                "{path}"
            );
        }
        assert_eq!(errno(&root.remove_file("").await), libc::ENOENT);
        assert_eq!(errno(&root.remove_file("near/").await), libc::ENOTDIR);
        assert_eq!(
            errno(&root.remove_dir_all("inside/file").await),
            libc::ENOTDIR
        );
        // A link at the end is changed itself.
        root.remove_dir_all("outside").await.unwrap();
        root.remove_file("far").await.unwrap();
        root.rename("inside/file", "absolute").await.unwrap();
        assert_eq!(fs::read(tree.path("secret")).unwrap(), b"outside");
        assert_eq!(fs::read(tree.path("other/file")).unwrap(), b"outside");
        assert_eq!(fs::read(tree.root().join("absolute")).unwrap(), b"inside");
    });
}

#[test]
fn folders_inside_of_each_other_are_removed_up_to_a_limit() {
    run(async {
        let folder = Folder::new("deep");
        let root = Dir::open(folder.path(".")).await.unwrap();
        root.create_dir_all("d/".repeat(128)).await.unwrap();
        root.remove_dir_all("d").await.unwrap();
        root.create_dir_all("d/".repeat(129)).await.unwrap();
        let error = root.remove_dir_all("d").await.unwrap_err();
        assert!(error.to_string().contains("128 folders"), "{error}");
        ours::remove_dir_all(folder.path("d")).await.unwrap();
    });
}
