//! One job and its reply.

use annulus::http::{Client, client::Error};

type Value = serde_json::Value;
type Map = serde_json::Map<String, Value>;

pub(crate) async fn reply(client: &Client, job: &Value) -> Value {
    let done = if job["op"] == "websocket" {
        let messages = crate::websocket::messages(client, job).await;
        messages.map(|messages| Map::from_iter([("messages".to_owned(), messages)]))
    } else {
        let done = run(client, job).await;
        done.map_err(|error| format!("{}: {error}", error.kind().as_str()))
    };
    let failed = |text: String| Map::from_iter([("error".to_owned(), text.into())]);
    let mut reply = done.unwrap_or_else(failed);
    reply.insert("id".to_owned(), job["id"].clone());
    Value::Object(reply)
}

async fn run(client: &Client, job: &Value) -> Result<Map, Error> {
    let response = crate::request::of(client, job).send().await?;
    let mut reply = Map::new();
    let latin = |bytes: &[u8]| -> String { bytes.iter().map(|&byte| char::from(byte)).collect() };
    let fields = response
        .fields()
        .map(|(name, value)| serde_json::json!([name, latin(value)]));
    reply.insert("headers".to_owned(), fields.collect());
    reply.insert("status".to_owned(), response.status().as_u16().into());
    reply.insert("url".to_owned(), response.url().as_str().into());
    let body = response.bytes().await?;
    reply.insert("body_b64".to_owned(), crate::base64::encode(&body).into());
    Ok(reply)
}
