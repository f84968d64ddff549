//! Prints output and errors in plain words, for any program to copy. `println!` panics when
//! standard output is full or closed, and a `main` that returns an error prints its `Debug` form.
//!
//! The exit status is 0, 1 after an error, and 2 when the arguments make no sense.

use std::{
    error::Error,
    fmt,
    io::{self, Write as _},
    process,
};

/// The result of `main`. An error is printed in its own words, and the exit code says that there
/// was one.
pub(crate) type Result = std::result::Result<(), Failure>;

pub(crate) struct Failure(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// This is what is written when `main` returns it.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Writes a line to standard output. Where that fails the program ends.
pub(crate) fn say(line: impl fmt::Display) {
    let mut out = io::stdout();
    let result = writeln!(out, "{line}").and_then(|()| out.flush());
    if let Err(error) = result {
        note(format_args!("Error: standard output: {error}\n"));
        process::exit(1);
    }
}

/// Says how the program is called, and ends it with status 2.
pub(crate) fn usage(line: impl fmt::Display) -> ! {
    note(format_args!("usage: {line}\n"));
    process::exit(2)
}

/// Writes to standard error. An error of that write is ignored.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = write!(io::stderr(), "{text}");
}
