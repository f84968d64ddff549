//! Ids of requests, and the record of a request in JSON.

use std::sync::{Arc, Mutex};

use annulus::http::{
    self, Connection, Error, Request, Router, StatusCode,
    layers::{RequestId, RequestIds},
    test::TestClient,
};

use crate::{field, run, status_with};

async fn id(request: Request) -> http::Result<String> {
    Ok(request.extensions().require::<RequestId>()?.to_string())
}

#[test]
fn a_request_keeps_a_sane_id_and_gets_one_in_place_of_another() {
    run(async {
        let router = Router::new().get("/", id).layer(RequestIds::new());
        let client = TestClient::new(router);
        let longest = "x".repeat(128);
        for sane in ["a", "01HZ-x_y.z~", "a/b:c+d=@", &*longest] {
            let response = status_with(&client, &[("x-request-id", sane)]).await?;
            assert_eq!(field(&response, "x-request-id"), Some(sane));
            assert_eq!(response.text().await?, sane);
        }
        let too_long = "x".repeat(129);
        let mut seen = Vec::new();
        for bad in ["", "a b", "a\"b", "a\\b", "\u{e9}", "{}", "a,b", &*too_long] {
            let response = status_with(&client, &[("x-request-id", bad)]).await?;
            let made = field(&response, "x-request-id").unwrap().to_owned();
            assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert_eq!(response.text().await?, made);
            assert!(!seen.contains(&made), "{bad}");
            seen.push(made);
        }
        Ok(())
    });
}

#[test]
fn ids_of_strangers_are_replaced_where_that_is_asked() {
    run(async {
        let router = Router::new()
            .get("/", id)
            .layer(RequestIds::new().ignore_clients());
        let client = TestClient::new(router);
        let response = status_with(&client, &[("x-request-id", "mine")]).await?;
        assert_ne!(field(&response, "x-request-id"), Some("mine"));
        Ok(())
    });
}

#[test]
fn a_record_in_json_has_all_that_is_known_and_no_byte_that_ends_it() {
    run(async {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&lines);
        let connection = Connection::new().access_log(move |access| {
            told.lock().unwrap().push(access.json().to_string());
        });
        let router = Router::new()
            .get("/", async |_| -> http::Result<()> {
                Err(Error::new(StatusCode::CONFLICT, "a \"quoted\"\nreason"))
            })
            .layer(RequestIds::new());
        let client = TestClient::with_connection(connection, router);
        let request = client
            .get("/?q=%22")
            .with_field("x-request-id", "id-1")
            .with_field("user-agent", "a\"b\\c\td")
            .with_field("referer", "http://r/");
        request.send().await?;
        let line = lines.lock().unwrap().pop().unwrap();
        let (time, rest) = line.split_once("\",").unwrap();
        let time = time.strip_prefix("{\"time\":\"").unwrap();
        assert!(
            time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T",
            "{time}"
        );
        let (before, rest) = rest.split_once("\"duration_us\":").unwrap();
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        assert_eq!(
            before,
            "\"method\":\"GET\",\"target\":\"/?q=%22\",\"version\":\"HTTP/1.1\",\
             \"status\":409,\"received\":0,\"sent\":0,"
        );
        assert_eq!(
            after,
            ",\"agent\":\"a\\\"b\\\\c\\u0009d\",\"referer\":\"http://r/\",\"id\":\"id-1\",\
             \"error\":\"a \\\"quoted\\\"\\u000areason\"}"
        );
        Ok(())
    });
}
