//! The items and the gRPC service that the programs `arena` and `arena_axum` share, so that both
//! write and call the same.

mod grpc;

pub use grpc::{Benchmark, SumReply, Summands};
use serde::{Deserialize, Serialize};

/// An item, of the data set or of the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    pub id: i32,
    pub name: String,
    pub category: String,
    pub price: i32,
    pub quantity: i32,
    pub active: bool,
    pub tags: Vec<String>,
    pub rating: Rating,
}

/// The rating of an item.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Rating {
    pub score: i32,
    pub count: i32,
}
