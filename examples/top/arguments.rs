//! The arguments of the program.

use std::{env, time::Duration};

pub(crate) const USAGE: &str = "top PATH [--once] [--dump] [--seconds N]";

pub(crate) struct Arguments {
    pub(crate) path: String,
    pub(crate) is_once: bool,
    pub(crate) is_dump: bool,
    pub(crate) pause: Duration,
}

pub(crate) fn parse() -> Option<Arguments> {
    let mut found = Arguments {
        path: String::new(),
        is_once: false,
        is_dump: false,
        pause: Duration::from_secs(1),
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--once" => found.is_once = true,
            "--dump" => found.is_dump = true,
            "--seconds" => {
                let seconds: f64 = arguments.next()?.parse().ok()?;
                found.pause = Duration::try_from_secs_f64(seconds).ok()?;
            }
            path if found.path.is_empty() && !path.starts_with("--") => found.path = argument,
            _ => return None,
        }
    }
    (!found.path.is_empty()).then_some(found)
}
