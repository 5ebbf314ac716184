//! A line chart of one or several named series.

use svg::node::element::{Group, Line, Path};

use super::axes::Axis;
use super::frame::{Frame, Words};
use super::legend::{MOST, Mark, Row};
use super::palette::{INK, PAPER, color};
use super::text::{px, shortened, text};

const HEIGHT: f64 = 300.0;
/// Series of up to this many points show each as a dot.
const DOTTED: usize = 40;
const MARK_SIZE: f64 = 12.0;

/// Named series over a common horizontal axis, such as the log-likelihood along the iterations, or
/// criteria against K.
///
/// # Examples
/// ```
/// use wgmm::report::LineChart;
/// let picture = LineChart::new(["components, K", "criterion"])
///     .title("How many components?")
///     .series("BIC", [(1.0, 910.2), (2.0, 852.0), (3.0, 861.7)])
///     .mark(2.0, "K = 2")
///     .to_svg();
/// assert!(picture.contains("K = 2"));
/// ```
#[derive(Clone, Debug)]
pub struct LineChart {
    words: Words,
    series: Vec<(String, Vec<(f64, f64)>)>,
    mark: Option<(f64, String)>,
}

impl LineChart {
    /// An empty chart with axes called `names` (horizontal, vertical).
    pub fn new<S: Into<String>>(names: [S; 2]) -> Self {
        let [x, y] = names.map(Into::into);
        Self {
            words: Words {
                x,
                y,
                ..Words::default()
            },
            series: Vec::new(),
            mark: None,
        }
    }

    /// The line on top.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.words.title = title.into();
        self
    }

    /// The smaller line below the title.
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.words.subtitle = subtitle.into();
        self
    }

    /// Adds a series of points (x, y) in drawing order, in the colour of its number. A point that is not
    /// finite leaves a gap. The horizontal axis has ticks at whole numbers only if all x are whole.
    pub fn series(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        self.series
            .push((name.into(), points.into_iter().collect()));
        self
    }

    /// Marks the choice: a line at `x` with `label` beside it, and a ring around each series' point there.
    pub fn mark(mut self, x: f64, label: impl Into<String>) -> Self {
        self.mark = Some((x, label.into()));
        self
    }

    /// The chart as the text of an SVG file.
    pub fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let finite = || points().filter(|(x, y)| x.is_finite() && y.is_finite());
        let whole = finite().all(|(x, _)| x.fract() == 0.0);
        let marked = self.mark.iter().map(|(x, _)| *x);
        let legend = self.legend();
        let frame = Frame::new(
            &self.words,
            Axis::covering(finite().map(|(x, _)| *x).chain(marked), 10, whole),
            Axis::covering(finite().map(|(_, y)| *y), 6, false),
            HEIGHT,
            !legend.is_empty(),
        );
        let mut inside = Vec::new();
        if let Some((x, label)) = self.finite_mark() {
            inside.push(draw_mark(x, label, &frame));
        }
        for (number, (_, points)) in self.series.iter().enumerate() {
            inside.push(self.draw_series(number, points, &frame));
        }
        frame.draw(inside, &legend)
    }

    fn finite_mark(&self) -> Option<(f64, &str)> {
        self.mark
            .as_ref()
            .filter(|(x, _)| x.is_finite())
            .map(|(x, label)| (*x, label.as_str()))
    }

    fn draw_series(&self, number: usize, points: &[(f64, f64)], frame: &Frame) -> Group {
        let mut line = String::new();
        let mut dots = String::new();
        let mut rings = String::new();
        let mut joined = false;
        let chosen = self.finite_mark().map(|(x, _)| x);
        for (x, y) in points {
            let finite = x.is_finite() && y.is_finite();
            if finite {
                let (px_x, px_y) = (px(frame.px_x(*x)), px(frame.px_y(*y)));
                let command = if joined { 'L' } else { 'M' };
                line.push_str(&format!("{command}{px_x} {px_y}"));
                dots.push_str(&format!("M{px_x} {px_y}h0"));
                if chosen == Some(*x) {
                    rings.push_str(&format!("M{px_x} {px_y}h0"));
                }
            }
            joined = finite;
        }
        let color = color(number);
        let mut group = Group::new()
            .set("fill", "none")
            .set("stroke", color.as_str())
            .set("stroke-linecap", "round")
            .set("stroke-linejoin", "round")
            .add(Path::new().set("d", line).set("stroke-width", 2));
        if points.len() <= DOTTED {
            group = group.add(Path::new().set("d", dots).set("stroke-width", 6.5));
        }
        if !rings.is_empty() {
            let ring = Path::new().set("d", rings);
            group = group
                .add(ring.clone().set("stroke-width", 13))
                .add(ring.set("stroke-width", 8.5).set("stroke", PAPER));
        }
        group
    }

    /// One series needs no legend: the vertical axis names it.
    fn legend(&self) -> Vec<Option<Row>> {
        if self.series.len() < 2 {
            return Vec::new();
        }
        let names = self.series.iter().enumerate().take(MOST);
        let mut rows: Vec<_> = names
            .map(|(i, (name, _))| Some(Row::new(Mark::Line(color(i), false), name.as_str())))
            .collect();
        if self.series.len() > MOST {
            let more = format!("and {} more", self.series.len() - MOST);
            rows.push(Some(Row::new(Mark::None, more)));
        }
        rows
    }
}

/// The line at the choice, its label on the side that has room.
fn draw_mark(x: f64, label: &str, frame: &Frame) -> Group {
    let at = frame.px_x(x);
    let right = at < 0.6 * frame.width;
    let room = if right { frame.width - at } else { at } - 16.0;
    let label = text(
        &shortened(label, MARK_SIZE, room),
        at + if right { 8.0 } else { -8.0 },
        14.0,
    )
    .set("font-size", MARK_SIZE)
    .set("font-weight", 600)
    .set("fill", INK)
    .set("text-anchor", if right { "start" } else { "end" });
    let line = Line::new()
        .set("x1", px(at))
        .set("x2", px(at))
        .set("y1", 0)
        .set("y2", px(frame.height))
        .set("stroke", INK)
        .set("stroke-opacity", 0.55)
        .set("stroke-dasharray", "5 3");
    Group::new().add(line).add(label)
}

#[cfg(test)]
mod tests {
    use super::super::xml;
    use super::*;

    fn chart(points: &[(f64, f64)]) -> String {
        let text = LineChart::new(["<x>", "y & z"])
            .title("\"t\"")
            .series("a<b", points.iter().copied())
            .series("c&d", points.iter().map(|(x, y)| (*x, -y)))
            .mark(points.first().map_or(f64::NAN, |p| p.0), "'<chosen>'")
            .to_svg();
        xml::check(&text);
        text
    }

    #[test]
    fn every_range_gives_a_valid_picture() {
        chart(&[]);
        chart(&[(1.0, 2.0)]);
        chart(&[(1.0, 2.0), (2.0, 2.0)]);
        chart(&[(f64::NAN, 2.0), (f64::INFINITY, f64::NEG_INFINITY)]);
        for scale in [1e12, 1e-12, 1e300] {
            chart(&[(0.0, scale), (1.0, -scale), (scale, 0.0)]);
        }
    }

    #[test]
    fn a_gap_where_a_value_is_missing() {
        let text = chart(&[(1.0, 1.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 1.0)]);
        let line = text
            .lines()
            .find(|l| l.contains("stroke-width=\"2\"") && l.contains("<path"));
        let line = line.expect("a path a series");
        assert_eq!(line.matches('M').count(), 2, "{line}");
        assert_eq!(line.matches('L').count(), 1, "{line}");
    }

    #[test]
    fn whole_x_has_ticks_at_whole_numbers() {
        let text = chart(&[(1.0, 1.0), (2.0, 3.0), (3.0, 2.0)]);
        assert!(!text.contains("\n1.5\n"));
        assert!(chart(&[(1.0, 1.0), (2.5, 3.0)]).contains("\n1.4\n"));
    }

    #[test]
    fn one_series_has_no_legend() {
        let one = LineChart::new(["x", "y"]).series("only", [(0.0, 1.0), (1.0, 2.0)]);
        assert!(!one.to_svg().contains("only"));
        assert!(one.series("other", [(0.0, 2.0)]).to_svg().contains("only"));
    }
}
