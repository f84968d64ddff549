//! The tables of a comparison, in Markdown that is aligned and so reads well in a terminal too.

use super::{Comparison, Quartiles};

/// A table for each comparison.
pub(crate) fn tables(comparisons: &[Comparison]) -> String {
    let tables: Vec<String> = comparisons.iter().map(table).collect();
    tables.join("\n")
}

fn table(comparison: &Comparison) -> String {
    let mut rows = vec![vec![
        comparison.what.clone(),
        format!("{} rounds, median [quartiles]", comparison.rounds()),
    ]];
    rows[0].extend(
        comparison
            .bases
            .iter()
            .map(|base| format!("ratio to {base}")),
    );
    for rival in &comparison.rivals {
        let Some(figures) = Quartiles::of(&rival.figures) else {
            continue;
        };
        let mut row = vec![rival.name.clone(), quartiles(comparison.is_time, figures)];
        row.extend(comparison.bases.iter().map(|base| {
            let ratios = comparison.ratios(rival, base).map(ratio);
            ratios.unwrap_or_default()
        }));
        rows.push(row);
    }
    aligned(&rows)
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
        if index == 0 {
            for width in &widths {
                text += &format!("|-{:-<width$}-", "");
            }
            text += "|\n";
        }
    }
    text
}

/// The quartiles in one unit, that of the median.
fn quartiles(is_time: bool, figures: Quartiles) -> String {
    let (scale, name) = scale(is_time, figures.median);
    let [median, low, high] =
        [figures.median, figures.low, figures.high].map(|figure| digits(figure / scale));
    format!("{median}{name} [{low} {high}]")
}

/// A ratio as tables and plots tell it.
pub(crate) fn ratio(ratios: Quartiles) -> String {
    let Quartiles { low, median, high } = ratios;
    let decimals = if median < 0.1 { 3 } else { 2 };
    format!("{median:.decimals$} [{low:.decimals$} {high:.decimals$}]")
}

/// A figure with its unit.
pub(crate) fn figure(is_time: bool, figure: f64) -> String {
    let (scale, name) = scale(is_time, figure);
    format!("{}{name}", digits(figure / scale))
}

fn scale(is_time: bool, figure: f64) -> (f64, &'static str) {
    match figure {
        _ if !is_time => (1.0, ""),
        ..1e3 => (1.0, " ns"),
        ..1e6 => (1e3, " us"),
        ..1e9 => (1e6, " ms"),
        _ => (1e9, " s"),
    }
}

/// Three digits that count, or all of those before the point.
fn digits(figure: f64) -> String {
    let decimals = match figure.abs() {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$}")
}
