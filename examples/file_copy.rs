//! Copies a file, reading the next piece while the last one is written.
//!
//! ```text
//! cargo run --release --example file_copy -- Cargo.toml target/copy.toml
//! ```
//!
//! It prints how much was copied. The copy is on its device when the program ends.

use std::{env, io};

use annulus::{fs::File, future::join};

const PIECE_BYTES: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let (Some(from), Some(to)) = (env::args().nth(1), env::args().nth(2)) else {
        eprintln!("usage: file_copy FROM TO");
        std::process::exit(2);
    };
    let copied = annulus::run(copy(&from, &to))?;
    println!("{copied} bytes copied");
    Ok(())
}

async fn copy(from: &str, to: &str) -> io::Result<u64> {
    let source = File::open(from).await?;
    let target = File::create(to).await?;
    let mut offset = 0;
    let mut spare = Vec::with_capacity(PIECE_BYTES);
    let (mut count, mut piece) = source.read_at(Vec::with_capacity(PIECE_BYTES), 0).await?;
    while count > 0 {
        let next_offset = offset + count as u64;
        let (written, read) = join(
            target.write_all_at(piece, offset),
            source.read_at(spare, next_offset),
        )
        .await;
        spare = written?;
        (count, piece) = read?;
        offset = next_offset;
    }
    target.sync_all().await?;
    target.close().await?;
    Ok(offset)
}
