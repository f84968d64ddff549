//! Prints the changes of a folder.
//!
//! ```text
//! $ cargo run --bin watch -- /tmp
//! written: notes.txt
//! removed: notes.txt
//! ```
//!
//! It ends with ctrl-c.

use std::{env, io};

use annulus::{
    future::{Either, race},
    signal,
};
use ecosystem::watch::{Change, Watch};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    annulus::run(async {
        let mut watch = Watch::new(folder)?;
        let mut stop = std::pin::pin!(signal::ctrl_c());
        loop {
            match race(stop.as_mut(), std::pin::pin!(watch.next())).await {
                Either::Left(stopped) => return stopped,
                Either::Right(change) => match change? {
                    Change::Written(name) => println!("written: {}", name.display()),
                    Change::Removed(name) => println!("removed: {}", name.display()),
                    Change::Missed => println!("changes were too many to be told"),
                },
            }
        }
    })
}
