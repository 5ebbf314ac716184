//! The legend to the right of the plot: a small table of marks, names and numbers.

use svg::node::element::{Circle, Group, Line};

use super::palette::{INK, MUTED};
use super::text::{px, shortened, text};

/// Room the legend takes, in px.
pub(super) const WIDTH: f64 = 168.0;
/// Components named one by one; the rest is counted.
pub(super) const MOST: usize = 16;

const ROW: f64 = 20.0;
const SIZE: f64 = 12.0;
/// From a row's mark to its name.
const INDENT: f64 = 28.0;
/// Between columns of numbers.
const COLUMN: f64 = 50.0;

/// What stands before a row.
pub(super) enum Mark {
    /// Nothing: a heading or a remark.
    None,
    /// A disc of this colour.
    Dot(String),
    /// A line of this colour, whole or dashed.
    Line(String, bool),
}

/// One row: mark, name, numbers.
pub(super) struct Row {
    pub mark: Mark,
    pub name: String,
    /// Right-aligned, the last at the legend's edge.
    pub numbers: Vec<String>,
}

impl Row {
    pub fn new(mark: Mark, name: impl Into<String>) -> Self {
        Self {
            mark,
            name: name.into(),
            numbers: Vec::new(),
        }
    }

    pub fn with(mut self, number: impl Into<String>) -> Self {
        self.numbers.push(number.into());
        self
    }
}

/// The rows drawn from (x, y) down; `None` leaves half a row free.
pub(super) fn draw(rows: &[Option<Row>], x: f64, y: f64) -> Group {
    let mut group = Group::new().set("font-size", SIZE).set("fill", INK);
    let mut y = y;
    for row in rows {
        let Some(row) = row else {
            y += 0.6 * ROW;
            continue;
        };
        let middle = y - 0.35 * SIZE;
        group = match &row.mark {
            Mark::None => group,
            Mark::Dot(color) => group.add(
                Circle::new()
                    .set("cx", px(x + 9.0))
                    .set("cy", px(middle))
                    .set("r", 5)
                    .set("fill", color.as_str()),
            ),
            Mark::Line(color, dashed) => {
                let line = Line::new()
                    .set("x1", px(x))
                    .set("x2", px(x + 18.0))
                    .set("y1", px(middle))
                    .set("y2", px(middle))
                    .set("stroke", color.as_str())
                    .set("stroke-width", if *dashed { 1.4 } else { 2.0 });
                group.add(if *dashed {
                    line.set("stroke-dasharray", "4 4")
                } else {
                    line
                })
            }
        };
        let heading = matches!(row.mark, Mark::None);
        let indent = if heading { 0.0 } else { INDENT };
        let room = WIDTH - indent - row.numbers.len() as f64 * COLUMN;
        let mut name = text(&shortened(&row.name, SIZE, room), x + indent, y);
        if heading {
            name = name.set("fill", MUTED);
        }
        group = group.add(name);
        for (i, number) in row.numbers.iter().rev().enumerate() {
            let mut number =
                text(number, x + WIDTH - i as f64 * COLUMN, y).set("text-anchor", "end");
            if heading || i + 1 < row.numbers.len() {
                number = number.set("fill", MUTED);
            }
            group = group.add(number);
        }
        y += ROW;
    }
    group
}
