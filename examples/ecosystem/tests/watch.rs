//! The changes of a folder, on both drivers.

use std::{env, fs, path::PathBuf, process, time::Duration};

use annulus::{DriverKind, Runtime, future::join, task::yield_now, time};
use ecosystem::watch::{Change, Watch};

/// A folder that is removed with its value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("annulus-{name}-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a test on each driver.
fn run_each(test: impl AsyncFn()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        let guarded = async { time::timeout(Duration::from_secs(100), test()).await };
        let ended = runtime.block_on(guarded);
        ended.expect("the test does not hang");
    }
}

#[test]
fn each_change_is_told_in_order() {
    run_each(async || {
        let folder = Folder::new("watch");
        let mut watch = Watch::new(&folder.0).unwrap();
        let file = folder.0.join("file");
        let changing = async {
            time::sleep(Duration::from_millis(1)).await;
            fs::write(&file, "content").unwrap();
            yield_now().await;
            fs::remove_file(&file).unwrap();
        };
        let watching = async {
            let first = watch.next().await.unwrap();
            (first, watch.next().await.unwrap())
        };
        let (changes, ()) = join(watching, changing).await;
        let name = || "file".into();
        assert_eq!(changes, (Change::Written(name()), Change::Removed(name())));
    });
}

#[test]
fn more_changes_than_one_read_takes_and_waits_that_are_dropped() {
    run_each(async || {
        let folder = Folder::new("many");
        let mut watch = Watch::new(&folder.0).unwrap();
        let given_up = time::timeout(Duration::from_millis(1), watch.next()).await;
        assert!(given_up.is_err());
        for number in 0..500 {
            fs::write(folder.0.join(number.to_string()), "").unwrap();
        }
        for number in 0..500 {
            let name = number.to_string().into();
            assert_eq!(watch.next().await.unwrap(), Change::Written(name));
        }
    });
}

#[test]
fn a_folder_that_is_not_there() {
    run_each(async || {
        let error = Watch::new("/nowhere/at/all").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        let error = Watch::new("/dev/null").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory);
    });
}
