//! A whole service: TLS, HTTP/2, layers, typed JSON, tokens, files, metrics, health and its stop.
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
//!     -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost
//! cargo run --release --features compress,http2,json,tls --example api -- cert.pem key.pem secret
//! alias ask='curl --cacert cert.pem -H "Authorization: Bearer secret"'
//! ask https://localhost:8443/
//! ask -H 'Content-Type: application/json' -d '{"text":"milk"}' https://localhost:8443/api/notes
//! ask 'https://localhost:8443/api/notes?text=mi&page=1'
//! curl http://127.0.0.1:9090/metrics       # and /livez, /readyz
//! ```
//!
//! The arguments are a certificate, its key, the token of clients, and then the ports of the
//! service and of its operation (8443 and 9090 by default) and the folder of its pages. `SIGHUP`
//! reads the certificate again, and so does a change of its files. `SIGTERM` and ctrl-c stop it:
//! `/readyz` answers 503 from then on, and requests that have begun may take ten seconds.

use annulus::{
    Workers,
    http::{Access, Report, Server},
};

#[path = "api/notes.rs"]
mod notes;
#[path = "shared/plain.rs"]
mod plain;
#[path = "api/routes.rs"]
mod routes;
#[path = "api/settings.rs"]
mod settings;
#[path = "api/stopping.rs"]
mod stopping;
#[path = "api/working.rs"]
mod working;

fn main() -> plain::Result {
    let settings = settings::read()?;
    let (workers, tls) = (Workers::builder(), settings.tls()?);
    let count = workers.worker_count();
    let service = Server::new()
        .listen_tls(settings.addr, &tls)
        .on_listening(|addr| plain::say(format_args!("listening on https://{addr}/")))
        .access_log(|access: &Access<'_>| plain::say(access.json()))
        .on_refusal(|refusal| refusal.to_problem())
        .share(count)?;
    let operation = Server::new()
        .listen(settings.operation_addr)
        .on_listening(|addr| plain::say(format_args!("operated on http://{addr}/")))
        .share(count)?;
    let servers = working::Servers {
        service,
        operation,
        tls,
    };
    let workers = workers.start(async move |worker| servers.serve(worker, &settings).await)?;
    let reports = stopping::wait(workers)?;
    plain::say(reports.into_iter().flatten().sum::<Report>());
    Ok(())
}
