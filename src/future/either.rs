//! [`Either`]: one of two values.

/// The output of the left or of the right one of two futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<L, R> {
    /// The first future's output.
    Left(L),
    /// The second future's output.
    Right(R),
}

impl<T> Either<T, T> {
    /// Returns the value, whichever side it came from.
    pub fn into_inner(self) -> T {
        match self {
            Either::Left(value) | Either::Right(value) => value,
        }
    }
}
