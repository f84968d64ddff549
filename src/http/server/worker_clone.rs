//! The handlers that can be given to several workers.

/// A handler of which each worker of a server can have a clone: one that is `Clone` and `Send`.
///
/// An async function is, and so is an async closure when all that it captures is. A
/// [`Router`](super::Router) is not, nor is a closure with an `Rc`: these are built on each worker,
/// by [`Server::run_each`](super::Server::run_each).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cloned for each worker of the server",
    label = "this handler is not both `Clone` and `Send`",
    note = "build the handler on each worker: `run_each(|| handler)` in place of `run(handler)`, \
            such as `run_each(|| Router::new().get(\"/\", hello))`"
)]
pub trait WorkerClone: Clone + Send {}

// Without this the compiler names what is inside of a router that is not `Send`.
#[diagnostic::do_not_recommend]
impl<H: Clone + Send> WorkerClone for H {}
