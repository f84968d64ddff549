//! Programs as newcomers write them first. Those that cannot work are answered by the compiler with
//! a sentence of this crate that says what to write.
//!
//! Each is compiled against the library that this suite was built with. Only the sentences of this
//! crate are compared: the rest of a message differs from one compiler to the next.
#![cfg(feature = "http")]

#[path = "../support/mod.rs"]
mod support;

use std::{fs, path::Path, sync::OnceLock};

use support::build::Libraries;

/// The compiler's errors for a program, or nothing when there are none.
fn errors(name: &str, program: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first_guesses");
    fs::create_dir_all(&folder).unwrap();
    let source = folder.join(name).with_extension("rs");
    fs::write(&source, program).unwrap();
    static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
    let libraries = LIBRARIES.get_or_init(|| Libraries::of("first_guesses"));
    let mut compile = libraries.compiler(&["annulus"]);
    compile.args(["--crate-type", "bin", "--emit", "metadata"]);
    compile.arg("--out-dir").arg(&folder).arg(&source);
    let output = compile.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        output.status.success(),
        !errors.contains("error"),
        "{name}: {errors}"
    );
    if output.status.success() {
        return String::new();
    }
    errors
}

/// A program with `body` in its main task.
fn inside_run(body: &str) -> String {
    format!(
        "use annulus::{{io::Reader, net::*}};
         fn main() -> std::io::Result<()> {{
             annulus::run(async {{
                 {body}
                 Ok(())
             }})
         }}"
    )
}

/// A program that serves as `run` says, with `handlers` beside it.
fn server(run: &str, handlers: &str) -> String {
    format!(
        "use annulus::http::*;
         {handlers}
         fn main() -> std::io::Result<()> {{
             Server::new().listen(\"127.0.0.1:8080\").{run}.map(drop)
         }}"
    )
}

/// `program` is refused, and told all of `sentences`.
fn refused(name: &str, program: &str, sentences: &[&str]) {
    let errors = errors(name, program);
    assert!(!errors.is_empty(), "{name} compiles");
    // The compiler breaks long lines and indents what follows.
    let joined: Vec<&str> = errors.split_whitespace().collect();
    let joined = joined.join(" ");
    for sentence in sentences {
        assert!(joined.contains(sentence), "{name}: `{sentence}`\n{errors}");
    }
}

fn accepted(name: &str, program: &str) {
    let errors = errors(name, program);
    assert!(errors.is_empty(), "{name}:\n{errors}");
}

#[test]
fn a_router_that_is_given_to_run_is_told_of_run_each() {
    let built = "Router::new().get(\"/\", async |_| \"hello\")";
    refused(
        "run_router",
        &server(&format!("run({built})"), ""),
        &[
            "Router` cannot be cloned for each worker of the server",
            "build the handler on each worker: `run_each(|| handler)` in place of `run(handler)`",
        ],
    );
    accepted(
        "run_each_router",
        &server(&format!("run_each(|| {built})"), ""),
    );
    accepted(
        "run_function",
        &server(
            "run(hello)",
            "async fn hello(_: Request) -> &'static str { \"hello\" }",
        ),
    );
}

#[test]
fn a_router_that_is_given_to_run_each_is_told_of_a_closure() {
    let sentences = [
        "Router` is not a function that makes a handler on each worker of the server",
        "this is no function without arguments, or it is not both `Send` and `Sync`",
        "give a closure that makes the handler: `run_each(|| handler)`, such as \
         `run_each(|| Router::new().get(\"/\", hello))`",
    ];
    let built = "Router::new().get(\"/\", async |_| \"hello\")";
    let program = server(&format!("run_each({built})"), "");
    refused("run_each_built_router", &program, &sentences);
    let held = "run_each({ let seen = std::rc::Rc::new(1); move || { let seen = seen.clone(); \
                async move |_: Request| seen.to_string() } })";
    let sentences = [
        "is not a function that makes a handler on each worker of the server",
        "an `Rc` or `RefCell` of the handler's is made inside of the closure, on each worker",
    ];
    refused("run_each_rc", &server(held, ""), &sentences);
    let text = "run_each(|| \"hello\")";
    let sentences = ["`&str` is not a handler of HTTP requests"];
    refused("run_each_text", &server(text, ""), &sentences);
    for made in [
        "|| async |request: Request| request.path().to_owned()",
        "|| async move |_| \"hello\"",
        "{ let count = 1; move || Router::new().get(\"/\", async move |_| count.to_string()) }",
        "make",
        "|| hello",
    ] {
        let handlers = "async fn hello(_: Request) -> &'static str { \"hello\" }
                        fn make() -> impl Handler { Router::new().get(\"/\", hello) }";
        accepted(
            "run_each_makes",
            &server(&format!("run_each({made})"), handlers),
        );
    }
}

#[test]
fn run_names_no_part_of_a_router() {
    for call in ["run", "run_each"] {
        let program = server(&format!("{call}(Router::new())"), "");
        let errors = errors("run_router_parts", &program);
        assert_eq!(errors.matches("error[").count(), 1, "{errors}");
        assert!(!errors.contains("AnyHandler"), "{errors}");
    }
}

#[test]
fn a_closure_with_an_rc_is_told_of_run_each() {
    let run = "run({ let seen = std::rc::Rc::new(1); async move |_| seen.to_string() })";
    let sentences = [
        "cannot be cloned for each worker of the server",
        "this handler is not both `Clone` and `Send`",
    ];
    refused("run_rc", &server(run, ""), &sentences);
}

#[test]
fn a_value_that_is_no_handler_is_told_what_one_is() {
    let sentences = [
        "`&str` is not a handler of HTTP requests",
        "a handler is an async function or closure from one `Request` to a response, such as \
         `async |request: Request| \"hello\"`, or a `Router`",
    ];
    refused("run_text", &server("run(\"hello\")", ""), &sentences);
    let route = "run_each(|| Router::new().get(\"/\", \"hello\"))";
    refused("route_text", &server(route, ""), &sentences);
}

#[test]
fn a_handler_that_returns_no_response_is_told_what_one_is() {
    let sentences = [
        "`u32` does not turn into a response",
        "a handler returns a `Response`, text, bytes, a `StatusCode`, `()`, or a `Result` of these",
        "by `Response::json(&value)`, with the feature `json` of annulus",
    ];
    refused(
        "return_number",
        &server("run(async |_| 5_u32)", ""),
        &sentences,
    );
    let handler =
        "async fn h(_: Request) -> std::result::Result<String, Box<dyn std::error::Error>> {
        Ok(\"x\".parse::<u32>()?.to_string())
    }";
    let sentences = [
        "the error of such a `Result` turns into `http::Error`, as `io::Error` does: \
         `.map_err(io::Error::other)?`",
    ];
    refused("return_boxed_error", &server("run(h)", handler), &sentences);
    let handler = "async fn h(_: Request) -> std::io::Result<String> {
        let number: u32 = \"x\".parse().map_err(std::io::Error::other)?;
        Ok(number.to_string())
    }";
    accepted("return_io_error", &server("run(h)", handler));
}

#[test]
fn a_borrow_to_read_into_is_told_of_owned_buffers() {
    let connect = "let stream = TcpStream::connect(\"127.0.0.1:7000\").await?;";
    let sentences = [
        "is not a buffer that the kernel can write to",
        "it comes back with the count: `let (count, buf) = stream.read(vec![0; 1024]).await?`",
        "`recv` needs no buffer: it returns memory that the kernel has filled",
    ];
    for (name, read) in [
        ("read_array", "stream.read(&mut [0; 1024]).await?;"),
        (
            "read_vec",
            "let mut buf = vec![0; 1024]; stream.read(&mut buf).await?;",
        ),
        (
            "read_file",
            "annulus::fs::File::open(\"x\").await?.read_at(&mut [0; 9], 0).await?;",
        ),
    ] {
        refused(name, &inside_run(&format!("{connect} {read}")), &sentences);
    }
    let right =
        "let (count, buf) = stream.read(vec![0; 1024]).await?; print!(\"{:?}\", &buf[..count]);";
    accepted("read_owned", &inside_run(&format!("{connect} {right}")));
}

#[test]
fn a_borrow_to_write_from_is_told_of_owned_buffers() {
    let connect = "let stream = TcpStream::connect(\"127.0.0.1:7000\").await?;";
    let sentences = [
        "is not a buffer that the kernel can read from",
        "so give the buffer itself, such as a `Vec<u8>`, `String` or `Bytes`, or static data; it \
         comes back with the result: `let buf = stream.write_all(buf).await?`",
    ];
    for (name, write) in [
        (
            "write_string",
            "let text = format!(\"{}\", 1); stream.write_all(&text).await?;",
        ),
        ("write_vec", "stream.write_all(&vec![1_u8]).await?;"),
        ("write_array", "stream.write_all([1_u8; 4]).await?;"),
    ] {
        refused(name, &inside_run(&format!("{connect} {write}")), &sentences);
    }
    // It is a buffer if it is static, so the compiler says that it does not live long enough.
    let borrows = "let text = format!(\"{}\", 1); stream.write_all(text.as_bytes()).await?;";
    refused(
        "write_bytes",
        &inside_run(&format!("{connect} {borrows}")),
        &["the buffer itself: `write_all(text)`, not `write_all(text.as_bytes())`"],
    );
    let right = "let text = format!(\"{}\", 1); let _text = stream.write_all(text).await?;";
    accepted("write_owned", &inside_run(&format!("{connect} {right}")));
}

#[test]
fn a_stream_of_others_is_told_what_a_stream_is() {
    let connect = "let stream = std::net::TcpStream::connect(\"127.0.0.1:7000\")?;";
    let sentences = [
        "`std::net::TcpStream` is not a stream that annulus can read from",
        "a stream of std becomes one by `TcpStream::from_std`; one of tokio by its `into_std`, and \
         that",
    ];
    let reader = "Reader::new(stream).read_line(100).await?;";
    refused(
        "reader_of_std",
        &inside_run(&format!("{connect} {reader}")),
        &sentences,
    );
    let reader = "Reader::new(TcpStream::from_std(stream)?).read_line(100).await?;";
    accepted(
        "reader_from_std",
        &inside_run(&format!("{connect} {reader}")),
    );
    let open = "let file = annulus::fs::File::open(\"notes\").await?;";
    refused(
        "reader_of_file",
        &inside_run(&format!("{open} Reader::new(file).read_line(100).await?;")),
        &["a `fs::File` is read by `File::reader`"],
    );
    let reader = "Reader::new(file.reader(0)).read_line(100).await?;";
    accepted("reader_from_file", &inside_run(&format!("{open} {reader}")));
}

#[test]
fn a_reader_takes_a_half_and_an_address_has_many_forms() {
    let body = "
        let stream = TcpStream::connect((\"localhost\", 7000)).await?;
        let (half, _other) = stream.into_split();
        Reader::new(half).read_line(100).await?;
        let _ = TcpStream::connect(format!(\"localhost:{}\", 7000)).await?;
        let _ = TcpStream::connect(([127, 0, 0, 1], 7000)).await?;";
    accepted("reader_of_half", &inside_run(body));
    refused(
        "connect_port",
        &inside_run("TcpStream::connect(7000).await?;"),
        &["is not an address to connect to or to listen on"],
    );
}

#[test]
fn any_future_stops_a_server() {
    let run = "shutdown_on(stop, std::time::Duration::ZERO).run(async |_| \"hello\")";
    let program = server(run, "").replace(
        "Server::new",
        "let (_stopper, stop) = annulus::sync::oneshot::channel::<()>(); Server::new",
    );
    accepted("shutdown_on_receiver", &program);
}
