//! Items of the database: read through the cache, listed, made and changed.

use std::{rc::Rc, sync::Arc};

use annulus::http::{self, HeaderName, HeaderValue, Request, Response, StatusCode};
use ecosystem::arena::Item;
use serde::{Deserialize, Serialize};

use crate::{App, database::Database, items::COUNT_MAX};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

#[derive(Deserialize)]
struct Page {
    category: Option<String>,
    page: Option<i64>,
    limit: Option<i64>,
}

#[derive(Serialize)]
struct Listed {
    items: Vec<Item>,
    total: usize,
    page: i64,
    limit: i64,
}

/// Answers a page of the items of a category.
pub(crate) async fn list(request: Request) -> http::Result<Response> {
    let database = request.state::<Rc<Database>>()?;
    let asked: Page = request.query_as()?;
    let category = asked.category.unwrap_or_else(|| "electronics".into());
    let page = asked.page.unwrap_or(1).max(1);
    let limit = asked.limit.unwrap_or(10).clamp(1, COUNT_MAX);
    let skipped = (page - 1).saturating_mul(limit);
    let items = database.by_category(&category, limit, skipped).await?;
    let total = items.len();
    Ok(Response::json(&Listed {
        items,
        total,
        page,
        limit,
    }))
}

/// Answers one item, and says by `X-Cache` whether the database was asked.
pub(crate) async fn read(request: Request) -> http::Result<Response> {
    let app = request.state::<Arc<App>>()?;
    let database = request.state::<Rc<Database>>()?;
    let id = request.param("id")?;
    let (item, from) = match app.cache.get(id) {
        Ok(item) => (item, "HIT"),
        Err(reading) => {
            let item = database.item(id).await?;
            let item = item.ok_or(StatusCode::NOT_FOUND)?;
            app.cache.insert(&reading, item.clone());
            (item, "MISS")
        }
    };
    Ok(Response::json(&item).with_field(X_CACHE, HeaderValue::from_static(from)))
}

/// An item that a client makes.
#[derive(Deserialize)]
pub(crate) struct NewItem {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) price: i32,
    pub(crate) quantity: i32,
}

/// Makes an item, or gives the one with its number these values.
pub(crate) async fn create(mut request: Request) -> http::Result<Response> {
    let app = request.state::<Arc<App>>()?;
    let database = request.state::<Rc<Database>>()?;
    // The profile's clients do not say that it is JSON, so `Request::json` would refuse it.
    let new: NewItem = request.take_body().json().await?;
    let item = database.insert(&new).await?;
    app.cache.remove(item.id);
    Ok(Response::json(&item).with_status(StatusCode::CREATED))
}

/// The values of an item that a client changes.
#[derive(Deserialize)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) price: i32,
    pub(crate) quantity: i32,
}

/// Changes an item.
pub(crate) async fn update(mut request: Request) -> http::Result<Response> {
    let app = request.state::<Arc<App>>()?;
    let database = request.state::<Rc<Database>>()?;
    let id = request.param("id")?;
    let change: Change = request.take_body().json().await?;
    let item = database.update(id, &change).await?;
    let item = item.ok_or(StatusCode::NOT_FOUND)?;
    app.cache.remove(id);
    Ok(Response::json(&item))
}
