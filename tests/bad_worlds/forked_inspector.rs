//! A forked child leaves its parent's inspector as it is.

use std::{
    env,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use annulus::inspect;

use crate::forked::{fork, on_each_driver};

/// Its file is relative to a folder that this process leaves.
#[test]
fn an_inspector_that_a_child_drops_is_the_parents() {
    let name = "forked_inspector::an_inspector_that_a_child_drops_is_the_parents";
    on_each_driver(name, || {
        let folder = env::temp_dir();
        env::set_current_dir(&folder).unwrap();
        let name = format!("annulus-forked-{}", std::process::id());
        let mut inspector = Some(inspect::listen(&name).unwrap());
        fork(|| drop(inspector.take()));
        let path = folder.join(name);
        let mut viewer = UnixStream::connect(&path).unwrap();
        viewer.write_all(b"metrics\n").unwrap();
        let mut head = [0; 3];
        viewer.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"ok ");
        env::set_current_dir("/").unwrap();
        drop(inspector);
        assert!(!path.exists());
    });
}
