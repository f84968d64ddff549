//! Cost of the profiles of the program `arena`, beside axum on tokio and nginx.
//!
//! ```text
//! cargo bench --bench arena -- --data DIR --certs DIR [--rounds 5] [--seconds 2] [--only NAME,NAME]
//! ```
//!
//! The folders are those of the program. `DATABASE_URL` adds the profile of the database. `wrk` and
//! `h2load` (Debian's packages `wrk` and `nghttp2-client`) are the load where they can be, and this
//! program is it elsewhere: for connections of ten requests, uploads, WebSockets and a fixed rate.
//!
//! Each server is a process on the last core, and the load is on the first. A round goes through
//! all servers of a profile, in turns from both ends. The table has medians with quartiles of the
//! server's processor time for a request (a message for WebSockets), and of the ratio of a round.

mod load;
mod profiles;
mod servers;

use std::{cell::RefCell, env, fs, path::PathBuf};

use load::drive;
use profiles::{Profile, profiles};
use servers::Server;

/// The settings of all measurements.
struct Setting {
    data: PathBuf,
    certs: PathBuf,
    seconds: f64,
    first: String,
    last: String,
    scratch: PathBuf,
}

/// Median and quartiles.
fn quartiles(figures: &mut [f64]) -> String {
    figures.sort_by(f64::total_cmp);
    let at = |part: f64| figures[((figures.len() - 1) as f64 * part).round() as usize];
    format!("{:.2} [{:.2} {:.2}]", at(0.5), at(0.25), at(0.75))
}

fn measure(profile: &Profile, rounds: usize, setting: &Setting) {
    let costs: Vec<RefCell<Vec<f64>>> =
        profile.servers.iter().map(|_| RefCell::default()).collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..profile.servers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let server = Server::start(profile.servers[index], setting);
            let before = server.cpu();
            let answered = drive(profile, &server, setting);
            let cost = (server.cpu() - before) * 1e6 / answered;
            costs[index].borrow_mut().push(cost);
        }
    }
    let ours = costs[0].borrow().clone();
    let mut line = format!("| {} | {}", profile.name, quartiles(&mut ours.clone()));
    for (index, name) in profile.servers.iter().enumerate().skip(1) {
        let theirs = costs[index].borrow();
        let mut ratios: Vec<f64> = ours
            .iter()
            .zip(&*theirs)
            .map(|(one, other)| one / other)
            .collect();
        line += &format!(" | {name} {}", quartiles(&mut theirs.clone()));
        line += &format!(" | {}", quartiles(&mut ratios));
    }
    println!("{line} |");
}

fn main() {
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let option = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    };
    let number =
        |name, default: f64| option(name).map_or(default, |text| text.parse().expect("a number"));
    let cores = env::var("ARENA_CORES").unwrap_or_else(|_| "0,1".into());
    let (first, last) = cores.split_once(',').expect("two cores");
    // The load that this program is runs beside the others, on the first core.
    annulus::pin_to_core(first.parse().expect("a core is a number")).expect("there is this core");
    let scratch = env::temp_dir().join(format!("annulus-arena-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch).expect("the folder for temporary files can be written to");
    let setting = Setting {
        data: option("--data").expect("--data DIR").into(),
        certs: option("--certs").expect("--certs DIR").into(),
        seconds: number("--seconds", 2.0),
        first: first.to_owned(),
        last: last.to_owned(),
        scratch,
    };
    let rounds = number("--rounds", 5.0) as usize;
    let only = option("--only");
    println!("| Profile | annulus, µs | Peer, µs | Ratio |\n|---|---|---|---|");
    for profile in profiles(&setting.data, env::var_os("DATABASE_URL").is_some()) {
        let is_asked = |only: &String| only.split(',').any(|name| name == profile.name);
        if only.as_ref().is_none_or(is_asked) {
            measure(&profile, rounds, &setting);
        }
    }
    let _ = fs::remove_dir_all(&setting.scratch);
}
