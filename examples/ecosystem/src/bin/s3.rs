//! Objects of an S3 server, by Amazon's SDK in a context of tokio.
//!
//! ```text
//! export AWS_ACCESS_KEY_ID=id AWS_SECRET_ACCESS_KEY=secret
//! cargo run --features aws --bin s3 -- http://127.0.0.1:9000 notes put today today.txt
//! cargo run --features aws --bin s3 -- http://127.0.0.1:9000 notes list
//! cargo run --features aws --bin s3 -- http://127.0.0.1:9000 notes get today
//! ```
//!
//! A build of the SDK takes two minutes, so that it is a feature of this package.

use std::{
    env,
    error::Error,
    io::{self, Write as _},
};

use annulus::compat::in_tokio;
use aws_sdk_s3::{Client, config::Credentials, primitives::ByteStream};
use ecosystem::s3::client;

async fn list(client: &Client, bucket: &str) -> Result<(), Box<dyn Error>> {
    let request = client.list_objects_v2().bucket(bucket);
    let mut pages = request.into_paginator().send();
    while let Some(page) = pages.next().await {
        for object in page?.contents() {
            let (size, key) = (object.size().unwrap_or(0), object.key().unwrap_or(""));
            println!("{size:>12} {key}");
        }
    }
    Ok(())
}

/// Writes the object to the standard output as it comes.
async fn get(client: &Client, bucket: &str, key: &str) -> Result<(), Box<dyn Error>> {
    let mut object = client.get_object().bucket(bucket).key(key).send().await?;
    while let Some(piece) = object.body.next().await {
        io::stdout().write_all(&piece?)?;
    }
    Ok(())
}

/// Sends a file as it is read.
async fn put(client: &Client, bucket: &str, key: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let body = ByteStream::from_path(file).await?;
    let request = client.put_object().bucket(bucket).key(key).body(body);
    request.send().await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [url, bucket, command, rest @ ..] = &words[..] else {
        return Err("usage: s3 URL BUCKET list | get KEY | put KEY FILE".into());
    };
    let [id, secret] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(env::var);
    let client = client(
        url,
        Credentials::new(id?, secret?, None, None, "environment"),
    );
    annulus::run(in_tokio(async {
        match (*command, rest) {
            ("list", []) => list(&client, bucket).await,
            ("get", [key]) => get(&client, bucket, key).await,
            ("put", [key, file]) => put(&client, bucket, key, file).await,
            _ => Err("expected list, get KEY or put KEY FILE".into()),
        }
    }))
}
