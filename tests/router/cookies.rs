//! Cookies that go to a client and come back.

#[cfg(feature = "signed-cookies")]
use annulus::http::CookieSigner;
use annulus::http::{self, Cookie, Request, Response, Router};

use crate::talk::{body, field, serve, status, talk};

fn router() -> Router {
    Router::new()
        .get("/set", async |_| -> http::Result<Response> {
            let second = Cookie::new("b", "2").secure(false);
            Ok(Response::text("set")
                .with_cookie(&Cookie::new("__Host-a", "1"))?
                .with_cookie(&second)?)
        })
        .get("/broken", async |_| -> http::Result<Response> {
            Ok(Response::text("set").with_cookie(&Cookie::new("a", "b c"))?)
        })
        .get("/", async |request: Request| {
            let all = request
                .cookies()
                .map(|(name, value)| format!("{name}:{value} "));
            let first = request.cookie("a").unwrap_or("none");
            format!("{}first {first}", all.collect::<String>())
        })
}

fn with_cookies(target: &str, lines: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

#[test]
fn cookies_are_set_and_read() {
    let addr = serve(router);
    let answer = talk(addr, &with_cookies("/set", ""));
    let lines: Vec<_> = answer
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("set-cookie"))
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(
        lines,
        [
            "__Host-a=1; Path=/; Secure; HttpOnly; SameSite=Lax",
            "b=2; Path=/; HttpOnly; SameSite=Lax"
        ]
    );
    let answer = talk(addr, &with_cookies("/broken", ""));
    assert_eq!((status(&answer), field(&answer, "set-cookie")), (500, None));
    for (lines, expected) in [
        ("", "first none"),
        (
            "Cookie: b=2; a=1; a=3\r\nCookie: c=4\r\n",
            "b:2 a:1 a:3 c:4 first 1",
        ),
        ("Cookie: A=1; =a; a\r\n", "A:1 first none"),
    ] {
        assert_eq!(
            body(&talk(addr, &with_cookies("/", lines))),
            expected,
            "{lines}"
        );
    }
}

#[cfg(feature = "signed-cookies")]
#[test]
fn a_signed_cookie_comes_back_as_it_was_and_a_changed_one_does_not() {
    let addr = serve(|| {
        let signer = CookieSigner::new([5; 32]);
        let verifier = signer.clone();
        Router::new()
            .get("/sign", async move |_| -> http::Result<Response> {
                Ok(Response::text("").with_cookie(&signer.sign("user", b"\xffRob\0"))?)
            })
            .get("/verify", async move |request: Request| {
                let user = verifier.verify(request.cookies(), "user");
                user.map_or("none".into(), |user| user.escape_ascii().to_string())
            })
    });
    let answer = talk(addr, &with_cookies("/sign", ""));
    let (cookie, _) = field(&answer, "set-cookie")
        .unwrap()
        .split_once(';')
        .unwrap();
    let answer = talk(
        addr,
        &with_cookies("/verify", &format!("Cookie: {cookie}\r\n")),
    );
    assert_eq!(body(&answer), "\\xffRob\\x00");
    let other = cookie.replacen("1.", "1.9", 1);
    let answer = talk(
        addr,
        &with_cookies("/verify", &format!("Cookie: {other}\r\n")),
    );
    assert_eq!(body(&answer), "none");
}
