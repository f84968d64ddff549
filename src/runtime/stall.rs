//! The report of a thread that is stuck.

use std::{fmt, panic::Location, path::Path, time::Duration};

use crate::sys;

/// A thread whose runtime does not go on, or one that goes on again.
///
/// [`RuntimeBuilder::stall_limit`](super::RuntimeBuilder::stall_limit) asks for it. Its text is the
/// report that is written to standard error.
#[derive(Clone, Debug)]
pub struct Stall {
    pub(super) thread: String,
    pub(super) duration: Duration,
    pub(super) is_over: bool,
    pub(super) code: Option<StalledCode>,
    pub(super) system_call: Option<String>,
    pub(super) addresses: Vec<usize>,
}

/// The code that a thread was found in.
#[derive(Clone, Debug)]
pub(super) enum StalledCode {
    Task {
        name: Option<String>,
        location: &'static Location<'static>,
    },
    Root,
    /// Between two polls: a waker, a destructor, or the runtime itself.
    Between,
}

impl Stall {
    /// Returns the name of the thread, or its number if it has no name.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Returns how long the thread has been stuck, to a quarter of the limit.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether the thread goes on again. If so, this has its name and the time, and nothing else.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns the name of the running task, cut after 128 bytes. None when it has no name, or
    /// when no task runs.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        match &self.code {
            Some(StalledCode::Task { name, .. }) => name.as_deref(),
            _ => None,
        }
    }

    /// Returns the place where the running task was spawned. None when no task runs, as in the
    /// future given to `run` or `block_on`, and when the thread has the signal blocked.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        match &self.code {
            Some(StalledCode::Task { location, .. }) => Some(location),
            _ => None,
        }
    }

    /// Returns the name of the system call that the thread sleeps in. None when it computes, and
    /// where the kernel does not tell.
    #[must_use]
    pub fn system_call(&self) -> Option<&str> {
        self.system_call.as_deref()
    }

    /// Returns the addresses of the thread's backtrace, innermost first, for a library that finds
    /// the names and lines of addresses. All but the first are those that a call returns to.
    #[must_use]
    pub fn addresses(&self) -> &[usize] {
        &self.addresses
    }
}

impl Stall {
    /// Takes the C library's function for the name of a call that the kernel goes on with.
    pub(super) fn name_restarted_call(&mut self) {
        if self.system_call() != Some(sys::RESTARTED) {
            return;
        }
        let innermost = self.addresses.first().copied().and_then(sys::code_place);
        if let Some((_, _, Some(function))) = innermost {
            self.system_call = Some(function.trim_start_matches('_').to_owned());
        }
    }
}

/// Writes a duration in whole milliseconds or tenths of a second: more is not known.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            return write!(f, "{} ms", self.0.as_millis());
        }
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (thread, duration) = (&self.thread, Rounded(self.duration));
        if self.is_over {
            return write!(
                f,
                "thread `{thread}` goes on; it was stuck for about {duration}"
            );
        }
        write!(f, "thread `{thread}` is stuck, so far for {duration}")?;
        f.write_str("\n  code       ")?;
        match &self.code {
            Some(StalledCode::Task { name, location }) => {
                f.write_str("a task")?;
                if let Some(name) = name {
                    write!(f, " `{name}`")?;
                }
                write!(f, " that was spawned at {location}")?;
            }
            Some(StalledCode::Root) => f.write_str("the future given to `run` or `block_on`")?,
            Some(StalledCode::Between) => {
                f.write_str("no task: a waker, a destructor or the runtime")?;
            }
            None => f.write_str("unknown: it did not answer to a signal, or went on meanwhile")?,
        }
        match &self.system_call {
            Some(call) => write!(f, "\n  state      in {call}")?,
            None => f.write_str("\n  state      runs, or the kernel does not tell")?,
        }
        let mut label = "backtrace";
        for (index, &address) in self.addresses.iter().enumerate() {
            write!(f, "\n  {label:9}  ")?;
            label = "";
            // A call returns to the instruction after it, which may belong to another line. The end
            // of some stacks is an address of zero.
            write_place(f, address.saturating_sub(usize::from(index > 0)))?;
        }
        Ok(())
    }
}

/// Writes an exported function with its library, else a file with an offset for addr2line(1).
fn write_place(f: &mut fmt::Formatter<'_>, address: usize) -> fmt::Result {
    match sys::code_place(address) {
        Some((file, _, Some(function))) => {
            let name = Path::new(&file).file_name().unwrap_or_default();
            write!(f, "{function} of {}", name.to_string_lossy())
        }
        Some((file, offset, None)) => write!(f, "{file} {offset:#x}"),
        None => write!(f, "{address:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic here would end the watchdog.
    #[test]
    fn a_backtrace_may_end_with_zero() {
        let stall = Stall {
            thread: "main".to_owned(),
            duration: Duration::from_millis(100),
            is_over: false,
            code: Some(StalledCode::Root),
            system_call: None,
            addresses: vec![1, 0],
        };
        let text = stall.to_string();
        assert!(
            text.ends_with("\n  backtrace  0x1\n             0x0"),
            "{text}"
        );
    }
}
