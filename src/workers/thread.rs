//! The life of a worker's thread.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex},
};

use super::{
    post::{Cut, Keeper, Open},
    worker::Worker,
    workers_error::Cause,
};
use crate::{
    runtime::{Runtime, RuntimeBuilder, pin_to_core},
    task,
    unwind::{self, lock},
};

/// Changes the options of each worker's runtime, on its thread.
pub(crate) type Configure = Arc<dyn Fn(RuntimeBuilder) -> RuntimeBuilder + Send + Sync>;

/// The outputs of the workers' futures, by the workers' numbers. `None` is for those that have not
/// ended, and those that were dropped.
pub(super) type Outputs<T> = Arc<Mutex<Vec<Option<T>>>>;

/// The parts of one worker before it begins.
pub(super) struct Start<M, T> {
    pub(super) worker: Worker,
    pub(super) configure: Option<Configure>,
    pub(super) make: Arc<M>,
    pub(super) outputs: Outputs<T>,
}

impl<M, T> Start<M, T> {
    /// The whole life of the worker, on its thread. How it ended goes to the group.
    pub(super) fn run<E>(self)
    where
        M: AsyncFn(Worker) -> Result<T, E>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        // A core that went away meanwhile is no reason not to run.
        let _ = pin_to_core(self.worker.core());
        let (group, index) = (Arc::clone(self.worker.group()), self.worker.index());
        let runtime = match self.build() {
            Ok(runtime) => runtime,
            Err(cause) => return group.refuse(index, cause),
        };
        if !group.wait_for_others() {
            return;
        }
        self.worker.set_current();
        let run = || {
            let output = self.run_in(&runtime);
            // Its tasks are dropped, which may panic as well.
            drop(runtime);
            output
        };
        let failure = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Some(Ok(output))) => {
                lock(&self.outputs)[index] = Some(output);
                None
            }
            Ok(Some(Err(error))) => Some(Cause::Failed(error)),
            Ok(None) => None,
            Err(payload) => Some(Cause::panicked(payload)),
        };
        // The closure goes before the end shows. A panic of its destructor is that of no worker.
        unwind::swallow(|| drop(self));
        group.end(index, failure);
    }

    fn build(&self) -> Result<Runtime, Cause> {
        let build = || {
            let builder = Runtime::builder();
            let builder = match &self.configure {
                Some(configure) => configure(builder),
                None => builder,
            };
            builder.build()
        };
        match catch_unwind(AssertUnwindSafe(build)) {
            Ok(built) => built.map_err(Cause::Start),
            Err(payload) => Err(Cause::panicked(payload)),
        }
    }

    /// Runs the worker's future to its end, unless it is cut.
    fn run_in<E>(&self, runtime: &Runtime) -> Option<Result<T, Box<dyn Error + Send + Sync>>>
    where
        M: AsyncFn(Worker) -> Result<T, E>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        // The panic of a waker or of what an operation leaves is no concern of the worker's.
        runtime.block_on_regardless(async {
            let (group, index) = (self.worker.group(), self.worker.index());
            let _open = Open::new(Arc::clone(group), index);
            let cut = Rc::new(Cut::default());
            let keeper = Keeper::new(Arc::clone(group), index, Rc::clone(&cut));
            drop(task::spawn(keeper));
            let future = pin!((*self.make)(self.worker.clone()));
            let output = cut.unless_cut(future).await;
            output.map(|output| output.map_err(Into::into))
        })
    }
}
