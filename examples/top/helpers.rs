//! The table of the helper threads.

pub(crate) fn write(out: &mut String, change: &crate::change::Change<'_>) {
    out.push('\n');
    crate::frame::row(
        out,
        "HELPER THREADS",
        &crate::frame::texts(["threads", "idle", "queued", "waited"]),
    );
    for work in ["calls", "names", "files"] {
        let sum = |name| change.now.sum(name, &[("work", work)]);
        let cells = [
            crate::words::short(sum("annulus_helper_threads")),
            crate::words::short(sum("annulus_helper_threads_idle")),
            crate::words::short(sum("annulus_helper_queue")),
            crate::words::time(sum("annulus_helper_oldest_wait_seconds")),
        ];
        crate::frame::row(out, work, &cells);
    }
}
