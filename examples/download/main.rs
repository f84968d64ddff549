//! Downloads a file in parts, several at a time, each written to its place.
//!
//! ```text
//! cargo run --release --example download http://127.0.0.1:8080/large.bin large.bin [parts]
//! ```

mod part;
#[path = "../shared/partial.rs"]
mod partial;
#[path = "../shared/plain.rs"]
mod plain;

use std::{env, path::Path, rc::Rc};

use annulus::{
    http::{Client, client::Url},
    task::JoinSet,
};

fn main() -> plain::Result {
    let mut args = env::args().skip(1);
    let (url, path) = (args.next(), args.next());
    let parts = args.next().map_or(Ok(4_u64), |parts| parts.parse());
    let (Some(url), Some(path), Ok(parts), None) = (url, path, parts, args.next()) else {
        plain::usage("download URL FILE [PARTS]");
    };
    let url = Url::parse(&url)?;
    annulus::run(async {
        let client = Client::new();
        let target = partial::Partial::create(Path::new(&path)).await?;
        let Some(len) = part::length(&client, &url).await? else {
            let copied = part::whole(&client, &url, &target.file).await?;
            target.finish().await?;
            plain::say(format_args!("{copied} bytes in one part"));
            return Ok(());
        };
        let mut tasks = JoinSet::new();
        let step = len.div_ceil(parts.max(1));
        for start in (0..len).step_by(step as usize) {
            let end = len.min(start + step);
            let (client, url, file) = (client.clone(), url.clone(), Rc::clone(&target.file));
            tasks.spawn(part::get(client, url, file, start, end));
        }
        let mut copied = 0;
        while let Some(result) = tasks.join_next().await {
            copied += result??;
        }
        target.finish().await?;
        plain::say(format_args!("{copied} of {len} bytes"));
        Ok(())
    })
}
