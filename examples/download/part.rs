//! One part of a file.

use std::{io, rc::Rc};

use annulus::{
    fs::{File, TempFile},
    http::{Client, StatusCode, client::Url},
};

/// Gets the bytes from `start` up to `end`, and writes them to their place.
pub(crate) async fn get(
    client: Client,
    url: Url,
    file: Rc<TempFile>,
    start: u64,
    end: u64,
) -> io::Result<u64> {
    let range = format!("bytes={start}-{}", end - 1);
    let request = client
        .get(&url)
        .with_field("Range", range)
        .decompress(false);
    let mut response = request.timeout(None).send().await?.error_for_status()?;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Err(io::Error::other(
            "the server has changed its mind about ranges",
        ));
    }
    Ok(response.copy_to_at(&file, start).await?)
}

/// Gets all of it.
pub(crate) async fn whole(client: &Client, url: &Url, file: &File) -> io::Result<u64> {
    let request = client.get(url).decompress(false).timeout(None);
    let mut response = request.send().await?.error_for_status()?;
    Ok(response.copy_to_at(file, 0).await?)
}

/// The length of the file, if it can be had in parts.
pub(crate) async fn length(client: &Client, url: &Url) -> io::Result<Option<u64>> {
    let request = client.head(url).decompress(false);
    let head = request.send().await?.error_for_status()?;
    if head.field("accept-ranges") != Some(b"bytes") {
        return Ok(None);
    }
    let len = head.field("content-length").map(String::from_utf8_lossy);
    Ok(len.and_then(|len| len.parse().ok()).filter(|len| *len > 0))
}
