//! Amazon's SDK for S3, unmodified, in a context of tokio, against a scripted server on both
//! drivers.

use std::{process::Command, time::Duration};

use annulus::{DriverKind, Runtime, blocking, compat::in_tokio, stats, task::JoinSet, time};
use aws_sdk_s3::{
    Client,
    config::{Credentials, timeout::TimeoutConfig},
    error::SdkError,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use ecosystem::{s3, scripted_s3};

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(100);

/// Runs a test on a runtime of each driver, with a server of its own.
fn on_each_driver(test: impl AsyncFn(Client, &str)) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        let bounded = async {
            let url = format!("http://{}", scripted_s3::start().await.unwrap());
            let credentials = Credentials::new("id", "secret", None, None, "test");
            let client = s3::client(&url, credentials);
            let test = in_tokio(async { test(client, &url).await });
            time::timeout(BOUND, test).await
        };
        runtime.block_on(bounded).expect("the test does not hang");
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

async fn put(client: &Client, key: &str, body: Vec<u8>) {
    let request = client.put_object().bucket("notes").key(key);
    request.body(ByteStream::from(body)).send().await.unwrap();
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let object = client.get_object().bucket("notes").key(key).send().await;
    let body = object.unwrap().body.collect().await.unwrap();
    body.to_vec()
}

#[test]
fn objects_are_written_listed_read_and_deleted_by_many_tasks() {
    on_each_driver(async |client, _| {
        let before = stats().tokio.contexts;
        let mut tasks = JoinSet::new();
        for task in 0..16_usize {
            let client = client.clone();
            tasks.spawn(in_tokio(async move {
                for round in 0..4 {
                    let (key, body) = (format!("{task:02}-{round}"), pattern(1000 * task + round));
                    put(&client, &key, body.clone()).await;
                    assert!(get(&client, &key).await == body);
                }
            }));
        }
        while let Some(joined) = tasks.join_next().await {
            joined.unwrap();
        }
        assert!(stats().tokio.contexts > before + 16);
        let list = client.list_objects_v2().bucket("notes").max_keys(10);
        let mut pages = list.into_paginator().send();
        let (mut page_count, mut keys) = (0, Vec::new());
        while let Some(page) = pages.next().await {
            page_count += 1;
            let page = page.unwrap();
            keys.extend(
                page.contents()
                    .iter()
                    .map(|object| object.key().unwrap().to_owned()),
            );
        }
        assert_eq!((page_count, keys.len()), (7, 64));
        assert!(keys.is_sorted());
        let delete = client.delete_object().bucket("notes").key("00-0");
        delete.send().await.unwrap();
        let gone = client.get_object().bucket("notes").key("00-0").send().await;
        assert!(gone.unwrap_err().into_service_error().is_no_such_key());
    });
}

#[test]
fn a_large_object_goes_up_in_parts_and_comes_as_a_stream() {
    on_each_driver(async |client, _| {
        let (bucket, key) = ("notes", "large");
        let begun = client.create_multipart_upload().bucket(bucket).key(key);
        let begun = begun.send().await.unwrap();
        let upload = begun.upload_id().unwrap();
        let whole = pattern(24 << 20);
        let mut parts = Vec::new();
        for (number, part) in (1..).zip(whole.chunks(8 << 20)) {
            let request = client.upload_part().bucket(bucket).key(key);
            let request = request.upload_id(upload).part_number(number);
            let sent = request.body(part.to_vec().into()).send().await.unwrap();
            let part = CompletedPart::builder().part_number(number);
            parts.push(part.set_e_tag(sent.e_tag).build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let complete = client.complete_multipart_upload().bucket(bucket).key(key);
        let complete = complete.upload_id(upload).multipart_upload(parts.build());
        complete.send().await.unwrap();
        assert!(get(&client, key).await == whole);
        // One that is dropped after a piece costs the others nothing.
        let object = client.get_object().bucket(bucket).key(key).send().await;
        let mut body = object.unwrap().body;
        assert!(!body.next().await.unwrap().unwrap().is_empty());
        drop(body);
        put(&client, "small", b"after it".to_vec()).await;
        assert_eq!(get(&client, "small").await, b"after it");
    });
}

#[test]
fn its_retries_and_time_limits_work() {
    on_each_driver(async |client, _| {
        put(&client, "flaky", b"in the end".to_vec()).await;
        assert_eq!(get(&client, "flaky").await, b"in the end");
        let limit = TimeoutConfig::builder().operation_timeout(Duration::from_millis(50));
        let config = client.config().to_builder().timeout_config(limit.build());
        let limited = Client::from_conf(config.build());
        let never = limited
            .get_object()
            .bucket("notes")
            .key("never")
            .send()
            .await;
        assert!(matches!(never, Err(SdkError::TimeoutError(_))), "{never:?}");
    });
}

#[test]
fn the_program_sends_lists_and_reads_objects() {
    on_each_driver(async |_, url| {
        let url = url.to_owned();
        let run = move |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_s3"));
            command.args([&url, "notes"]).args(words);
            command.envs([
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
            ]);
            command.output().unwrap()
        };
        // This thread goes on with its server meanwhile.
        blocking::run(move || {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/s3.rs");
            let put = run(&["put", "program", source]);
            assert!(put.status.success(), "{put:?}");
            let text = std::fs::read(source).unwrap();
            let listed = String::from_utf8(run(&["list"]).stdout).unwrap();
            assert_eq!(listed.trim(), format!("{} program", text.len()));
            assert!(run(&["get", "program"]).stdout == text);
            let missing = run(&["get", "other"]);
            assert!(!missing.status.success());
            let nonsense = run(&["nonsense"]);
            let told = String::from_utf8(nonsense.stderr).unwrap();
            assert!(
                told.contains("expected list, get KEY or put KEY FILE"),
                "{told}"
            );
        })
        .await;
    });
}
