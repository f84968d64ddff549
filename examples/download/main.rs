//! Downloads a file in parts, several at a time, each written to its place.
//!
//! ```text
//! cargo run --release --example download http://127.0.0.1:8080/large.bin large.bin [parts]
//! ```

mod part;

use std::{env, io, rc::Rc};

use annulus::{
    fs::File,
    http::{Client, client::Url},
    task::JoinSet,
};

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let (Some(url), Some(path)) = (args.next(), args.next()) else {
        return Err(io::Error::other("expected a URL and the name of a file"));
    };
    let parts: u64 = args
        .next()
        .map_or(Ok(4), |parts| parts.parse())
        .map_err(io::Error::other)?;
    let url = Url::parse(&url)?;
    annulus::run(async {
        let client = Client::new();
        let Some(len) = part::length(&client, &url).await? else {
            let response = client
                .get(&url)
                .decompress(false)
                .timeout(None)
                .send()
                .await?;
            let copied = response.error_for_status()?.copy_to(&path).await?;
            println!("{copied} bytes in one part");
            return Ok(());
        };
        let file = Rc::new(File::create(&path).await?);
        let mut tasks = JoinSet::new();
        let step = len.div_ceil(parts.max(1));
        for start in (0..len).step_by(step as usize) {
            let end = len.min(start + step);
            tasks.spawn(part::get(
                client.clone(),
                url.clone(),
                Rc::clone(&file),
                start,
                end,
            ));
        }
        let mut copied = 0;
        while let Some(result) = tasks.join_next().await {
            copied += result.map_err(io::Error::other)??;
        }
        println!("{copied} of {len} bytes");
        Ok(())
    })
}
