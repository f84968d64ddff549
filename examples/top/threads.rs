//! The table of the threads.

pub(crate) fn write(out: &mut String, change: &crate::change::Change<'_>) {
    let heads = [
        "cpu %", "busy %", "turns/s", "polls/s", "batch", "tasks", "timers", "flying", "buffers",
        "p99 poll", "longest",
    ];
    crate::frame::row(out, "THREAD", &crate::frame::texts(heads));
    for (labels, is_up) in change.now.of("annulus_runtime_up", &[]) {
        let label = |name: &str| labels.get(name).map_or("", |text| &**text);
        let own = [("runtime", label("runtime"))];
        if is_up == 0.0 {
            crate::frame::row(out, label("thread"), &crate::frame::texts(["stuck"]));
            continue;
        }
        let sum = |name| change.now.sum(name, &own);
        let enters = change.rate("annulus_enters_total", &own);
        let batch = change.rate("annulus_completions_total", &own) / enters.max(1e-9);
        let cells = [
            crate::words::percent(change.rate("annulus_thread_cpu_seconds_total", &own)),
            crate::change::measured(change, "annulus_busy_seconds_total", &own, |name| {
                crate::words::percent(change.rate(name, &own))
            }),
            crate::words::short(change.rate("annulus_turns_total", &own)),
            crate::words::short(change.rate("annulus_polls_total", &own)),
            format!("{batch:.1}"),
            crate::words::short(sum("annulus_tasks")),
            crate::words::short(sum("annulus_timers")),
            crate::words::short(sum("annulus_operations_in_flight")),
            format!(
                "{}/{}",
                sum("annulus_receive_buffers_free"),
                sum("annulus_receive_buffers")
            ),
            crate::change::measured(change, "annulus_poll_seconds_count", &own, |_| {
                crate::change::percentile(change, &own)
            }),
            crate::change::measured(change, "annulus_longest_poll_seconds", &own, |name| {
                crate::words::time(sum(name))
            }),
        ];
        crate::frame::row(out, label("thread"), &cells);
    }
}
