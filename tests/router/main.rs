//! The router, parameters, forms, JSON and conversions, by raw sockets.
#![cfg(feature = "http")]

#[cfg(feature = "compress")]
mod compression;
mod conversions;
mod cookies;
#[cfg(feature = "json")]
mod json;
mod layers;
mod multipart;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod talk;

use std::panic::{AssertUnwindSafe, catch_unwind};

use annulus::http::{
    self, Error, ErrorKind, HeaderValue, IntoResponse as _, Method, Request, Response, Router,
    StatusCode, header,
};

use talk::{ask, body, field, serve, status, talk};

/// A handler that names itself, and tells the parameters called `a` and `b`.
fn named(name: &'static str) -> impl http::Handler {
    async move |request: Request| {
        let a = request.param_str("a").unwrap_or_default().into_owned();
        let b = request.param_str("b").unwrap_or_default().into_owned();
        format!("{name} {} a={a} b={b}", request.method())
    }
}

#[test]
fn the_path_that_is_written_out_further_wins() {
    let addr = serve(|| {
        Router::new()
            .get("/{*a}", named("rest"))
            .get("/", named("root"))
            .get("/users/{a}", named("user"))
            .get("/users/me", named("me"))
            .get("/users/{a}/", named("slash"))
            .get("/users/{a}/posts/{b}", named("post"))
            .get("/users/{b}/likes/{a}", named("like"))
            .get("/files/{a}/{*b}", named("file"))
            .get("/img-{a}.png", named("image"))
            .get("/{{a}}", named("braces"))
    });
    for (target, expected) in [
        ("/", "root GET a= b="),
        ("/?a=1", "root GET a= b="),
        ("http://a", "root GET a= b="),
        ("http://a/users/7?x", "user GET a=7 b="),
        ("/users/me", "me GET a= b="),
        ("/users/mee", "user GET a=mee b="),
        ("/users/7/", "slash GET a=7 b="),
        ("/users/", "rest GET a=users/ b="),
        ("/users", "rest GET a=users b="),
        ("//users/7", "rest GET a=/users/7 b="),
        ("/users//posts/1", "rest GET a=users//posts/1 b="),
        ("/users/7/posts/8", "post GET a=7 b=8"),
        ("/users/7/likes/8", "like GET a=8 b=7"),
        ("/users/7/posts/8/9", "rest GET a=users/7/posts/8/9 b="),
        ("/users/..", "user GET a=.. b="),
        ("/users/../users/me", "rest GET a=users/../users/me b="),
        ("/users/a%2Fb", "user GET a=a/b b="),
        ("/users/%6de", "user GET a=me b="),
        ("/%75sers/7", "rest GET a=users/7 b="),
        ("/files/x/y/z//", "file GET a=x b=y/z//"),
        ("/img-4.png", "image GET a=4 b="),
        ("/img-.png", "rest GET a=img-.png b="),
        ("/USERS/7", "rest GET a=USERS/7 b="),
        ("/users/%C3%BC+%", "user GET a=\u{fc}+% b="),
    ] {
        assert_eq!(body(&ask(addr, "GET", target)), expected, "{target}");
    }
    // Braces are no part of a target's grammar, but are sent.
    assert_eq!(body(&ask(addr, "GET", "/{a}")), "braces GET a= b=");
}

#[test]
fn methods_have_their_handlers_and_allow_names_them() {
    let addr = serve(|| {
        Router::new()
            .get("/all", named("get"))
            .post("/all", named("post"))
            .put("/all", named("put"))
            .patch("/all", named("patch"))
            .delete("/all", named("delete"))
            .options("/all", named("options"))
            .route(Method::from_bytes(b"BREW").unwrap(), "/all", named("brew"))
            .get("/head", named("get"))
            .head("/head", async |_| StatusCode::ACCEPTED)
            .post("/post", named("post"))
            .any("/any", named("any"))
            .get("/any", named("get"))
    });
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, BREW";
    for (method, target, status_code, expected) in [
        ("GET", "/all", 200, Ok("get GET a= b=")),
        ("HEAD", "/all", 200, Ok("")),
        ("POST", "/all", 200, Ok("post POST a= b=")),
        ("PUT", "/all", 200, Ok("put PUT a= b=")),
        ("PATCH", "/all", 200, Ok("patch PATCH a= b=")),
        ("DELETE", "/all", 200, Ok("delete DELETE a= b=")),
        ("OPTIONS", "/all", 200, Ok("options OPTIONS a= b=")),
        ("BREW", "/all", 200, Ok("brew BREW a= b=")),
        ("TRACE", "/all", 405, Err(all)),
        ("get", "/all", 405, Err(all)),
        ("HEAD", "/head", 202, Ok("")),
        ("POST", "/head", 405, Err("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/head", 204, Err("GET, HEAD, OPTIONS")),
        ("GET", "/post", 405, Err("POST, OPTIONS")),
        ("HEAD", "/post", 405, Err("POST, OPTIONS")),
        ("OPTIONS", "/post", 204, Err("POST, OPTIONS")),
        ("GET", "/any", 200, Ok("get GET a= b=")),
        ("POST", "/any", 200, Ok("any POST a= b=")),
        ("BREW", "/any", 200, Ok("any BREW a= b=")),
        ("OPTIONS", "/any", 200, Ok("any OPTIONS a= b=")),
        ("HEAD", "/any", 200, Ok("")),
        ("GET", "/none", 404, Ok("")),
        ("OPTIONS", "/none", 404, Ok("")),
        ("BREW", "/none", 404, Ok("")),
        ("OPTIONS", "*", 204, Err(all)),
    ] {
        let answer = ask(addr, method, target);
        assert_eq!(status(&answer), status_code, "{method} {target}: {answer}");
        assert_eq!(body(&answer), expected.unwrap_or(""), "{method} {target}");
        let mut allow: Vec<&str> = Vec::new();
        allow.extend(
            field(&answer, "allow")
                .iter()
                .flat_map(|list| list.split(", ")),
        );
        let mut wanted: Vec<&str> = Vec::new();
        wanted.extend(expected.err().iter().flat_map(|list| list.split(", ")));
        allow.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(allow, wanted, "{method} {target}");
    }
    let head = ask(addr, "HEAD", "/all");
    assert_eq!(
        field(&head, "content-length"),
        Some("14"),
        "the length of HEAD's own answer"
    );
}

#[test]
fn nested_routers_answer_below_their_prefix() {
    let addr = serve(|| {
        let inner = Router::new()
            .get("/", named("inner root"))
            .get("/{b}", named("inner"))
            .fallback(async |request: Request| format!("lost below a: {}", request.path()));
        let api = Router::new()
            .get("/version", named("version"))
            .nest("/deep/{a}", inner);
        let silent = Router::new().get("/here", named("here"));
        Router::new()
            .get("/api", named("api"))
            .nest("/api", api)
            .nest("/silent", silent)
            .fallback(async |request: Request| {
                (StatusCode::NOT_FOUND, format!("lost: {}", request.path()))
            })
    });
    for (target, expected) in [
        ("/api", "api GET a= b="),
        ("/api/version", "version GET a= b="),
        ("/version", "lost: /version"),
        ("/api/deep/1", "inner root GET a=1 b="),
        ("/api/deep/1/2", "inner GET a=1 b=2"),
        ("/api/deep/1/", "lost below a: /api/deep/1/"),
        ("/api/deep/1/2/3", "lost below a: /api/deep/1/2/3"),
        ("/api/other", "lost: /api/other"),
        ("/api/deep", "lost: /api/deep"),
        ("/silent/here", "here GET a= b="),
        ("/silent", "lost: /silent"),
        ("/silent/there", "lost: /silent/there"),
    ] {
        assert_eq!(body(&ask(addr, "GET", target)), expected, "{target}");
    }
    assert_eq!(status(&ask(addr, "GET", "/nowhere")), 404);
    assert_eq!(status(&ask(addr, "POST", "/api/version")), 405);
}

#[test]
fn the_deepest_fallback_answers() {
    let addr = serve(|| {
        let lost = |name: &'static str| Router::new().fallback(named(name));
        let middle = lost("middle").nest("/{a}", lost("deep"));
        lost("outer")
            .nest("/m", middle)
            .nest("/m/n/o", lost("beside"))
    });
    for (target, expected) in [
        ("/", "outer GET a= b="),
        ("/mm", "outer GET a= b="),
        ("/m", "middle GET a= b="),
        ("/m/", "middle GET a= b="),
        ("/m/1", "deep GET a=1 b="),
        ("/m/1/2/", "deep GET a=1 b="),
        ("/m/n/o/p", "beside GET a= b="),
        ("/m//p", "middle GET a= b="),
    ] {
        assert_eq!(body(&ask(addr, "GET", target)), expected, "{target}");
    }
}

#[test]
fn parameters_that_do_not_fit_are_the_clients_mistake() {
    let addr = serve(|| {
        Router::new()
            .get(
                "/n/{id}",
                async |request: Request| -> http::Result<String> {
                    let id: u8 = request.param("id")?;
                    Ok(format!("id {id}"))
                },
            )
            .get("/missing/{id}", async |request: Request| {
                let error = request.param_str("other").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Internal);
                error
            })
            .get("/why/{id}", async |request: Request| {
                let error = request.param::<i8>("id").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Param);
                error.to_string()
            })
            .get("/q", async |request: Request| -> http::Result<String> {
                let number: Option<i16> = request.query_param("n")?;
                let text: Option<String> = request.query_param("t")?;
                Ok(format!("{number:?} {text:?} {:?}", request.query_pairs()))
            })
            .get("/none", async |request: Request| {
                request.param::<u8>("id").map(drop)
            })
    });
    for (target, status_code, expected) in [
        ("/n/7", 200, "id 7"),
        ("/n/%37", 200, "id 7"),
        ("/n/256", 400, ""),
        ("/n/-1", 400, ""),
        ("/n/x", 400, ""),
        ("/n/%ff", 400, ""),
        ("/n/%", 400, ""),
        ("/missing/7", 500, ""),
        ("/none", 500, ""),
        (
            "/why/%22x",
            200,
            "expected `i8` in the parameter `id`, found \"\\\"x\": invalid digit found in string",
        ),
        ("/q", 200, "None None []"),
        ("/q?", 200, "None None []"),
        (
            "/q?t=a+b&n=-5&&t=2",
            200,
            "Some(-5) Some(\"a b\") [(\"t\", \"a b\"), (\"n\", \"-5\"), (\"t\", \"2\")]",
        ),
        ("/q?n=", 400, ""),
        (
            "/q?n=1&n=x",
            200,
            "Some(1) None [(\"n\", \"1\"), (\"n\", \"x\")]",
        ),
    ] {
        let answer = ask(addr, "GET", target);
        assert_eq!(status(&answer), status_code, "{target}: {answer}");
        assert_eq!(body(&answer), expected, "{target}");
    }
}

#[test]
fn eight_parameters_reach_the_handler_after_it_waited() {
    let addr = serve(|| {
        let path = "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{*h}";
        Router::new().get(path, async |request: Request| -> http::Result<String> {
            annulus::task::yield_now().await;
            let mut text = String::new();
            for name in ["h", "g", "f", "e", "d", "c", "b", "a"] {
                text += &request.param_str(name)?;
            }
            Ok(text)
        })
    });
    let requests = "GET /1/2/3/4/5/6/7/8/9 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
    let answer = talk(addr, requests.as_bytes());
    assert_eq!(answer.matches("8/97654321").count(), 3, "{answer}");
}

/// Checks that making a router panics, and says so with `parts`.
fn panics(make: impl FnOnce() -> Router, parts: &[&str]) {
    let panic = catch_unwind(AssertUnwindSafe(make)).expect_err(parts[0]);
    let text = panic.downcast_ref::<String>().unwrap();
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn a_wrong_route_is_named_when_it_is_added() {
    let get = |path: &'static str| move || Router::new().get(path, named("x"));
    panics(get(""), &["``", "slash"]);
    panics(get("users"), &["`users`", "slash"]);
    panics(get("/a?b"), &["`/a?b`", "'?'"]);
    panics(get("/a b"), &["`/a b`", "' '"]);
    panics(get("/{a"), &["`/{a`"]);
    panics(get("/a}"), &["`/a}`"]);
    panics(get("/{}"), &["`/{}`"]);
    panics(get("/{a}-{b}"), &["`/{a}-{b}`"]);
    panics(get("/{a}/x/{a}"), &["`/{a}/x/{a}`", "`a`", "twice"]);
    panics(get("/a/:id"), &["`/a/:id`", "`{id}`"]);
    panics(get("/:a/b"), &["`/:a/b`", "`{a}`"]);
    panics(get("/files/*rest"), &["`/files/*rest`", "`{*rest}`"]);
    panics(get("/files/*"), &["`/files/*`", "`{*rest}`"]);
    panics(get("/a/<id>"), &["`/a/<id>`", "`{id}`"]);
    panics(get("/a/{id:int}"), &["`/a/{id:int}`", "`{id}`"]);
    panics(get("/{*a}/b"), &["`/{*a}/b`"]);
    panics(
        get("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"),
        &["/{h}/{i}`", "9"],
    );
    panics(
        || {
            Router::new()
                .get("/{a}", named("x"))
                .post("/{b}", named("y"))
        },
        &["`/{b}`", "/{a}"],
    );
    panics(
        || Router::new().get("/x", named("x")).get("/x", named("y")),
        &["`GET /x`", "already"],
    );
    panics(
        || Router::new().any("/x", named("x")).any("/x", named("y")),
        &["`any /x`", "already"],
    );
    let x = || Router::new().get("/x", named("x"));
    panics(move || x().nest("/p/", x()), &["`/p/`", "slash"]);
    panics(move || x().nest("p", x()), &["`p`", "slash"]);
    panics(move || x().nest("p", Router::new()), &["`p`", "slash"]);
    panics(move || x().nest("/:p", Router::new()), &["`/:p`", "`{p}`"]);
    panics(move || x().nest("/{p", Router::new()), &["`/{p`", "`}`"]);
    let a = || Router::new().get("/{a}", named("a"));
    panics(
        move || x().nest("/{a}", a()),
        &["`/{a}/{a}`", "`a`", "twice"],
    );
    panics(move || x().nest("/p", x()).nest("/p", x()), &["`GET /p/x`"]);
    let lost = || Router::new().fallback(named("lost"));
    panics(
        move || lost().nest("/p", lost()).nest("/p", lost()),
        &["fallback", "`/p`"],
    );
}

#[test]
fn an_error_says_nothing_to_the_client() {
    let addr = serve(|| {
        Router::new().get("/", async |_| {
            let error = Error::new(StatusCode::CONFLICT, "a secret");
            error.with_source("another secret")
        })
    });
    let answer = ask(addr, "GET", "/");
    assert_eq!(status(&answer), 409);
    assert!(!answer.contains("secret"), "{answer}");
}

#[test]
fn a_router_in_a_router_names_the_parameters_itself() {
    let addr = serve(|| {
        let inner = Router::new().get("/x/{b}", named("inner"));
        Router::new().any("/x/{a}", inner)
    });
    assert_eq!(body(&ask(addr, "GET", "/x/1")), "inner GET a= b=1");
    assert_eq!(status(&ask(addr, "POST", "/x/1")), 405);
}

#[test]
fn an_answer_without_a_server() {
    let response = (StatusCode::IM_A_TEAPOT, "short and stout").into_response();
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    let redirect = Response::redirect("/")
        .with_field(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    assert_eq!(redirect.status(), StatusCode::SEE_OTHER);
}
