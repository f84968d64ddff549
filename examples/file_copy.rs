//! Copies a file, reading the next piece while the last one is written.
//!
//! ```text
//! cargo run --release --example file_copy -- Cargo.toml target/copy.toml
//! ```
//!
//! It prints how much was copied. The copy is on its device when the program ends; one that failed
//! is not there at all.

use std::{env, io, path::Path};

use annulus::{fs::File, future::join};

#[path = "shared/partial.rs"]
mod partial;
#[path = "shared/plain.rs"]
mod plain;

const PIECE_BYTES: usize = 256 * 1024;

fn main() -> plain::Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [from, to] = &arguments[..] else {
        plain::usage("file_copy FROM TO");
    };
    let copied = annulus::run(copy(from, to))?;
    plain::say(format_args!("{copied} bytes copied"));
    Ok(())
}

async fn copy(from: &str, to: &str) -> io::Result<u64> {
    let source = File::open(from).await?;
    let target = partial::Partial::create(Path::new(to)).await?;
    let mut offset = 0;
    let mut spare = Vec::with_capacity(PIECE_BYTES);
    let (mut count, mut piece) = source.read_at(Vec::with_capacity(PIECE_BYTES), 0).await?;
    while count > 0 {
        let next_offset = offset + count as u64;
        let (written, read) = join(
            target.file.write_all_at(piece, offset),
            source.read_at(spare, next_offset),
        )
        .await;
        spare = written?;
        (count, piece) = read?;
        offset = next_offset;
    }
    target.finish().await?;
    Ok(offset)
}
