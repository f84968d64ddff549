//! The kinds of errors.

use super::h1::BodyError;

/// The kind of an error of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The handler chose a status.
    Status,
    /// A value in the path, the query or a form is not what the handler asked for.
    Param,
    /// The body is not of the type that the handler asked for.
    MediaType,
    /// The body's content does not fit the type that the handler asked for.
    Content,
    /// The body breaks the protocol or a limit.
    Body(BodyError),
    /// Another server, which the handler asked.
    Upstream,
    /// An I/O error.
    Io,
    /// The program contradicts itself: it asked for a parameter that its route does not have, say.
    Internal,
}
