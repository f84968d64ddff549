//! A page and its links.

use std::io;

use annulus::http::{Client, client::Url};

/// Gets a page, and the links on it that stay on its site.
pub(crate) async fn visit(client: Client, url: Url) -> (Url, Result<Vec<Url>, io::Error>) {
    let visit = async {
        let response = client.get(&url).send().await?.error_for_status()?;
        let base = response.url().clone();
        let page = response.text().await?;
        Ok(links(&page, &base))
    };
    let result = visit.await;
    (url, result)
}

fn links(page: &str, base: &Url) -> Vec<Url> {
    let targets = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let urls = targets.filter_map(|target| base.join(target).ok());
    urls.filter(|url| url.origin() == base.origin()).collect()
}
