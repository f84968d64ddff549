//! The rules for the request of a client.

use std::sync::Arc;

use ::http::{HeaderName, HeaderValue, StatusCode};

use crate::http::{
    h1::{RequestHead, Rules},
    ws::{
        Deflate, Handshake,
        HandshakeError::{self, *},
        Origins,
    },
};

/// The request of RFC 6455, section 1.3.
const REQUEST: &str = "GET /chat HTTP/1.1
Host: server.example.com
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Version: 13";

fn head(text: &str) -> RequestHead {
    let text = text.replace('\n', "\r\n") + "\r\n\r\n";
    let mut head = RequestHead::new();
    let read = head.read(text.as_bytes(), &Rules::default());
    assert_eq!(read, Ok(Some(text.len())), "{text}");
    head
}

/// The request with a line changed.
fn with(from: &str, to: &str) -> RequestHead {
    assert!(REQUEST.contains(from));
    head(&REQUEST.replace(from, to))
}

/// The request with lines added.
fn plus(lines: &str) -> RequestHead {
    head(&format!("{REQUEST}\n{lines}"))
}

fn check(head: &RequestHead, expected: Result<(), HandshakeError>) {
    let result = Handshake::check(head, &Origins::Same).map(drop);
    assert_eq!(result, expected, "{head:?}");
}

fn field(fields: &[(HeaderName, HeaderValue)], name: &str) -> Option<String> {
    let (_, value) = fields.iter().find(|(other, _)| other.as_str() == name)?;
    Some(value.to_str().unwrap().to_owned())
}

#[test]
fn the_request_of_the_rfc_is_accepted() {
    let head = head(REQUEST);
    let handshake = Handshake::check(&head, &Origins::Same).unwrap();
    let fields = handshake.accept(None, true).fields();
    let key = field(&fields, "sec-websocket-accept");
    assert_eq!(key.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(fields.len(), 1);
}

#[test]
fn requests_that_are_fine() {
    check(
        &with("Upgrade: websocket", "Upgrade: h2c, WebSocket"),
        Ok(()),
    );
    check(
        &with("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        Ok(()),
    );
    check(
        &with("Connection: Upgrade", "Connection: x\nConnection: upgrade"),
        Ok(()),
    );
    check(&with("HTTP/1.1", "HTTP/1.9"), Ok(()));
    check(&plus("Content-Length: 0"), Ok(()));
    check(
        &plus("Sec-WebSocket-Protocol: chat, superchat\nSec-WebSocket-Protocol: x"),
        Ok(()),
    );
    check(
        &plus("Sec-WebSocket-Extensions: x-unknown; a=b; c=\"d\", permessage-deflate"),
        Ok(()),
    );
}

#[test]
fn requests_that_are_refused() {
    check(&with("Upgrade: websocket\n", ""), Err(NotAnUpgrade));
    check(
        &with("Upgrade: websocket", "Upgrade: h2c"),
        Err(NotAnUpgrade),
    );
    check(&with("GET", "POST"), Err(MethodNotGet));
    check(&with("GET", "HEAD"), Err(MethodNotGet));
    check(&with("HTTP/1.1", "HTTP/1.0"), Err(HttpVersion));
    check(&with("Connection: Upgrade\n", ""), Err(ConnectionMissing));
    check(
        &with("Connection: Upgrade", "Connection: close"),
        Err(ConnectionMissing),
    );
    check(
        &with("\nSec-WebSocket-Version: 13", ""),
        Err(VersionMissing),
    );
    check(&plus("Sec-WebSocket-Version: 13"), Err(VersionMissing));
    for version in ["8", "14", "013", "13, 8", ""] {
        check(
            &with("Version: 13", &format!("Version: {version}")),
            Err(VersionUnsupported),
        );
    }
    check(&with("Sec-WebSocket-Key", "X-Key"), Err(KeyMissing));
    check(
        &plus("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        Err(KeyMissing),
    );
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for invalid in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZWE=",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25j!Q==",
        "dGhlIHNhbXBsZSBub25j ZQ==",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        check(&with(key, invalid), Err(KeyInvalid));
    }
    check(&plus("Content-Length: 1"), Err(Content));
    check(&plus("Transfer-Encoding: chunked"), Err(Content));
    for protocols in ["a, a", "a b", "a, \"b\"", "a/b"] {
        let line = format!("Sec-WebSocket-Protocol: {protocols}");
        check(&plus(&line), Err(SubprotocolsInvalid));
    }
    for extensions in [
        "a;",
        "a; b=",
        "a b",
        "a; =b",
        "a; b=\"c d\"",
        "a; b=\"c",
        "a; b=c\"",
        ";a",
    ] {
        let line = format!("Sec-WebSocket-Extensions: {extensions}");
        check(&plus(&line), Err(ExtensionsInvalid));
    }
}

#[test]
fn subprotocols_are_few() {
    let names = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("p{index}")).collect();
        format!("Sec-WebSocket-Protocol: {}", names.join(","))
    };
    check(&plus(&names(64)), Ok(()));
    check(&plus(&names(65)), Err(SubprotocolsInvalid));
}

#[test]
fn answers_of_refused_requests() {
    for error in [
        MethodNotGet,
        HttpVersion,
        ConnectionMissing,
        VersionMissing,
        KeyMissing,
        KeyInvalid,
        Content,
        SubprotocolsInvalid,
        ExtensionsInvalid,
    ] {
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.fields(), []);
    }
    assert_eq!(OriginForeign.status(), StatusCode::FORBIDDEN);
    for error in [NotAnUpgrade, VersionUnsupported] {
        assert_eq!(error.status(), StatusCode::UPGRADE_REQUIRED);
        let fields = error.fields();
        assert_eq!(field(&fields, "upgrade").as_deref(), Some("websocket"));
        assert_eq!(
            field(&fields, "sec-websocket-version").as_deref(),
            Some("13")
        );
    }
}

#[test]
fn subprotocols_are_chosen_by_the_server() {
    let head = plus("Sec-WebSocket-Protocol: chat, superchat");
    let handshake = Handshake::check(&head, &Origins::Same).unwrap();
    assert!(handshake.subprotocols().eq(["chat", "superchat"]));
    assert_eq!(
        handshake.choose_subprotocol(&["x", "superchat", "chat"]),
        Some("superchat")
    );
    assert_eq!(handshake.choose_subprotocol(&["Chat"]), None);
    let acceptance = handshake.accept(Some("superchat"), false);
    let chosen = field(&acceptance.fields(), "sec-websocket-protocol");
    assert_eq!(chosen.as_deref(), Some("superchat"));
}

#[test]
fn origins() {
    let allow = |origins: &Origins, host: &str, origin: &str| {
        let text = REQUEST.replace("server.example.com", host);
        let head = head(&format!("{text}\nOrigin: {origin}"));
        match Handshake::check(&head, origins) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error, OriginForeign);
                false
            }
        }
    };
    for (host, origin, expected) in [
        ("a.example", "http://a.example", true),
        ("a.example", "https://a.example", true),
        ("a.example", "https://A.Example", true),
        ("a.example:443", "https://a.example", true),
        ("a.example", "https://a.example:443", true),
        ("a.example:80", "http://a.example", true),
        ("a.example:8080", "http://a.example:8080", true),
        ("[::1]:8080", "http://[::1]:8080", true),
        ("[::1]", "http://[::1]:80", true),
        ("[::1]", "http://[::2]", false),
        ("a.example:8080", "http://a.example", false),
        ("a.example", "http://a.example:8080", false),
        ("a.example:80", "https://a.example", false),
        ("a.example", "http://b.example", false),
        ("a.example", "http://a.example.evil", false),
        ("a.example", "http://evil.a.example", false),
        ("a.example", "null", false),
        ("a.example", "a.example", false),
        ("a.example", "ftp://a.example", false),
        ("a.example", "", false),
        ("a.example", "http://a.example, http://a.example", false),
        (
            "a.example",
            "http://a.example\nOrigin: http://a.example",
            false,
        ),
    ] {
        assert_eq!(
            allow(&Origins::Same, host, origin),
            expected,
            "{host} {origin}"
        );
        assert!(allow(&Origins::Any, host, origin));
    }
    let list = Origins::List(vec!["https://a.example".to_owned(), "null".to_owned()]);
    for (origin, expected) in [
        ("https://A.example", true),
        ("null", true),
        ("http://a.example", false),
        ("https://a.example:443", false),
        ("https://server.example.com", false),
    ] {
        assert_eq!(
            allow(&list, "server.example.com", origin),
            expected,
            "{origin}"
        );
    }
    let check = Origins::Check(Arc::new(|origin| origin.ends_with(".example")));
    assert!(allow(&check, "b", "http://c.example"));
    assert!(!allow(&check, "b", "http://b"));
    let debug = format!("{:?} {check:?} {list:?}", Origins::Same);
    assert_eq!(
        debug,
        "Same Check(..) List([\"https://a.example\", \"null\"])"
    );
}

/// The agreement for the offers in `extensions`, and the field of the answer.
fn negotiate(extensions: &str) -> Option<(u8, String)> {
    let head = plus(&format!("Sec-WebSocket-Extensions: {extensions}"));
    let handshake = Handshake::check(&head, &Origins::Same).unwrap();
    let refused = handshake.accept(None, false);
    assert_eq!((refused.deflate, refused.fields().len()), (None, 1));
    let acceptance = handshake.accept(None, true);
    let answer = field(&acceptance.fields(), "sec-websocket-extensions");
    assert_eq!(acceptance.deflate.is_some(), answer.is_some());
    let Deflate { window_bits } = acceptance.deflate?;
    Some((window_bits, answer?))
}

#[test]
fn offers_of_permessage_deflate_that_are_accepted() {
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for offer in [
        "permessage-deflate",
        "Permessage-Deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=\"15\"",
        "permessage-deflate; client_max_window_bits=\"1\\5\"",
        "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=15",
        "x-webkit-deflate-frame, permessage-deflate",
        // The first one is declined, and the second one is not.
        "permessage-deflate; server_max_window_bits=7, permessage-deflate",
        "permessage-deflate; unknown, permessage-deflate",
    ] {
        assert_eq!(negotiate(offer), Some((15, answer.to_owned())), "{offer}");
    }
    for bits in 8..15 {
        let param = format!("; server_max_window_bits={bits}");
        let offer = format!("permessage-deflate{param}");
        assert_eq!(negotiate(&offer), Some((bits, format!("{answer}{param}"))));
    }
}

#[test]
fn offers_of_permessage_deflate_that_are_declined() {
    for offer in [
        "",
        "permessage-bzip2",
        "permessage-deflate; unknown",
        "permessage-deflate; unknown=1",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=1x",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=150",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=9; client_max_window_bits",
    ] {
        assert_eq!(negotiate(offer), None, "{offer}");
    }
}
