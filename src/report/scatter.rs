//! Samples and mixtures in the plane of two features.

use std::collections::BTreeMap;

use glam::DVec2;

use super::axes::Axis;
use super::error::PictureError;
use super::frame::{Frame, Words};
use super::legend::{MOST, Mark, Row};
use super::palette::{INK, PLAIN, color};
use super::plane::{Plane, Point, marginal};
use crate::mixture::Mixture;

const HEIGHT: f64 = 430.0;
#[derive(Clone, Copy, Debug)]
struct Samples<'a> {
    values: &'a [f64],
    n_features: usize,
    labels: &'a [usize],
}

/// A scatter plot of two features: samples coloured by component, a mixture's 1σ and 2σ ellipses, and
/// those of a second mixture, the truth, dashed. Every part may be left out.
///
/// # Examples
/// ```
/// use wgmm::mixture::{Covariances, Mixture};
/// use wgmm::report::Scatter;
/// let fit = Mixture::new(
///     vec![0.5, 0.5],
///     vec![0.0, 0.0, 0.0, 4.0, 1.0, 0.0],
///     3,
///     Covariances::Spherical(vec![1.0, 2.0]),
/// )?;
/// let samples = [0.1, 0.2, 0.3, 3.9, 1.1, 0.3];
/// let picture = Scatter::new([0, 1], ["length", "width"])
///     .title("Two of three features")
///     .samples(&samples, 3, &[0, 1])
///     .mixture(&fit)
///     .to_svg()?;
/// assert!(picture.starts_with("<svg"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scatter<'a> {
    pair: [usize; 2],
    words: Words,
    samples: Option<Samples<'a>>,
    mixture: Option<&'a Mixture>,
    truth: Option<&'a Mixture>,
}

impl<'a> Scatter<'a> {
    /// An empty picture of the features `pair` (from 0; horizontal, vertical), called `names`.
    pub fn new<S: Into<String>>(pair: [usize; 2], names: [S; 2]) -> Self {
        let [x, y] = names.map(Into::into);
        Self {
            pair,
            words: Words {
                x,
                y,
                ..Words::default()
            },
            samples: None,
            mixture: None,
            truth: None,
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

    /// Samples: `values` row-major N × `n_features`, and each one's component (from 0) in `labels`, or no
    /// labels for samples in grey. Rows that are not finite in the two features are left out. A few
    /// thousand samples make a readable picture; more are drawn as they are.
    pub fn samples(mut self, values: &'a [f64], n_features: usize, labels: &'a [usize]) -> Self {
        self.samples = Some(Samples {
            values,
            n_features,
            labels,
        });
        self
    }

    /// A mixture: its means as crosses, its 1σ and 2σ ellipses in its components' colours. Those of more
    /// than two features are the marginal ones of the pair.
    pub fn mixture(mut self, mixture: &'a Mixture) -> Self {
        self.mixture = Some(mixture);
        self
    }

    /// A second mixture to compare with: its means as rings, its 1σ and 2σ ellipses dashed. Its weights
    /// stand beside the first one's if it has as many components, so order them alike.
    pub fn truth(mut self, truth: &'a Mixture) -> Self {
        self.truth = Some(truth);
        self
    }

    /// The picture as the text of an SVG file.
    ///
    /// # Errors
    /// The samples or a mixture lack a feature of the pair; values are not whole rows; labels are not one
    /// a sample.
    pub fn to_svg(&self) -> Result<String, PictureError> {
        self.check()?;
        let points = self.points();
        let mixtures = || self.mixture.into_iter().chain(self.truth);
        let reaches: Vec<(DVec2, DVec2)> = mixtures()
            .flat_map(|m| (0..m.len()).map(move |k| marginal(self.pair, m, k)))
            .map(|(mean, covariance)| {
                let deviations = DVec2::new(covariance.x_axis.x.sqrt(), covariance.y_axis.y.sqrt());
                (mean, 2.0 * deviations)
            })
            .collect();
        let along = |axis: usize| {
            let ellipses = reaches.iter().flat_map(move |(mean, reach)| {
                [mean[axis] - reach[axis], mean[axis] + reach[axis]]
            });
            points.iter().map(move |(p, _)| p[axis]).chain(ellipses)
        };
        let legend = self.legend(&points);
        let frame = Frame::new(
            &self.words,
            Axis::covering(along(0), 8, false),
            Axis::covering(along(1), 7, false),
            HEIGHT,
            !legend.is_empty(),
        );
        let plane = Plane {
            pair: self.pair,
            frame: &frame,
        };
        let mut inside = vec![plane.points(&points)];
        inside.extend(self.mixture.map(|m| plane.mixture(m)));
        inside.extend(self.truth.map(|m| plane.truth(m)));
        inside.extend(self.mixture.map(|m| plane.means(m)));
        Ok(frame.draw(inside, &legend))
    }

    fn check(&self) -> Result<(), PictureError> {
        let features = |what, n_features| match self.pair.iter().find(|f| **f >= n_features) {
            Some(feature) => Err(PictureError::NoSuchFeature {
                what,
                feature: *feature,
                n_features,
            }),
            None => Ok(()),
        };
        if let Some(mixture) = self.mixture {
            features("mixture", mixture.n_features())?;
        }
        if let Some(truth) = self.truth {
            features("truth", truth.n_features())?;
        }
        if let Some(samples) = self.samples {
            features("samples", samples.n_features)?;
            let (found, n_features) = (samples.values.len(), samples.n_features);
            if found % n_features != 0 {
                return Err(PictureError::Ragged { found, n_features });
            }
            let (found, expected) = (samples.labels.len(), found / n_features);
            if found != 0 && found != expected {
                return Err(PictureError::Labels { found, expected });
            }
        }
        Ok(())
    }

    /// The finite samples in the plane, with their labels.
    fn points(&self) -> Vec<Point> {
        let Some(samples) = self.samples else {
            return Vec::new();
        };
        let [x, y] = self.pair;
        samples
            .values
            .chunks_exact(samples.n_features)
            .enumerate()
            .map(|(i, row)| (DVec2::new(row[x], row[y]), samples.labels.get(i).copied()))
            .filter(|(p, _)| p.is_finite())
            .collect()
    }

    fn legend(&self, points: &[Point]) -> Vec<Option<Row>> {
        let mut rows = Vec::new();
        let more = |rows: &mut Vec<Option<Row>>, all: usize| {
            if all > MOST {
                rows.push(Some(Row::new(
                    Mark::None,
                    format!("and {} more", all - MOST),
                )));
            }
        };
        if let Some(mixture) = self.mixture {
            let truth = self.truth.filter(|t| t.len() == mixture.len());
            let heading = Row::new(Mark::None, "component").with("weight");
            rows.push(Some(match truth {
                Some(_) => heading.with("truth"),
                None => heading,
            }));
            for (k, weight) in mixture.weights().iter().enumerate().take(MOST) {
                let row = Row::new(Mark::Dot(color(k)), k.to_string()).with(format!("{weight:.3}"));
                rows.push(Some(match truth {
                    Some(truth) => row.with(format!("{:.3}", truth.weights()[k])),
                    None => row,
                }));
            }
            more(&mut rows, mixture.len());
        } else {
            let mut counts = BTreeMap::new();
            for label in points.iter().filter_map(|(_, label)| *label) {
                *counts.entry(label).or_insert(0_usize) += 1;
            }
            if !counts.is_empty() {
                rows.push(Some(Row::new(Mark::None, "component").with("share")));
            }
            for (label, count) in counts.iter().take(MOST) {
                let share = *count as f64 / points.len() as f64;
                rows.push(Some(
                    Row::new(Mark::Dot(color(*label)), label.to_string())
                        .with(format!("{share:.3}")),
                ));
            }
            more(&mut rows, counts.len());
        }
        if self.mixture.is_some() || self.truth.is_some() {
            if !rows.is_empty() {
                rows.push(None);
            }
            if self.mixture.is_some() {
                rows.push(Some(Row::new(Mark::Line(PLAIN.into(), false), "1σ and 2σ")));
            }
            if self.truth.is_some() {
                rows.push(Some(Row::new(
                    Mark::Line(INK.into(), true),
                    "truth, dashed",
                )));
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::xml;
    use super::*;
    use crate::mixture::Covariances;

    fn mixture(scale: f64, k: usize) -> Mixture {
        let means = (0..k)
            .flat_map(|k| [k as f64 * scale, 0.5 * scale])
            .collect();
        let variance = scale * scale;
        let covariance = [0.9, 0.3, 0.3, 0.5].map(|c| c * variance);
        Mixture::new(
            vec![1.0 / k as f64; k],
            means,
            2,
            Covariances::Full(covariance.repeat(k)),
        )
        .expect("a valid mixture")
    }

    fn picture(values: &[f64], labels: &[usize], mixture: Option<&Mixture>) -> String {
        let mut picture = Scatter::new([0, 1], ["<&\">", "it's \u{1}"])
            .title("a < b & \"c\" > d")
            .subtitle("<b>&amp;</b>")
            .samples(values, 2, labels);
        if let Some(mixture) = mixture {
            picture = picture.mixture(mixture).truth(mixture);
        }
        let text = picture.to_svg().expect("whole rows, one label each");
        xml::check(&text);
        text
    }

    #[test]
    fn every_range_gives_a_valid_picture() {
        for scale in [1.0, 1e12, 1e-12, 1e150, 1e-150] {
            let mixture = mixture(scale, 3);
            let (values, labels) = mixture.sample(50, &mut ChaCha8Rng::seed_from_u64(1));
            let text = picture(&values, &labels, Some(&mixture));
            assert_eq!(text.matches("h0").count(), 50);
            assert_eq!(text.matches("<ellipse").count(), 3 * 2 * 3);
        }
    }

    #[test]
    fn few_samples_or_none_give_a_valid_picture() {
        let one = mixture(1.0, 1);
        picture(&[], &[], None);
        picture(&[], &[], Some(&one));
        picture(&[1.0, 2.0], &[0], None);
        picture(&[1.0, 2.0], &[0], Some(&one));
        picture(&[5.0; 40], &[3; 20], None);
        picture(&[1e12; 40], &[usize::MAX; 20], None);
        picture(&[0.0; 40], &[], None);
        let bad = picture(
            &[f64::NAN, 1.0, 2.0, f64::INFINITY, 3.0, 4.0],
            &[0, 1, 2],
            None,
        );
        assert_eq!(bad.matches("h0").count(), 1);
        picture(&[f64::MIN, f64::MAX, f64::MAX, f64::MIN], &[0, 1], None);
    }

    #[test]
    fn a_covariance_without_width_is_still_drawn() {
        let flat = Mixture::new(
            vec![1.0],
            vec![0.0, 0.0],
            2,
            Covariances::Full(vec![1.0, 1.0 - 1e-12, 1.0 - 1e-12, 1.0]),
        )
        .expect("barely positive definite");
        assert!(picture(&[], &[], Some(&flat)).contains("ry=\".4\""));
    }

    #[test]
    fn thousands_of_samples_stay_small_and_deterministic() {
        let mixture = mixture(1.0, 4);
        let (values, labels) = mixture.sample(3000, &mut ChaCha8Rng::seed_from_u64(1));
        let text = picture(&values, &labels, Some(&mixture));
        assert!(text.len() <= 60_000, "{}", text.len());
        assert_eq!(text, picture(&values, &labels, Some(&mixture)));
    }

    #[test]
    fn many_components_shorten_the_legend() {
        let mixture = mixture(1.0, 40);
        let text = picture(&[], &[], Some(&mixture));
        assert!(text.contains("and 24 more"));
        assert!(text.contains(&color(39)));
    }

    #[test]
    fn inputs_that_do_not_fit_are_named() {
        let said = |picture: Scatter| picture.to_svg().expect_err("does not fit").to_string();
        let two = mixture(1.0, 2);
        let names = ["a", "b"];
        assert_eq!(
            said(Scatter::new([0, 2], names).mixture(&two)),
            "mixture: no feature 2 among 2 (counted from 0)"
        );
        assert!(said(Scatter::new([0, 0], names).samples(&[], 0, &[])).contains("samples"));
        assert!(
            said(Scatter::new([0, 1], names).samples(&[1.0; 5], 2, &[])).contains("whole rows")
        );
        assert!(
            said(Scatter::new([0, 1], names).samples(&[1.0; 4], 2, &[0]))
                .contains("labels: 1 for 2")
        );
    }
}
