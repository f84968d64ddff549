//! Items of the data set, and those of the database by their price.

use std::{fs, io, path::Path, rc::Rc, sync::Arc};

use annulus::http::{self, Request, Response};
use ecosystem::arena::Item;
use serde::{Deserialize, Serialize};

use crate::{App, database::Database};

/// The most items of one answer.
pub(crate) const COUNT_MAX: i64 = 50;

/// The items of the file `dataset.json`.
pub(crate) struct Dataset(Vec<Item>);

impl Dataset {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read(path).map_err(|error| failed(path, &error))?;
        let items = serde_json::from_slice(&text).map_err(|error| failed(path, &error))?;
        Ok(Self(items))
    }
}

fn failed(path: &Path, error: &dyn std::error::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

#[derive(Serialize)]
struct Priced<'a> {
    #[serde(flatten)]
    item: &'a Item,
    total: i64,
}

#[derive(Serialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    pub(crate) count: usize,
}

#[derive(Deserialize)]
struct Multiplier {
    m: Option<i64>,
}

/// Answers the first items of the data set, with their totals.
pub(crate) async fn first(request: Request) -> http::Result<Response> {
    let app = request.state::<Arc<App>>()?;
    let count: usize = request.param("count")?;
    let Multiplier { m } = request.query_as()?;
    let m = m.unwrap_or(1);
    let priced = |item| Priced {
        item,
        total: i64::from(item.price)
            .saturating_mul(item.quantity.into())
            .saturating_mul(m),
    };
    let items: Vec<_> = app.dataset.0.iter().take(count).map(priced).collect();
    let count = items.len();
    Ok(Response::json(&List { items, count }))
}

#[derive(Deserialize)]
struct Prices {
    min: Option<i32>,
    max: Option<i32>,
    limit: Option<i64>,
}

/// Answers items of the database whose price is in a range. There are none without a database.
pub(crate) async fn by_price(request: Request) -> http::Result<Response> {
    let database = request.state::<Rc<Database>>()?;
    let Prices { min, max, limit } = request.query_as()?;
    let limit = limit.unwrap_or(COUNT_MAX).clamp(1, COUNT_MAX);
    let found = database.by_price(min.unwrap_or(10), max.unwrap_or(50), limit);
    let items = found.await.unwrap_or_else(|error| {
        eprintln!("no items by price: {error}");
        Vec::new()
    });
    let count = items.len();
    Ok(Response::json(&List { items, count }))
}
