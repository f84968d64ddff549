//! What do large bodies, short connections, a browser's head, half of the load and idle connections
//! cost an HTTP server, beside hyper on tokio?
//!
//! ```text
//! cargo bench --manifest-path benches/peers/Cargo.toml --bench http -- \
//!     transfer|churn|head|pace|idle [--rounds 7] [--only NAME,NAME] [--base NAME] \
//!     [--also 'NAME=COMMAND {port}']
//! ```
//!
//! - `transfer`: CPU time of the server for a GiB over one connection: up, down in pieces of 64
//!   KiB, down from a file that is cached. `hyper` has buffers of 64 KiB, `hyper-default` those
//!   that it chooses itself, up to some 400 KiB.
//! - `churn`: CPU time for a connection with one request, with `Connection: close` and without.
//! - `head`: CPU time for a request with a bare head, and with that of a browser, 14 fields of
//!   which the handler reads three.
//! - `pace`: the slowest of a hundred answers at half of the highest rate of `hyper`, counted from
//!   the moment at which the request was due.
//! - `idle`: memory of 10,000 idle connections, before and after all of them were active at once,
//!   and after a million requests.
//!
//! Each server is a process on a core of its own, the load on another. Rounds go through all
//! servers; ratios are those of a round, to `hyper` or the server that `--base` names. The tables
//! and a plot of the ratios are written to `benches/peers/target/comparison`. Each `--also` adds a
//! server that answers `Hello, World!` on 127.0.0.1, for `churn` and `pace`, and after that a blank
//! and the length of `User-Agent`, `Accept-Language` and `Cookie` together, for `head`.

#[path = "../../comparison/mod.rs"]
mod comparison;
#[path = "../../shared/cores.rs"]
mod cores;
mod load;
mod process;
mod servers;

use std::{env, path::Path};

use comparison::{Comparison, Quartiles, machine::Machine, order, tables, write};
use process::Process;

/// Who is measured: a name, and the command that serves on a port.
#[derive(Clone)]
struct Candidate {
    name: String,
    command: Vec<String>,
}

/// A comparison for each kind of figure.
struct Table {
    base: String,
    comparisons: Vec<Comparison>,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [role, name, port] = &arguments[..] {
        if role == "serve" {
            return servers::serve(name, port.parse().expect("a port is a number"));
        }
    }
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let rounds: usize = option("--rounds").map_or(7, |text| text.parse().expect("a number"));
    let cores = cores::usable_cores();
    cores::pin_to(cores[0]);
    let what = arguments.first().map_or("transfer", String::as_str);
    let mut candidates = candidates(what);
    for at in 1..arguments.len() {
        let also = arguments[at].split_once('=');
        if let (true, Some((name, command))) = (arguments[at - 1] == "--also", also) {
            candidates.push(Candidate {
                name: name.to_owned(),
                command: command.split_whitespace().map(str::to_owned).collect(),
            });
        }
    }
    if let Some(only) = option("--only") {
        candidates.retain(|candidate| only.split(',').any(|name| name == candidate.name));
    }
    let mut table = Table {
        base: option("--base").unwrap_or_else(|| "hyper".to_owned()),
        comparisons: Vec::new(),
    };
    let mut machine = Machine::of_now();
    let mut pace = None;
    for round in 0..rounds {
        for index in order(round, candidates.len()) {
            let candidate = &candidates[index];
            let server = Process::start(&candidate.command, cores[cores.len() - 1]);
            match what {
                "transfer" => transfer(&server, &candidate.name, &mut table),
                "churn" => churn(&server, &candidate.name, &mut table),
                "head" => head(&server, &candidate.name, &mut table),
                "pace" => measure_pace(&server, &candidate.name, &mut table, &mut pace),
                "idle" => idle(&server, &candidate.name, &mut table),
                other => panic!("expected transfer, churn, head, pace or idle, found {other}"),
            }
        }
    }
    machine.end();
    table.finish(&format!("http_{what}"), &machine);
}

fn candidates(what: &str) -> Vec<Candidate> {
    let this = env::current_exe().expect("this program has a path");
    let names: &[&str] = match what {
        "transfer" => &["hyper", "hyper-default", "tokio", "annulus"],
        "idle" => &["annulus"],
        _ => &["hyper", "annulus"],
    };
    let candidate = |name: &&str| {
        let this = this.display().to_string();
        let command = [&this, "serve", *name, "{port}"].map(str::to_owned);
        Candidate {
            name: (*name).to_owned(),
            command: command.to_vec(),
        }
    };
    names.iter().map(candidate).collect()
}

const GIB: u64 = 1 << 30;

fn transfer(server: &Process, name: &str, table: &mut Table) {
    let mut measure = |what: &str, run: &dyn Fn()| {
        let before = server.cpu_seconds();
        run();
        table.add(what, name, (server.cpu_seconds() - before) * 1e3);
    };
    load::upload(server.port, GIB / 8, false);
    measure("CPU ms for a GiB up", &|| {
        load::upload(server.port, GIB, false)
    });
    measure("CPU ms for a GiB up in chunks", &|| {
        load::upload(server.port, GIB, true);
    });
    load::download(server.port, "/down", GIB);
    measure("CPU ms for a GiB down", &|| {
        load::download(server.port, "/down", GIB)
    });
    if name == "annulus" {
        load::download(server.port, "/file", GIB);
        measure("CPU ms for a GiB down, from a file", &|| {
            load::download(server.port, "/file", GIB);
        });
    }
}

fn churn(server: &Process, name: &str, table: &mut Table) {
    const COUNT: u64 = 40_000;
    load::churn(server.port, COUNT / 8, true);
    for (what, close) in [
        ("CPU us for a connection, close", true),
        ("CPU us for a connection, client closes", false),
    ] {
        let before = server.cpu_seconds();
        load::churn(server.port, COUNT, close);
        let seconds = server.cpu_seconds() - before;
        table.add(what, name, seconds * 1e6 / COUNT as f64);
    }
}

fn head(server: &Process, name: &str, table: &mut Table) {
    const COUNT: u64 = 150_000;
    for (what, browser) in [
        ("CPU us for a request, bare", false),
        ("CPU us for a request, a browser's", true),
    ] {
        load::ask(server.port, COUNT / 5, browser);
        let before = server.cpu_seconds();
        load::ask(server.port, COUNT, browser);
        let seconds = server.cpu_seconds() - before;
        table.add(what, name, seconds * 1e6 / COUNT as f64);
    }
}

fn measure_pace(server: &Process, name: &str, table: &mut Table, pace: &mut Option<f64>) {
    let highest = load::pace(server.port, f64::INFINITY, 2.0);
    table.add("highest rate, requests/s", name, highest.rate);
    let half = *pace.get_or_insert(highest.rate / 2.0);
    // What else runs on this machine spoils some windows, and not the median of them.
    let windows: Vec<load::Paced> = (0..20)
        .map(|_| load::pace(server.port, half, 0.2))
        .collect();
    let median = |figure: fn(&load::Paced) -> f64| {
        let figures: Vec<f64> = windows.iter().map(figure).collect();
        Quartiles::of(&figures).expect("there are windows").median
    };
    table.add("rate kept", name, median(|paced| paced.rate));
    table.add(
        "p50 us at half of the rate",
        name,
        median(|paced| paced.median_us),
    );
    table.add(
        "p99 us at half of the rate",
        name,
        median(|paced| paced.p99_us),
    );
    table.add(
        "p99.9 us at half of the rate",
        name,
        median(|paced| paced.p999_us),
    );
}

fn idle(server: &Process, name: &str, table: &mut Table) {
    const COUNT: usize = 10_000;
    load::pace(server.port, 1000.0, 0.1);
    let (empty, kernel_before) = (server.resident_bytes(), process::kernel_bytes());
    let each = |bytes: u64| bytes as f64 / COUNT as f64;
    let mut connections = load::Connections::open(server.port, COUNT);
    connections.ask_one_by_one();
    process::settle();
    let kernel = process::kernel_bytes().saturating_sub(kernel_before);
    table.add(
        "bytes for an idle connection",
        name,
        each(server.resident_bytes() - empty),
    );
    table.add("the kernel's, both ends", name, each(kernel));
    let before = server.cpu_seconds();
    process::settle();
    table.add(
        "CPU ms of a second in which all are idle",
        name,
        (server.cpu_seconds() - before) * 1e3,
    );
    let active = connections.ask_at_once(|| server.resident_bytes());
    table.add("bytes while all are active", name, each(active - empty));
    process::settle();
    table.add(
        "bytes after all were active",
        name,
        each(server.resident_bytes() - empty),
    );
    for _ in 0..100 {
        connections.ask_in_groups();
    }
    process::settle();
    table.add(
        "bytes after a million requests",
        name,
        each(server.resident_bytes() - empty),
    );
}

impl Table {
    fn add(&mut self, what: &str, name: &str, figure: f64) {
        println!("{what} | {name} | {figure:.2}");
        let known = self.comparisons.iter().position(|known| known.what == what);
        let index = known.unwrap_or_else(|| {
            let comparison = Comparison::new(what, false, &[&self.base]);
            self.comparisons.push(comparison);
            self.comparisons.len() - 1
        });
        self.comparisons[index].add(name, figure);
    }

    /// Prints the tables, and writes them and the plot into the folder `comparison` of the target.
    fn finish(&self, bench: &str, machine: &Machine) {
        println!("\n{machine}\n\n{}", tables(&self.comparisons));
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let folder = target.expect("it is a folder of target").join("comparison");
        let paths = write(&folder, bench, machine, &self.comparisons);
        for path in paths.expect("the target folder can be written to") {
            println!("written: {}", path.display());
        }
    }
}
