//! Conditions of requests, and answers of handlers that have validators.

use annulus::http::{
    self, ETag, HeaderValue, Request, Response, Router, StatusCode, header, test::TestClient,
};

use crate::{field, run};

/// A page in English with a tag.
async fn page(request: Request) -> Response {
    let english = HeaderValue::from_static("en");
    let place = HeaderValue::from_static("/page.en");
    Response::text("hello")
        .with_etag(ETag::strong("a"))
        .with_field(header::CONTENT_LANGUAGE, english)
        .with_field(header::CONTENT_LOCATION, place)
        .with_field(header::VARY, HeaderValue::from_static("accept-language"))
        .conditional(&request)
}

#[test]
fn a_page_that_the_client_has_is_304_without_fields_about_content() {
    run(async {
        let client = TestClient::new(page);
        let response = client.get("/").send().await?;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(field(&response, "content-language"), Some("en"));
        let asked = client.get("/").with_field("if-none-match", "W/\"a\"");
        let response = asked.send().await?;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        // RFC 9110, section 15.4.5.
        for (name, expected) in [
            ("etag", Some("\"a\"")),
            ("vary", Some("accept-language")),
            ("content-location", Some("/page.en")),
            ("content-language", None),
            ("content-type", None),
        ] {
            assert_eq!(field(&response, name), expected, "{name}");
        }
        assert_eq!(response.text().await?, "");
        let asked = client.get("/").with_field("if-match", "\"b\"");
        let response = asked.send().await?;
        assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(response.text().await?, "");
        Ok(())
    });
}

#[test]
fn an_answer_that_failed_or_has_no_validators_meets_no_condition() {
    run(async {
        let router = Router::new()
            .get("/bare", async |request: Request| {
                Response::text("bare").conditional(&request)
            })
            .get("/failed", async |request: Request| {
                let failed = Response::text("failed").with_status(StatusCode::BAD_GATEWAY);
                failed.with_etag(ETag::strong("a")).conditional(&request)
            });
        let client = TestClient::new(router);
        for (target, status) in [("/bare", 200), ("/failed", 502)] {
            for (name, value) in [("if-none-match", "\"a\""), ("if-match", "\"b\"")] {
                let response = client.get(target).with_field(name, value).send().await?;
                assert_eq!(response.status(), status, "{target} {name}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_change_is_made_only_where_its_conditions_hold() {
    run(async {
        let router = Router::new()
            .put("/there", async |request: Request| -> http::Result<&str> {
                request.check_conditions(Some(&ETag::strong("a")))?;
                Ok("changed")
            })
            .put("/missing", async |request: Request| -> http::Result<&str> {
                request.check_conditions(None)?;
                Ok("made")
            });
        let client = TestClient::new(router);
        for (target, name, value, status) in [
            ("/there", "if-match", "\"a\"", 200),
            ("/there", "if-match", "*", 200),
            ("/there", "if-match", "\"b\"", 412),
            ("/there", "if-match", "W/\"a\"", 412),
            ("/there", "if-none-match", "*", 412),
            ("/there", "if-none-match", "\"b\"", 200),
            ("/missing", "if-match", "*", 412),
            ("/missing", "if-match", "\"a\"", 412),
            ("/missing", "if-none-match", "*", 200),
            ("/missing", "if-none-match", "\"a\"", 200),
        ] {
            let asked = client.put(target).with_field(name, value);
            let response = asked.send().await?;
            assert_eq!(response.status(), status, "{target} {name}: {value}");
        }
        Ok(())
    });
}
