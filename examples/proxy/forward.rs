//! From a request to the answer of another server.

use annulus::http::{self, Client, Handler, Request, Response, StatusCode, client::Url};

/// Returns the handler for the requests of one worker. Each worker has a client, which keeps
/// connections.
pub(crate) fn to(upstream: String) -> impl Handler {
    let client = Client::builder()
        .timeout(None) // a body may take as long as it moves
        .redirects_max(0)
        .decompress(false)
        .user_agent(None)
        .build();
    async move |request: Request| forward(&client, &upstream, request).await
}

/// Dropped when the client leaves, and with it the connection to the other server.
async fn forward(client: &Client, upstream: &str, mut request: Request) -> http::Result<Response> {
    let mut url = format!("http://{upstream}{}", request.path());
    if let Some(query) = request.query() {
        url = url + "?" + query;
    }
    let url = Url::parse(&url).map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut onward = client.request(request.method().clone(), url);
    for (name, value) in &crate::fields::of_request(&request) {
        onward = onward.with_field(name, value);
    }
    // The body is asked for when the other server asks for it.
    onward = onward.expect_continue(request.field("expect").is_some());
    let body = request.take_body().limit(u64::MAX);
    // An error of the other server is 502, or 504 when it takes too long.
    let response = onward.body(body).send().await?;

    let (status, fields) = (response.status(), crate::fields::of_response(&response));
    let mut answer = Response::stream(response.into_stream()).with_status(status);
    for (name, value) in &fields {
        answer = answer.with_field(name.clone(), value.clone());
    }
    Ok(answer)
}
