//! Queries, forms, parameters and JSON as types of serde's.

use std::collections::BTreeMap;

use annulus::http::{self, Error, Request, Router, layers::ErrorBodies, test::TestClient};
use serde::Deserialize;

use crate::run;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Order {
    Up,
    Down,
}

#[derive(Debug, Deserialize)]
struct Wrapped(u16);

#[derive(Debug, Deserialize)]
struct Search {
    q: String,
    page: Option<u32>,
    #[serde(default)]
    tag: Vec<u8>,
    order: Option<Order>,
    #[serde(default)]
    deep: bool,
    size: Option<Wrapped>,
}

fn printed(search: &Search) -> String {
    let Search {
        q,
        page,
        tag,
        order,
        deep,
        size,
    } = search;
    let size = size.as_ref().map(|size| size.0);
    format!("{q} {page:?} {tag:?} {order:?} {deep} {size:?}")
}

fn service() -> TestClient {
    #[derive(Deserialize)]
    struct Post {
        user: String,
        post: u64,
    }
    let router = Router::new()
        .get(
            "/search",
            async |request: Request| -> http::Result<String> { Ok(printed(&request.query_as()?)) },
        )
        .get("/map", async |request: Request| -> http::Result<String> {
            let map: BTreeMap<String, String> = request.query_as()?;
            Ok(format!("{map:?}"))
        })
        .post(
            "/search",
            async |mut request: Request| -> http::Result<String> {
                Ok(printed(&request.form_as().await?))
            },
        )
        .get(
            "/users/{user}/posts/{post}",
            async |request: Request| -> http::Result<String> {
                let Post { user, post } = request.params_as()?;
                let pair: (String, u64) = request.params_as()?;
                assert_eq!(pair, (user.clone(), post));
                Ok(format!("{user} {post}"))
            },
        )
        .get(
            "/one/{id}",
            async |request: Request| -> http::Result<String> {
                let id: u8 = request.params_as()?;
                Ok(id.to_string())
            },
        )
        .get(
            "/pairs/{a}",
            async |request: Request| -> http::Result<String> {
                let (a, b): (u8, u8) = request.params_as()?;
                Ok(format!("{a} {b}"))
            },
        )
        .get("/none", async |request: Request| -> http::Result<String> {
            Ok(request.params_as::<Option<u8>>()?.is_none().to_string())
        })
        .layer(ErrorBodies::text());
    TestClient::new(router)
}

#[test]
fn queries_are_read_as_types_and_errors_name_the_parameter() {
    run(async {
        let client = service();
        for (query, status, text) in [
            ("q=tea", 200, "tea None [] None false None"),
            (
                "q=a+b%21&page=2&tag=1&tag=2&order=down&deep=true&size=9&other=1",
                200,
                "a b! Some(2) [1, 2] Some(Down) true Some(9)",
            ),
            ("", 400, "the parameter `q`: expected a value, found none"),
            (
                "q=1&q=2",
                400,
                "the parameter `q`: expected one value, found 2",
            ),
            (
                "q=1&page=x",
                400,
                "the parameter `page`: expected `u32`, found \"x\"",
            ),
            (
                "q=1&page=",
                400,
                "the parameter `page`: expected `u32`, found \"\"",
            ),
            (
                "q=1&page=-1",
                400,
                "the parameter `page`: expected `u32`, found \"-1\"",
            ),
            (
                "q=1&tag=1&tag=256",
                400,
                "the parameter `tag`: expected `u8`, found \"256\"",
            ),
            (
                "q=1&deep=on",
                400,
                "the parameter `deep`: expected `bool`, found \"on\"",
            ),
            (
                "q=1&size=x",
                400,
                "the parameter `size`: expected `u16`, found \"x\"",
            ),
            (
                "q=1&order=left",
                400,
                "the parameter `order`: unknown variant `left`, expected `up` or `down`",
            ),
        ] {
            let response = client.get(&format!("/search?{query}")).send().await?;
            assert_eq!(response.status(), status, "{query}");
            assert_eq!(response.text().await?.trim_end(), text, "{query}");
        }
        let response = client.get("/map?b=2&a=1").send().await?;
        assert_eq!(response.text().await?, r#"{"a": "1", "b": "2"}"#);
        Ok(())
    });
}

#[test]
fn forms_are_read_as_types() {
    run(async {
        let client = service();
        for (form, status, text) in [
            (
                &[("q", "a&b"), ("page", "3")][..],
                200,
                "a&b Some(3) [] None false None",
            ),
            (
                &[("q", "a"), ("page", "3x")],
                400,
                "the parameter `page`: expected `u32`, found \"3x\"",
            ),
        ] {
            let response = client
                .post("/search")
                .form(form.iter().copied())
                .send()
                .await?;
            assert_eq!(response.status(), status);
            assert_eq!(response.text().await?.trim_end(), text);
        }
        let response = client.post("/search").body("q=1").send().await?;
        assert_eq!(response.status(), 415);
        Ok(())
    });
}

#[test]
fn parameters_of_paths_are_read_as_types() {
    run(async {
        let client = service();
        for (target, status, text) in [
            ("/users/a%20b/posts/7", 200, "a b 7"),
            (
                "/users/a/posts/x",
                400,
                "the parameter `post`: expected `u64`, found \"x\"",
            ),
            ("/users/%ff/posts/7", 400, ""),
            ("/one/255", 200, "255"),
            (
                "/one/256",
                400,
                "the parameter `id`: expected `u8`, found \"256\"",
            ),
            ("/pairs/1", 400, "expected 2 parameters, found 1"),
            ("/none", 200, "true"),
        ] {
            let response = client.get(target).send().await?;
            assert_eq!(response.status(), status, "{target}");
            let found = response.text().await?;
            assert!(found.starts_with(text), "{target}: {found}");
        }
        Ok(())
    });
}

#[test]
fn errors_of_json_name_the_place() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Item {
        count: u32,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Cart {
        items: Vec<Item>,
    }
    run(async {
        let client = TestClient::new(async |mut request: Request| -> http::Result<String> {
            let cart = request.json::<Cart>().await;
            let error: Error = cart.err().expect("all are wrong");
            Ok(format!("{} {error}", error.status().as_u16()))
        });
        for (json, text) in [
            (
                r#"{"items":[{"count":1},{"count":"x"}]}"#,
                "422 expected JSON of another shape at \
             `items[1].count`: invalid type: string \"x\", expected u32 at line 1 column 34",
            ),
            (
                r#"{"items":[{}]}"#,
                "422 expected JSON of another shape at `items[0]`: missing field \
             `count` at line 1 column 12",
            ),
            (
                "{}",
                "422 expected JSON of another shape: missing field `items` at line 1 column 2",
            ),
            (
                "{",
                "400 expected JSON, found something else: EOF while parsing an object at line 1 \
             column 1",
            ),
        ] {
            let request = client
                .post("/")
                .body(json)
                .with_field("content-type", "application/json");
            assert_eq!(request.send().await?.text().await?, text);
        }
        Ok(())
    });
}
