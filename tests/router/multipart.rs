//! Forms with files.

use std::io;

use annulus::http::{
    self, ErrorKind, IntoResponse as _, Multipart, MultipartError, Request, Router, client,
    test::TestClient,
};

use crate::talk::{body, send, serve, status};

const TYPE: &str = "Content-Type: multipart/form-data; boundary=\"a b\"\r\n";

/// The parts, as name, name of the file, type and size.
async fn told(mut form: Multipart) -> http::Result<String> {
    let mut answer = String::new();
    while let Some(mut part) = form.next_part().await? {
        let mut len = 0;
        while let Some(piece) = part.next().await? {
            len += piece.len();
        }
        assert!(part.next().await?.is_none(), "it stays at its end");
        let file = part.safe_file_name();
        let content_type = part.content_type();
        answer += &format!("{} {file:?} {content_type:?} {len}\n", part.name());
    }
    assert!(form.next_part().await?.is_none(), "it stays at its end");
    Ok(answer)
}

/// The answer to an error is its text, which the log would have.
fn shown(result: http::Result<String>) -> impl http::IntoResponse {
    let error = match result {
        Ok(answer) => return answer.into_response(),
        Err(error) => error,
    };
    assert!(!matches!(error.kind(), ErrorKind::Internal | ErrorKind::Io));
    http::Response::text(error.to_string()).with_status(error.status())
}

fn router() -> Router {
    Router::new()
        .post("/", async |mut request: Request| {
            shown(async { told(request.multipart()?).await }.await)
        })
        .post("/limits", async |mut request: Request| {
            let form = request.multipart();
            let form = form.map(|form| form.parts_max(2).part_bytes_max(5).head_bytes_max(70));
            shown(async { told(form?).await }.await)
        })
        .post("/total", async |mut request: Request| {
            shown(async { told(request.multipart()?.limit(150)).await }.await)
        })
        .post(
            "/first",
            async |mut request: Request| -> http::Result<String> {
                let mut form = request.multipart()?;
                let first = form
                    .next_part()
                    .await?
                    .ok_or(http::StatusCode::BAD_REQUEST)?;
                first.text(3).await
            },
        )
        .post("/texts", async |mut request: Request| {
            shown(
                async {
                    let mut form = request.multipart()?;
                    let mut answer = String::new();
                    while let Some(part) = form.next_part().await? {
                        let name = part.name().to_owned();
                        match part.text(3).await {
                            Ok(text) => answer += &format!("{name}={text};"),
                            Err(error) => answer += &format!("{error};"),
                        }
                    }
                    Ok(answer)
                }
                .await,
            )
        })
        .post("/again", async |mut request: Request| {
            let mut form = request.multipart().unwrap();
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let error = loop {
                    match form.next_part().await {
                        Ok(Some(_)) => {}
                        Ok(None) => panic!("expected an error"),
                        Err(error) => break error,
                    }
                };
                kinds.push(error.kind());
            }
            let end = ErrorKind::Multipart(MultipartError::UnexpectedEnd);
            assert_eq!(kinds, [end, end]);
        })
}

fn part(name: &str, bytes: &str) -> String {
    format!("--a b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{bytes}\r\n")
}

#[test]
fn a_form_with_files_is_read() {
    let addr = serve(router);
    let file = "--a b\r\nContent-Disposition: form-data; name=f; filename=\"../a.txt\"\r\n\
        Content-Type: text/plain\r\n\r\n12345\r\n";
    let form = format!("{}{file}{}--a b--\r\n", part("one", ""), part("two", "2"));
    let answer = send(addr, "/", TYPE, form.as_bytes());
    assert_eq!(status(&answer), 200, "{answer}");
    let expected = "one None None 0\nf Some(\"a.txt\") Some(\"text/plain\") 5\ntwo None None 1\n";
    assert_eq!(body(&answer), expected);
    let answer = send(addr, "/", TYPE, b"--a b--");
    assert_eq!((status(&answer), body(&answer)), (200, ""));
    let answer = send(
        addr,
        "/first",
        TYPE,
        (part("x", "abc") + "--a b, and this is never read").as_bytes(),
    );
    assert_eq!((status(&answer), body(&answer)), (200, "abc"));
}

#[test]
fn a_form_that_is_refused_says_which_part_and_why() {
    let addr = serve(router);
    let (one, two) = (part("one", "1"), part("two", "2"));
    let long = part("one", "123456");
    for (target, content_type, form, status_code, text) in [
        (
            "/",
            "",
            "",
            415,
            "expected a body of type multipart/form-data, found nothing",
        ),
        (
            "/",
            "Content-Type: multipart/mixed; boundary=a\r\n",
            "",
            415,
            "expected a body of type multipart/form-data, found multipart/mixed; boundary=a",
        ),
        (
            "/",
            "Content-Type: multipart/form-data\r\n",
            "",
            400,
            "expected a boundary of 1 to 70 characters, found none",
        ),
        (
            "/",
            TYPE,
            "",
            400,
            "expected the closing boundary, found the end of the body",
        ),
        (
            "/",
            TYPE,
            &(one.clone() + &two.replace("\r\n\r\n2\r\n", "\r\n\r\n2")),
            400,
            "part 2, \"two\": expected the closing boundary, found the end of the body",
        ),
        (
            "/",
            TYPE,
            &(one.clone() + &two.replace("name", "game")),
            400,
            "part 2: expected a name in `Content-Disposition`, found none",
        ),
        (
            "/",
            TYPE,
            &one.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
            415,
            "part 1: expected plain bytes in a part, found a transfer encoding",
        ),
        (
            "/limits",
            TYPE,
            &long,
            413,
            "part 1, \"one\": expected a part within its limit, found a larger one",
        ),
        (
            "/limits",
            TYPE,
            &(one.clone() + &two + &one),
            413,
            "part 2: expected the closing boundary, found too many parts",
        ),
        (
            "/limits",
            TYPE,
            &part("a name that is too long for a head", ""),
            413,
            "part 1: expected the end of a part's head, found its limit crossed",
        ),
        (
            "/total",
            TYPE,
            &(one.clone() + &two + &one),
            413,
            "expected a body within its limit, found a larger one",
        ),
    ] {
        let answer = send(addr, target, content_type, form.as_bytes());
        assert_eq!(
            (status(&answer), body(&answer)),
            (status_code, text),
            "{form}"
        );
    }
    let answer = send(addr, "/again", TYPE, one.as_bytes());
    assert_eq!(status(&answer), 204, "{answer}");
}

#[test]
fn a_part_that_is_too_large_for_its_reader_or_no_text_leaves_the_others() {
    let addr = serve(router);
    let mut form =
        (part("one", "1234") + &part("two", "123") + &part("x", "?") + "--a b--").into_bytes();
    let at = form.iter().position(|&byte| byte == b'?').unwrap();
    form[at] = 0xff;
    let answer = send(addr, "/texts", TYPE, &form);
    let expected = "part 1, \"one\": expected a part within its limit, found a larger one;two=123;\
        part 3, \"x\": expected text in UTF-8, found other bytes: invalid utf-8 sequence of 1 \
        bytes from index 0;";
    assert_eq!((status(&answer), body(&answer)), (200, expected));
}

#[test]
fn the_limit_of_a_part_counts_all_of_its_pieces() {
    annulus::run(async {
        let client = TestClient::new(async |mut request: Request| {
            let mut form = request.multipart().unwrap();
            let part = form.next_part().await.unwrap().unwrap();
            shown(part.text(6).await)
        });
        // A carriage return in the middle ends a piece: a delimiter could begin there.
        for (content, status, text) in [
            ("abc\rde", 200, "abc\rde"),
            ("abc\rdef", 413, ""),
            ("abcd\r\n--e", 413, ""),
        ] {
            let body = format!(
                "--x\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n{content}\r\n--x--\r\n"
            );
            let bytes: Vec<Vec<u8>> = body.bytes().map(|byte| vec![byte]).collect();
            let pieces = futures_util::stream::iter(bytes.into_iter().map(io::Result::Ok));
            let request = client
                .post("/")
                .with_field("content-type", "multipart/form-data; boundary=x")
                .body(client::Body::stream(pieces));
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{content:?}");
            let found = response.text().await.unwrap();
            assert!(found.starts_with(text), "{content:?}: {found}");
        }
    });
}
