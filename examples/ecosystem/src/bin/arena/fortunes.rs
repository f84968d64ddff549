//! A page of HTML with the fortunes of the database, and one more.

use std::rc::Rc;

use annulus::http::{self, Error, Request, Response, StatusCode};
use askama::Template;

use crate::database::Database;

/// A row of the table `fortune`.
pub(crate) struct Fortune {
    pub(crate) id: i32,
    pub(crate) message: String,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = "<!doctype html><html><head><title>Fortunes</title></head><body><table>\
              <tr><th>id</th><th>message</th></tr>\
              {% for fortune in fortunes %}<tr><td>{{ fortune.id }}</td>\
              <td>{{ fortune.message }}</td></tr>{% endfor %}</table></body></html>"
)]
struct Page {
    fortunes: Vec<Fortune>,
}

/// Answers the page, whose rows are in the order of their messages.
pub(crate) async fn page(request: Request) -> http::Result<Response> {
    let database = request.state::<Rc<Database>>()?;
    let mut fortunes = database.fortunes().await?;
    fortunes.push(Fortune {
        id: 0,
        message: "Additional fortune added at request time.".into(),
    });
    fortunes.sort_by(|one, other| one.message.cmp(&other.message));
    let page = Page { fortunes }.render();
    let page = page.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, "the page has no text").with_source(error)
    })?;
    Ok(Response::html(page))
}
