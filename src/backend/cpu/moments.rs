//! Moments of rows as they are, Σ r x and Σ r x xᵀ, in place of those of whitened coordinates y = U x + b.
//!
//! No coordinates have to be stored and read again or made twice, and what is loaded is the same for all components. Once the
//! rows are summed, U and b take the moments to those of y, in double. Rounding counts by κ² instead of κ in units of y, so
//! it is for components of moderate κ. In the tied shape rows whitened without a mean, z = U x, take the place of x.

use rayon::prelude::*;

use super::prepared::{Prepared, Shape};
use super::real::Real;
use crate::backend::{Components, Statistics};
use crate::mixture::{CovarianceType, triangle};

/// The largest κ of a component, in quadrature ([`Components::quadratic_kappa_of`]): second moments of x times entries of U add up to
/// those of y, and what is off in one of them does not depend on the others. Where features have few values additions
/// round the same way again and again, which leaves some 1e-6 κ² in the mean in single precision. Covariances promise 1e-4.
const KAPPA: f64 = 10.0;
/// The same in the fused shape: at D = 2 values can be found that leave 1.04e-4 in a variance at κ = 9.7.
const KAPPA_OF_FEW: f64 = 9.0;
/// The largest Σ |U_ij| |μ_j| of tied covariances: κ without what rows add that are three deviations from their mean.
const SPREAD: f64 = KAPPA - 3.0;
/// The fewest rows a feature: D³ operations take a component's moments to y, and what is saved grows with N D².
const ROWS_PER_FEATURE: usize = 128;

/// Of each component whether moments of rows as they are are summed. `spread` is the largest Σ |U_ij| |μ_j|.
pub(super) fn are_plain(
    components: &Components,
    shape: Shape,
    spread: f64,
    rows: usize,
) -> Vec<bool> {
    let (k, d) = (components.len(), components.n_features);
    let possible = match shape {
        Shape::Tied => return vec![spread <= SPREAD; k],
        Shape::Diagonal => true,
        Shape::Tiled => components.covariance_type == CovarianceType::Full,
        // Tied covariances as far as all components have one: noise has none.
        Shape::Fused { .. } => {
            components.covariance_type == CovarianceType::Full || components.share_a_factor()
        }
    };
    if !possible || rows < ROWS_PER_FEATURE * d {
        return vec![false; k];
    }
    if let Shape::Fused { .. } = shape {
        // All components of a panel are summed in the same way.
        let all = (0..k).all(|k| components.quadratic_kappa_of(k) <= KAPPA_OF_FEW);
        return vec![all; k];
    }
    (0..k)
        .into_par_iter()
        .map(|k| components.quadratic_kappa_of(k) <= KAPPA)
        .collect()
}

/// Takes the moments of rows as they are to those of the coordinates that the kernels would have used.
pub(super) fn to_coordinates<T: Real>(
    model: &Prepared<T>,
    components: &Components,
    sums: &mut Statistics,
) {
    let (k, d) = (model.k, model.d);
    if model.stored == k {
        return;
    }
    let Statistics { s0, s1, s2, .. } = sums;
    // y = U x + b, where kernels may have taken the mean off first.
    let bias = |k: usize| -> Vec<f64> {
        let mut bias = widened(model.bias(k));
        if model.centred {
            let mean = components.apply_factor(k, &widened(model.mean(k)));
            bias.iter_mut().zip(mean).for_each(|(b, m)| *b -= m);
        }
        bias
    };
    if components.covariance_type == CovarianceType::Tied {
        if model.shape != Shape::Tied {
            // The rows were not whitened yet.
            *s2 = triangle::congruent(components.kept_factor(0), s2, d);
            for s1 in s1.chunks_exact_mut(d) {
                s1.copy_from_slice(&components.apply_factor(0, s1));
            }
        }
        for (k, s1) in s1.chunks_exact_mut(d).enumerate() {
            move_second(s2, s1, s0[k], &bias(k));
            move_first(s1, s0[k], &bias(k));
        }
        return;
    }
    let length = s2.len() / k;
    s1.par_chunks_exact_mut(d)
        .zip(s2.par_chunks_exact_mut(length))
        .enumerate()
        .filter(|(k, _)| model.slots[*k].is_none())
        .for_each(|(k, (s1, s2))| {
            let (factor, bias) = (components.kept_factor(k), bias(k));
            s1.copy_from_slice(&components.apply_factor(k, s1));
            match components.covariance_type {
                CovarianceType::Full => {
                    s2.copy_from_slice(&triangle::congruent(factor, s2, d));
                    move_second(s2, s1, s0[k], &bias);
                }
                CovarianceType::Diag => {
                    for i in 0..d {
                        s2[i] = factor[i] * factor[i] * s2[i]
                            + bias[i] * (2.0 * s1[i] + s0[k] * bias[i]);
                    }
                }
                // The traces are of y already.
                CovarianceType::Spherical | CovarianceType::Tied => {}
            }
            move_first(s1, s0[k], &bias);
        });
}

fn widened<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|x| x.to_f64()).collect()
}

/// From Σ r y to Σ r (y + b).
fn move_first(s1: &mut [f64], s0: f64, bias: &[f64]) {
    for (s1, bias) in s1.iter_mut().zip(bias) {
        *s1 += s0 * bias;
    }
}

/// From Σ r y yᵀ to Σ r (y + b) (y + b)ᵀ, a packed triangle; `s1` is Σ r y.
fn move_second(s2: &mut [f64], s1: &[f64], s0: f64, bias: &[f64]) {
    for i in 0..bias.len() {
        for j in 0..=i {
            s2[triangle::at(i, j)] += s1[i] * bias[j] + bias[i] * (s1[j] + s0 * bias[j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cpu;
    use super::super::level;
    use super::super::tests::{components, samples};
    use super::*;
    use crate::backend::reference::Reference;
    use crate::backend::{Backend, MaskedModel, Precision};
    use crate::data::{Samples, Standardisation};
    use crate::mixture::{Covariances, Mixture};

    /// Components of moderate κ, and one that is too narrow for moments of rows as they are.
    fn with_a_narrow_one(covariance_type: CovarianceType, k: usize, d: usize) -> Components {
        let mut components = components(covariance_type, k, d, 1.0);
        let length = covariance_type.factor_len(d);
        for factor in components.factors.chunks_exact_mut(length) {
            if !covariance_type.is_diagonal() {
                let off_diagonal = |at: &usize| triangle::place(*at).0 != triangle::place(*at).1;
                let shrunk = (0..length).filter(off_diagonal);
                shrunk.for_each(|at| factor[at] *= 3.0 / d as f64);
            }
        }
        if covariance_type != CovarianceType::Tied {
            let narrow = &mut components.factors[(k - 1) * length..];
            narrow.iter_mut().for_each(|u| *u *= 60.0);
        }
        components.round_to(Precision::F32);
        components
    }

    /// The fused shape takes them where all components allow it.
    #[test]
    fn they_agree_with_the_reference_in_the_fused_shape() {
        for (d, k, n) in [
            (1, 1, 200),
            (1, 6, 777),
            (2, 4, 1_500),
            (2, 5, 140_001),
            (2, 30, 2_500),
            (3, 1, 500),
            (4, 7, 2_000),
            (5, 2, 1_111),
            (6, 3, 3_001),
            (7, 4, 900),
            (8, 3, 5_000),
        ] {
            for covariance_type in [CovarianceType::Full, CovarianceType::Tied] {
                let components = components(covariance_type, k, d, 1.0);
                let fused = Prepared::<f64>::new(&components, 8, n);
                assert!(matches!(fused.shape, Shape::Fused { .. }), "{d} {k}");
                assert_agreement(&components, n, 0);
                if k > 2 {
                    let mut components = components;
                    components.weights[1] = 0.0;
                    assert_agreement(&components, n, 0);
                }
            }
        }
    }

    #[test]
    fn they_agree_with_the_reference() {
        use CovarianceType::{Diag, Full, Spherical, Tied};
        for (covariance_type, d, k, n) in [
            (Full, 3, 150, 700),
            (Full, 9, 4, 1_300),
            (Full, 17, 7, 2_300),
            (Full, 33, 3, 4_300),
            (Full, 40, 25, 5_121),
            (Full, 9, 4, 140_000),
            (Full, 20, 75, 33_001),
            (Tied, 2, 150, 700),
            (Tied, 12, 6, 500),
            (Tied, 33, 5, 1_111),
            (Tied, 64, 261, 300),
            (Diag, 1, 6, 200),
            (Diag, 11, 7, 1_500),
            (Diag, 70, 122, 9_000),
            (Spherical, 1, 6, 200),
            (Spherical, 13, 8, 1_700),
        ] {
            let whitened = usize::from(covariance_type != Tied);
            assert_agreement(&with_a_narrow_one(covariance_type, k, d), n, whitened);
        }
    }

    /// Asserts that sums over n rows are the reference's, where so many components are whitened.
    fn assert_agreement(components: &Components, n: usize, whitened: usize) {
        let (covariance_type, k, d) = (
            components.covariance_type,
            components.len(),
            components.n_features,
        );
        let large = n > 10_000;
        for weighted in [false, true]
            .into_iter()
            .filter(|weighted| *weighted || !large)
        {
            let samples = samples(n, d, false, weighted);
            let map = Standardisation::of(&samples, covariance_type).expect("varied");
            let kappas: Vec<f64> = (0..k).map(|_| components.kappa()).collect();
            let model = [MaskedModel::from(components)];
            let expected = Reference::load(&samples, &map).statistics(&model);
            let expected = &expected.expect("no device")[0];
            for (precision, rounding) in [(Precision::F32, 6e-8), (Precision::F64, 1.2e-16)] {
                for level in level::all() {
                    let what = format!(
                        "{covariance_type:?}, {n} x {d}, K {k}, {weighted}, {precision:?}, {level:?}"
                    );
                    let prepared = Prepared::<f32>::new(components, 16, n);
                    assert_eq!(prepared.stored, whitened, "{what}");
                    let mut cpu = Cpu::load(&samples, &map, precision).with_level(level);
                    let found = &cpu.statistics(&model).expect("no device")[0];
                    // Terms are below κ², each off by some ulp of it. A log density is a sum of D squares, off by some ulp of
                    // them, and so are responsibilities and what they multiply, relative to it.
                    let allowed =
                        |k: usize| 8.0 * rounding * kappas[k] * kappas[k] * (expected.s0[k] + 1.0);
                    let of_all: f64 = (0..k).map(allowed).sum();
                    let near = |part: &str, found: &[f64], expected: &[f64]| {
                        let each = (found.len() / k).max(1);
                        for (i, (f, e)) in found.iter().zip(expected).enumerate() {
                            let allowed = match covariance_type {
                                CovarianceType::Tied => of_all,
                                // A trace is D of them.
                                CovarianceType::Spherical => d as f64 * allowed(i / each),
                                _ => allowed(i / each),
                            };
                            let allowed = allowed + 8.0 * rounding * d as f64 * e.abs();
                            assert!(
                                (f - e).abs() <= allowed,
                                "{what}: {part} {i}: {f}, not {e}, {allowed:e}"
                            );
                        }
                    };
                    near("S0", &found.s0, &expected.s0);
                    near("S1", &found.s1, &expected.s1);
                    near("S2", &found.s2, &expected.s2);
                    let (f, e) = (found.log_likelihood, expected.log_likelihood);
                    let allowed = 16.0 * rounding * e.abs().max(expected.weight);
                    assert!((f - e).abs() <= allowed, "{what}: l {f}, not {e}");
                }
            }
        }
    }

    /// Equal values round the same way in every addition. Features are independent, or share a part of either sign.
    #[test]
    fn rounding_of_few_values_keeps_the_promise() {
        for (d, shared) in [(9, 0.0), (9, 1.0), (2, 0.0), (2, 1.0), (5, 0.0), (8, 1.0)] {
            let mut tried = 0;
            for apart in [6.0, 8.0, 11.0, 14.0, 17.0, 20.0] {
                tried += usize::from(is_right_with_few_values(d, shared, apart));
            }
            // Some are of moderate κ with every covariance type, the farthest are not.
            assert!((1..6).contains(&tried), "{d}, {shared}: {tried}");
        }
    }

    /// Asserts it for components so far apart, if all of them are plain.
    fn is_right_with_few_values(d: usize, shared: f64, apart: f64) -> bool {
        let n = 40_000;
        let level = |i: usize| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 3;
        let sign = |j: usize| if j.is_multiple_of(2) { 1.0 } else { -1.0 };
        let value = |i: usize| {
            let common = shared * sign(i % d) * level(i / d + 12_345) as f64;
            level(i) as f64 + common + apart * (i / d % 2) as f64
        };
        let samples = Samples::new((0..n * d).map(value).collect::<Vec<f64>>(), d).expect("finite");
        let variance = 2.0 / 3.0;
        let entry = |i: usize, j: usize| {
            let own = if i == j { variance } else { 0.0 };
            own + shared * sign(i) * sign(j) * variance
        };
        let matrix = |i: usize| entry(i / d % d, i % d);
        let mean = |i: usize| 1.0 + shared * sign(i % d) + apart * (i / d) as f64;
        let means: Vec<f64> = (0..2 * d).map(mean).collect();
        let own = entry(0, 0);
        let mut all_are_plain = true;
        for covariances in [
            Covariances::Full((0..2 * d * d).map(matrix).collect()),
            Covariances::Tied((0..d * d).map(matrix).collect()),
            Covariances::Diag(vec![own; 2 * d]),
            Covariances::Spherical(vec![own; 2]),
        ] {
            let mixture = Mixture::new(vec![0.5; 2], means.clone(), d, covariances).expect("valid");
            let covariance_type = mixture.covariance_type();
            let map = Standardisation::of(&samples, covariance_type).expect("varied");
            let mut components = Components::from_mixture(&mixture, &map);
            components.round_to(Precision::F32);
            if Prepared::<f32>::new(&components, 16, n).stored > 0 {
                all_are_plain = false;
                continue;
            }
            let model = [MaskedModel::from(&components)];
            let expected = Reference::load(&samples, &map).statistics(&model);
            let expected = &expected.expect("no device")[0];
            for level in level::all() {
                let mut cpu = Cpu::load(&samples, &map, Precision::F32).with_level(level);
                let found = &cpu.statistics(&model).expect("no device")[0];
                let what = format!("{covariance_type:?}, {d}, {shared}, {apart}, {level:?}");
                // In units of a component: coordinates are white.
                for (i, (f, e)) in found.s1.iter().zip(&expected.s1).enumerate() {
                    let s0 = expected.s0[i / d];
                    assert!((f - e).abs() <= 1e-5 * s0, "{what}: mean {}", (f - e) / s0);
                }
                let second = expected.s2.len();
                for (i, (f, e)) in found.s2.iter().zip(&expected.s2).enumerate() {
                    let s0 = match covariance_type {
                        CovarianceType::Tied => expected.weight,
                        _ => expected.s0[i * 2 / second],
                    };
                    assert!(
                        (f - e).abs() <= 1e-4 * s0,
                        "{what}: covariance {}",
                        (f - e) / s0
                    );
                }
            }
        }
        all_are_plain
    }
}
