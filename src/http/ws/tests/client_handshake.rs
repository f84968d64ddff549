//! The request of a client, and the rules for its answer.

use ::http::{Method, StatusCode};

use crate::http::{
    h1::{RequestHead, ResponseHead, Rules},
    ws::{
        AnswerError::{self, *},
        ClientHandshake, Deflate, Handshake, Origins,
        client_handshake::{Agreement, SubprotocolsInvalid},
    },
};

const ANSWER: &str = "HTTP/1.1 101 Switching Protocols
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The handshake whose key is that of RFC 6455, section 1.3.
fn handshake(deflate: bool) -> ClientHandshake {
    ClientHandshake::new(*b"the sample nonce", &["chat", "x"], deflate).unwrap()
}

fn judge(handshake: &ClientHandshake, text: &str) -> Result<Agreement, AnswerError> {
    let text = text.replace('\n', "\r\n") + "\r\n\r\n";
    let mut head = ResponseHead::new();
    let read = head.read(text.as_bytes(), &Method::GET, &Rules::default());
    assert_eq!(read, Ok(Some(text.len())), "{text}");
    handshake.check(head.status(), head.fields())
}

/// The outcome for the answer with a line changed.
fn with(from: &str, to: &str) -> Result<Agreement, AnswerError> {
    assert!(ANSWER.contains(from));
    judge(&handshake(true), &ANSWER.replace(from, to))
}

/// The outcome for the answer with lines added.
fn plus(lines: &str) -> Result<Agreement, AnswerError> {
    judge(&handshake(true), &format!("{ANSWER}\n{lines}"))
}

#[test]
fn the_fields_of_the_request() {
    let fields = handshake(true).fields();
    let expected = [
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "chat, x"),
        (
            "sec-websocket-extensions",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             client_max_window_bits",
        ),
    ];
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    assert!(fields.eq(expected));
    let bare = ClientHandshake::new([0; 16], &[], false).unwrap();
    assert_eq!(bare.fields().len(), 2);
}

#[test]
fn subprotocols_are_different_tokens() {
    for names in [&["a", "a"][..], &["a b"], &[""], &["a,b"]] {
        let result = ClientHandshake::new([0; 16], names, false).map(drop);
        assert_eq!(result, Err(SubprotocolsInvalid));
    }
}

#[test]
fn answers_that_are_fine() {
    let plain = Agreement {
        subprotocol: None,
        deflate: None,
    };
    assert_eq!(judge(&handshake(true), ANSWER).as_ref(), Ok(&plain));
    assert_eq!(
        with("Connection: Upgrade", "Connection: x, upgrade").as_ref(),
        Ok(&plain)
    );
    assert_eq!(
        with("Upgrade: websocket", "Upgrade: WebSocket").as_ref(),
        Ok(&plain)
    );
    let chosen = plus("Sec-WebSocket-Protocol: x").unwrap();
    assert_eq!(chosen.subprotocol.as_deref(), Some("x"));
}

#[test]
fn answers_that_are_refused() {
    let status = StatusCode::NOT_FOUND;
    assert_eq!(
        with("101 Switching Protocols", "404"),
        Err(NotSwitched(status))
    );
    assert_eq!(with("Upgrade: websocket\n", ""), Err(UpgradeInvalid));
    assert_eq!(
        with("Upgrade: websocket", "Upgrade: h2c"),
        Err(UpgradeInvalid)
    );
    assert_eq!(plus("Upgrade: websocket"), Err(UpgradeInvalid));
    assert_eq!(with("Connection: Upgrade\n", ""), Err(ConnectionMissing));
    assert_eq!(
        with("Connection: Upgrade", "Connection: close"),
        Err(ConnectionMissing)
    );
    assert_eq!(with("s3p", "S3p"), Err(AcceptInvalid));
    assert_eq!(with("Sec-WebSocket-Accept", "X"), Err(AcceptInvalid));
    assert_eq!(
        plus("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        Err(AcceptInvalid)
    );
    for lines in [
        "y",
        "Chat",
        "chat, x",
        "chat\nSec-WebSocket-Protocol: x",
        "",
    ] {
        let result = plus(&format!("Sec-WebSocket-Protocol: {lines}"));
        assert_eq!(result, Err(SubprotocolNotOffered), "{lines}");
    }
    assert_eq!(plus("Sec-WebSocket-Extensions: a;"), Err(ExtensionsInvalid));
    assert!(NotSwitched(status).to_string().contains("404"));
}

#[test]
fn answers_about_permessage_deflate() {
    let base = "permessage-deflate; server_no_context_takeover";
    let judge_answer = |answer: String| {
        let agreement = plus(&format!("Sec-WebSocket-Extensions: {answer}"));
        agreement.map(|agreement| agreement.deflate.map(|deflate| deflate.window_bits))
    };
    for (params, window_bits) in [
        ("", 15),
        ("; client_no_context_takeover", 15),
        ("; server_max_window_bits=9", 15),
        ("; client_max_window_bits=9", 9),
    ] {
        assert_eq!(
            judge_answer(format!("{base}{params}")),
            Ok(Some(window_bits))
        );
    }
    for answer in [
        // It was offered, so a server that accepts says it, too.
        "permessage-deflate".to_owned(),
        "permessage-deflate; client_no_context_takeover".to_owned(),
        format!("{base}; client_max_window_bits"),
        format!("{base}; server_max_window_bits"),
        format!("{base}; server_max_window_bits=7"),
        format!("{base}; server_no_context_takeover"),
        format!("{base}; unknown"),
        format!("{base}, {base}"),
        "x-other".to_owned(),
    ] {
        assert_eq!(
            judge_answer(answer.clone()),
            Err(ExtensionNotOffered),
            "{answer}"
        );
    }
    let unasked = format!("{ANSWER}\nSec-WebSocket-Extensions: {base}");
    assert_eq!(judge(&handshake(false), &unasked), Err(ExtensionNotOffered));
}

#[test]
fn both_ends_understand_each_other() {
    let client = handshake(true);
    let mut text = "GET / HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: upgrade".to_owned();
    for (name, value) in client.fields() {
        text.push_str(&format!("\n{name}: {}", value.to_str().unwrap()));
    }
    let text = text.replace('\n', "\r\n") + "\r\n\r\n";
    let mut head = RequestHead::new();
    head.read(text.as_bytes(), &Rules::default())
        .unwrap()
        .unwrap();
    let server = Handshake::check(&head, &Origins::Same).unwrap();
    let acceptance = server.accept(server.choose_subprotocol(&["x"]), true);
    let mut answer = "HTTP/1.1 101\nUpgrade: websocket\nConnection: upgrade".to_owned();
    for (name, value) in acceptance.fields() {
        answer.push_str(&format!("\n{name}: {}", value.to_str().unwrap()));
    }
    let expected = Agreement {
        subprotocol: Some("x".to_owned()),
        deflate: Some(Deflate { window_bits: 15 }),
    };
    assert_eq!(judge(&client, &answer), Ok(expected));
}
