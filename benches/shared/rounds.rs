//! Rivals that are measured in turn within each sample of criterion.
//!
//! A sample of one rival is a round: it runs each of them once, for as many iterations, in an order
//! that changes, and criterion gets the time of its own. So what else the machine does meets all of
//! them alike, and the ratios of a round are worth more than the figures of two of criterion's
//! measurements. All rounds together make the table and the plot of [`Rounds::finish`].

use std::{env, path::Path, time::Duration};

use criterion::{Bencher, Criterion, SamplingMode, Throughput};

use super::comparison::{Comparison, machine::Machine, order, tables, write};

/// How long so many iterations of a rival's work take.
pub(crate) type Work<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// What is compared: a name, and what an iteration has.
pub(crate) struct Question<'a> {
    pub(crate) what: &'a str,
    /// The rivals that the others are divided by. The plot uses the first.
    pub(crate) bases: &'a [&'a str],
    /// How many things an iteration does. The table tells the time of one.
    pub(crate) things: u64,
}

/// All rounds of a bench.
pub(crate) struct Rounds {
    machine: Machine,
    comparisons: Vec<Comparison>,
    /// Whether this is a measurement, and neither a test nor a profile of one rival.
    are_measured: bool,
}

/// The time of each rival for so many iterations.
struct Round {
    iterations: u64,
    times: Vec<Duration>,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        let has = |name| env::args().any(|argument| argument.starts_with(name));
        Self {
            machine: Machine::of_now(),
            comparisons: Vec::new(),
            are_measured: has("--bench") && !has("--test") && !has("--profile-time"),
        }
    }

    /// Measures the rivals by criterion, and keeps the rounds.
    pub(crate) fn compare(
        &mut self,
        criterion: &mut Criterion,
        question: &Question<'_>,
        mut rivals: Vec<(&str, Work<'_>)>,
    ) {
        let mut group = criterion.benchmark_group(question.what);
        // Rounds of the same length are worth the same.
        group.sampling_mode(SamplingMode::Flat);
        if question.things > 1 {
            group.throughput(Throughput::Elements(question.things));
        }
        let mut rounds = Vec::new();
        for own in 0..rivals.len() {
            let mut samples = Vec::new();
            let name = rivals[own].0;
            let mut sample = |iterations| {
                if !self.are_measured {
                    return rivals[own].1(iterations);
                }
                let times = round(samples.len(), iterations, &mut rivals);
                let time = times[own];
                samples.push(Round { iterations, times });
                time
            };
            group.bench_function(name, |bencher: &mut Bencher<'_>| {
                bencher.iter_custom(&mut sample);
            });
            rounds.extend(without_warm_up(samples));
        }
        group.finish();
        self.keep(question, &rivals, &rounds);
    }

    fn keep(&mut self, question: &Question<'_>, rivals: &[(&str, Work<'_>)], rounds: &[Round]) {
        if rounds.is_empty() {
            return;
        }
        let mut comparison = Comparison::new(question.what, true, question.bases);
        for Round { iterations, times } in rounds {
            let things = (iterations * question.things) as f64;
            for ((name, _), time) in rivals.iter().zip(times) {
                comparison.add(name, time.as_nanos() as f64 / things);
            }
        }
        self.comparisons.push(comparison);
    }

    /// Prints the tables, and writes them and the plot into `target/comparison`.
    pub(crate) fn finish(mut self, bench: &str) {
        if self.comparisons.is_empty() {
            return;
        }
        self.machine.end();
        println!(
            "\nComparison by rounds, in each of which all rivals ran; a ratio below 1 is less"
        );
        println!("time than the base's. {}\n", self.machine);
        println!("{}", tables(&self.comparisons));
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let folder = target.expect("it is a folder of target").join("comparison");
        match write(&folder, bench, &self.machine, &self.comparisons) {
            Ok([table, plot]) => {
                println!("written: {}\nwritten: {}", table.display(), plot.display())
            }
            Err(error) => eprintln!("cannot write to {}: {error}", folder.display()),
        }
    }
}

fn round(index: usize, iterations: u64, rivals: &mut [(&str, Work<'_>)]) -> Vec<Duration> {
    let mut times = vec![Duration::ZERO; rivals.len()];
    for rival in order(index, rivals.len()) {
        times[rival] = rivals[rival].1(iterations);
    }
    times
}

/// The samples, which have as many iterations as the last. A round of the warm-up that has as many
/// is as good.
fn without_warm_up(mut samples: Vec<Round>) -> Vec<Round> {
    let last = samples.last().map(|round| round.iterations);
    let is_sample = |round: &Round| Some(round.iterations) == last;
    let first = samples.iter().rposition(|round| !is_sample(round));
    samples.split_off(first.map_or(0, |last_of_warm_up| last_of_warm_up + 1))
}
