//! What does an echoed message of 64 bytes cost, beside tokio and a bare epoll loop?
//!
//! ```text
//! cargo bench --bench echo
//! ```
//!
//! Server and load have a thread and, where there are two, a core each. The load is the same for
//! all: blocking sockets, one message on each of them, then all the answers. With many connections
//! it has about as much to do as the server, so the server's own CPU time tells more than the time
//! that passed.
//!
//! Each sample measures all servers in turn; `shared/rounds.rs` tells how. The table and the plot
//! of their ratios are written to `target/comparison/echo.md` and `target/comparison/echo.svg`.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml` compares with monoio and compio too;
//! `micro.rs` says why they are not here.

#[path = "shared/clock.rs"]
mod clock;
mod comparison;
#[path = "shared/cores.rs"]
mod cores;
#[path = "shared/epoll.rs"]
mod epoll;
#[path = "shared/rounds.rs"]
mod rounds;
#[path = "shared/echo.rs"]
mod work;

use std::time::Duration;

use criterion::Criterion;

use rounds::Rounds;
use work::{Serve, compare, has_ring, serve_on_poll, serve_on_ring, serve_on_tokio};

fn main() {
    let mut servers: Vec<(&str, Serve)> = Vec::new();
    if has_ring() {
        servers.push(("annulus, ring", serve_on_ring));
    }
    servers.push(("annulus, poll", serve_on_poll));
    servers.push(("tokio", serve_on_tokio));
    servers.push(("bare epoll", epoll::serve));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut rounds = Rounds::new();
    compare(&mut rounds, &mut criterion, &servers);
    criterion.final_summary();
    rounds.finish("echo");
}
