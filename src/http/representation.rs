//! Representations (RFC 9110, section 3.2) without I/O: their validators and the conditions of
//! requests about those, their ranges, codings and types.

pub(crate) mod cache_policy;
pub(crate) mod coding;
pub(crate) mod conditions;
pub(crate) mod content_type;
pub(crate) mod entity_tag;
pub(crate) mod ranges;

pub use cache_policy::CachePolicy;
pub use coding::Coding;
pub use entity_tag::ETag;
