//! Pages of other sites.

use std::time::Duration;

use annulus::http::{HeaderName, Method, Router, header, layers::Cors, test::TestClient};

use crate::{field, fields, hello, run, status_with};

const ALLOWED: &str = "access-control-allow-origin";

fn client(cors: Cors) -> TestClient {
    TestClient::new(Router::new().get("/", hello).layer(cors))
}

#[test]
fn only_pages_of_allowed_origins_see_answers() {
    run(async {
        let cors = Cors::new()
            .allow_origin("https://a.example")
            .allow_origins_if(|origin| origin.ends_with(".b.example"))
            .expose_fields([HeaderName::from_static("x-request-id")])
            .allow_credentials();
        let client = client(cors);
        for (origin, is_allowed) in [
            ("https://a.example", true),
            ("https://x.b.example", true),
            ("http://a.example", false),
            ("https://a.example:444", false),
            ("https://a.example.evil", false),
            ("https://A.example", false),
            ("null", false),
            ("", false),
            ("*", false),
        ] {
            let response = status_with(&client, &[("origin", origin)]).await?;
            assert_eq!(response.status(), 200, "{origin}");
            let allowed = is_allowed.then_some(origin);
            assert_eq!(field(&response, ALLOWED), allowed);
            let credentials = field(&response, "access-control-allow-credentials");
            assert_eq!(credentials, is_allowed.then_some("true"));
            let exposed = field(&response, "access-control-expose-headers");
            assert_eq!(exposed, is_allowed.then_some("x-request-id"));
            assert_eq!(fields(&response, "vary"), ["Origin"]);
        }
        let twice = [
            ("origin", "https://a.example"),
            ("origin", "https://a.example"),
        ];
        let response = status_with(&client, &twice).await?;
        assert_eq!(field(&response, ALLOWED), None);
        let response = status_with(&client, &[]).await?;
        assert_eq!(field(&response, ALLOWED), None);
        assert_eq!(fields(&response, "vary"), ["Origin"]);
        Ok(())
    });
}

#[test]
fn credentials_are_sent_only_where_they_are_allowed() {
    run(async {
        let client = client(Cors::new().allow_origin("https://a.example"));
        let response = status_with(&client, &[("origin", "https://a.example")]).await?;
        assert_eq!(field(&response, ALLOWED), Some("https://a.example"));
        assert_eq!(field(&response, "access-control-allow-credentials"), None);
        Ok(())
    });
}

#[test]
fn any_origin_is_a_star_and_varies_by_nothing() {
    run(async {
        let client = client(Cors::new().allow_any_origin());
        let response = status_with(&client, &[("origin", "https://a.example")]).await?;
        assert_eq!(field(&response, ALLOWED), Some("*"));
        assert_eq!(field(&response, "vary"), None);
        Ok(())
    });
}

#[test]
fn a_preflight_is_answered_and_other_options_are_not() {
    run(async {
        let cors = Cors::new()
            .allow_origin("https://a.example")
            .allow_methods([Method::GET, Method::DELETE])
            .allow_fields([header::CONTENT_TYPE])
            .max_age(Duration::from_secs(60));
        let client = client(cors);
        let ask = |origin: &'static str| {
            client
                .options("/none")
                .with_field("origin", origin)
                .with_field("access-control-request-method", "DELETE")
                .with_field("access-control-request-headers", "x-a")
        };
        let response = ask("https://a.example").send().await?;
        assert_eq!(response.status(), 204);
        for (name, value) in [
            (ALLOWED, "https://a.example"),
            ("access-control-allow-methods", "GET, DELETE"),
            ("access-control-allow-headers", "content-type"),
            ("access-control-max-age", "60"),
        ] {
            assert_eq!(field(&response, name), Some(value));
        }
        let vary = fields(&response, "vary").join(", ");
        assert_eq!(
            vary,
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        );
        let response = ask("https://b.example").send().await?;
        assert_eq!(response.status(), 204);
        assert_eq!(field(&response, ALLOWED), None);
        assert_eq!(field(&response, "access-control-allow-methods"), None);
        // The router's own answer.
        let plain = client
            .options("/")
            .with_field("origin", "https://a.example");
        let response = plain.send().await?;
        assert_eq!(field(&response, "allow"), Some("GET, HEAD, OPTIONS"));
        Ok(())
    });
}

#[test]
fn all_fields_that_a_browser_asks_for_are_allowed_by_default() {
    run(async {
        let client = client(Cors::new().allow_any_origin());
        let ask = client
            .options("/")
            .with_field("origin", "https://a.example")
            .with_field("access-control-request-method", "GET")
            .with_field("access-control-request-headers", "x-a, x-b");
        let response = ask.send().await?;
        let allowed = field(&response, "access-control-allow-headers");
        assert_eq!(allowed, Some("x-a, x-b"));
        Ok(())
    });
}

#[test]
fn settings_that_browsers_refuse_are_refused_at_the_start() {
    for origin in [
        "",
        "*",
        "a.example",
        "https://",
        "https://a.example/",
        "https://A.example",
    ] {
        let made = std::panic::catch_unwind(|| Cors::new().allow_origin(origin));
        assert!(made.is_err(), "{origin:?}");
    }
    let made = std::panic::catch_unwind(|| Cors::new().allow_any_origin().allow_credentials());
    assert!(made.is_err());
    let made = std::panic::catch_unwind(|| Cors::new().allow_credentials().allow_any_origin());
    assert!(made.is_err());
}
