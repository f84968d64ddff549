//! Bodies in JSON.

use annulus::http::client::{Client, ErrorKind};
use serde_json::{Value, json};

use crate::{
    script::Script,
    support::{
        http::{field, ok},
        run,
    },
};

#[test]
fn values_go_out_and_come_in_as_json() {
    let server = Script::answering(ok("{\"a\": [1, 2]}"));
    run(async {
        let client = Client::new();
        let request = client.post(server.url("/")).json(&json!({"b": null}));
        let value: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(value, json!({"a": [1, 2]}));
        let response = client.get(server.url("/")).send().await.unwrap();
        let error = response.json::<u32>().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Decode(_)));
    });
    let request = &server.requests()[0];
    assert_eq!(field(request, "content-type"), Some("application/json"));
    assert!(request.ends_with("{\"b\":null}"), "{request}");
}
