//! Every operation of a file, dropped at every moment of its life.

use std::{
    cell::Cell,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use annulus::{
    fs::{self as ours, Dir, File, OpenOptions, TempFile},
    io::ByteRead,
};

use super::{
    census::{Census, alone, runtime, soon},
    live_memory::{Growth, rounds},
    moment::{Moment, drop_at, turns},
};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("annulus-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn open(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options = options.read(true).write(true).create(true);
    options.open(path).await.unwrap()
}

fn at_every_moment(name: &str, scenario: impl AsyncFn(Moment, &Path)) {
    alone(|| {
        let folder = Folder::new(name);
        let path = folder.0.join("file");
        runtime(2).block_on(async {
            let mut growth = Growth::default();
            for round in 0..rounds() {
                for moment in Moment::ALL {
                    let census = Census::take();
                    scenario(moment, &path).await;
                    census.settled(&format!("{moment:?}")).await;
                }
                growth.note(round);
            }
            growth.check();
        });
    });
}

#[test]
fn a_dropped_open_leaves_no_descriptor() {
    at_every_moment("open", async |moment, path| {
        fs::write(path, "content").unwrap();
        drop_at(moment, File::open(path), async || {}).await;
        let file = File::open(path).await.unwrap();
        let (_, bytes) = file.read_at(Vec::with_capacity(100), 0).await.unwrap();
        assert_eq!(bytes, b"content");
    });
}

#[test]
fn an_open_dropped_while_it_blocks_leaves_no_descriptor() {
    alone(|| {
        let folder = Folder::new("fifo");
        let path = folder.0.join("fifo");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        runtime(2).block_on(async {
            for moment in Moment::ALL {
                let census = Census::take();
                // The open waits for a writer, on a thread of the kernel's or of ours.
                let writer = Cell::new(None);
                let event = async || {
                    let file = fs::OpenOptions::new().read(true).write(true).open(&path);
                    writer.set(Some(file.unwrap()));
                };
                // Without a ring it may be there at the first poll.
                drop(drop_at(moment, File::open(&path), event).await);
                let mut writer = writer.take().unwrap();
                writer.write_all(b"bytes").unwrap();
                // An open that is still under way needs the writer.
                census_but_for(census, writer).await;
            }
        });
    });
}

/// Waits until everything but `held` is as it was, then drops it and waits for the rest.
async fn census_but_for(census: Census, held: fs::File) {
    let in_flight = async {
        while annulus::stats().driver.in_flight > 0 {
            annulus::time::sleep(std::time::Duration::from_micros(200)).await;
        }
    };
    soon("the open never ends", in_flight).await;
    drop(held);
    census.settled("an open that blocks").await;
}

#[test]
fn a_dropped_read_at_gives_everything_back() {
    at_every_moment("read", async |moment, path| {
        fs::write(path, vec![5; 100_000]).unwrap();
        let file = open(path).await;
        let read = file.read_at(Vec::with_capacity(1 << 20), 0);
        drop_at(moment, read, async || {}).await;
        let (count, bytes) = file.read_at(Vec::with_capacity(10), 0).await.unwrap();
        assert_eq!((count, bytes), (10, vec![5; 10]));
    });
}

#[test]
fn many_dropped_reads_give_everything_back() {
    at_every_moment("reads", async |moment, path| {
        fs::write(path, vec![5; 1 << 20]).unwrap();
        let file = open(path).await;
        for number in 0..100 {
            let read = file.read_at(Vec::with_capacity(8192), number * 8192);
            drop_at(moment, read, async || {}).await;
        }
    });
}

#[test]
fn a_dropped_write_at_happens_or_not_and_gives_everything_back() {
    at_every_moment("write", async |moment, path| {
        fs::write(path, "").unwrap();
        let file = open(path).await;
        let write = file.write_at(vec![b'a'; 1 << 20], 0);
        drop_at(moment, write, async || {}).await;
        file.close().await.unwrap();
        let bytes = fs::read(path).unwrap();
        assert!(bytes.iter().all(|byte| *byte == b'a'));
        if moment == Moment::Unpolled {
            assert!(bytes.is_empty());
        }
    });
}

#[test]
fn a_dropped_append_happens_or_not_and_gives_everything_back() {
    at_every_moment("append", async |moment, path| {
        fs::write(path, "start").unwrap();
        let file = OpenOptions::new().append(true).open(path).await.unwrap();
        drop_at(moment, file.append("middle"), async || {}).await;
        file.append("end").await.unwrap();
        file.close().await.unwrap();
        let text = fs::read_to_string(path).unwrap();
        // Two writes of one file may be done in either order.
        let complete = ["startmiddleend", "startendmiddle", "startend"];
        assert!(complete.contains(&text.as_str()), "{text}");
        assert!(moment != Moment::Unpolled || text == "startend");
    });
}

#[test]
fn a_dropped_sync_gives_everything_back() {
    at_every_moment("sync", async |moment, path| {
        let file = open(path).await;
        file.write_all_at("bytes", 0).await.unwrap();
        drop_at(moment, file.sync_all(), async || {}).await;
        drop_at(moment, file.sync_data(), async || {}).await;
    });
}

#[test]
fn a_dropped_close_closes() {
    at_every_moment("close", async |moment, path| {
        let file = open(path).await;
        drop_at(moment, file.close(), async || {}).await;
        // Behind an operation that is still in flight, too.
        let file = open(path).await;
        {
            let mut write = std::pin::pin!(file.write_at(vec![1; 1 << 20], 0));
            let _ = super::moment::poll_once(write.as_mut()).await;
            turns(1).await;
        }
        drop_at(moment, file.close(), async || {}).await;
    });
}

#[test]
fn a_dropped_open_beneath_a_folder_leaves_no_descriptor() {
    at_every_moment("beneath", async |moment, path| {
        fs::write(path, "content").unwrap();
        let folder = path.parent().unwrap();
        drop_at(moment, Dir::open(folder), async || {}).await;
        let folder = Dir::open(folder).await.unwrap();
        drop_at(moment, folder.open_file("file"), async || {}).await;
        drop_at(moment, folder.open_dir("."), async || {}).await;
        drop_at(moment, folder.metadata("file"), async || {}).await;
        // An open that was dropped keeps its folder open until it has ended.
        let mut open = Box::pin(folder.open_file("file"));
        let _ = super::moment::poll_once(open.as_mut()).await;
        drop((open, fs::remove_file(path)));
        assert_eq!(
            folder.metadata("file").await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    });
}

#[test]
fn a_dropped_change_of_a_name_happens_or_not_and_gives_everything_back() {
    at_every_moment("names", async |moment, path| {
        let folder = path.parent().unwrap();
        let (old, new) = (folder.join("old"), folder.join("new"));
        let root = Dir::open(folder).await.unwrap();
        for beneath in [false, true] {
            fs::write(&old, "content").unwrap();
            if beneath {
                drop_at(moment, root.rename("old", "new"), async || {}).await;
            } else {
                drop_at(moment, ours::rename(&old, &new), async || {}).await;
            }
            let has_ended = || annulus::stats().driver.in_flight == 0;
            while !has_ended() {
                turns(1).await;
            }
            assert!(old.exists() != new.exists(), "the file is there once");
            assert!(moment != Moment::Unpolled || old.exists());
            assert!(moment != Moment::Completed || new.exists());
            let _ = (fs::remove_file(&old), fs::remove_file(&new));
        }
        // A call that was dropped keeps its folder open until it has ended.
        let mut made = Box::pin(root.create_dir("made"));
        let _ = super::moment::poll_once(made.as_mut()).await;
        drop(made);
        drop(root);
        while annulus::stats().driver.in_flight > 0 {
            turns(1).await;
        }
        fs::remove_dir(folder.join("made")).unwrap();
    });
}

#[test]
fn a_dropped_wait_for_an_entry_loses_none() {
    at_every_moment("entries", async |moment, path| {
        let folder = path.parent().unwrap();
        fs::write(path, "content").unwrap();
        drop_at(moment, ours::read_dir(folder), async || {}).await;
        let mut entries = ours::read_dir(folder).await.unwrap();
        let mut count = drop_at(moment, entries.next(), async || {})
            .await
            .map_or(0, |_| 1);
        while let Some(entry) = entries.next().await {
            assert_eq!(entry.unwrap().file_name(), "file");
            count += 1;
        }
        assert_eq!(count, 1);
        // In the middle of a read.
        let mut entries = ours::read_dir(folder).await.unwrap();
        drop_at(moment, entries.next(), async || {}).await;
        drop(entries);
    });
}

#[test]
fn dropped_calls_on_whole_files_give_everything_back() {
    at_every_moment("whole", async |moment, path| {
        let copy = path.with_extension("copy");
        drop_at(moment, ours::write(path, vec![5; 1 << 20]), async || {}).await;
        fs::write(path, vec![5; 1 << 20]).unwrap();
        drop_at(moment, ours::read(path), async || {}).await;
        drop_at(moment, ours::copy(path, &copy), async || {}).await;
        drop_at(moment, ours::metadata(path), async || {}).await;
        drop_at(moment, ours::canonicalize(path), async || {}).await;
    });
}

#[test]
fn a_dropped_persist_leaves_the_file_whole_or_none() {
    at_every_moment("persist", async |moment, path| {
        let folder = path.parent().unwrap();
        drop_at(moment, TempFile::new_in(folder), async || {}).await;
        fs::write(path, "old").unwrap();
        let file = TempFile::new_in(folder).await.unwrap();
        file.write_all_at("new", 0).await.unwrap();
        drop_at(moment, file.persist(path), async || {}).await;
        while annulus::stats().driver.in_flight > 0 {
            turns(1).await;
        }
        let is_new = fs::read(path).unwrap() == b"new";
        assert!(is_new || fs::read(path).unwrap() == b"old");
        assert_eq!(is_new, moment != Moment::Unpolled);
        // Called again, it goes on from there.
        file.persist(path).await.unwrap();
        assert_eq!(fs::read(path).unwrap(), b"new");
        drop(file);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    });
}

#[test]
fn dropped_streams_of_files_give_everything_back() {
    at_every_moment("streams", async |moment, path| {
        let file = open(path).await;
        let mut writer = file.writer(0);
        drop_at(moment, writer.write_all(&[5; 300_000]), async || {}).await;
        drop_at(moment, writer.flush(), async || {}).await;
        drop(writer);
        let mut reader = file.reader(0);
        drop_at(moment, ByteRead::recv(&mut reader), async || {}).await;
        reader.set_position(0);
        drop_at(moment, ByteRead::recv(&mut reader), async || {}).await;
    });
}
