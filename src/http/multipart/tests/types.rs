//! `Content-Type` of a message, and `Content-Disposition` of a part.

use crate::http::multipart::{
    MultipartError::{self, DispositionInvalid, NameMissing},
    boundary,
    disposition::Disposition,
};

#[test]
fn the_boundary_of_a_content_type() {
    let long = "a".repeat(70);
    for (value, expected) in [
        ("multipart/form-data; boundary=abc", Some("abc")),
        ("Multipart/Form-Data;Boundary=abc;", Some("abc")),
        (
            "multipart/form-data ; charset=utf-8 ; boundary=\"a b\"",
            Some("a b"),
        ),
        // Java writes it so, although `=` would have to be quoted.
        (
            "multipart/form-data; boundary=----=_Part_0_1.2",
            Some("----=_Part_0_1.2"),
        ),
        (
            "multipart/form-data; boundary=a'()+_,-./:=?b",
            Some("a'()+_,-./:=?b"),
        ),
        (
            &format!("multipart/form-data; boundary={long}"),
            Some(&long),
        ),
        (&format!("multipart/form-data; boundary={long}a"), None),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=\"\"", None),
        ("multipart/form-data; boundary=\"a ", None),
        ("multipart/form-data; boundary=\"a \"", None),
        ("multipart/form-data; boundary=a b", None),
        ("multipart/form-data; boundary=\"a\"b", None),
        ("multipart/form-data; boundary=a\"b", None),
        ("multipart/form-data; boundary=a@b", None),
        ("multipart/form-data; boundary=\u{fc}", None),
        ("multipart/form-data; boundary=a; boundary=a", None),
        ("multipart/form-data; boundary", None),
        ("multipart/form-data; =a; boundary=a", None),
    ] {
        let found = boundary(value.as_bytes()).expect("the type is right");
        let found = found.map(|found| String::from_utf8(found.delimiter().to_vec()).unwrap());
        let expected = expected.map(|text| format!("\r\n--{text}"));
        assert_eq!(found, expected.ok_or(MultipartError::Boundary), "{value}");
    }
    for value in [
        "",
        "multipart/mixed; boundary=a",
        "text/plain",
        "multipart/form-datax",
    ] {
        assert_eq!(boundary(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn the_names_of_a_disposition() {
    for (value, name, file_name) in [
        ("form-data; name=\"a\"", "a", None),
        ("Form-Data;NAME=a;", "a", None),
        ("form-data; name=\"\"; filename=\"\"", "", Some("")),
        (
            "form-data; filename=\"b c.txt\"; name=\"a\"",
            "a",
            Some("b c.txt"),
        ),
        ("form-data; name=\"a;b\"; x=y", "a;b", None),
        ("form-data; name=\"%22%0d%0A%25\"", "\"\r\n%25", None),
        (r#"form-data; name="\"\\\a""#, "\"\\\\a", None),
        (
            r#"form-data; name=a; filename="C:\dir\b.txt""#,
            "a",
            Some("C:\\dir\\b.txt"),
        ),
        (
            "form-data; name=\"\u{fc}\"; filename=\"\u{20ac}\"",
            "\u{fc}",
            Some("\u{20ac}"),
        ),
        (
            "form-data; name=a; filename*=UTF-8'en'%e2%82%ac%20b",
            "a",
            Some("\u{20ac} b"),
        ),
        (
            "form-data; name=a; filename*=utf-8''x; filename=y",
            "a",
            Some("y"),
        ),
    ] {
        let found = Disposition::parse(value.as_bytes()).expect(value);
        assert_eq!(
            (&*found.name, found.file_name.as_deref()),
            (name, file_name),
            "{value}"
        );
    }
    let found = Disposition::parse(b"form-data; name=\"\xff\"").unwrap();
    assert_eq!(found.name, "\u{fffd}");
}

#[test]
fn a_disposition_that_two_programs_would_read_in_two_ways_is_refused() {
    for (value, error) in [
        ("form-data", NameMissing),
        ("form-data; filename=a", NameMissing),
        ("", DispositionInvalid),
        ("attachment; name=a", DispositionInvalid),
        ("form-data name=a", DispositionInvalid),
        ("form-data; name", DispositionInvalid),
        ("form-data; name=", DispositionInvalid),
        ("form-data; name=a b", DispositionInvalid),
        ("form-data; name=\"a", DispositionInvalid),
        ("form-data; name=\"a\\\"", DispositionInvalid),
        ("form-data; name=\"a\" b", DispositionInvalid),
        ("form-data; name =a", DispositionInvalid),
        ("form-data; name=a; name=a", DispositionInvalid),
        ("form-data; name=a; Name=b", DispositionInvalid),
        (
            "form-data; name=a; filename=b; filename=b",
            DispositionInvalid,
        ),
        ("form-data; name=a; filename*=latin1''b", DispositionInvalid),
        ("form-data; name=a; filename*=b", DispositionInvalid),
        ("form-data; name=a;; x=y", DispositionInvalid),
    ] {
        assert_eq!(Disposition::parse(value.as_bytes()), Err(error), "{value}");
    }
}
