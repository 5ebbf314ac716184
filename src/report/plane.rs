//! What is drawn into the plane of two features: samples, ellipses, means.

use std::collections::BTreeMap;

use glam::{DMat2, DVec2};
use svg::node::element::{Circle, Ellipse as EllipseElement, Group, Path};

use super::ellipse::Ellipse;
use super::frame::Frame;
use super::palette::{INK, PAPER, PLAIN, color};
use super::text::{degrees, px};
use crate::mixture::Mixture;

/// Samples are drawn in this many layers, each with all colours, so that none hides the others and dense
/// places are darker.
const LAYERS: usize = 8;
/// SVG draws nothing where an ellipse has no width, in px.
const THINNEST: f64 = 0.4;

/// A sample in the plane and its component, if known.
pub(super) type Point = (DVec2, Option<usize>);

/// Mean and covariance of component `k` in the two features.
pub(super) fn marginal([x, y]: [usize; 2], mixture: &Mixture, k: usize) -> (DVec2, DMat2) {
    let (mean, covariance) = (mixture.mean(k), mixture.covariance(k));
    let at = |i: usize, j: usize| covariance[i * mixture.n_features() + j];
    (
        DVec2::new(mean[x], mean[y]),
        DMat2::from_cols(
            DVec2::new(at(x, x), at(y, x)),
            DVec2::new(at(x, y), at(y, y)),
        ),
    )
}

/// The plane of the features `pair`, as the frame shows it.
pub(super) struct Plane<'a> {
    pub pair: [usize; 2],
    pub frame: &'a Frame<'a>,
}

impl Plane<'_> {
    /// One path a colour and layer, of dots that are lines without length under round caps.
    pub fn points(&self, points: &[Point]) -> Group {
        let (size, opacity) = match points.len() {
            0..=300 => (5.0, 0.75),
            301..=1500 => (4.0, 0.6),
            1501..=10_000 => (3.2, 0.5),
            _ => (2.2, 0.35),
        };
        let mut group = Group::new()
            .set("stroke-linecap", "round")
            .set("stroke-width", size)
            .set("stroke-opacity", opacity);
        for layer in points.chunks(points.len().div_ceil(LAYERS).max(1)) {
            let mut paths: BTreeMap<Option<usize>, String> = BTreeMap::new();
            for (point, label) in layer {
                let path = paths.entry(*label).or_default();
                path.push_str(&format!(
                    "M{} {}h0",
                    px(self.frame.px_x(point.x)),
                    px(self.frame.px_y(point.y))
                ));
            }
            for (label, path) in paths {
                let color = label.map_or_else(|| PLAIN.into(), color);
                group = group.add(Path::new().set("stroke", color).set("d", path));
            }
        }
        group
    }

    /// The ellipses of component `k` in px, 2σ first.
    fn ellipses(&self, mixture: &Mixture, k: usize) -> [EllipseElement; 2] {
        let (mean, covariance) = marginal(self.pair, mixture, k);
        // Scaled to px before anything is squared; y points down.
        let scale = DMat2::from_diagonal(DVec2::new(
            self.frame.x.scale() * self.frame.width,
            -self.frame.y.scale() * self.frame.height,
        ));
        let center = DVec2::new(self.frame.px_x(mean.x), self.frame.px_y(mean.y));
        let covariance = scale * covariance * scale;
        [2.0, 1.0].map(|n_sigma| {
            let e = Ellipse::new(center, covariance, n_sigma);
            let (x, y) = (px(e.center.x), px(e.center.y));
            EllipseElement::new()
                .set("rx", px(e.semi_axes.x.max(THINNEST)))
                .set("ry", px(e.semi_axes.y.max(THINNEST)))
                .set(
                    "transform",
                    format!("translate({x} {y}) rotate({})", degrees(e.angle)),
                )
        })
    }

    /// Ellipses of a mixture in its components' colours.
    pub fn mixture(&self, mixture: &Mixture) -> Group {
        let mut all = Group::new();
        // A pale edge below the lines keeps them apart from samples of their own colour.
        let mut edges = Group::new()
            .set("fill", "none")
            .set("stroke", PAPER)
            .set("stroke-width", 4.6)
            .set("stroke-opacity", 0.7);
        for k in 0..mixture.len() {
            for ellipse in self.ellipses(mixture, k) {
                edges = edges.add(ellipse);
            }
        }
        all = all.add(edges);
        for k in 0..mixture.len() {
            let color = color(k);
            let [outer, inner] = self.ellipses(mixture, k);
            all = all.add(
                Group::new()
                    .set("fill", color.as_str())
                    .set("stroke", color.as_str())
                    .add(outer.set("fill-opacity", 0.07).set("stroke-width", 1.8))
                    .add(inner.set("fill-opacity", 0.12).set("stroke-width", 2.4)),
            );
        }
        all
    }

    /// Dashed ellipses of the mixture to compare with, and rings at its means.
    pub fn truth(&self, truth: &Mixture) -> Group {
        let mut all = Group::new()
            .set("fill", "none")
            .set("stroke", INK)
            .set("stroke-width", 1.1)
            .set("stroke-dasharray", "4 4");
        for k in 0..truth.len() {
            for ellipse in self.ellipses(truth, k) {
                all = all.add(ellipse);
            }
            let (mean, _) = marginal(self.pair, truth, k);
            all = all.add(
                Circle::new()
                    .set("cx", px(self.frame.px_x(mean.x)))
                    .set("cy", px(self.frame.px_y(mean.y)))
                    .set("r", 8)
                    .set("stroke-dasharray", "none"),
            );
        }
        all
    }

    /// Crosses at the means.
    pub fn means(&self, mixture: &Mixture) -> Group {
        let crosses: String = (0..mixture.len())
            .map(|k| {
                let (mean, _) = marginal(self.pair, mixture, k);
                let (x, y) = (self.frame.px_x(mean.x), self.frame.px_y(mean.y));
                format!("M{} {}h10M{} {}v10", px(x - 5.0), px(y), px(x), px(y - 5.0))
            })
            .collect();
        let crosses = Path::new().set("d", crosses);
        Group::new()
            .set("stroke-linecap", "round")
            .add(
                crosses
                    .clone()
                    .set("stroke", PAPER)
                    .set("stroke-width", 5)
                    .set("stroke-opacity", 0.9),
            )
            .add(crosses.set("stroke", INK).set("stroke-width", 2.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::Covariances;

    #[test]
    fn the_pair_picks_mean_and_marginal_covariance() {
        let three = Mixture::new(
            vec![1.0],
            vec![1.0, 2.0, 3.0],
            3,
            Covariances::Full(vec![4.0, 0.1, 0.2, 0.1, 5.0, 0.3, 0.2, 0.3, 6.0]),
        )
        .expect("a valid mixture");
        let (mean, covariance) = marginal([2, 0], &three, 0);
        assert_eq!(mean, DVec2::new(3.0, 1.0));
        assert_eq!(covariance.to_cols_array(), [6.0, 0.2, 0.2, 4.0]);
    }
}
