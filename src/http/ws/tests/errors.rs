//! The names and the sentences of errors.

use std::collections::BTreeSet;

use ::http::StatusCode;

use crate::http::ws::{
    AnswerError, CloseCode,
    FrameError::{self, *},
    HandshakeError,
};

const FRAME_ERRORS: [FrameError; 17] = [
    ReservedBits,
    OpcodeReserved,
    Unmasked,
    Masked,
    ControlTooLong,
    ControlFragmented,
    LengthNotMinimal,
    LengthTooLarge,
    ContinuationUnexpected,
    ContinuationMissing,
    MessageTooLarge,
    TooManyFragments,
    TextNotUtf8,
    CloseTooShort,
    CloseCodeInvalid,
    CloseReasonNotUtf8,
    DeflateInvalid,
];

const HANDSHAKE_ERRORS: [HandshakeError; 12] = [
    HandshakeError::NotAnUpgrade,
    HandshakeError::MethodNotGet,
    HandshakeError::HttpVersion,
    HandshakeError::ConnectionMissing,
    HandshakeError::VersionMissing,
    HandshakeError::VersionUnsupported,
    HandshakeError::KeyMissing,
    HandshakeError::KeyInvalid,
    HandshakeError::Content,
    HandshakeError::SubprotocolsInvalid,
    HandshakeError::ExtensionsInvalid,
    HandshakeError::OriginForeign,
];

const ANSWER_ERRORS: [AnswerError; 7] = [
    AnswerError::NotSwitched(StatusCode::OK),
    AnswerError::UpgradeInvalid,
    AnswerError::ConnectionMissing,
    AnswerError::AcceptInvalid,
    AnswerError::SubprotocolNotOffered,
    AnswerError::ExtensionsInvalid,
    AnswerError::ExtensionNotOffered,
];

fn check(texts: impl ExactSizeIterator<Item = (&'static str, String)>) {
    let count = texts.len();
    let (names, sentences): (BTreeSet<_>, BTreeSet<_>) = texts.unzip();
    assert_eq!((names.len(), sentences.len()), (count, count));
    for sentence in &sentences {
        assert!(sentence.starts_with("expected "), "{sentence}");
        assert!(sentence.contains(", found "), "{sentence}");
    }
}

#[test]
fn each_has_a_name_and_a_sentence_of_its_own() {
    check(
        FRAME_ERRORS
            .iter()
            .map(|error| (error.as_str(), error.to_string())),
    );
    check(
        HANDSHAKE_ERRORS
            .iter()
            .map(|error| (error.message(), error.to_string())),
    );
    check(
        ANSWER_ERRORS
            .iter()
            .map(|error| (error.message(), error.to_string())),
    );
}

#[test]
fn close_codes_have_their_numbers() {
    let codes = [
        (CloseCode::NORMAL, 1000),
        (CloseCode::GOING_AWAY, 1001),
        (CloseCode::PROTOCOL_ERROR, 1002),
        (CloseCode::UNSUPPORTED_DATA, 1003),
        (CloseCode::INVALID_PAYLOAD, 1007),
        (CloseCode::POLICY_VIOLATION, 1008),
        (CloseCode::MESSAGE_TOO_BIG, 1009),
        (CloseCode::EXTENSION_MISSING, 1010),
        (CloseCode::INTERNAL_ERROR, 1011),
        (CloseCode::SERVICE_RESTART, 1012),
        (CloseCode::TRY_AGAIN_LATER, 1013),
        (CloseCode::BAD_GATEWAY, 1014),
    ];
    for (code, number) in codes {
        assert_eq!(CloseCode::new(number), Some(code));
        assert_eq!(code.to_string(), number.to_string());
    }
    for error in FRAME_ERRORS {
        assert!(codes.iter().any(|(code, _)| *code == error.close_code()));
    }
}
