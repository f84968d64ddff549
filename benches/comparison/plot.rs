//! The plot of a comparison: a bar for each rival's ratio to the base, with whiskers at its
//! quartiles.

use super::{
    Comparison, Machine, Quartiles,
    svg::{Anchor, Style, Svg},
    table::{figure, ratio},
};

const WIDTH: f64 = 900.0;
/// Where bars begin and where they end at the latest.
const LEFT: f64 = 220.0;
const RIGHT: f64 = 640.0;
/// Where the columns of words after the bars begin.
const FIGURES: f64 = 656.0;
const RATIOS: f64 = 750.0;
const ROW: f64 = 24.0;
/// A longer bar is cut there and ends in an arrow.
const RATIO_MAX: f64 = 3.0;

const INK: &str = "#1f2937";
const FAINT: &str = "#6b7280";
const GRID: &str = "#e5e7eb";
const OURS: &str = "#0f9b8e";
const BASE: &str = "#9ca3af";
const THEIRS: &str = "#cbd5e1";

/// Draws all comparisons of a bench, one below the other, on one scale.
pub(crate) fn plot(bench: &str, machine: &Machine, comparisons: &[Comparison]) -> String {
    let mut svg = Svg::new();
    let scale = Scale::of(comparisons);
    svg.text([20.0, 32.0], Style::new(17, INK).bold(), bench);
    let mut lead = "Ratio to the base: bars end at the median of all rounds, whiskers at the \
                    quartiles."
        .to_owned();
    if comparisons.iter().all(|comparison| comparison.is_time) {
        lead += " A shorter bar is less time.";
    }
    svg.text([20.0, 52.0], Style::new(12, FAINT), &lead);
    let mut y = 84.0;
    for comparison in comparisons {
        y = draw(&mut svg, &scale, comparison, y);
    }
    let style = Style::new(11, FAINT);
    svg.text([20.0, y + 4.0], style, &machine.to_string());
    svg.finish(&format!("{bench}: ratios of the rivals"), [WIDTH, y + 20.0])
}

/// The width of a ratio.
struct Scale {
    max: f64,
}

impl Scale {
    fn of(comparisons: &[Comparison]) -> Self {
        let highest = comparisons.iter().flat_map(|comparison| {
            let of_rival = |rival| comparison.ratios(rival, comparison.bases.first()?);
            comparison.rivals.iter().filter_map(of_rival)
        });
        let max = highest.map(|ratios| ratios.high).fold(1.0, f64::max);
        Self {
            max: (max * 1.05).min(RATIO_MAX),
        }
    }

    fn x(&self, ratio: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * ratio.clamp(0.0, self.max) / self.max
    }

    /// The ratios with a line: few enough for their labels.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let step = if self.max > 1.6 { 0.5 } else { 0.25 };
        let max = self.max;
        (0..)
            .map(move |index| f64::from(index) * step)
            .take_while(move |&tick| tick <= max)
    }
}

/// Draws one comparison from `y` down, and tells where the next begins.
fn draw(svg: &mut Svg, scale: &Scale, comparison: &Comparison, y: f64) -> f64 {
    let Some(base) = comparison.bases.first() else {
        return y;
    };
    svg.text([20.0, y], Style::new(13, INK).bold(), &comparison.what);
    svg.text([FIGURES, y], Style::new(10, FAINT), "median");
    svg.text([RATIOS, y], Style::new(10, FAINT), "ratio [quartiles]");
    let top = y + 10.0;
    let bottom = top + ROW * comparison.rivals.len() as f64 + 4.0;
    for tick in scale.ticks() {
        let (x, is_base) = (scale.x(tick), tick == 1.0);
        svg.line(
            [x, top],
            [x, bottom],
            if is_base { FAINT } else { GRID },
            1.0,
        );
        let label = if is_base {
            format!("{base} = 1")
        } else {
            tick.to_string()
        };
        let style = Style::new(10, FAINT).anchor(Anchor::Middle);
        svg.text([x, bottom + 12.0], style, &label);
    }
    for (index, rival) in comparison.rivals.iter().enumerate() {
        let y = top + ROW * index as f64 + 4.0;
        let name = Style::new(12, INK).anchor(Anchor::End);
        svg.text([LEFT - 8.0, y + 14.0], name, &rival.name);
        let words = Style::new(12, INK);
        if let Some(figures) = Quartiles::of(&rival.figures) {
            let median = figure(comparison.is_time, figures.median);
            svg.text([FIGURES, y + 14.0], words, &median);
        }
        if let Some(ratios) = comparison.ratios(rival, base) {
            bar(svg, scale, color(&rival.name, base), ratios, y);
            svg.text([RATIOS, y + 14.0], words, &ratio(ratios));
        }
    }
    bottom + 44.0
}

fn bar(svg: &mut Svg, scale: &Scale, color: &str, ratios: Quartiles, y: f64) {
    let [low, median, high] = [ratios.low, ratios.median, ratios.high].map(|at| scale.x(at));
    svg.rect([LEFT, y + 2.0], [median - LEFT, ROW - 8.0], color, "none");
    if ratios.median > scale.max {
        let style = Style::new(14, FAINT);
        return svg.text([RIGHT + 1.0, y + 15.0], style, "\u{25b8}");
    }
    let middle = y + ROW / 2.0 - 2.0;
    svg.line([low, middle], [high, middle], INK, 1.5);
    for x in [low, high] {
        svg.line([x, middle - 4.0], [x, middle + 4.0], INK, 1.5);
    }
}

fn color(name: &str, base: &str) -> &'static str {
    match name {
        name if name.starts_with("annulus") => OURS,
        name if name == base => BASE,
        _ => THEIRS,
    }
}
