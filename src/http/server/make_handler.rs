//! The functions that make a handler on each worker.

/// A function that makes the handler of a worker, and that all workers of a server share: a closure
/// or function without arguments that is `Send` and `Sync`.
///
/// [`Server::run_each`](super::Server::run_each) calls it once on each worker. The handler that it
/// returns stays there, and need be neither.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function that makes a handler on each worker of the server",
    label = "this is no function without arguments, or it is not both `Send` and `Sync`",
    note = "give a closure that makes the handler: `run_each(|| handler)`, \
            such as `run_each(|| Router::new().get(\"/\", hello))`",
    note = "an `Rc` or `RefCell` of the handler's is made inside of the closure, on each worker"
)]
pub trait MakeHandler: Send + Sync + 'static {
    /// The handler of one worker.
    type Handler;

    /// Makes the handler of this thread's worker.
    fn make(&self) -> Self::Handler;
}

// Without this the compiler says that a router is no `Fn()`, and names what is inside of it.
#[diagnostic::do_not_recommend]
impl<F, H> MakeHandler for F
where
    F: Fn() -> H + Send + Sync + 'static,
{
    type Handler = H;

    fn make(&self) -> H {
        self()
    }
}
