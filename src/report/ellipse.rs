//! The ellipse n standard deviations around the mean of a Gaussian of two features.

use glam::{DMat2, DVec2};

/// An ellipse in the plane: the points c + r₁ cos t · u + r₂ sin t · v, with u at `angle` and v a quarter
/// turn further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ellipse {
    /// The centre c.
    pub center: DVec2,
    /// The semi-axes r₁ ≥ r₂ ≥ 0, in the units of the features.
    pub semi_axes: DVec2,
    /// The direction of the longer axis in radians, from the first feature's axis to the second's,
    /// in (−π/2, π/2]; 0 for a circle.
    pub angle: f64,
}

impl Ellipse {
    /// The points at Mahalanobis distance `n_sigma` from `center`: `covariance` is symmetric (its entry
    /// in row 0, column 1 is the one used) and positive semidefinite; an eigenvalue that rounding has
    /// made negative counts as 0.
    ///
    /// # Examples
    /// ```
    /// use glam::{DMat2, DVec2};
    /// use wgmm::report::Ellipse;
    /// let covariance = DMat2::from_diagonal(DVec2::new(9.0, 4.0));
    /// let two_sigma = Ellipse::new(DVec2::ZERO, covariance, 2.0);
    /// assert_eq!(two_sigma.semi_axes, DVec2::new(6.0, 4.0));
    /// assert_eq!(two_sigma.angle, 0.0);
    /// ```
    pub fn new(center: DVec2, covariance: DMat2, n_sigma: f64) -> Self {
        let (a, b, c) = (
            covariance.x_axis.x,
            covariance.y_axis.x,
            covariance.y_axis.y,
        );
        // Products of entries near the ends of the f64 range would overflow or vanish.
        let scale = a.abs().max(c.abs());
        if scale == 0.0 {
            return Self {
                center,
                semi_axes: DVec2::ZERO,
                angle: 0.0,
            };
        }
        let (a, b, c) = (a / scale, b / scale, c / scale);
        let half_difference = 0.5 * (a - c);
        let larger = 0.5 * (a + c) + half_difference.hypot(b);
        // The determinant over the larger one: half the sum minus the root would lose a small one's digits.
        let smaller = ((a * c - b * b) / larger).clamp(0.0, larger);
        let size = n_sigma * scale.sqrt();
        Self {
            center,
            semi_axes: DVec2::new(larger.sqrt(), smaller.sqrt()) * size,
            angle: if b == 0.0 && half_difference < 0.0 {
                std::f64::consts::FRAC_PI_2
            } else {
                0.5 * b.atan2(half_difference)
            },
        }
    }

    /// The point of the ellipse at parameter `t` in radians.
    ///
    /// # Examples
    /// ```
    /// use glam::{DMat2, DVec2};
    /// use wgmm::report::Ellipse;
    /// let circle = Ellipse::new(DVec2::ONE, DMat2::IDENTITY, 3.0);
    /// assert_eq!(circle.point(0.0), DVec2::new(4.0, 1.0));
    /// ```
    pub fn point(&self, t: f64) -> DVec2 {
        let along = self.semi_axes * DVec2::new(t.cos(), t.sin());
        self.center + DVec2::from_angle(self.angle).rotate(along)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, TAU};

    use super::*;

    /// Numbers of order 1 after some ten roundings of 1.1e-16 each.
    const TOLERANCE: f64 = 1e-14;

    fn ellipse(a: f64, b: f64, c: f64) -> Ellipse {
        Ellipse::new(
            DVec2::ZERO,
            DMat2::from_cols(DVec2::new(a, b), DVec2::new(b, c)),
            1.0,
        )
    }

    #[test]
    fn along_the_axes() {
        assert_eq!(ellipse(4.0, 0.0, 1.0).semi_axes, DVec2::new(2.0, 1.0));
        assert_eq!(ellipse(4.0, 0.0, 1.0).angle, 0.0);
        assert_eq!(ellipse(1.0, 0.0, 4.0).semi_axes, DVec2::new(2.0, 1.0));
        assert_eq!(ellipse(1.0, 0.0, 4.0).angle, FRAC_PI_2);
        assert_eq!(ellipse(1.0, -0.0, 4.0).angle, FRAC_PI_2);
    }

    #[test]
    fn at_45_degrees() {
        // Eigenvalues 2 ± 1 along (1, 1) and (1, −1).
        for sign in [1.0, -1.0] {
            let e = ellipse(2.0, sign, 2.0);
            let expected = DVec2::new(3.0_f64.sqrt(), 1.0);
            assert!(e.semi_axes.abs_diff_eq(expected, TOLERANCE), "{e:?}");
            assert!((e.angle - sign * FRAC_PI_4).abs() < TOLERANCE, "{e:?}");
        }
    }

    #[test]
    fn a_circle() {
        let e = ellipse(9.0, 0.0, 9.0);
        assert_eq!((e.semi_axes, e.angle), (DVec2::splat(3.0), 0.0));
    }

    #[test]
    fn degenerate_to_a_segment_and_a_point() {
        let segment = ellipse(1.0, 1.0, 1.0);
        assert!(
            segment
                .semi_axes
                .abs_diff_eq(DVec2::new(2.0_f64.sqrt(), 0.0), TOLERANCE)
        );
        // Rounding has made this one indefinite.
        assert_eq!(ellipse(1.0, 1.0 + f64::EPSILON, 1.0).semi_axes.y, 0.0);
        let point = ellipse(0.0, 0.0, 0.0);
        assert_eq!((point.semi_axes, point.angle), (DVec2::ZERO, 0.0));
    }

    #[test]
    fn far_ends_of_the_range() {
        for scale in [1e-300, 1e300] {
            let e = ellipse(4.0 * scale, 0.0, scale);
            let ratio = e.semi_axes / scale.sqrt();
            assert!(
                ratio.abs_diff_eq(DVec2::new(2.0, 1.0), TOLERANCE),
                "{ratio}"
            );
        }
    }

    #[test]
    fn its_points_are_n_sigma_away() {
        let covariance = DMat2::from_cols(DVec2::new(2.0, 0.45), DVec2::new(0.45, 0.8));
        let center = DVec2::new(0.0, 6.0);
        let e = Ellipse::new(center, covariance, 2.0);
        for step in 0..12 {
            let offset = e.point(TAU * f64::from(step) / 12.0) - center;
            let squared = offset.dot(covariance.inverse() * offset);
            assert!((squared - 4.0).abs() < 10.0 * TOLERANCE, "{squared}");
        }
    }
}
