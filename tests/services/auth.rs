//! Users with passwords, and tokens.

use annulus::http::{
    self, Request, Router,
    layers::{BasicAuth, BasicUser, BearerAuth},
    test::TestClient,
};

use crate::{field, run, status_with};

async fn user(request: Request) -> http::Result<String> {
    let user = request.extensions().require::<BasicUser>()?;
    Ok(user.name().to_owned())
}

#[test]
fn only_users_with_their_passwords_pass() {
    run(async {
        let auth = BasicAuth::new("the \"office\"")
            .user("ada", "secret")
            .user("bob", "pass:word")
            .user("nil", "")
            .check(|name, password| name == "eve" && password == "\u{e9}");
        let client = TestClient::new(Router::new().get("/", user).layer(auth));
        for (credentials, expected) in [
            // ada:secret, bob:pass:word, nil:, eve:é
            ("Basic YWRhOnNlY3JldA==", Some("ada")),
            ("bAsIc   YWRhOnNlY3JldA==", Some("ada")),
            ("Basic Ym9iOnBhc3M6d29yZA==", Some("bob")),
            ("Basic bmlsOg==", Some("nil")),
            ("Basic ZXZlOsOp", Some("eve")),
            // bob:secret, ada:secre, ada, :, no UTF-8
            ("Basic Ym9iOnNlY3JldA==", None),
            ("Basic YWRhOnNlY3Jl", None),
            ("Basic YWRh", None),
            ("Basic Og==", None),
            ("Basic YWRhOv8=", None),
            ("Basic YWRhOnNlY3JldA", None),
            ("Basic", None),
            ("Basic ", None),
            ("BasicYWRhOnNlY3JldA==", None),
            ("Bearer YWRhOnNlY3JldA==", None),
            ("", None),
        ] {
            let response = status_with(&client, &[("authorization", credentials)]).await?;
            match expected {
                Some(name) => assert_eq!(response.text().await?, name, "{credentials}"),
                None => {
                    assert_eq!(response.status(), 401, "{credentials}");
                    assert_eq!(
                        field(&response, "www-authenticate"),
                        Some("Basic realm=\"the \\\"office\\\"\", charset=\"UTF-8\"")
                    );
                }
            }
        }
        let right = ("authorization", "Basic YWRhOnNlY3JldA==");
        assert_eq!(status_with(&client, &[right, right]).await?.status(), 401);
        assert_eq!(status_with(&client, &[]).await?.status(), 401);
        Ok(())
    });
}

#[test]
#[should_panic(expected = "expected a user without a colon")]
fn a_user_that_no_client_can_send_is_refused_at_the_start() {
    let _ = BasicAuth::new("a").user("a:b", "c");
}

#[test]
fn only_known_tokens_pass() {
    run(async {
        let auth = BearerAuth::new()
            .token("one")
            .token("two")
            .check(|token, request| {
                token == "three" && request.extensions().insert(3_u8).is_none()
            });
        let client = TestClient::new(Router::new().get("/", crate::hello).layer(auth));
        for (credentials, status) in [
            ("Bearer one", 200),
            ("bearer two", 200),
            ("Bearer three", 200),
            ("Bearer  one", 200),
            ("Bearer ones", 401),
            ("Bearer on", 401),
            ("Bearer One", 401),
            ("Bearer ", 401),
            ("Bearer", 401),
            ("Basic one", 401),
            ("one", 401),
        ] {
            let response = status_with(&client, &[("authorization", credentials)]).await?;
            assert_eq!(response.status(), status, "{credentials}");
            let challenge = (status == 401).then_some("Bearer error=\"invalid_token\"");
            assert_eq!(field(&response, "www-authenticate"), challenge);
        }
        let response = status_with(&client, &[]).await?;
        assert_eq!(field(&response, "www-authenticate"), Some("Bearer"));
        Ok(())
    });
}

#[test]
fn a_layer_without_tokens_or_users_lets_no_request_through() {
    run(async {
        let router = || Router::new().get("/", crate::hello);
        let client = TestClient::new(router().layer(BearerAuth::new()));
        let empty = [("authorization", "Bearer  ")];
        assert_eq!(status_with(&client, &empty).await?.status(), 401);
        let client = TestClient::new(router().layer(BasicAuth::new("a")));
        let empty = [("authorization", "Basic Og==")];
        assert_eq!(status_with(&client, &empty).await?.status(), 401);
        Ok(())
    });
}
