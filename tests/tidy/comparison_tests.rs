//! The arithmetic, the tables and the plots of the benchmarks' comparison.

use std::fs;

use super::comparison::{
    Comparison, Quartiles,
    machine::{Machine, date},
    order, plot, tables, write,
};

fn quartiles(figures: &[f64]) -> [f64; 3] {
    let Quartiles { low, median, high } = Quartiles::of(figures).expect("there are figures");
    [low, median, high]
}

/// Three rounds of three rivals, in nanoseconds.
fn echo() -> Comparison {
    let mut echo = Comparison::new("echo, CPU & time", true, &["tokio", "bare epoll"]);
    for [ring, tokio, epoll] in [
        [900.0, 1000.0, 1100.0],
        [4000.0, 5000.0, 4000.0],
        [2100.0, 3000.0, 2000.0],
    ] {
        echo.add("annulus, ring", ring);
        echo.add("tokio", tokio);
        echo.add("bare epoll", epoll);
    }
    echo
}

#[test]
fn quartiles_divide_between_figures() {
    assert_eq!(quartiles(&[3.0]), [3.0; 3]);
    assert_eq!(quartiles(&[4.0, 2.0]), [2.5, 3.0, 3.5]);
    assert_eq!(quartiles(&[5.0, 1.0, 4.0, 2.0, 3.0]), [2.0, 3.0, 4.0]);
    assert_eq!(quartiles(&[1.0, 1.0, 9.0, 1.0]), [1.0, 1.0, 3.0]);
    assert_eq!(Quartiles::of(&[]), None);
}

#[test]
fn ratios_are_those_of_a_round() {
    let echo = echo();
    let [ring, tokio, _] = &echo.rivals[..] else {
        panic!("{echo:?}")
    };
    let of = |rival, base| echo.ratios(rival, base).expect("the base ran").median;
    // Of the medians it would be 0.7.
    assert_eq!(of(ring, "tokio"), 0.8);
    assert_eq!(of(tokio, "tokio"), 1.0);
    assert_eq!(of(ring, "bare epoll"), 1.0);
    assert_eq!(echo.ratios(ring, "absent"), None);
    assert_eq!(echo.rounds(), 3);
}

#[test]
fn a_round_without_a_time_of_the_base_has_no_ratio() {
    let mut comparison = Comparison::new("a", true, &["b"]);
    for (a, b) in [(1.0, 0.0), (3.0, 2.0), (0.0, 0.0)] {
        comparison.add("a", a);
        comparison.add("b", b);
    }
    let ratios = comparison.ratios(&comparison.rivals[0], "b");
    assert_eq!(ratios.map(|ratios| ratios.median), Some(1.5));
}

#[test]
fn each_rival_has_each_place_and_each_neighbour() {
    for count in 1..6 {
        let rounds: Vec<Vec<usize>> = (0..2 * count)
            .map(|round| order(round, count).collect())
            .collect();
        for place in 0..count {
            for rival in 0..count {
                let times = rounds.iter().filter(|round| round[place] == rival).count();
                assert_eq!(times, 2, "{rival} at {place} of {count}");
            }
        }
        let follows = |first: usize, second: usize| {
            let pairs = rounds.iter().flat_map(|round| round.windows(2));
            pairs.filter(|pair| **pair == [first, second]).count()
        };
        for first in 0..count {
            let second = (first + 1) % count;
            assert_eq!(follows(first, second), follows(second, first), "{count}");
        }
    }
}

#[test]
fn a_table_has_a_row_for_each_rival() {
    let mut plain = Comparison::new("requests/s", false, &["hyper"]);
    plain.add("annulus", 123_456.0);
    let text = tables(&[echo(), plain]);
    let expected = "\
| echo, CPU & time | 3 rounds, median [quartiles] | ratio to tokio   | ratio to bare epoll |
|------------------|------------------------------|------------------|---------------------|
| annulus, ring    | 2.10 us [1.50 3.05]          | 0.80 [0.75 0.85] | 1.00 [0.91 1.02]    |
| tokio            | 3.00 us [2.00 4.00]          | 1.00 [1.00 1.00] | 1.25 [1.08 1.38]    |
| bare epoll       | 2.00 us [1.55 3.00]          | 0.80 [0.73 0.95] | 1.00 [1.00 1.00]    |

| requests/s | 1 rounds, median [quartiles] | ratio to hyper |
|------------|------------------------------|----------------|
| annulus    | 123456 [123456 123456]       |                |
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn a_plot_is_well_formed_and_tells_what_the_table_tells() {
    let mut slow = Comparison::new("slow", true, &["base"]);
    slow.add("ten times <slower>", 1000.0);
    slow.add("base", 100.0);
    let svg = plot("echo", &Machine::of_now(), &[echo(), slow]);
    check_svg(&svg);
    for text in [
        ">echo, CPU &amp; time<",
        ">annulus, ring<",
        ">2.10 us<",
        ">0.80 [0.75 0.85]<",
        ">tokio = 1<",
        ">ten times &lt;slower&gt;<",
        // The bar is cut.
        ">\u{25b8}<",
    ] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
}

#[test]
fn a_table_and_a_plot_are_written() {
    let folder = std::env::temp_dir().join(format!("annulus-comparison-{}", std::process::id()));
    let mut machine = Machine::of_now();
    machine.end();
    let written = write(&folder, "echo", &machine, &[echo()])
        .map(|paths| paths.map(|path| fs::read_to_string(path).expect("it was written")));
    fs::remove_dir_all(&folder).expect("it was made");
    let [table, plot] = written.expect("there is room");
    assert!(
        table.starts_with(&format!("# echo\n\n{machine}\n\n| echo, CPU")),
        "{table}"
    );
    check_svg(&plot);
}

#[test]
fn dates_follow_the_calendar() {
    for (days, expected) in [
        (0, "1970-01-01"),
        (58, "1970-02-28"),
        (59, "1970-03-01"),
        (11_016, "2000-02-29"),
        (11_017, "2000-03-01"),
        (19_722, "2023-12-31"),
        (19_723, "2024-01-01"),
        (20_786, "2026-11-29"),
    ] {
        assert_eq!(date(days), expected);
    }
}

/// Fails unless each element of `svg` is closed, each attribute is quoted once, and each number is
/// one.
pub(crate) fn check_svg(svg: &str) {
    let mut open = Vec::new();
    for piece in svg.trim().split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag is closed");
        assert!(!text.contains('&') || text.contains(';'), "{text}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{svg}");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let attributes: Vec<&str> = attributes.trim_end_matches('/').split('"').collect();
        assert_eq!(attributes.len() % 2, 1, "{tag}");
        for pair in attributes.chunks_exact(2) {
            let (name, value) = (pair[0].trim_start(), pair[1]);
            let is_name = |name: &str| !name.is_empty() && !name.contains([' ', '=']);
            assert!(name.strip_suffix('=').is_some_and(is_name), "{tag}");
            let is_bad = ["NaN", "inf", "&"].iter().any(|bad| value.contains(bad));
            assert!(!is_bad, "{tag}");
        }
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
}
