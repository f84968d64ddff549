//! The types that handlers see: requests, responses, and the types made of and into them.

pub(super) mod body;
pub(super) mod body_writer;
mod conditions;
mod content_type;
mod cookies;
pub(super) mod event_stream;
#[cfg(any(feature = "http2", feature = "tower"))]
mod event_writer;
mod events;
pub(super) mod file_body;
mod file_response;
pub(super) mod form;
pub(super) mod handler;
mod http_crate;
pub(super) mod into_response;
#[cfg(feature = "json")]
pub(super) mod json;
pub(super) mod multipart;
pub(super) mod pairs;
pub(super) mod params;
mod problem;
pub(super) mod received;
mod redirect;
pub(super) mod request;
pub(super) mod response;
pub(super) mod response_body;
pub(super) mod sse;
#[cfg(feature = "json")]
mod typed;
mod websocket;

pub use body::Body;
pub use body_writer::BodyWriter;
pub use form::Form;
pub use handler::Handler;
pub use into_response::IntoResponse;
#[cfg(feature = "json")]
pub use json::Json;
pub use multipart::{Multipart, Part};
pub use pairs::Pairs;
pub use request::Request;
pub use response::Response;
#[cfg(feature = "compress")]
pub use response::compression::Compression;
pub use sse::{Event, EventSender};
pub use websocket::{WebSocketEndpoint, WebSocketHandler};
