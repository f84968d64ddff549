//! The text that a program prints whose `main` returns an error of this crate: std writes the
//! `Debug` form after `Error: `.

use std::{error::Error, fmt::Debug, io, time::Duration};

use annulus::{
    buf::BufError,
    fs::File,
    http::{self, Client, StatusCode, client},
    spawn,
    time::timeout,
};

use crate::support::run;

/// Runs a `main`, and returns what its program prints of its error.
fn printed<E: Debug>(main: impl FnOnce() -> Result<(), E>) -> String {
    format!("Error: {:?}", main().unwrap_err())
}

const REFUSED: &str = "http://127.0.0.1:1: no connection could be opened (127.0.0.1:1): \
                       Connection refused (os error 111)";

async fn fetch() -> client::Result<()> {
    let response = Client::new().get("http://127.0.0.1:1/").send().await?;
    response.text().await.map(drop)
}

#[test]
fn an_error_of_the_client_prints_as_a_sentence() {
    let expected = format!("Error: {REFUSED}");
    assert_eq!(printed(|| run(fetch())), expected);
    let boxed = || -> Result<(), Box<dyn Error>> { Ok(run(fetch())?) };
    assert_eq!(printed(boxed), expected);
    // Std puts its own words around what an `io::Error` holds.
    let by_io = || -> io::Result<()> { Ok(run(fetch())?) };
    let kind = "Custom { kind: ConnectionRefused, error: ";
    assert_eq!(printed(by_io), format!("Error: {kind}{REFUSED} }}"));
    let other = || run(fetch()).map_err(io::Error::other);
    assert!(printed(other).contains(REFUSED));
    let fields = format!("{:#?}", run(fetch()).unwrap_err());
    assert!(fields.contains("kind: Connect,"), "{fields}");
}

#[test]
fn an_error_of_a_handler_prints_as_a_sentence() {
    let failed = || http::Error::new(StatusCode::CONFLICT, "the seat is taken");
    let by_handler = || Err(failed().with_source("row 5"));
    assert_eq!(printed(by_handler), "Error: the seat is taken: row 5");
    let upstream = || Err(http::Error::from(run(fetch()).unwrap_err()));
    let expected = format!("Error: the request to another server failed: {REFUSED}");
    assert_eq!(printed(upstream), expected);
    let fields = format!("{:#?}", failed());
    assert!(fields.contains("status: 409"), "{fields}");
}

#[test]
fn an_error_of_the_runtime_prints_as_a_sentence() {
    let elapsed = || run(async { timeout(Duration::ZERO, std::future::pending::<()>()).await });
    let passed = "the deadline passed before the operation was done";
    assert_eq!(printed(elapsed), format!("Error: {passed}"));
    let by_io = || -> io::Result<()> { Ok(elapsed()?) };
    assert!(printed(by_io).contains(passed));

    let aborted = || {
        run(async {
            let task = spawn(std::future::pending::<()>());
            task.abort();
            task.await
        })
    };
    assert_eq!(printed(aborted), "Error: the task was cancelled");

    let read = || -> Result<(), BufError<Vec<u8>>> {
        run(async {
            let file = File::open("Cargo.toml").await.unwrap();
            file.read_at(Vec::new(), 0).await.map(drop)
        })
    };
    let expected = "Error: expected a buffer with room to read into, found one without";
    assert_eq!(printed(read), expected);
}
