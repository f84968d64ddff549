//! A live view of a running program: its threads, its helper threads and its HTTP connections.
//!
//! ```text
//! cargo run --release --example top -- /run/web/inspect
//! ```
//!
//! The program has made the socket by `annulus::inspect::listen`. The view is drawn anew each
//! second until ctrl-c. `--once` writes one frame as text, after a second, and `--dump` writes what
//! each task waits for. `--seconds N` sets the pause between two frames.

mod arguments;
mod ask;
mod change;
mod frame;
mod helpers;
mod metrics;
#[path = "../shared/plain.rs"]
mod plain;
mod sample;
mod screen;
mod servers;
mod threads;
mod words;

use std::io::{self, IsTerminal as _};

use annulus::net::UnixStream;

fn main() -> plain::Result {
    let Some(arguments) = arguments::parse() else {
        plain::usage(arguments::USAGE);
    };
    annulus::run(async {
        let stream = UnixStream::connect(&arguments.path).await?;
        if arguments.is_dump {
            plain::say(ask::ask(&stream, "dump").await?.trim_end());
            return Ok(());
        }
        let is_drawn = !arguments.is_once && io::stdout().is_terminal();
        if is_drawn {
            // The terminal's second screen, without a cursor, and long lines are cut.
            screen::write("\x1b[?1049h\x1b[?25l\x1b[?7l")?;
        }
        let result = screen::show(&stream, &arguments, is_drawn).await;
        if is_drawn {
            screen::write("\x1b[?7h\x1b[?25h\x1b[?1049l")?;
        }
        result
    })
}
