//! What all pictures share: page, titles, grid, axes and the window that the data is drawn in.

use svg::node::element::{Group, Line, Rectangle, SVG};

use super::axes::Axis;
use super::legend::{self, Row};
use super::palette::{AXIS, GRID, INK, MUTED, PAPER};
use super::text::{FONT, legible, px, shortened, text, width};

const WIDTH: f64 = 760.0;
const PAD: f64 = 24.0;
const TITLE: f64 = 17.0;
const SUBTITLE: f64 = 12.5;
const LABEL: f64 = 11.5;
const NAME: f64 = 12.5;

/// The words around a picture; empty ones take no room.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    pub title: String,
    pub subtitle: String,
    pub x: String,
    pub y: String,
}

/// The words, the axes and the size of the window between them.
pub(super) struct Frame<'a> {
    words: &'a Words,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis; its low end is at the bottom.
    pub y: Axis,
    left: f64,
    top: f64,
    /// Width of the window in px.
    pub width: f64,
    /// Height of the window in px.
    pub height: f64,
}

impl<'a> Frame<'a> {
    /// Lays out a window of the given height.
    pub fn new(words: &'a Words, x: Axis, y: Axis, height: f64, legend: bool) -> Self {
        let labels = y.ticks.iter().map(|t| width(&t.label, LABEL));
        let left = PAD + labels.fold(0.0, f64::max) + 10.0;
        let right = PAD + if legend { legend::WIDTH + 26.0 } else { 0.0 };
        let mut top = PAD + 32.0;
        for (word, room) in [(&words.title, 24.0), (&words.subtitle, 24.0)] {
            if !word.is_empty() {
                top += room;
            }
        }
        Self {
            words,
            x,
            y,
            left,
            top,
            width: WIDTH - left - right,
            height,
        }
    }

    /// A value of the horizontal axis in px from the window's left edge.
    pub fn px_x(&self, value: f64) -> f64 {
        self.x.fraction(value) * self.width
    }

    /// A value of the vertical axis in px from the window's top edge.
    pub fn px_y(&self, value: f64) -> f64 {
        (1.0 - self.y.fraction(value)) * self.height
    }

    /// The document with `inside` drawn into the window (its origin at the top left, cut off at its edges).
    pub fn draw(&self, inside: Vec<Group>, legend: &[Option<Row>]) -> String {
        let height = self.top + self.height + 66.0;
        let mut window = SVG::new()
            .set("x", px(self.left))
            .set("y", px(self.top))
            .set("width", px(self.width))
            .set("height", px(self.height));
        for group in inside {
            window = window.add(group);
        }
        let mut document = SVG::new()
            .set("viewBox", format!("0 0 {} {}", px(WIDTH), px(height)))
            .set("width", px(WIDTH))
            .set("height", px(height))
            .set("font-family", FONT)
            .set("role", "img")
            .set("aria-label", legible(&self.spoken()))
            .add(
                Rectangle::new()
                    .set("width", "100%")
                    .set("height", "100%")
                    .set("rx", 8)
                    .set("fill", PAPER),
            )
            .add(self.titles())
            .add(self.grid())
            .add(window)
            .add(self.names());
        if !legend.is_empty() {
            let x = WIDTH - PAD - legend::WIDTH;
            document = document.add(legend::draw(legend, x, self.top + 12.0));
        }
        let mut text = document.to_string();
        text.push('\n');
        text
    }

    fn spoken(&self) -> String {
        let Words { title, x, y, .. } = self.words;
        if title.is_empty() {
            format!("{y} against {x}")
        } else {
            format!("{title}: {y} against {x}")
        }
    }

    fn titles(&self) -> Group {
        let room = WIDTH - 2.0 * PAD;
        let mut group = Group::new();
        let mut y = PAD + 14.0;
        if !self.words.title.is_empty() {
            group = group.add(
                text(&shortened(&self.words.title, TITLE, room), PAD, y)
                    .set("font-size", TITLE)
                    .set("font-weight", 600)
                    .set("fill", INK),
            );
            y += 22.0;
        }
        if !self.words.subtitle.is_empty() {
            group = group.add(
                text(&shortened(&self.words.subtitle, SUBTITLE, room), PAD, y)
                    .set("font-size", SUBTITLE)
                    .set("fill", MUTED),
            );
        }
        group
    }

    /// Lines across at the ticks, the two axes, and the ticks' labels.
    fn grid(&self) -> Group {
        let (left, top) = (self.left, self.top);
        let (right, bottom) = (left + self.width, top + self.height);
        let line = |x1: f64, y1: f64, x2: f64, y2: f64| {
            Line::new()
                .set("x1", px(x1))
                .set("y1", px(y1))
                .set("x2", px(x2))
                .set("y2", px(y2))
        };
        let mut lines = Group::new().set("stroke", GRID);
        let mut below = Group::new().set("text-anchor", "middle");
        for tick in &self.x.ticks {
            let x = left + tick.at * self.width;
            lines = lines.add(line(x, top, x, bottom));
            below = below.add(text(&tick.label, x, bottom + 19.0));
        }
        let mut beside = Group::new().set("text-anchor", "end");
        for tick in &self.y.ticks {
            let y = bottom - tick.at * self.height;
            lines = lines.add(line(left, y, right, y));
            beside = beside.add(text(&tick.label, left - 8.0, y + 4.0));
        }
        let axes = Group::new()
            .set("stroke", AXIS)
            .add(line(left, bottom, right, bottom))
            .add(line(left, top, left, bottom));
        Group::new().add(lines).add(axes).add(
            Group::new()
                .set("font-size", LABEL)
                .set("fill", MUTED)
                .add(below)
                .add(beside),
        )
    }

    /// The axes' names: the vertical one's above its axis, to be read without turning the head.
    fn names(&self) -> Group {
        let name = |name: &str, axis: &Axis| {
            let room = self.width - width(&axis.unit, NAME);
            format!("{}{}", shortened(name, NAME, room), axis.unit)
        };
        let bottom = self.top + self.height;
        Group::new()
            .set("font-size", NAME)
            .set("fill", INK)
            .add(
                text(
                    &name(&self.words.x, &self.x),
                    self.left + 0.5 * self.width,
                    bottom + 44.0,
                )
                .set("text-anchor", "middle"),
            )
            .add(text(&name(&self.words.y, &self.y), PAD, self.top - 14.0))
    }
}
