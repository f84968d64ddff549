//! A small writer of SVG: shapes and words on a white ground, so that a drawing is readable on a
//! dark page too.

use std::fmt::{Display, Write as _};

const FONT: &str = "'DejaVu Sans', Verdana, 'Segoe UI', sans-serif";

/// A drawing that grows by one element a call. Later elements cover earlier ones.
#[derive(Debug)]
pub(crate) struct Svg {
    body: String,
}

/// The place of a text's given point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) size: u32,
    pub(crate) is_bold: bool,
    pub(crate) color: &'static str,
    pub(crate) anchor: Anchor,
}

impl Style {
    pub(crate) const fn new(size: u32, color: &'static str) -> Self {
        Self {
            size,
            is_bold: false,
            color,
            anchor: Anchor::Start,
        }
    }

    pub(crate) const fn bold(mut self) -> Self {
        self.is_bold = true;
        self
    }

    pub(crate) const fn anchor(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }
}

impl Svg {
    pub(crate) fn new() -> Self {
        Self {
            body: String::new(),
        }
    }

    /// A box with round corners, filled and framed.
    pub(crate) fn rect(&mut self, at: [f64; 2], size: [f64; 2], fill: &str, stroke: &str) {
        let ([x, y], [width, height]) = (at.map(places), size.map(places));
        self.add(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>"
        ));
    }

    pub(crate) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: &str, width: f64) {
        let ([x1, y1], [x2, y2]) = (from.map(places), to.map(places));
        self.add(format_args!(
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{stroke}\" \
             stroke-width=\"{width}\"/>"
        ));
    }

    /// A line of text. `at` is on its base line.
    pub(crate) fn text(&mut self, at: [f64; 2], style: Style, text: &str) {
        let [x, y] = at.map(places);
        let Style { size, color, .. } = style;
        let weight = if style.is_bold {
            " font-weight=\"bold\""
        } else {
            ""
        };
        let anchor = match style.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let text = escaped(text);
        self.add(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{color}\"{weight}{anchor}>\
             {text}</text>"
        ));
    }

    /// Adds an element that is written out.
    pub(crate) fn add(&mut self, element: impl Display) {
        writeln!(self.body, "{element}").expect("memory takes every text");
    }

    /// The whole drawing, with the title that a reader of screens tells.
    pub(crate) fn finish(self, title: &str, [width, height]: [f64; 2]) -> String {
        let (width, height) = (places(width), places(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FONT}\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escaped(title),
            self.body
        )
    }
}

/// A number with at most one place after the point.
fn places(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
