//! A value that each process has its own of.

use std::sync::OnceLock;

use super::Process;

/// A value for a static, of which a child that fork(2) makes begins with a new one. The parent's is
/// left as it is: its threads may have been in the middle of changing it.
pub(crate) struct PerProcess<T> {
    value: T,
    /// None until the value is first asked for.
    process: OnceLock<Process>,
    in_child: OnceLock<Box<PerProcess<T>>>,
}

impl<T: Default> PerProcess<T> {
    /// As the default is, which no constant can call.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value,
            process: OnceLock::new(),
            in_child: OnceLock::new(),
        }
    }

    /// The value of the process that calls this.
    pub(crate) fn of_this_process(&self) -> &T {
        let mut own = self;
        while !own.process.get_or_init(Process::current).is_current() {
            own = own
                .in_child
                .get_or_init(|| Box::new(Self::new(T::default())));
        }
        &own.value
    }
}
