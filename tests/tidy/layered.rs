//! A drawing of boxes in rows with arrows from upper rows to lower ones.
//!
//! An arrow over several rows has a place of its own in each row that it passes, so it goes between
//! the boxes. Places in a row are swapped until few arrows cross, and then moved until most arrows
//! are nearly straight. Everything is in a fixed order, so the same boxes give the same drawing.

use super::comparison::svg::{Anchor, Style, Svg};

const BOX_HEIGHT: f64 = 28.0;
const GAP_HEIGHT: f64 = 46.0;
const GAP_WIDTH: f64 = 22.0;
/// The gap beside an arrow that passes a row.
const PASSING_GAP: f64 = 12.0;
/// The width of an arrow that passes a row.
const PASSING_WIDTH: f64 = 2.0;
const LETTER_WIDTH: f64 = 7.6;
const SWEEPS: usize = 24;
const MOVES: usize = 200;

const INK: &str = "#1f2937";
const FRAME: &str = "#64748b";
const FILL: &str = "#eef6f5";
const MARKED_FRAME: &str = "#c2410c";
const MARKED_FILL: &str = "#fff1e6";
const BAND: &str = "#f8fafc";
/// Arrows of one box have one color.
const ARROWS: [&str; 6] = [
    "#0f766e", "#7c3aed", "#b45309", "#1d4ed8", "#be123c", "#4d7c0f",
];

/// Boxes in rows, the upper row first, and arrows from box to box.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) boxes: Vec<Node>,
    pub(crate) arrows: Vec<(usize, usize)>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) row: usize,
    pub(crate) is_marked: bool,
}

impl Graph {
    /// Removes each arrow that a longer way between its ends implies.
    pub(crate) fn reduce(&mut self) {
        let all = self.arrows.clone();
        self.arrows
            .retain(|&(from, to)| !is_implied(&all, from, to));
    }
}

fn is_implied(arrows: &[(usize, usize)], from: usize, to: usize) -> bool {
    let next = |at: usize| arrows.iter().filter(move |arrow| arrow.0 == at);
    let mut open: Vec<usize> = next(from).map(|arrow| arrow.1).collect();
    open.retain(|&at| at != to);
    let mut seen = open.clone();
    while let Some(at) = open.pop() {
        for &(_, reached) in next(at) {
            if reached == to {
                return true;
            }
            if !seen.contains(&reached) {
                seen.push(reached);
                open.push(reached);
            }
        }
    }
    false
}

/// A place in a row: a box, or an arrow that passes.
#[derive(Clone, Debug)]
struct Place {
    node: Option<usize>,
    row: usize,
    width: f64,
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// The places of a graph, and their order in each row.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    graph: &'a Graph,
    places: Vec<Place>,
    rows: Vec<Vec<usize>>,
    /// The places of each arrow, from its beginning to its end.
    ways: Vec<Vec<usize>>,
}

impl<'a> Layout<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Self {
        let row_count = graph.boxes.iter().map(|node| node.row + 1).max();
        let mut layout = Self {
            graph,
            places: Vec::new(),
            rows: vec![Vec::new(); row_count.unwrap_or(0)],
            ways: Vec::new(),
        };
        for (index, node) in graph.boxes.iter().enumerate() {
            let width = node.name.chars().count() as f64 * LETTER_WIDTH + 20.0;
            layout.add(Some(index), node.row, width);
        }
        for &(from, to) in &graph.arrows {
            let rows = graph.boxes[from].row + 1..graph.boxes[to].row;
            let passed = rows.map(|row| layout.add(None, row, PASSING_WIDTH));
            let mut way = vec![from];
            way.extend(passed.collect::<Vec<_>>());
            way.push(to);
            for pair in way.windows(2) {
                layout.places[pair[0]].below.push(pair[1]);
                layout.places[pair[1]].above.push(pair[0]);
            }
            layout.ways.push(way);
        }
        layout.order();
        layout.spread();
        layout
    }

    fn add(&mut self, node: Option<usize>, row: usize, width: f64) -> usize {
        let index = self.places.len();
        self.places.push(Place {
            node,
            row,
            width,
            x: 0.0,
            above: Vec::new(),
            below: Vec::new(),
        });
        self.rows[row].push(index);
        index
    }

    /// Orders each row by the middle of its neighbours, down and up again, and keeps the best.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.rows.clone());
        for sweep in 0..SWEEPS {
            let count = self.rows.len();
            for step in 0..count {
                let is_down = sweep % 2 == 0;
                let row = if is_down { step } else { count - 1 - step };
                self.sort(row, is_down);
            }
            self.swap_neighbours();
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
    }

    fn positions(&self) -> Vec<usize> {
        let mut positions = vec![0; self.places.len()];
        for row in &self.rows {
            for (position, &place) in row.iter().enumerate() {
                positions[place] = position;
            }
        }
        positions
    }

    fn sort(&mut self, row: usize, by_above: bool) {
        let positions = self.positions();
        let middle = |&place: &usize| {
            let place_of = &self.places[place];
            let neighbours = if by_above {
                &place_of.above
            } else {
                &place_of.below
            };
            if neighbours.is_empty() {
                return positions[place] as f64;
            }
            let sum: usize = neighbours.iter().map(|&at| positions[at]).sum();
            sum as f64 / neighbours.len() as f64
        };
        let mut sorted = self.rows[row].clone();
        sorted.sort_by(|a, b| middle(a).total_cmp(&middle(b)));
        self.rows[row] = sorted;
    }

    /// Swaps two that stand beside each other as long as that saves a crossing.
    fn swap_neighbours(&mut self) {
        let mut crossings = self.crossings();
        let mut is_better = true;
        while is_better {
            is_better = false;
            for row in 0..self.rows.len() {
                for first in 1..self.rows[row].len() {
                    self.rows[row].swap(first - 1, first);
                    let swapped = self.crossings();
                    if swapped < crossings {
                        crossings = swapped;
                        is_better = true;
                    } else {
                        self.rows[row].swap(first - 1, first);
                    }
                }
            }
        }
    }

    fn crossings(&self) -> usize {
        let positions = self.positions();
        let mut crossings = 0;
        for row in &self.rows {
            let mut lines: Vec<(usize, usize)> = Vec::new();
            for &place in row {
                for &below in &self.places[place].below {
                    let line = (positions[place], positions[below]);
                    let crosses = |other: &&(usize, usize)| {
                        (other.0 < line.0 && other.1 > line.1)
                            || (other.0 > line.0 && other.1 < line.1)
                    };
                    crossings += lines.iter().filter(crosses).count();
                    lines.push(line);
                }
            }
        }
        crossings
    }

    /// Moves each place towards its neighbours as far as the order and the widths let it.
    fn spread(&mut self) {
        for row in self.rows.clone() {
            let wishes = vec![(0.0, 1.0); row.len()];
            self.put(&row, &wishes);
        }
        for turn in 0..MOVES {
            let mut rows = self.rows.clone();
            if turn % 2 == 1 {
                rows.reverse();
            }
            for row in rows {
                let wishes: Vec<(f64, f64)> = row.iter().map(|&at| self.wish(at)).collect();
                self.put(&row, &wishes);
            }
        }
        let left = |place: &Place| place.x - place.width / 2.0;
        let least = self.places.iter().map(left).fold(f64::INFINITY, f64::min);
        for place in &mut self.places {
            place.x -= least;
        }
    }

    /// Where a place would stand best, and how much that matters: arrows that pass rows are to be
    /// straight.
    fn wish(&self, at: usize) -> (f64, f64) {
        let place = &self.places[at];
        let (mut sum, mut weights) = (0.0, 0.0);
        for &other in place.above.iter().chain(&place.below) {
            let passing =
                usize::from(place.node.is_none()) + usize::from(self.places[other].node.is_none());
            let weight = [1.0, 2.0, 20.0][passing];
            sum += weight * self.places[other].x;
            weights += weight;
        }
        if weights == 0.0 {
            return (place.x, 0.1);
        }
        (sum / weights, weights)
    }

    /// Puts the places of a row as near to their wishes as their order and widths let them: those
    /// that would overlap form a block, which stands at the mean of its members' wishes.
    fn put(&mut self, row: &[usize], wishes: &[(f64, f64)]) {
        let mut offset = 0.0;
        let mut offsets = Vec::new();
        for (index, &place) in row.iter().enumerate() {
            if let Some(&before) = index.checked_sub(1).map(|before| &row[before]) {
                let (before, place) = (&self.places[before], &self.places[place]);
                let are_boxes = before.node.is_some() && place.node.is_some();
                offset += (before.width + place.width) / 2.0;
                offset += if are_boxes { GAP_WIDTH } else { PASSING_GAP };
            }
            offsets.push(offset);
        }
        // Weighted sum of the wishes, weight, and number of members.
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        for (&(wish, weight), offset) in wishes.iter().zip(&offsets) {
            let mut block = ((wish - offset) * weight, weight, 1);
            while let Some(before) = blocks.pop() {
                if before.0 / before.1 <= block.0 / block.1 {
                    blocks.push(before);
                    break;
                }
                block = (before.0 + block.0, before.1 + block.1, before.2 + block.2);
            }
            blocks.push(block);
        }
        let starts = blocks
            .iter()
            .flat_map(|block| std::iter::repeat_n(block.0 / block.1, block.2));
        for ((&place, offset), start) in row.iter().zip(&offsets).zip(starts) {
            self.places[place].x = start + offset;
        }
    }

    /// Width and height of the drawing.
    pub(crate) fn size(&self) -> [f64; 2] {
        let right = |place: &Place| place.x + place.width / 2.0;
        let width = self.places.iter().map(right).fold(0.0, f64::max);
        let count = self.rows.len() as f64;
        [
            width,
            count * BOX_HEIGHT + (count - 1.0).max(0.0) * GAP_HEIGHT,
        ]
    }

    /// Draws everything with its upper left corner at `corner`.
    pub(crate) fn draw(&self, svg: &mut Svg, corner: [f64; 2]) {
        let [left, top] = corner;
        let [width, _] = self.size();
        let y = |row: usize| top + row as f64 * (BOX_HEIGHT + GAP_HEIGHT);
        for row in 0..self.rows.len() {
            let at = [left - 14.0, y(row) - 8.0];
            svg.rect(at, [width + 28.0, BOX_HEIGHT + 16.0], BAND, "none");
        }
        for way in &self.ways {
            self.arrow(svg, way, left, &y);
        }
        for place in &self.places {
            let Some(node) = place.node.map(|node| &self.graph.boxes[node]) else {
                continue;
            };
            let at = [left + place.x - place.width / 2.0, y(place.row)];
            let (fill, frame) = if node.is_marked {
                (MARKED_FILL, MARKED_FRAME)
            } else {
                (FILL, FRAME)
            };
            svg.rect(at, [place.width, BOX_HEIGHT], fill, frame);
            let style = Style::new(13, INK).anchor(Anchor::Middle);
            svg.text([left + place.x, y(place.row) + 18.5], style, &node.name);
        }
    }

    fn arrow(&self, svg: &mut Svg, way: &[usize], left: f64, y: &impl Fn(usize) -> f64) {
        let color = ARROWS[way[0] % ARROWS.len()];
        let mut path = String::new();
        for pair in way.windows(2) {
            let (upper, lower) = (&self.places[pair[0]], &self.places[pair[1]]);
            let from = [
                left + upper.x + self.port(pair[0], pair[1], |place| &place.below),
                y(upper.row) + BOX_HEIGHT,
            ];
            let mut to = [
                left + lower.x + self.port(pair[1], pair[0], |place| &place.above),
                y(lower.row),
            ];
            let is_end = lower.node.is_some();
            if is_end {
                to[1] -= 6.0;
            }
            let middle = (from[1] + to[1]) / 2.0;
            if path.is_empty() {
                path = format!("M{:.1} {:.1}", from[0], from[1]);
            }
            path += &format!(
                " C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}",
                from[0], to[0], to[0], to[1]
            );
            if is_end {
                let [x, y] = to;
                let (a, b, tip) = (x - 3.5, x + 3.5, y + 6.0);
                svg.add(format_args!(
                    "<path d=\"M{a:.1} {y:.1} L{b:.1} {y:.1} L{x:.1} {tip:.1} Z\" fill=\"{color}\"/>"
                ));
            } else {
                path += &format!(" V{:.1}", y(lower.row) + BOX_HEIGHT);
            }
        }
        svg.add(format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.3\"/>"
        ));
    }

    /// How far from its middle a place has the end of its arrow to `other`: the ends stand side by
    /// side, in the order of where they come from.
    fn port(&self, place: usize, other: usize, side: fn(&Place) -> &Vec<usize>) -> f64 {
        let place = &self.places[place];
        if place.node.is_none() {
            return 0.0;
        }
        let mut others = side(place).clone();
        others.sort_by(|&a, &b| self.places[a].x.total_cmp(&self.places[b].x));
        let count = others.len();
        let index = others.iter().position(|&at| at == other).unwrap_or(0);
        let step = ((place.width - 16.0) / count as f64).min(14.0);
        (index as f64 - (count as f64 - 1.0) / 2.0) * step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The left and right ends of all places, row by row.
    fn extents(layout: &Layout<'_>) -> Vec<Vec<[f64; 2]>> {
        let extent = |&at: &usize| {
            let place = &layout.places[at];
            [place.x - place.width / 2.0, place.x + place.width / 2.0]
        };
        let row = |row: &Vec<usize>| row.iter().map(extent).collect();
        layout.rows.iter().map(row).collect()
    }

    /// Boxes by row, and arrows by their names.
    fn graph(rows: &[&str], arrows: &[&str]) -> Graph {
        let mut graph = Graph::default();
        for (row, names) in rows.iter().enumerate() {
            graph.boxes.extend(names.split(' ').map(|name| Node {
                name: name.to_owned(),
                row,
                is_marked: false,
            }));
        }
        let find = |name: &str| graph.boxes.iter().position(|node| node.name == name);
        let arrow = |arrow: &&str| {
            let (from, to) = arrow.split_once(' ').expect("an arrow has two ends");
            find(from).zip(find(to)).expect("the ends are boxes")
        };
        graph.arrows = arrows.iter().map(arrow).collect();
        graph
    }

    #[test]
    fn an_arrow_that_a_longer_way_implies_is_removed() {
        let mut graph = graph(
            &["a", "b c", "d", "e"],
            &["a b", "a c", "a d", "a e", "b d", "d e", "c e"],
        );
        graph.reduce();
        assert_eq!(graph.arrows, [(0, 1), (0, 2), (1, 3), (3, 4), (2, 4)]);
    }

    #[test]
    fn crossings_are_untangled() {
        let graph = graph(&["a b c", "d e f"], &["a f", "b e", "c d"]);
        assert_eq!(Layout::new(&graph).crossings(), 0);
    }

    #[test]
    fn nothing_in_a_row_overlaps() {
        let graph = graph(
            &["long_name b", "c", "another_long_name e f", "g"],
            &[
                "long_name g",
                "b g",
                "b e",
                "b f",
                "c g",
                "long_name another_long_name",
            ],
        );
        let layout = Layout::new(&graph);
        for row in extents(&layout) {
            for pair in row.windows(2) {
                assert!(pair[0][1] + PASSING_GAP <= pair[1][0] + 0.001, "{row:?}");
            }
            assert!(row[0][0] >= 0.0, "{row:?}");
        }
        // The arrows that pass have a place of their own.
        assert_eq!(extents(&layout)[2].len(), 3 + 3);
    }
}
