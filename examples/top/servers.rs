//! The table of the servers, by their threads.

pub(crate) fn write(out: &mut String, change: &crate::change::Change<'_>) {
    const PHASES: [&str; 7] = [
        "idle", "head", "handler", "body", "writing", "tunnel", "closing",
    ];
    let name = "annulus_http_requests_total";
    if !change.now.has(name, &[]) {
        return;
    }
    let heads = crate::frame::texts(["requests/s", "accepts/s", "refused/s"]);
    let heads: Vec<String> = heads
        .into_iter()
        .chain(crate::frame::texts(PHASES))
        .collect();
    out.push('\n');
    crate::frame::row(out, "SERVER AND THREAD", &heads);
    for (labels, _) in change.now.of(name, &[]) {
        let label = |name: &str| labels.get(name).map_or("", |text| &**text);
        let own = [("server", label("server")), ("thread", label("thread"))];
        let mut cells = vec![
            crate::words::short(change.rate(name, &own)),
            crate::words::short(change.rate("annulus_http_connections_accepted_total", &own)),
            crate::words::short(change.rate("annulus_http_refusals_total", &own)),
        ];
        for phase in PHASES {
            let wanted = [own[0], own[1], ("phase", phase)];
            cells.push(crate::words::short(
                change.now.sum("annulus_http_connections", &wanted),
            ));
        }
        crate::frame::row(out, &format!("{} {}", own[0].1, own[1].1), &cells);
    }
}
