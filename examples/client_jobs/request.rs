//! The request that a job describes.

use std::time::Duration;

use annulus::http::{
    Client, Method,
    client::{Body, Request},
};

type Value = serde_json::Value;

pub(crate) fn of(client: &Client, job: &Value) -> Request {
    let method = job["method"].as_str().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
    let mut request = client.request(method, job["url"].as_str().unwrap_or(""));
    for field in job["headers"].as_array().into_iter().flatten() {
        let [name, value] = [0, 1].map(|index| field[index].as_str().unwrap_or(""));
        request = request.with_field(name, value);
    }
    let opts = &job["opts"];
    if let Some(seconds) = opts["timeout"].as_f64() {
        let timeout = Duration::try_from_secs_f64(seconds).ok();
        request = request.timeout(timeout).read_timeout(timeout);
    }
    if let Some(redirects) = opts["redirects"].as_u64() {
        request = request.redirects_max(redirects as u32);
    }
    if let Some(decompress) = opts["decompress"].as_bool() {
        request = request.decompress(decompress);
    }
    if let [Some(user), Some(word)] = [0, 1].map(|index| opts["auth"][index].as_str()) {
        request = request.basic_auth(user, word);
    }
    if let Some(bytes) = opts["max_body"].as_u64() {
        request = request.body_bytes_max(bytes);
    }
    let request = request.expect_continue(opts["expect"].as_bool().unwrap_or(false));
    match job["body"].as_str() {
        None => request,
        Some(text) if opts["chunked"].as_bool() == Some(true) => {
            request.body(Body::chunked(text.to_owned()))
        }
        Some(text) => request.body(text.to_owned()),
    }
}
