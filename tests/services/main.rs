//! The parts that every service needs: state, ready layers, typed input, health, tests in memory.
#![cfg(feature = "http")]

mod auth;
mod conditional;
mod cors;
mod guards;
mod health;
mod in_memory;
mod logs;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "json")]
mod typed;

use std::future::Future;

use annulus::http::{Request, client, test::TestClient};

/// Runs a test's future, which may fail by `?` of the client.
fn run(test: impl Future<Output = client::Result<()>>) {
    annulus::run(test).unwrap();
}

/// The text of a response's field.
fn field<'a>(response: &'a client::Response, name: &str) -> Option<&'a str> {
    response
        .field(name)
        .map(|value| std::str::from_utf8(value).unwrap())
}

/// The texts of all fields of a response with this name.
fn fields<'a>(response: &'a client::Response, name: &'a str) -> Vec<&'a str> {
    response
        .field_all(name)
        .map(|value| std::str::from_utf8(value).unwrap())
        .collect()
}

/// The status of the answer to a GET with these fields.
async fn status_with(
    client: &TestClient,
    fields: &[(&str, &str)],
) -> client::Result<client::Response> {
    let mut request = client.get("/");
    for &(name, value) in fields {
        request = request.with_field(name, value);
    }
    request.send().await
}

async fn hello(_request: Request) -> &'static str {
    "hello"
}
