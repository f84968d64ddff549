//! Temporary files: there whole, or not at all.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
};

use annulus::fs::{Dir, TempFile};

use crate::support::{Folder, run_each, tree::Tree};

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_temporary_file_is_there_when_it_is_persisted() {
    run_each(async || {
        let folder = Folder::new("temp");
        let path = folder.path("file");
        let file = TempFile::new_in(folder.path(".")).await.unwrap();
        file.write_all_at("new", 0).await.unwrap();
        let (_, bytes) = file.read_at(vec![0; 10], 0).await.unwrap();
        assert_eq!(bytes, b"new");
        assert!(!path.exists());
        file.persist(&path).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // The path of another file is taken from it.
        let other = TempFile::with_mode_in(folder.path("."), 0o600)
            .await
            .unwrap();
        other.write_all_at("newer", 0).await.unwrap();
        let taken = other.persist_new(&path).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        other.persist(&path).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(count(&folder.path(".")), 1);
        // It is a file still, and may get a second path.
        other.persist_new(folder.path("second")).await.unwrap();
        other.persist(folder.path("second")).await.unwrap();
        assert_eq!(count(&folder.path(".")), 2);
        other.write_all_at("N", 0).await.unwrap();
        drop((file, other));
        assert_eq!(fs::read(&path).unwrap(), b"Newer");
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
    });
}

#[test]
fn a_file_that_cannot_be_persisted_stays_temporary() {
    run_each(async || {
        let folder = Folder::new("temp-fails");
        fs::create_dir(folder.path("folder")).unwrap();
        let file = TempFile::new_in(folder.path(".")).await.unwrap();
        file.write_all_at("content", 0).await.unwrap();
        for (path, expected) in [
            ("folder", libc::EISDIR),
            ("missing/file", libc::ENOENT),
            ("file/", libc::ENOTDIR),
            (".", libc::EINVAL),
        ] {
            let error = file.persist(folder.path(path)).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(expected), "{path}");
        }
        file.persist(folder.path("file")).await.unwrap();
        assert_eq!(fs::read(folder.path("file")).unwrap(), b"content");
        assert_eq!(count(&folder.path(".")), 2);
        let no_folder = TempFile::new_in(folder.path("file")).await.unwrap_err();
        assert_eq!(no_folder.kind(), io::ErrorKind::NotADirectory);
    });
}

#[test]
fn a_link_at_the_path_is_replaced_itself() {
    run_each(async || {
        let folder = Folder::new("temp-link");
        fs::write(folder.path("target"), "old").unwrap();
        symlink("target", folder.path("link")).unwrap();
        let file = TempFile::new_in(folder.path(".")).await.unwrap();
        file.write_all_at("new", 0).await.unwrap();
        file.persist(folder.path("link")).await.unwrap();
        assert_eq!(fs::read(folder.path("target")).unwrap(), b"old");
        assert!(
            !fs::symlink_metadata(folder.path("link"))
                .unwrap()
                .is_symlink()
        );
    });
}

#[test]
fn a_temporary_file_of_a_folder_stays_beneath_it() {
    run_each(async || {
        let tree = Tree::new("temp-beneath");
        let root = Dir::open(tree.root()).await.unwrap();
        let outside = root.temp_file("outside").await.unwrap_err();
        assert_eq!(outside.kind(), io::ErrorKind::CrossesDevices);
        let file = root.temp_file("inside").await.unwrap();
        file.write_all_at("new", 0).await.unwrap();
        for path in ["../secret", "up/secret", "outside/file", "/tmp/annulus-new"] {
            let error = file.persist(path).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::CrossesDevices, "{path}");
        }
        assert_eq!(fs::read(tree.path("secret")).unwrap(), b"outside");
        file.persist("folder/file").await.unwrap();
        assert_eq!(fs::read(tree.root().join("inside/file")).unwrap(), b"new");
    });
}
