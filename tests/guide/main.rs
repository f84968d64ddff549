//! Plays `docs/guide.md`: writes its files into a project of their own, builds them, and does what
//! its shell sessions say, in their order.
#![cfg(feature = "json")]

mod page;
mod play;
mod project;

#[path = "../support/mod.rs"]
mod support;

use std::{collections::HashSet, fs, thread};

use page::Page;
use play::Player;
use project::{PROGRAMS, Project};

#[test]
fn the_guide_does_what_it_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide.md");
    let page = Page::read(&fs::read_to_string(path).unwrap());
    let mut paths: Vec<_> = page.files.iter().map(|file| &file.path).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), page.files.len(), "each file stands once");
    let project = Project::write(&page);
    project.build(&page);
    // A part needs nothing of the others, and waits now and then.
    let run: HashSet<String> = thread::scope(|scope| {
        let project = &project;
        let parts = page.parts.iter().enumerate();
        let players = parts.map(|(number, part)| {
            scope.spawn(move || Player::new(project, number as u8).play(part))
        });
        let players: Vec<_> = players.collect();
        let run = players.into_iter().map(|player| player.join().unwrap());
        run.flatten().collect()
    });
    for path in paths.iter().filter_map(|path| path.strip_prefix(PROGRAMS)) {
        let name = path.trim_end_matches(".rs");
        assert!(run.contains(name), "the guide does not run {name}");
    }
}
