//! A page and its links.

use std::io;

use annulus::http::{Client, client::Url};

/// Gets a page, and returns the links on it that stay on its site.
pub(crate) async fn links(client: &Client, url: &Url) -> Result<Vec<Url>, io::Error> {
    let response = client.get(url).send().await?.error_for_status()?;
    let base = response.url().clone();
    let page = response.text().await?;
    let targets = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let urls = targets.filter_map(|target| base.join(target).ok());
    Ok(urls.filter(|url| url.origin() == base.origin()).collect())
}
