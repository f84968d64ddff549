//! Prints how far a transfer has come.

/// Shows it on one line of standard error.
pub(crate) fn show(received: u64, total: Option<u64>) {
    match total {
        Some(total) => {
            let done = (received * 40 / total.max(1)) as usize;
            let bar = "#".repeat(done);
            crate::plain::note(format_args!("\r[{bar:40}] {received} of {total}"));
        }
        None => crate::plain::note(format_args!("\r{received}")),
    }
}
