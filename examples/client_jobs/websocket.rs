//! A job of messages: `{"op": "websocket", "url": .., "send": [..], "expect": 2}`.

use annulus::http::{Client, websocket::Message};

type Value = serde_json::Value;

/// Sends the texts of a job, and returns as many messages as it expects, or an error's text.
pub(crate) async fn messages(client: &Client, job: &Value) -> Result<Value, String> {
    let url = job["url"].as_str().unwrap_or("");
    let socket = client.websocket(url).connect().await;
    let mut socket = socket.map_err(|error| format!("{}: {error}", error.kind().as_str()))?;
    let failed = |error| format!("websocket: {error}");
    for text in job["send"].as_array().into_iter().flatten() {
        let text = text.as_str().unwrap_or("");
        socket.send(text).await.map_err(failed)?;
    }
    let mut received = Vec::new();
    while received.len() < job["expect"].as_u64().unwrap_or(0) as usize {
        received.push(match socket.recv().await.map_err(failed)? {
            Some(Message::Text(text)) => text.into(),
            Some(Message::Binary(bytes)) => {
                serde_json::json!({ "b64": crate::base64::encode(&bytes) })
            }
            None => return Err("websocket: the server has closed it".to_owned()),
        });
    }
    Ok(Value::Array(received))
}
