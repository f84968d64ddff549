//! The drawing of the modules, `docs/modules.svg`: layers and rooms as rows, imports as arrows.

use std::collections::BTreeSet;

use super::{
    comparison::svg::{Style, Svg},
    imports::{Imports, ROOMS, Rooms},
    layered::{Graph, Layout, Node},
    rules::{LAYERS, UNSAFE_MODULES},
    source::{Source, crate_uses},
};

const MARGIN: f64 = 34.0;
const TITLE_HEIGHT: f64 = 52.0;
const NOTES: [&str; 2] = [
    "Arrows go from a module to those that it uses, and only down. An arrow that a longer way",
    "implies is left out. In the crate, unsafe code stands in the orange modules only.",
];
const INK: &str = "#1f2937";
const FAINT: &str = "#6b7280";

/// A part of the drawing: a graph with its title.
struct Panel {
    title: &'static str,
    note: String,
    graph: Graph,
}

/// Draws the crate's modules and the rooms of `http`, of its server and of its client.
pub(crate) fn draw(sources: impl Fn() -> Vec<Source>) -> String {
    let mut panels = vec![crate_panel(sources())];
    let imports = Imports::of(sources());
    panels.extend(ROOMS.iter().map(|rooms| room_panel(rooms, &imports)));
    let mut svg = Svg::new();
    let title = "The modules of annulus";
    svg.text([MARGIN, MARGIN], Style::new(17, INK).bold(), title);
    for (line, y) in NOTES.into_iter().zip([20.0, 37.0]) {
        svg.text([MARGIN, MARGIN + y], Style::new(12, FAINT), line);
    }
    let (mut right, mut top) = (0.0_f64, MARGIN + 58.0);
    for row in panels.chunks(2) {
        let (mut left, mut bottom) = (MARGIN, top);
        for panel in row {
            let end = panel.draw(&mut svg, [left, top]);
            right = right.max(end[0]);
            bottom = bottom.max(end[1]);
            left = end[0] + MARGIN;
        }
        top = bottom;
    }
    svg.finish("The modules of annulus in their layers", [right, top])
}

impl Panel {
    /// Draws it with its upper left corner at a point, and tells the lower right one.
    fn draw(&self, svg: &mut Svg, [x, y]: [f64; 2]) -> [f64; 2] {
        svg.text([x, y + 16.0], Style::new(14, INK).bold(), self.title);
        svg.text([x, y + 33.0], Style::new(12, FAINT), &self.note);
        let layout = Layout::new(&self.graph);
        layout.draw(svg, [x, y + TITLE_HEIGHT]);
        let [width, height] = layout.size();
        [x + width + MARGIN, y + TITLE_HEIGHT + height + MARGIN]
    }
}

/// The modules that have code, with what each uses.
fn crate_panel(sources: Vec<Source>) -> Panel {
    let mut uses = BTreeSet::new();
    let mut modules = BTreeSet::new();
    for source in sources {
        let (Some(module), false) = (source.module(), source.is_tests()) else {
            continue;
        };
        for (_, used) in crate_uses(&source.without_tests().code) {
            uses.insert((module.clone(), used));
        }
        modules.insert(module);
    }
    // A module of pages uses nothing, and is used by none.
    modules.retain(|module| uses.iter().any(|(from, to)| from == module || to == module));
    let mut graph = Graph::default();
    for (row, layer) in LAYERS.iter().rev().enumerate() {
        for name in layer.iter().filter(|name| modules.contains(**name)) {
            graph.boxes.push(Node {
                name: (*name).to_owned(),
                row,
                is_marked: UNSAFE_MODULES.contains(name),
            });
        }
    }
    close_gaps(&mut graph);
    connect(&mut graph, &uses, |name, group| name == group);
    Panel {
        title: "The crate",
        note: format!("modules: {}", modules.len()),
        graph,
    }
}

/// The rooms of a module, with what each uses. Rooms that know each other are one box.
fn room_panel(rooms: &Rooms, imports: &Imports) -> Panel {
    let mut graph = Graph::default();
    for (row, layer) in rooms.layers.iter().rev().enumerate() {
        for group in *layer {
            graph.boxes.push(Node {
                name: group.replace(' ', ", "),
                row,
                is_marked: false,
            });
        }
    }
    let uses = imports.between(rooms.module).into_keys().collect();
    connect(&mut graph, &uses, |name, group| {
        group.split(", ").any(|room| room == name)
    });
    let upward = rooms.exceptions.join(", ");
    Panel {
        title: rooms.module,
        note: if upward.is_empty() {
            format!("rooms: {}", graph.boxes.len())
        } else {
            format!(
                "rooms: {}; upward by intention: {upward}",
                graph.boxes.len()
            )
        },
        graph,
    }
}

/// Takes rows without a box out.
fn close_gaps(graph: &mut Graph) {
    let rows: BTreeSet<usize> = graph.boxes.iter().map(|node| node.row).collect();
    for node in &mut graph.boxes {
        node.row = rows.range(..node.row).count();
    }
}

/// Adds an arrow for each use that goes down and that others do not imply.
fn connect(
    graph: &mut Graph,
    uses: &BTreeSet<(String, String)>,
    is_in: impl Fn(&str, &str) -> bool,
) {
    let find = |name: &str| graph.boxes.iter().position(|node| is_in(name, &node.name));
    let arrows: BTreeSet<(usize, usize)> = uses
        .iter()
        .filter_map(|(from, to)| Some((find(from)?, find(to)?)))
        .filter(|&(from, to)| graph.boxes[from].row < graph.boxes[to].row)
        .collect();
    graph.arrows = arrows.into_iter().collect();
    graph.reduce();
}
