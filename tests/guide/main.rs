//! Plays `docs/guide.md`: writes its files, builds them in a project of their own, and does what
//! its shell sessions say, in their order.
#![cfg(feature = "json")]

mod page;
mod play;
mod project;

#[path = "../support/mod.rs"]
mod support;

use std::fs;

use page::Page;
use play::Player;
use project::Project;

#[test]
fn the_guide_does_what_it_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide.md");
    let page = Page::read(&fs::read_to_string(path).unwrap());
    let mut paths: Vec<_> = page.files.iter().map(|file| &file.path).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), page.files.len(), "each file stands once");
    let project = Project::write(&page);
    project.build();
    let mut player = Player::new(project);
    for session in &page.sessions {
        player.play(session);
    }
    for path in paths
        .iter()
        .filter_map(|path| path.strip_prefix("src/bin/"))
    {
        let name = path.trim_end_matches(".rs");
        assert!(player.has_run(name), "the guide does not run {name}");
    }
}
