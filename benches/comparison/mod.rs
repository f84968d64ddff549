//! The comparison of rivals by rounds: each round runs each rival once, so that what else runs on
//! the machine meets all of them alike. Ratios are taken within a round, and of the ratios the
//! median with its quartiles is told.

pub(crate) mod machine;
mod plot;
pub(crate) mod svg;
mod table;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use machine::Machine;
pub(crate) use {plot::plot, table::tables};

/// Figures of some rivals for one kind of work.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(crate) what: String,
    /// Whether the figures are nanoseconds. The unit of others stands in `what`.
    pub(crate) is_time: bool,
    /// The rivals that the others are divided by. The plot uses the first.
    pub(crate) bases: Vec<String>,
    pub(crate) rivals: Vec<Rival>,
}

/// A rival with a figure for each round.
#[derive(Clone, Debug)]
pub(crate) struct Rival {
    pub(crate) name: String,
    pub(crate) figures: Vec<f64>,
}

/// Three figures that cut a sorted list into four parts of the same length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quartiles {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Comparison {
    pub(crate) fn new(what: &str, is_time: bool, bases: &[&str]) -> Self {
        Self {
            what: what.to_owned(),
            is_time,
            bases: bases.iter().copied().map(str::to_owned).collect(),
            rivals: Vec::new(),
        }
    }

    /// Adds the figure of `name` in the next round.
    pub(crate) fn add(&mut self, name: &str, figure: f64) {
        if let Some(rival) = self.rivals.iter_mut().find(|rival| rival.name == name) {
            return rival.figures.push(figure);
        }
        self.rivals.push(Rival {
            name: name.to_owned(),
            figures: vec![figure],
        });
    }

    /// The number of rounds that all rivals have run.
    pub(crate) fn rounds(&self) -> usize {
        let rounds = self.rivals.iter().map(|rival| rival.figures.len());
        rounds.min().unwrap_or(0)
    }

    /// The ratios of `rival` to `base`, one a round; none when there is no such base.
    pub(crate) fn ratios(&self, rival: &Rival, base: &str) -> Option<Quartiles> {
        let base = self.rivals.iter().find(|rival| rival.name == base)?;
        let pairs = rival.figures.iter().zip(&base.figures);
        let ratios = pairs.map(|(figure, base)| figure / base);
        Quartiles::of(&ratios.filter(|ratio| ratio.is_finite()).collect::<Vec<_>>())
    }
}

impl Quartiles {
    /// The quartiles of `figures`, with a place between two figures divided in proportion.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |part: f64| {
            let place = last as f64 * part;
            let below = sorted[place.floor() as usize];
            below + (sorted[place.ceil() as usize] - below) * place.fract()
        };
        Some(Self {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        })
    }
}

/// The order of `count` rivals in a round. Each begins as often as any other, and every other cycle
/// goes backwards, so that each also has either neighbour before it.
pub(crate) fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    let (first, is_backwards) = (round % count, round / count % 2 == 1);
    (0..count).map(move |place| {
        let place = if is_backwards { count - place } else { place };
        (first + place) % count
    })
}

/// Writes `BENCH.md` and `BENCH.svg` into `folder`, and tells their paths.
pub(crate) fn write(
    folder: &Path,
    bench: &str,
    machine: &Machine,
    comparisons: &[Comparison],
) -> io::Result<[PathBuf; 2]> {
    fs::create_dir_all(folder)?;
    let paths = ["md", "svg"].map(|kind| folder.join(format!("{bench}.{kind}")));
    let tables = tables(comparisons);
    fs::write(&paths[0], format!("# {bench}\n\n{machine}\n\n{tables}"))?;
    fs::write(&paths[1], plot(bench, machine, comparisons))?;
    Ok(paths)
}
